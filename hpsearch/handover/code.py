"""The code that a network needs which was built by a study's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.code import Code, Manifest
from hpsearch.errors import CodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["saved_code"]


def saved_code(files: Mapping[str, str] | None, folder: Path | str | None) -> Code | None:
    """The code in that folder that a network needs; None where it needs none.

    Files that came to the folder later are in nobody's way: they are never imported.

    Args:
        files: Path and SHA-256 of each file that the network was trained with; None: it needs none.
        folder: Where they lie now; None: nobody has said.

    Raises CodeError where they are needed and not there, or not the same.
    """
    if files is None:
        return None
    if folder is None:
        raise CodeError(
            "the network needs the code that it was trained with (SHA-256 "
            f"{Manifest(files).digest[:12]}): name its folder with --code DIR"
        )
    code = Code.at(Path(folder))
    wanted = Manifest(files)
    if changes := wanted.differences(code.manifest, more=False):
        raise CodeError(
            f"the code in {code.folder} is not what the network was trained with: {changes}"
        )
    return Code(code.folder, wanted)
