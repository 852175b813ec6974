"""Sources of data, a folder each; and how data is read, split, and turned into inputs.

`NAME/__init__.py` declares a `SOURCE` and imports no PyTorch; its `read` gives the rows. A folder
is all it takes, here or in a package of your own: docs/guides/add-a-source.md says how.
"""

from hpsearch.spec.keys import Section, one_of
from hpsearch.spec.source import DataSpec, Source

__all__ = ["DataSpec", "Section", "Source", "one_of"]
