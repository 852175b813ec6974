"""A folder that is written whole or not at all, also in the place of an earlier one."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import CheckpointError, ConflictError, line

__all__ = ["Kind", "check_place", "put"]

_CROSSED = errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST
"""Errors of a rename where another process saves to the same folder."""


@dataclass(frozen=True)
class Kind:
    """What hpsearch saves in a folder of its own."""

    name: str
    """What to call it in an error, such as `network`."""
    ours: Callable[[Path], bool]
    """Whether a folder has what hpsearch has saved there and nothing else."""


def check_place(folder: Path, kind: Kind, *, force: bool = False) -> None:
    """Raise ConflictError unless the folder is empty, or not there yet; with `force` also unless
    `put` has made it and nobody added to it."""
    try:
        if not any(folder.iterdir()):
            return
        ours = kind.ours(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConflictError(f"{folder} cannot be written over: {line(error)}") from error
    if not ours:
        raise ConflictError(
            f"{folder} has other things in it than a {kind.name} that hpsearch has saved; "
            "choose another folder"
        )
    if not force:
        raise ConflictError(
            f"{folder} has a {kind.name} in it already; choose another folder, or replace it with "
            "--force"
        )


def put(folder: Path, kind: Kind, fill: Callable[[Path], None], *, force: bool = False) -> None:
    """Put what `fill` writes to an empty folder in the place of `folder`: all of it or nothing;
    with `force` in the place of what an earlier `put` of the kind has put there.

    A process that is killed leaves at most a folder beside it whose name begins with a dot. Killed
    between the two renames it leaves both in there, and the next `put` puts the one of before back
    first.

    Raises ConflictError where something else is there, CheckpointError where it cannot be written.
    """
    folder = folder.resolve()  # the folder `.` cannot be renamed
    try:
        try:
            _replace(folder, kind, fill, force=force)
        except OSError as error:
            if error.errno not in _CROSSED:
                raise
            _replace(folder, kind, fill, force=force)
    except OSError as error:
        raise CheckpointError(f"cannot write the {kind.name} to {folder}: {line(error)}") from error


def _replace(folder: Path, kind: Kind, fill: Callable[[Path], None], *, force: bool) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _put_back(folder, kind)
    check_place(folder, kind, force=force)
    with _beside(folder) as (new, old):
        fill(new)
        if force and folder.exists():  # one with something in it cannot be renamed over
            folder.rename(old)
        new.rename(folder)


def _put_back(folder: Path, kind: Kind) -> None:
    """What lay in a folder that is missing, from where a killed `put` has left it."""
    for work in folder.parent.iterdir():
        old, left = work / "old", work.name.rpartition(".")[0] == f".{folder.name}"
        if left and not folder.exists() and old.exists() and kind.ours(old):
            old.rename(folder)


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Places for the new folder and for the old one, removed at the end with what is in them."""
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    new, old = work / "new", work / "old"
    try:
        new.mkdir()
        yield new, old
    finally:
        if old.exists() and not folder.exists():  # broken off between the two renames
            old.rename(folder)
        shutil.rmtree(work, ignore_errors=True)
