"""A SQLite file as it was when it was opened: anyone who continues in another one, or in one that
has no name any more, loses what it writes.

SQLite itself keeps writing to the file that it has opened, wherever that is by now. Two processes
that have opened one before and one after it was replaced would each continue in a database of its
own."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from hpsearch.errors import LostError

__all__ = ["SQLiteFile"]

_Identity = tuple[int, int]
"""Device and inode."""

_BESIDE = "-wal", "-shm"
"""What SQLite keeps beside the file while anybody has it open."""


class SQLiteFile:
    """Notices that the file at a path is not the one any more that this process has opened."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._first: _Identity | None = None
        self._had_content = False

    @property
    def is_read_only(self) -> bool:
        """Whether there is a file that this process may not write to, or not into the folder where
        SQLite keeps its log beside it."""
        path = self._real_path
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        return not writable and path.exists()

    @property
    def _real_path(self) -> Path:
        """Where a link leads: there SQLite keeps its files."""
        return Path(self._path).resolve()

    def settled(self) -> tuple[str, int] | None:
        """The URI by which SQLite reads a read-only file that nobody is at, and when that was
        written last; None: it is to be opened as usual.

        Even to read a file that keeps a log SQLite makes files in its folder, unless it hears that
        nobody changes it. Where there is no log, nobody does. A file that keeps no log is read as
        usual: its readers make no files, and only their locks say who writes.
        """
        path = self._real_path
        if not self.is_read_only or Path(f"{path}{_BESIDE[0]}").exists() or not _keeps_log(path):
            return None
        return f"{path.as_uri()}?immutable=1", path.stat().st_mtime_ns

    def opened(self) -> None:
        """A connection has been opened: the first one says which file it is about."""
        if self._first is None:
            self._first = _identity(self._path)

    def check(self, info: MutableMapping[Any, Any] | None = None) -> None:
        """Raise LostError where the file has been removed, replaced or emptied since.

        Args:
            info: What is kept with one connection, before its next transaction: of that the files
                beside are looked at too. SQLite keeps them until the last connection is closed.
        """
        if self._first is None:
            return
        try:
            status = os.stat(self._path)  # noqa: PTH116  # once a transaction: no Path is made
        except (FileNotFoundError, NotADirectoryError):
            raise self._lost("was removed or moved") from None
        except OSError:
            return  # SQLite will say what the matter is
        if (status.st_dev, status.st_ino) != self._first:
            raise self._lost("was replaced by another file")
        if self._had_content and not status.st_size:
            raise self._lost("was emptied")
        self._had_content = status.st_size > 0
        if info is not None:
            self._check_beside(info)

    def _check_beside(self, info: MutableMapping[Any, Any]) -> None:
        recorded = info.get("hpsearch_beside")
        if recorded is None:  # they are made by the first transaction, which is the one to come
            info["hpsearch_beside"] = {}
            return
        for suffix in _BESIDE:
            now = _identity(self._path + suffix)
            if recorded.get(suffix) not in (None, now):  # there are none before SQLite keeps a log
                raise self._lost(f"has lost the file {Path(self._path).name}{suffix} beside it")
            recorded[suffix] = now

    def _lost(self, what: str) -> LostError:
        return LostError(
            f"the database {self._path} {what} while it was in use, and what has been written to "
            "it since may be lost; end whatever still uses it, put it back or take a backup of it, "
            "and run again"
        )


def _keeps_log(path: Path) -> bool:
    """Whether a SQLite file is in WAL mode: https://www.sqlite.org/fileformat.html, 1.3.3."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False  # SQLite will say what the matter is


def _identity(path: str) -> _Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino
