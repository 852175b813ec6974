"""What own training code writes: the first and the last of it, in files of one trial each."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "Log", "Pump", "content_of", "files_of", "remove", "text_of"]

HEAD_BYTES = 1 << 20
"""So much of the beginning of what a trial writes is kept ..."""
TAIL_BYTES = 9 << 20
"""... and at least so much of its end."""

_LAST_BYTES = 4096
"""What is kept at hand for a message."""
_LAST_LINES = 40
_CHUNK = 1 << 16
_SETTLED_S = 1.0
"""For the end of what a trial wrote to be read."""


def files_of(folder: Path, number: int) -> tuple[Path, Path, Path]:
    """The files of a trial: the beginning, what came before the end, and the end."""
    names = f"{number}.log", f"{number}.tail-1.log", f"{number}.tail.log"
    first, before, last = (folder / name for name in names)
    return first, before, last


def text_of(folder: Path, number: int) -> str | None:
    """What a trial wrote, with a line in the place of what is not kept; None: it wrote nothing."""
    if not files_of(folder, number)[0].is_file():
        return None
    return content_of(folder, number).decode(errors="replace")


def content_of(folder: Path, number: int) -> bytes:
    """The same as it was written; nothing where it wrote nothing."""
    first, before, last = files_of(folder, number)
    head, *tail = (path.read_bytes() if path.is_file() else b"" for path in (first, before, last))
    gap = b"\n... what came between is not kept ...\n" if before.is_file() else b""
    return head + gap + b"".join(tail)


def remove(folder: Path, number: int) -> None:
    """Remove what a trial wrote."""
    for path in files_of(folder, number):
        path.unlink(missing_ok=True)


class Log:
    """Writes what one trial says. One that cannot be written loses words and nothing else."""

    def __init__(self, folder: Path | None, number: int) -> None:
        """Continues behind what is there; None: nothing is kept but the last lines."""
        self._files = None if folder is None else files_of(folder, number)
        self._sizes = [0, 0]
        self._last = b""
        if self._files is not None:
            first, _, tail = self._files
            self._sizes = [_size(first), _size(tail)]
        self._makes_folder = folder is not None and not folder.is_dir()
        """Whether its first write makes its folder. One that is missing later was removed with its
        study, and own code may still write."""

    def begin_line(self) -> None:
        """End the line in which what is there breaks off, as that of a process that was killed."""
        if self._files is not None and (end := _last_byte(self._files)) and end != b"\n":
            self.write(b"\n")

    def write(self, data: bytes) -> None:
        """Add what it has written."""
        self._last = (self._last + data)[-_LAST_BYTES:]
        if self._files is None:
            return
        room = HEAD_BYTES - self._sizes[0]
        try:
            self._append(0, data[: max(room, 0)])
            self._append(1, data[max(room, 0) :])
        except OSError:
            self._files = None

    def _append(self, part: int, data: bytes) -> None:
        assert self._files is not None
        if not data:
            return
        first, before, tail = self._files
        if part == 1 and self._sizes[1] > TAIL_BYTES:
            tail.replace(before)
            self._sizes[1] = 0
        path = (first, tail)[part]
        if self._makes_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._makes_folder = False
        with path.open("ab") as file:
            file.write(data)
        self._sizes[part] += len(data)

    def end(self) -> str:
        """Its last lines."""
        lines = self._last.decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-_LAST_LINES:])


def _last_byte(files: Sequence[Path]) -> bytes:
    for path in reversed(files):
        with suppress(OSError), path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1)
    return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class Pump:
    """Reads what a child writes, and hands it to the log of the trial under way."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Read the stream to its end, in a thread."""
        self._lock, self._marked = threading.Lock(), threading.Event()
        self._log, self._mark, self._rest = Log(None, 0), b"", b""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def begin(self, log: Log, mark: str) -> None:
        """What comes now is of another trial, whose end is this mark."""
        with self._lock:
            self._log, self._mark = log, mark.encode()
            self._marked.clear()

    def settle(self) -> None:
        """Wait until the end of the trial's words has been read; not for long."""
        if self._thread.is_alive():
            self._marked.wait(_SETTLED_S)

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while data := stream.read1(_CHUNK):  # type: ignore[attr-defined]
                with self._lock:
                    self._take(self._rest + data)
        with self._lock:
            self._log.write(self._rest)
            self._marked.set()

    def _take(self, data: bytes) -> None:
        """Hand it on up to the mark, of which the beginning may be at its end."""
        before, mark, rest = data.partition(self._mark) if self._mark else (data, b"", b"")
        if mark:
            self._log.write(before)
            self._marked.set()
            self._rest = rest
            return
        waiting = 0
        if self._mark:
            sizes = range(min(len(self._mark) - 1, len(data)), 0, -1)
            waiting = next((n for n in sizes if data.endswith(self._mark[:n])), 0)
        self._rest = data[len(data) - waiting :]
        self._log.write(data[: len(data) - waiting])

    @property
    def over(self) -> bool:
        """Whether nobody can write any more."""
        return not self._thread.is_alive()

    def last(self) -> str:
        """Its last line."""
        self._thread.join(_SETTLED_S)
        return self._log.end().rpartition("\n")[2]
