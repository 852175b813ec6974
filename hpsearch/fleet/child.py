"""A worker as a child process: it ends when its parent does, and its words are kept."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from hpsearch.processes.interpreter import python
from hpsearch.processes.process import End, Hear, Words, environment

__all__ = ["Child"]


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
            [*python("hpsearch"), *arguments],
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
