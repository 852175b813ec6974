"""Code of a study's own: Python files below one folder, known by their hashes.

`manifest` says which files there are, `signature` reads functions without running anything, and
`imports` is the only door through which such code runs: from a folder that anyone who started the
process has named, and only the files of a manifest. `exits` keeps it from ending the process.
"""

from hpsearch.code.exits import contained
from hpsearch.code.imports import (
    Code,
    explained,
    function,
    importing,
    in_use,
    note_package,
    place_of,
    running,
    use,
)
from hpsearch.code.manifest import Manifest, manifest_of
from hpsearch.code.signature import Argument, SignatureError, arguments, is_reference

__all__ = [
    "Argument", "Code", "Manifest", "SignatureError", "arguments", "contained", "explained",
    "function", "importing", "in_use", "is_reference", "manifest_of", "note_package", "place_of",
    "running", "use",
]  # fmt: skip
