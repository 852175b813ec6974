"""What the processes of workers have in common, however they start: words, an end, a setting."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Protocol

__all__ = ["End", "FailedStart", "Hear", "Listener", "Words", "environment"]

Hear = Callable[[str], None]
"""Called from a thread with each line that a process writes."""

_KEPT = 40
"""Last lines that are kept of what a worker says: enough for a message of several lines."""


@dataclass(frozen=True)
class End:
    """How a worker's process ended."""

    code: int | None
    """Its exit code, minus the signal that killed it; None: nobody knows, as it was lost."""
    said: str = ""
    """Its error message, or the last line it wrote."""

    @property
    def how(self) -> str:
        """In words, behind `the worker`."""
        if self.code is None:
            return f"was lost: {self.said or 'nobody knows how'}"
        if self.code < 0:
            return f"was killed by signal {_signal(-self.code)}"
        return f"ended with exit code {self.code}: {self.said or 'it said nothing'}"


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """A worker's: this process's own, and what is added to it."""
    return {**os.environ, **env, "HPSEARCH_PARENT_PIPE": "1", "PYTHONUNBUFFERED": "1"}


class Listener(Protocol):
    """Reads what a process writes."""

    @property
    def over(self) -> bool:
        """Whether nobody can write any more: all who could have closed their end."""

    def last(self) -> str:
        """The error message, or the last line, of a process that has ended."""


class Words:
    """What a process says: its last lines are kept."""

    def __init__(self, stream: IO[bytes], hear: Hear | None = None) -> None:
        """Read the stream to its end, in a thread."""
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._reader = threading.Thread(target=self._read, args=(stream, hear), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[bytes], hear: Hear | None) -> None:
        with stream:
            for raw in stream:
                line = raw.decode(errors="replace").rstrip()
                self._lines.append(line)
                if hear is not None:
                    hear(line)

    @property
    def over(self) -> bool:
        """Whether nobody can say any more: all who could have closed their end."""
        return not self._reader.is_alive()

    def last(self) -> str:
        """The error message, or the last line, of a process that has ended."""
        # A process of its own that outlives it may hold the stream open: not forever.
        self._reader.join(1.0)
        text = "\n".join(self._lines).strip()
        _, mark, message = text.rpartition("hpsearch: ")
        return message if mark else text.rpartition("\n")[2]


class FailedStart:
    """A worker that could not be started."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self._end = name, End(None, why)

    def poll(self) -> End:
        """How it ended."""
        return self._end

    def terminate(self) -> None:
        """There is nothing to do."""

    def kill(self) -> None:
        """There is nothing to do."""
