"""Pictures of studies and trials: which there are, what is in them, how they are drawn and kept.

`catalog` says which pictures there are and when each applies. Each has a module of its own with its
content, a frozen dataclass of plain values, `gather`, which computes that from a `Subject`, and
`draw`, which makes a figure of it. `gallery` knows what is kept beside a study's checkpoints,
`drawing` draws what is missing. matplotlib is imported when a picture is drawn, and not before.
"""

__all__: list[str] = []
