"""How a worker was started, and what its parts share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from hpsearch.errors import UnreachableError
from hpsearch.store.ledger import LEASE_S, Ledger
from hpsearch.worker.keeper import RETRY_S, Keeper

__all__ = ["Context", "Options", "Patience"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How a worker runs."""

    url: str
    name: str
    """How the worker signs on; no other worker has the same."""
    device: str = "cpu"
    """cpu, cuda:0, mps."""
    studies: tuple[str, ...] = ()
    """Names of the studies to serve; none: every open one, by priority."""
    until_done: bool = False
    """Leave once the studies have no more work, rather than wait for new ones."""
    threads: int | None = None
    """CPU threads of PyTorch; None: all."""
    lease_s: float = LEASE_S
    checkpoints: str | None = None
    """Folder or URL where checkpoints lie; None: what the study says, else beside the database."""
    grace_s: float = 8.0
    """Seconds from the first SIGTERM to the end of the process, whatever it is at."""
    patience_s: float = 300.0
    """Seconds for which a database may be away before the worker gives up."""


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
            _log.warning("%s; waiting for it", error)
        if now - self._since >= self._limit_s:
            raise error

    def relax(self) -> None:
        """The database has answered."""
        self._since = None


@dataclass(frozen=True)
class Context:
    """What every part of a worker shares."""

    ledger: Ledger
    name: str
    device: torch.device
    options: Options
    keeper: Keeper
    patience: Patience
    stop: threading.Event
    """Set once the worker is to leave."""

    def patiently(self, call: Callable[[], T]) -> T:
        """`call`, and again while the database is away; UnreachableError when that lasts too long.

        Only for what may be done twice: an answer may be lost after the database has acted.
        """
        while True:
            try:
                result = call()
            except UnreachableError as error:
                self.patience.bear(error)
                if self.stop.wait(RETRY_S):
                    raise
            else:
                self.patience.relax()
                return result
