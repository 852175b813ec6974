"""A worker as a child process: it ends when its parent does, and its words are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

__all__ = ["Child", "End"]

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


class Child:
    """One `hpsearch worker` as a child of this process."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        hear: Callable[[str], None] | None = None,
    ) -> None:
        """Start it. It loads what it needs, and waits for `begin`.

        Args:
            name: How it signs on.
            arguments: What follows `hpsearch` on its command line.
            env: Added to this process's environment. A URL with a password belongs here: unlike
                a command line, other users cannot read it.
            hear: Called from a thread with each line that the worker writes.
        """
        self.name = name
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "hpsearch", *arguments],
            stdin=subprocess.PIPE,  # ends when this process does, and the worker with it
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env, "HPSEARCH_PARENT_PIPE": "1", "PYTHONUNBUFFERED": "1"},
            # Ctrl-C reaches the whole foreground group; the fleet passes it on itself.
            start_new_session=True,
        )
        assert self._popen.stdout is not None
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._reader = threading.Thread(
            target=self._read, args=(self._popen.stdout, hear), daemon=True
        )
        self._reader.start()

    def _read(self, stream: IO[bytes], hear: Callable[[str], None] | None) -> None:
        with stream:
            for raw in stream:
                line = raw.decode(errors="replace").rstrip()
                self._lines.append(line)
                if hear is not None:
                    hear(line)

    def begin(self) -> None:
        """Let it work."""
        assert self._popen.stdin is not None
        with suppress(BrokenPipeError):  # how it ended is what `poll` says
            os.write(self._popen.stdin.fileno(), b"\n")

    def poll(self) -> End | None:
        """How it ended; None while it runs."""
        code = self._popen.poll()
        if code is None:
            return None
        # A process of its own that outlives it may hold the pipe open: not for ever.
        self._reader.join(1.0)
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        return End(code, self._last_words())

    def _last_words(self) -> str:
        text = "\n".join(self._lines).strip()
        _, found, message = text.rpartition("hpsearch: ")
        return message if found else text.rpartition("\n")[2]

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
