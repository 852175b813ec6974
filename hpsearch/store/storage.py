"""Optuna's storage interface over Optuna's own tables, in batches and with reads from memory.

Anyone who speaks Optuna can use it: samplers, pruners, `study.optimize`, optuna-dashboard. A trial
is created in one transaction with all that is known of it. What comes to one that runs here, its
parameters, reports and attributes, is kept for a second at most and written for all trials at once;
what must not be seen before it, such as the end of a trial, is written together with it. Trials are
read once and then followed by increments.

Where a trial begins to run, there it is told what becomes of it, as Optuna demands: its own
process knows it from memory until it ends.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import SchemaError, StorageError
from hpsearch.store import optuna_rows, picture_rows, tables, trials
from hpsearch.store.engine import Database, storage_url
from hpsearch.store.frozen import empty, frozen
from hpsearch.store.history import History, StoredTrial
from hpsearch.store.optuna_private import DEFAULT_STUDY_NAME_PREFIX, FrozenStudy
from hpsearch.store.optuna_tables import STUDIES, STUDY_SYSTEM, STUDY_USER
from hpsearch.store.origin import Origin, origin
from hpsearch.store.prepared import BATCH
from hpsearch.store.unwritten import Heads, Parts, Unwritten, put

__all__ = ["BatchedStorage", "at", "open_storage"]

_MOST_STEP = 2**31 - 1  # of an INTEGER column

_log = logging.getLogger(__name__)


def at(url: str | None = None) -> BaseStorage:
    """The Optuna storage at a URL; None: at HPSEARCH_STORAGE, else in `hpsearch.db` here.

    Raises StorageError, of one line, where the URL makes no sense or its database cannot be used.
    """
    if not isinstance(url, (str, type(None))):
        raise StorageError(
            f"the database is a URL, such as sqlite:///hpsearch.db; got a {type(url).__name__}"
        )
    return open_storage(Database(storage_url(url)))


def open_storage(
    database: Database, kind: Callable[[Database], BaseStorage] | None = None
) -> BaseStorage:
    """The Optuna storage of a database, by default a `BatchedStorage`; its tables are made where
    there are none.

    Tables of a revision that is not known here are left to Optuna's own storage, with a warning.
    Raises SchemaError where Optuna does not know them either, and where those of hpsearch are of a
    version that is not known here.
    """
    with database.read() as connection:
        ours, revision = tables.versions(connection)
    tables.check(database, ours, None)
    if revision is None:
        tables.prepare(database)
    elif revision not in tables.KNOWN_REVISIONS:
        _log.warning(
            "%s has Optuna's schema %s, which this version of hpsearch does not know: "
            "Optuna's own slower storage is used", database.name, revision,
        )  # fmt: skip
        return _optunas_own(database)
    return (kind or BatchedStorage)(database)


def _optunas_own(database: Database) -> RDBStorage:
    # Optuna fills in {SCHEMA_VERSION}: other braces, as a password may have, are to stay.
    url = database.url.replace("{", "{{").replace("}", "}}")
    try:
        # A dashboard outlives restarts of its database: a dead connection is noticed before use.
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True}, skip_table_creation=True)
    except RuntimeError as error:
        raise SchemaError(f"{database.name}: {error}") from None


@dataclass
class _View:
    """A study as this process sees it."""

    origin: Origin
    directions: list[StudyDirection]
    history: History[FrozenTrial]
    held: set[int] = field(default_factory=set)
    """Trials that run here."""
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)


class BatchedStorage(BaseStorage):
    """Studies and trials of one database. For any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()
        self._views: dict[int, _View] = {}
        self._unwritten = Unwritten(database)
        # When nobody has it any more, or the interpreter ends.
        self._closed = weakref.finalize(self, self._unwritten.close)
        _open.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        self._unwritten.flush()
        return _reopened, (self._database.url,)

    def remove_session(self) -> None:
        """Write what waits. Connections go back to their pool by themselves."""
        self._unwritten.flush()

    def close(self) -> None:
        """Write what waits, and close the connections."""
        self._unwritten.flush()
        self._database.close()

    # --- studies ------------------------------------------------------------------------------

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """Insert a study; its id. DuplicatedStudyError where the name is taken."""
        name = DEFAULT_STUDY_NAME_PREFIX + str(uuid.uuid4()) if study_name is None else study_name

        def body(connection: sa.Connection) -> int:
            try:
                with connection.begin_nested():
                    return trials.add_study(connection, name, directions)
            except sa.exc.IntegrityError:
                raise DuplicatedStudyError(f"there is a study named {name!r} already") from None

        return self._database.write(body)

    def delete_study(self, study_id: int) -> None:
        """Delete a study and its trials; KeyError if there is none of that id."""

        def body(connection: sa.Connection, _heads: Heads) -> None:
            optuna_rows.check_not_ours(connection, study_id, "is deleted by hpsearch delete")
            trials.delete_study(connection, study_id)

        self._unwritten.before(body)
        with self._lock:
            self._views.pop(study_id, None)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of a study; KeyError if there is none of that id."""
        self._set_study_attr(STUDY_USER, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set one of Optuna's own attributes of a study; KeyError if there is none of that id."""
        self._set_study_attr(STUDY_SYSTEM, study_id, key, value)

    def _set_study_attr(self, table: Any, study_id: int, key: str, value: Any) -> None:
        def body(connection: sa.Connection) -> None:
            if key.partition(":")[0] == "hpsearch":
                optuna_rows.check_not_ours(connection, study_id, f"keeps {key} for itself")
            else:
                origin(connection, study_id)
            optuna_rows.put_attr(connection, table, study_id, key, value)

        self._database.write(body)

    def get_study_id_from_name(self, study_name: str) -> int:
        """The study's id; KeyError if there is none of that name."""
        with self._database.read() as connection:
            which = STUDIES.c.study_name == study_name
            studies = optuna_rows.read_studies(connection, which)
        if not studies:
            raise KeyError(f"there is no study named {study_name!r}")
        return studies[0]._study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        """The study's name; KeyError if there is none of that id."""
        with self._database.read() as connection:
            return origin(connection, study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The study's directions; KeyError if there is none of that id."""
        with self._lock:
            view = self._views.get(study_id) or self._refreshed(study_id)
            return list(view.directions)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The study's attributes; KeyError if there is none of that id."""
        with self._database.read() as connection:
            return optuna_rows.read_attrs(connection, STUDY_USER, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Optuna's own attributes of the study; KeyError if there is none of that id."""
        with self._database.read() as connection:
            return optuna_rows.read_attrs(connection, STUDY_SYSTEM, study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """All studies by id."""
        with self._database.read() as connection:
            return optuna_rows.read_studies(connection)

    # --- reading trials -----------------------------------------------------------------------

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """The study's trials by number; KeyError if there is no study of that id."""
        with self._lock:
            if states == (TrialState.WAITING,) and not self._is_any_waiting(study_id):
                return []  # what is asked at the beginning of each trial
            selected = self._refreshed(study_id).history.select(states)
        return copy.deepcopy(selected) if deepcopy else selected

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial; KeyError if there is none of that id."""
        with self._lock:
            trial = self._view_of(trial_id).history.get(trial_id)
        if trial is None:  # its study was deleted while it was read
            raise KeyError(f"there is no trial with the id {trial_id}")
        return trial

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The best trial that completed and violates no constraint, as `Study.best_trial` has it.

        The dashboard asks the storage, and Optuna's own looks at values alone. Where every trial
        violates one it is the best of them all.
        """
        best = super().get_best_trial(study_id)
        if trials.is_feasible(best):
            return best
        sign = 1 if self.get_study_directions(study_id)[0] is StudyDirection.MAXIMIZE else -1
        complete = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE,))
        feasible = [trial for trial in complete if trials.is_feasible(trial)]
        return max(feasible, key=lambda trial: sign * (trial.value or 0.0), default=best)

    def _check_trials_not_ours(self, study_id: int) -> None:
        """ConflictError where trials of a study are hpsearch's to begin and to end."""
        with self._lock:
            view = self._views.get(study_id) or self._refreshed(study_id)
        if view.origin.uid is not None:
            with self._database.read() as connection:
                optuna_rows.check_not_ours(
                    connection, study_id, "has a budget, and its workers begin and end its trials: "
                    "hpsearch extend adds some; optuna.copy_study makes a study to add others to"
                )  # fmt: skip

    def _view_of(self, trial_id: int) -> _View:
        """The study of a trial, read now unless all is known of the trial."""
        for study_id, view in list(self._views.items()):
            if trial_id in view.history:
                trial = view.history.get(trial_id)
                if trial and (trial.state.is_finished() or trial_id in view.held):
                    return view
                # SQLite gives the id of the last trial of a deleted study to another's.
                with suppress(KeyError):
                    return self._refreshed(study_id)
        with self._database.read() as connection:
            study_id = optuna_rows.head(connection, trial_id)[0]
        return self._refreshed(study_id)

    def _is_any_waiting(self, study_id: int) -> bool:
        """Whether a trial of the study may wait to be run."""
        view = self._views.get(study_id)
        if view is None:
            return True
        last, unfinished = view.history.unknown()
        unknown = last, [trial_id for trial_id in unfinished if trial_id not in view.held]
        if len(unknown[1]) > BATCH:  # more than one statement may name: who looks reads in batches
            return True
        with self._database.read() as connection:
            origin, is_waiting = optuna_rows.waiting(connection, study_id, unknown)
        return is_waiting or not view.origin.is_same(origin)

    def _refreshed(self, study_id: int) -> _View:
        """The view of a study, as the database has it now."""
        with self._database.read() as connection:
            view = self._views.get(study_id)
            if view is None or not self._refresh(connection, view):
                self._views.pop(study_id, None)
                now = origin(connection, study_id)
                (study,) = optuna_rows.read_studies(connection, STUDIES.c.study_id == study_id)
                view = self._views[study_id] = _View(now, study.directions, History(study_id))
                self._refresh(connection, view)
        return view

    def _refresh(self, connection: sa.Connection, view: _View) -> bool:
        """Read what is new in a study; False: it is another one by now, or has been deleted."""
        count = len(view.history.damaged)
        _take(view, view.history.fetch(connection, view.held))
        now = view.history.origin
        if now is None or not view.origin.is_same(now):
            return False
        if view.origin.note != now.note:  # pictures come after a trial has ended
            for trial_id in picture_rows.pictured(now.note):
                view.history.forget(trial_id)
            _take(view, view.history.fetch(connection, view.held))
        view.origin = now
        for damage in list(view.history.damaged.values())[count:]:
            _log.warning("study %s, %s: it is left out", now.name, damage)
        return True

    # --- changing trials ----------------------------------------------------------------------

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Insert a trial with all that the template has; its id. KeyError without the study,
        ConflictError where it is one of hpsearch's own."""
        self._check_trials_not_ours(study_id)
        trial = copy.deepcopy(template_trial)
        if trial is None:
            trial = empty(-1, -1, {})
            trial.datetime_start = datetime.now()

        def body(connection: sa.Connection) -> tuple[int, int]:
            return optuna_rows.add_trial(connection, study_id, trial)

        trial._trial_id, trial.number = self._database.write(body)
        with self._lock:
            view = self._views.get(study_id) or self._refreshed(study_id)
            view.history.put(trial._trial_id, trial)
            if trial.state is TrialState.RUNNING:
                view.held.add(trial._trial_id)
        return trial._trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Give a trial a parameter that it has not yet.

        Raises ValueError where the study's trials have another kind of distribution for it.
        """
        with self._lock:
            trial, view = self._unfinished(trial_id), self._view_of(trial_id)
            recorded = view.distributions.get(param_name) or self._distribution(view, param_name)
        check_distribution_compatibility(recorded or distribution, distribution)
        if param_name in trial.params:  # the first stays, as in Optuna's own storage
            return
        self._change(trial_id, Parts(params={param_name: (param_value_internal, distribution)}))
        view.distributions[param_name] = distribution

    def _distribution(self, view: _View, name: str) -> BaseDistribution | None:
        """What some trial of the study has for a parameter, if any has it."""
        trial = next((t for t in reversed(view.history.select()) if name in t.distributions), None)
        return trial.distributions[name] if trial else None

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of a trial."""
        self._change(trial_id, Parts(user_attrs={key: json.loads(json.dumps(value))}))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set one of Optuna's own attributes of a trial."""
        self._change(trial_id, Parts(system_attrs={key: json.loads(json.dumps(value))}))

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Report a value."""
        if abs(step) > _MOST_STEP:
            raise StorageError(f"a step is a whole number up to {_MOST_STEP:,}; got {step:,}")
        self._change(trial_id, Parts(reports={step: float(intermediate_value)}))

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Begin or end a trial; False where it runs already, here or elsewhere."""
        at = datetime.now()

        def body(connection: sa.Connection, heads: Heads) -> bool:
            before = _unfinished_state(heads, trial_id)
            if state is TrialState.RUNNING and before is not TrialState.WAITING:
                return False
            optuna_rows.put_state(connection, trial_id, state, values, at)
            return True

        self.get_trial(trial_id)
        with self._lock:
            study_id = next((key for key, view in self._views.items()
                             if view.history.get(trial_id)), None)  # fmt: skip
        if study_id is not None:
            self._check_trials_not_ours(study_id)
        if not self._unwritten.before(body, [trial_id]):
            return False
        with self._lock:
            self._note_state(trial_id, state, values, at)
        return True

    def _note_state(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None, at: datetime
    ) -> None:
        view = self._view_of(trial_id)
        if state is not TrialState.RUNNING:
            view.held.discard(trial_id)
            view.history.forget(trial_id)  # others may have added to it while it ran here
            return
        trial = copy.copy(self.get_trial(trial_id))
        trial.state = state
        if values is not None:
            trial.values = list(map(float, values))
        trial.datetime_start = at
        view.held.add(trial_id)
        view.history.put(trial._trial_id, trial)

    def _unfinished(self, trial_id: int) -> FrozenTrial:
        """A trial that can be changed; UpdateFinishedTrialError where it has ended."""
        trial = self.get_trial(trial_id)
        self.check_trial_is_updatable(trial_id, trial.state)
        return trial

    def _change(self, trial_id: int, parts: Parts) -> None:
        """Add to a trial that has not ended: to one that runs here in memory, and within a second
        in the database; to any other there at once.

        Raises UpdateFinishedTrialError where it has ended.
        """
        with self._lock:
            self._unfinished(trial_id)
            if trial_id in self._view_of(trial_id).held and parts.can_wait():
                self._unwritten.add(trial_id, parts)
                self._amend(trial_id, parts)
                return

        def body(connection: sa.Connection, heads: Heads) -> None:
            _unfinished_state(heads, trial_id)
            put(connection, {trial_id: parts})

        self._unwritten.before(body, [trial_id])
        with self._lock:
            self._amend(trial_id, parts)

    def _amend(self, trial_id: int, parts: Parts) -> None:
        """Show a trial with more: another object, as anyone who has read it may still look at
        it."""
        view = self._view_of(trial_id)
        if trial_id not in view.held:
            view.history.forget(trial_id)
            return
        trial = copy.copy(self.get_trial(trial_id))
        for name, (value, distribution) in parts.params.items():
            trial._params = {**trial._params, name: distribution.to_external_repr(value)}
            trial._distributions = {**trial._distributions, name: distribution}
        trial._user_attrs = {**trial._user_attrs, **parts.user_attrs}
        trial._system_attrs = {**trial._system_attrs, **parts.system_attrs}
        trial.intermediate_values = {**trial.intermediate_values, **parts.reports}
        view.history.put(trial._trial_id, trial)

    def _forget(self) -> None:
        """In a copy of the process: what runs, and what waits to be written, is the other one's."""
        self._lock = threading.RLock()
        self._unwritten.forget()
        self._database.forked()
        for view in self._views.values():
            for trial_id in view.held:
                view.history.forget(trial_id)
            view.held.clear()


_open: weakref.WeakSet[BatchedStorage] = weakref.WeakSet()


def _forked() -> None:
    """Scripts open the storage, and then divide their trials among copies of themselves."""
    for storage in _open:
        storage._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _reopened(url: str) -> BatchedStorage:
    return BatchedStorage(Database(url))


def _take(view: _View, news: Sequence[StoredTrial]) -> None:
    for trial_id, trial in view.history.shown(news, frozen):
        view.history.put(trial_id, trial)
        view.held.discard(trial_id)  # ended elsewhere


def _unfinished_state(heads: Heads, trial_id: int) -> TrialState:
    """The state of a trial that is locked; KeyError if there is none of that id,
    UpdateFinishedTrialError if it has ended."""
    if trial_id not in heads:
        raise KeyError(f"there is no trial with the id {trial_id}")
    _, number, state = heads[trial_id]
    if state.is_finished():
        raise UpdateFinishedTrialError(f"trial {number} has ended and cannot be changed")
    return state
