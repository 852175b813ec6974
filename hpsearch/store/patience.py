"""How long a database that is away is waited for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from hpsearch.errors import UnreachableError

__all__ = ["RETRY_S", "Patience", "first_contact"]

T = TypeVar("T")

RETRY_S = 1.0
"""Between two tries to reach a database that is away."""

_log = logging.getLogger(__name__)


class Patience:
    """How long the database has been away for the thread that trains, and how long it may be."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: float | None = None

    def bear(self, error: UnreachableError) -> None:
        """The database did not answer; raises the error when that has lasted too long."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
            if self._limit_s > 0:
                _log.warning("%s; waiting for it", error)
        if now - self._since >= self._limit_s:
            raise error

    def relax(self) -> None:
        """The database has answered."""
        self._since = None


def first_contact(call: Callable[[], T], limit_s: float) -> T:
    """`call`, and again while the database cannot be reached or has no connection to give.

    Raises its error when that has lasted for `limit_s`, or at once where only a change of the URL,
    the user or the database would help.
    """
    patience = Patience(limit_s)
    while True:
        try:
            return call()
        except UnreachableError as error:
            if error.settled:
                raise
            patience.bear(error)
            time.sleep(RETRY_S)
