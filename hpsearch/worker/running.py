"""A trial under way on this worker, and what of it is still to be written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import FrozenTrial

from hpsearch.runner.candidate import Candidate
from hpsearch.runner.epoch import Epoch
from hpsearch.store.states import TrialState
from hpsearch.store.values import Ending, Lease, Write

__all__ = ["Running"]


@dataclass(eq=False)
class Running:
    """A ticket that is held, its trial and its candidate."""

    lease: Lease
    trial: FrozenTrial
    candidate: Candidate
    keeps_best: bool = False
    """Whether its best epoch counts; else its last one."""
    last: Epoch | None = None
    """Its last epoch; None before the first."""
    kept: Epoch | None = None
    """The epoch that counts so far, its best one or the last; None before the first."""
    parameters: int | None = None
    """Numbers of its network that are trained, once that is known."""
    detail: str = ""
    """More than a word about a failure."""
    unsaved: str | None = None
    """Why its last epoch has no checkpoint."""
    lost: str = ""
    """Why its checkpoint is unavailable, until it begins again."""
    suspect: bool = False
    """Whether it has to make a new epoch alone before others are trained beside it."""
    pending: Write | None = None
    """What is to be written, once a checkpoint vouches for it."""
    reported_at: float = 0.0
    """When the first report came that is to be written."""

    @property
    def number(self) -> int:
        """The ticket's."""
        return self.lease.number

    @property
    def epochs(self) -> int:
        """The most that it is trained for."""
        return int(self.candidate.settings["epochs"])  # type: ignore[arg-type]

    @property
    def trial_id(self) -> int:
        """Optuna's id of the trial."""
        return self.trial._trial_id

    @property
    def ending(self) -> Ending | None:
        """How the trial ends, once that is known."""
        return self.pending.ending if self.pending else None

    @property
    def last_value(self) -> float | None:
        """What Optuna gives a pruned trial as its value: the last report."""
        last = self.trial.last_step
        return None if last is None else self.trial.intermediate_values[last]

    def put(
        self,
        *,
        kept: int | None = None,
        reports: Sequence[Epoch] = (),
        user_attrs: Mapping[str, Any] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
        ending: Ending | None = None,
    ) -> None:
        """Add to what is to be written; the arguments are those of `Write`."""
        if reports and not (self.pending and self.pending.reports):
            self.reported_at = time.monotonic()
        attrs = dict(user_attrs or {})
        if ending is not None:
            attrs |= self._results(ending)
        write = Write(
            self.lease, self.trial_id, kept=kept, reports=reports, user_attrs=attrs,
            system_attrs=system_attrs or {}, ending=ending,
        )  # fmt: skip
        self.pending = self.pending.then(write) if self.pending else write

    def _results(self, ending: Ending) -> dict[str, Any]:
        """User attributes of a trial that ends."""
        attrs: dict[str, Any] = {"detail": self.detail} if self.detail else {}
        if self.kept is None or self.last is None:
            return attrs
        if self.parameters is not None:
            attrs["parameters"] = self.parameters
        attrs["metrics"] = dict(self.kept.metrics)
        if self.keeps_best:
            attrs |= {"best_epoch": self.kept.epoch, "last_metrics": dict(self.last.metrics)}
        if ending.state == TrialState.COMPLETE and self.kept.details:
            attrs["details"] = dict(self.kept.details)
        return attrs

    def drop_reports(self) -> None:
        """Nothing vouches for them: what else is to be written is kept."""
        if self.pending is not None:
            self.pending = replace(self.pending, reports=(), system_attrs={})

    def take(self) -> list[Write]:
        """What is to be written, if there is anything; it is the caller's from now on."""
        pending, self.pending = self.pending, None
        return [pending] if pending else []
