"""A study as a page that anyone can open: the report, and several studies side by side.

`answer` is what a study has come to in a few words, `spent` what it took, `facts` the plain values
that every page carries for programs. `charts` and `lines` draw, `sections` gathers what a page
shows, `page` lays it out. Nothing here trains, and nothing loads PyTorch.
"""

__all__: list[str] = []
