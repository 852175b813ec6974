"""Networks between two workers: where they lie, and how they are written and read."""

__all__: list[str] = []
