"""What samplers and pruners see of a study: Optuna's storage interface over memory.

The mirror is brought up to date by incremental queries; trials that this worker holds are its own
truth until they are written. Proposals live here before they have a row, so that a sampler can
leave its notes on a trial that is then inserted whole.
"""

from __future__ import annotations

import copy
import io
import threading
from collections import deque
from collections.abc import Container, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import DamagedError
from hpsearch.spec.settings import FINAL
from hpsearch.store import trials
from hpsearch.store.engine import Database
from hpsearch.store.frozen import empty, frozen
from hpsearch.store.history import History, StoredTrial
from hpsearch.store.optuna_private import FrozenStudy

__all__ = ["Mirror"]


class Mirror(BaseStorage):
    """One study in memory. Optuna reads it; only the methods below the line change it."""

    def __init__(
        self, database: Database, study_id: int, name: str, direction: str, *,
        lenient: bool = False,
    ) -> None:  # fmt: skip
        """Where not `lenient`, a trial that cannot be read is a DamagedError; else it is left out,
        and `damaged` says so."""
        self._database = database
        self._study_id = study_id
        self._name = name
        self._direction = StudyDirection(trials.as_direction(direction))
        self._history = History[FrozenTrial](study_id)
        self._lenient = lenient
        self._proposals: dict[int, FrozenTrial] = {}
        self._held: set[int] = set()
        self._noted: dict[int, dict[str, Any]] = {}
        self._ordered: list[FrozenTrial] | None = None
        """All trials and proposals by number."""
        self._searched: list[FrozenTrial] | None = None
        """Those of the search; a pruner asks for them after each report."""
        self._number = -1
        """The highest of all trials and proposals."""
        self._fetching = threading.Lock()
        self._fetched: deque[FrozenTrial] = deque()

    # --- what Optuna reads --------------------------------------------------------------------

    def get_study_id_from_name(self, study_name: str) -> int:
        """The study's id."""
        if study_name != self._name:
            raise KeyError(study_name)
        return self._study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        """The study's name."""
        return self._name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """One direction: hpsearch steers by one metric."""
        return [self._direction]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """None that samplers or pruners use."""
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """None that samplers or pruners use."""
        return {}

    def get_all_studies(self) -> list[FrozenStudy]:
        """The one study."""
        return [FrozenStudy(self._name, None, {}, {}, self._study_id, directions=[self._direction])]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial as it is in memory, not a copy."""
        trial = self._proposals.get(trial_id) or self._history.get(trial_id)
        if trial is None:
            raise KeyError(trial_id)
        return trial

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """The search's trials by number. Nothing is to be learnt of a finish's, which trains what
        the search found from other seeds, nor of one that failed: what it had reported may be
        wrong, and pruners would judge others by it."""
        if self._searched is None:
            self._searched = [
                t for t in self.trials()
                if trials.CONSTRAINTS not in t.system_attrs and t.state != TrialState.FAIL
            ]  # fmt: skip
        chosen = [t for t in self._searched if states is None or t.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials themselves, by number, a finish's too; only those in `states` if any are
        named."""
        if self._ordered is None:
            listed = [*self._history.select(), *self._proposals.values()]
            self._ordered = sorted(listed, key=lambda trial: trial.number)
        return [t for t in self._ordered if not states or t.state in states]

    def best(self) -> FrozenTrial | None:
        """The best trial of the search that completed; the first of equals.

        The trainings of a finish are not among them: of the same network trained again, the best
        one is the luckiest.
        """
        complete = [
            t for t in self.trials(TrialState.COMPLETE)
            if t.value is not None and t.user_attrs.get("stage") != FINAL
        ]  # fmt: skip
        return max(complete, key=lambda t: self._rank(t, t.value), default=None)

    def would_be_best(self, trial: FrozenTrial, value: float | None) -> bool:
        """Whether `trial`, complete with that value, would be the `best` one."""
        if value is None or trial.user_attrs.get("stage") == FINAL:
            return False
        best = self.best()
        return best is None or self._rank(trial, value) > self._rank(best, best.value)

    def first(self, ended: Sequence[tuple[FrozenTrial, float]]) -> FrozenTrial | None:
        """The one of these that would be the `best` trial if it were complete with its value."""
        best = max(ended, key=lambda one: self._rank(*one), default=None)
        return best[0] if best is not None and self.would_be_best(*best) else None

    def _rank(self, trial: FrozenTrial, value: float | None) -> tuple[float, int]:
        """The greater, the better."""
        sign = 1 if self._direction is StudyDirection.MAXIMIZE else -1
        return sign * (value or 0.0), -trial.number

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """What a sampler or pruner notes on a trial; `take_notes` hands it to be written."""
        self.get_trial(trial_id).system_attrs[key] = value
        self._noted.setdefault(trial_id, {})[key] = value

    def _refuse(self, *_args: Any, **_kwargs: Any) -> Any:
        raise io.UnsupportedOperation("studies and trials are changed through the ledger")

    create_new_study = delete_study = _refuse
    set_study_user_attr = set_study_system_attr = _refuse
    create_new_trial = set_trial_param = set_trial_user_attr = _refuse
    set_trial_state_values = set_trial_intermediate_value = _refuse

    # --- what changes it ----------------------------------------------------------------------

    def refresh(self) -> None:
        """Read new trials, and again those that were under way.

        Only what is shown is known to be under way: what another thread has fetched, and what may
        have ended since, is shown before it is asked for again.
        """
        with self._fetching:
            self.apply()
            self._fetch()
        self.apply()

    def fetch(self) -> None:
        """Read what `apply` will show. For any thread, so that training need not wait for it."""
        with self._fetching:
            self._fetch()

    def _fetch(self) -> None:
        with self._database.read() as connection:
            news = self._history.fetch(connection, self._held)
        self._fetched.extend(trial for _, trial in self._history.shown(news, frozen))
        if self.damaged and not self._lenient:
            raise DamagedError(f"study {self._name!r}, {self.damaged[0]}")

    def take(self, stored: Sequence[StoredTrial]) -> None:
        """Show trials that somebody has read already, all of each; those that cannot be made
        Optuna's are left out."""
        self._fetched.extend(trial for _, trial in self._history.shown(stored, frozen))
        self.apply()

    @property
    def damaged(self) -> list[str]:
        """A line for each trial that cannot be read."""
        return list(self._history.damaged.values())

    def apply(self) -> None:
        """Show what was fetched. Only for the thread that uses the mirror."""
        while self._fetched:
            trial = self._fetched.popleft()
            # A trial that Optuna's own tools put into the study has no ticket and may lack
            # parameters; samplers must not learn from it.
            if "ticket" not in trial.user_attrs or trial._trial_id in self._held:
                continue
            # One that ended here while it was being read elsewhere.
            current = self._history.get(trial._trial_id)
            if current is None or not current.state.is_finished():
                self._put(trial)

    def _put(self, trial: FrozenTrial) -> None:
        self._ordered = self._searched = None
        self._history.put(trial._trial_id, trial)
        self._number = max(self._number, trial.number)

    def open(self, ticket: int) -> FrozenTrial:
        """A proposal for `ticket`: a trial without a row, under a provisional number and id."""
        self._number += 1
        self._ordered = self._searched = None
        trial = empty(self._number, -1 - ticket, {})
        self._proposals[trial._trial_id] = trial
        return trial

    def adopt(self, proposal: FrozenTrial, trial_id: int, number: int) -> FrozenTrial:
        """The proposal has been inserted: from now on it is a trial that this worker holds."""
        self.drop(proposal._trial_id)
        proposal._trial_id = trial_id
        proposal.number = number
        self._put(proposal)
        self._held.add(trial_id)
        return proposal

    def hold(self, trial_id: int) -> FrozenTrial | None:
        """Take over a trial that an earlier worker began; None if its study is gone.

        That worker may have been this one: what it knew and could not write is not true any more.
        """
        self.drop(trial_id)
        self.refresh()
        trial = self._history.get(trial_id)
        if trial is not None:
            self._held.add(trial_id)
        return trial

    def rewind(self, trial_id: int, epoch: int) -> None:
        """A held trial continues from that epoch: later reports are taken back.

        After epoch 0 it begins again, and pruners have noted nothing.
        """
        trial = self.get_trial(trial_id)
        for step in [s for s in trial.intermediate_values if s > epoch]:
            del trial.intermediate_values[step]
        if epoch:
            return
        for key in [k for k in trial.system_attrs if k.startswith(trials.PRUNER_NOTES)]:
            del trial.system_attrs[key]

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Add a report to a held trial."""
        self.get_trial(trial_id).intermediate_values[step] = value

    def take_notes(self, trial_id: int) -> dict[str, Any]:
        """System attributes noted since the last call, to be written."""
        return self._noted.pop(trial_id, {})

    def end(
        self, trial_id: int, state: IntEnum, value: float | None,
        attrs: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """A held trial has ended, and that is written, with these user attributes."""
        trial = self.get_trial(trial_id)
        trial.user_attrs.update(attrs)
        trial.state = TrialState(state)
        trial.values = None if value is None else [value]
        self._held.discard(trial_id)
        self._put(trial)

    def drop(self, trial_id: int) -> None:
        """Forget a proposal, or what is known of a held trial: the database knows better."""
        self._ordered = self._searched = None
        self._held.discard(trial_id)
        self._noted.pop(trial_id, None)
        if self._proposals.pop(trial_id, None) is None and trial_id >= 0:
            self._history.forget(trial_id)

    def drop_ticket(self, ticket: int) -> None:
        """Forget the proposal for a ticket, or what is known of the trial that it became."""
        self.drop(-1 - ticket)
        for trial in self.trials():
            if trial.user_attrs.get("ticket") == ticket:
                self.drop(trial._trial_id)
