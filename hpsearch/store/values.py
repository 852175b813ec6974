"""What the ledger takes and gives: frozen values that cross the wall between SQL and the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.trial import TrialState

__all__ = ["Ending", "EpochReport", "Hold", "Key", "State", "Study", "Worker", "Write"]

State = Literal["open", "paused", "stopped", "done"]
Key = tuple[int, int, int]
"""Of a hold: study_id, the ticket's number, fence."""


@dataclass(frozen=True)
class Study:
    """A study as the ledger keeps it."""

    study_id: int
    name: str
    uid: str
    """Never used again, even where the database gives a deleted study's id to a new one."""
    direction: str
    """maximize or minimize."""
    digest: str
    document: Mapping[str, Any]
    base: str
    """The study file's folder: relative paths in the document start there."""
    state: State
    priority: int
    tickets: int
    """The budget."""
    issued: int
    drawn: int
    """Tickets issued that are not retries."""
    ended: int
    hours: float | None
    active_s: float
    """Seconds in which any worker held a lease."""
    data: Mapping[str, Any] | None
    """What the first worker found: fingerprint of the data, split, sizes."""


@dataclass(frozen=True)
class Worker:
    """A worker process that has signed on."""

    worker: str
    host: str
    pid: int
    device: str
    started_at: float
    seen_at: float
    stopped_at: float | None
    silent_s: float
    """Seconds since it was last seen, on the database's clock."""


@dataclass(frozen=True)
class Hold:
    """A worker's hold on a ticket. Its writes carry the fence."""

    study_id: int
    number: int
    fence: int
    worker: str
    trial_id: int | None = None
    """The trial that the ticket became under an earlier hold; None: it has no parameters yet."""
    origin: int = 0
    """The number to sample by: tickets that are not retries, counted from 0."""
    retry_of: int | None = None
    """The failed ticket that this one runs again."""

    @property
    def key(self) -> Key:
        """(study_id, number, fence): one for each lease."""
        return self.study_id, self.number, self.fence


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of one trial gave."""

    epoch: int
    value: float
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Ending:
    """How a trial ends: COMPLETE, PRUNED or FAIL, its value if it has one, the reason if not."""

    state: TrialState
    value: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Write:
    """All that is to be written for one held trial at once."""

    hold: Hold
    trial_id: int
    restart: bool = False
    """Whether the trial begins again: reports that were written before are taken back."""
    reports: Sequence[EpochReport] = ()
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    ending: Ending | None = None
