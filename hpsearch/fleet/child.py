"""A worker as a child process: it ends when its parent does, and its words are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

__all__ = ["Child", "End", "Hear", "Words", "environment"]

Hear = Callable[[str], None]
"""Called from a thread with each line that a process writes."""

_KEPT = 40
"""Last lines that are kept of what a worker says: enough for a message of several lines."""


@dataclass(frozen=True)
class End:
    """How a worker's process ended."""

    code: int | None
    """Its exit code, minus the signal that killed it; None: it went away with its node."""
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

    def last(self) -> str:
        """The error message, or the last line, of a process that has ended."""
        # A process of its own that outlives it may hold the stream open: not for ever.
        self._reader.join(1.0)
        text = "\n".join(self._lines).strip()
        _, found, message = text.rpartition("hpsearch: ")
        return message if found else text.rpartition("\n")[2]


class Child:
    """One `hpsearch worker` as a child of this process."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        hear: Hear | None = None,
    ) -> None:
        """Start it.

        Args:
            name: How it signs on.
            arguments: What follows `hpsearch` on its command line.
            env: Added to this process's environment. A URL with a password belongs here: unlike
                a command line, other users cannot read it.
            hear: Is told what the worker writes.
        """
        self.name = name
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "hpsearch", *arguments],
            stdin=subprocess.PIPE,  # ends when this process does, and the worker with it
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(env),
            # Ctrl-C reaches the whole foreground group; the fleet passes it on itself.
            start_new_session=True,
        )
        assert self._popen.stdout is not None
        self._words = Words(self._popen.stdout, hear)

    def poll(self) -> End | None:
        """How it ended; None while it runs."""
        code = self._popen.poll()
        if code is None:
            return None
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        return End(code, self._words.last())

    def wait(self) -> End:
        """Until it has ended; how."""
        self._popen.wait()
        end = self.poll()
        assert end is not None
        return end

    def terminate(self) -> None:
        """Ask it to give back what it holds and to leave."""
        self._popen.terminate()

    def kill(self) -> None:
        """End it now."""
        self._popen.kill()
        self._popen.wait()
