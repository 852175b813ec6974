"""How a worker was started, and what its parts share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch

from hpsearch.children.here import Here
from hpsearch.children.process import Nursery
from hpsearch.code import Code, Manifest
from hpsearch.errors import UnreachableError
from hpsearch.store import LEASE_S
from hpsearch.store.ledger import Ledger
from hpsearch.store.patience import RETRY_S, Patience
from hpsearch.store.values import EVERY, Serves, Study
from hpsearch.worker.keeper import Keeper

__all__ = ["Context", "Options", "Patience", "known_by"]

T = TypeVar("T")


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
    code: str | None = None
    """The folder of code that studies may bring; None: it serves none that has code of its own."""
    pictures: bool = False
    """Whether it draws the pictures of studies that have ended, when it has nothing to train."""
    commands: str | None = None
    """Which commands of studies it runs in that folder: `*`, all, or the one of this hash
    (`values.command_hash`); None: none."""


def known_by(code: Code | None, nursery: Nursery | Here | None) -> Manifest | None:
    """What the own code that a worker runs is known by: its files, or the function of a session;
    None where it runs none."""
    if isinstance(nursery, Here):
        return nursery.manifest
    return code.manifest if code is not None else None


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
    signed_on: Serves = EVERY
    """Which studies it takes tickets of, as far as that was known when it began."""
    code: Code | None = None
    """The code of studies that it may run; None: none."""
    nursery: Nursery | Here | None = None
    """What the processes of own training code are forked from, or what trains it in this one; None
    where it runs none."""
    weights: set[str] = field(default_factory=set)
    """What studies need of files of weights, as `Study.needs` names it, and was found since."""
    codes: dict[str, Code] = field(default_factory=dict)
    """Digest -> the code of a study that began with fewer files than the folder has: those."""

    @property
    def manifest(self) -> Manifest | None:
        """What the own code that it runs is known by (`known_by`)."""
        return known_by(self.code, self.nursery)

    @property
    def serves(self) -> Serves:
        """Which studies it takes tickets of."""
        return self.signed_on.also({*self.weights, *(f"code {digest}" for digest in self.codes)})

    def of(self, study: Study) -> Context:
        """The same, with the code of that study alone."""
        code = self.codes.get(study.code or "")
        return self if code is None else replace(self, code=code)

    def check_code(self, study: Study) -> None:
        """Raise CodeError where the folder of code has changed since the worker began, which
        concerns studies that have code of their own."""
        if study.code is not None and self.code is not None:
            self.code.check()

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
