"""What a worker and a child say to each other: a JSON object a line, over a socket."""

from __future__ import annotations

import json
import select
import socket
from typing import Any

__all__ = ["HangUpError", "NonsenseError", "Wire"]

_CHUNK = 1 << 16
_MOST_BYTES = 1 << 24
"""More than a report can be, whatever own code puts into it."""


class HangUpError(Exception):
    """The other end is gone, or says what nobody understands."""


class NonsenseError(HangUpError):
    """What came is no message."""


class Wire:
    """One end of the line."""

    def __init__(self, end: socket.socket) -> None:
        """Takes the socket over."""
        self._socket = end
        self._buffer = b""

    def fileno(self) -> int:
        """What can be waited for; -1 once it is closed."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Say something. Raises HangUpError where nobody hears it."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise HangUpError(str(error)) from None

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None where there is none within so long (None: wait for one).

        Raises HangUpError where none can come any more.
        """
        while b"\n" not in self._buffer:
            try:
                if not select.select([self._socket], [], [], timeout_s)[0]:
                    return None
                data = self._socket.recv(_CHUNK)
            except (OSError, ValueError) as error:
                raise HangUpError(str(error)) from None
            if not data:
                raise HangUpError("the line was closed")
            if len(self._buffer) > _MOST_BYTES:
                raise NonsenseError("a message has no end")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(text)
        except ValueError:
            raise NonsenseError("what came is no message") from None
        if not isinstance(message, dict):
            raise NonsenseError("what came is no message")
        return message

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
