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
            found = os.stat(self._path)  # noqa: PTH116  # once a transaction: no Path is made
        except (FileNotFoundError, NotADirectoryError):
            raise self._lost("was removed or moved") from None
        except OSError:
            return  # SQLite will say what the matter is
        if (found.st_dev, found.st_ino) != self._first:
            raise self._lost("was replaced by another file")
        if self._had_content and not found.st_size:
            raise self._lost("was emptied")
        self._had_content = found.st_size > 0
        if info is not None:
            self._check_beside(info)

    def _check_beside(self, info: MutableMapping[Any, Any]) -> None:
        known = info.get("hpsearch_beside")
        if known is None:  # they are made by the first transaction, which is the one to come
            info["hpsearch_beside"] = {}
            return
        for suffix in _BESIDE:
            now = _identity(self._path + suffix)
            if known.get(suffix) not in (None, now):  # there are none before SQLite keeps a log
                raise self._lost(f"has lost the file {Path(self._path).name}{suffix} beside it")
            known[suffix] = now

    def _lost(self, what: str) -> LostError:
        return LostError(
            f"the database {self._path} {what} while it was in use, and what has been written to "
            "it since may be lost; end whatever still uses it, put it back or take a backup of it, "
            "and run again"
        )


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino
