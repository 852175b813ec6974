"""Which Python files lie below a folder: their paths and hashes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hpsearch import files
from hpsearch.errors import CodeError

__all__ = ["MOST_FILES", "Manifest", "content_of", "is_left_out", "manifest_of"]

MOST_FILES = 2_000
_MOST_ENTRIES = 200_000
"""Names that are looked at below a folder: it was not meant to be one of code if it has more."""
_MOST_BYTES = 10 << 20
_CACHES = frozenset({"__pycache__", "node_modules", "site-packages"})
_ENVIRONMENTS = "pyvenv.cfg", "conda-meta"
"""What the folder of a virtual environment has in it."""
_NAMED = 3
"""Files that a message names."""

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """The Python files of a study's own code."""

    files: Mapping[str, str]
    """Path below the folder, with slashes -> SHA-256 of its content."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        text = json.dumps(dict(self.files), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def short(self) -> str:
        """The first digits of the digest, by which people tell states of the code apart."""
        return self.digest[:12]

    def differences(self, other: Manifest, *, more: bool = True) -> str:
        """How another one differs from this one, in words; empty where it does not.

        Args:
            other: The other one.
            more: Whether files that only the other one has are a difference.
        """
        changed = [
            f"{path} is missing" if path not in other.files else f"{path} differs"
            for path, digest in self.files.items()
            if other.files.get(path) != digest
        ]
        new = [f"{path} is new" for path in other.files if more and path not in self.files]
        words = [*changed, *new]
        rest = [f"{len(words) - _NAMED:,} more"] if len(words) > _NAMED else []
        return ", ".join([*words[:_NAMED], *rest])


def manifest_of(folder: Path, stamps: dict[str, tuple[Stamp, str]] | None = None) -> Manifest:
    """The Python files below a folder as they are now.

    Hidden folders, caches and virtual environments are left out, and so is what cannot be read, or
    is a link to something outside. Nothing is imported.

    Args:
        folder: Where they lie.
        stamps: Hashes of an earlier look, which are taken again for files that were not touched
            since; brought up to date.

    Raises CodeError where there is no such folder, or where it has too much below it.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise CodeError(f"the folder of the study's own code is not there: {folder}")
    hashes: dict[str, str] = {}
    stamps = {} if stamps is None else stamps
    for path in _python_files(folder):
        name = path.relative_to(folder).as_posix()
        digest = _digest(path, name, stamps)
        if digest is not None:
            hashes[name] = digest
        if len(hashes) > MOST_FILES:
            raise CodeError(f"{folder} has more than {MOST_FILES:,} Python files below it; {_HINT}")
    return Manifest(dict(sorted(hashes.items())))


_HINT = "put the study's own code in a folder of its own, and name that with --code DIR"


def _python_files(folder: Path) -> Iterator[Path]:
    """Regular files below that end in .py; a link is one where it leads to a file below."""
    pending, entries = [folder], 0
    while pending:
        for entry in _entries(pending.pop()):
            entries += 1
            if entries > _MOST_ENTRIES:
                raise CodeError(f"{folder} has too many files below it to look at; {_HINT}")
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if not is_left_out(path):
                    pending.append(path)
            elif entry.name.endswith(".py") and _is_below(path, folder):
                yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def is_left_out(folder: Path) -> bool:
    """Whether a folder is hidden, a cache, or a virtual environment."""
    hidden = folder.name.startswith(".") or folder.name in _CACHES
    return hidden or any((folder / name).exists() for name in _ENVIRONMENTS)


def _is_below(path: Path, folder: Path) -> bool:
    try:
        str(path).encode()
        return path.is_file() and path.resolve().is_relative_to(folder)
    except (OSError, ValueError):  # a name that is no text
        return False


def _digest(path: Path, name: str, stamps: dict[str, tuple[Stamp, str]]) -> str | None:
    try:
        status = path.stat()
        stamp = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        if name not in stamps or stamps[name][0] != stamp:
            stamps[name] = stamp, hashlib.sha256(content_of(path)).hexdigest()
    except OSError:
        return None
    return stamps[name][1]


def content_of(path: Path) -> bytes:
    """The bytes of a Python file; OSError for what is none, or is larger than code is."""
    return files.content(path, at_most=_MOST_BYTES)
