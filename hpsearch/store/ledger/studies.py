"""What a study is: made, found and deleted, with what was found out about it beside its trials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from hpsearch.code import Manifest
from hpsearch.errors import ConflictError, NotFoundError
from hpsearch.store import dealing, known_rows, picture_rows, stage_rows, study_rows, trials
from hpsearch.store.ledger.transactions import Verbs, verb
from hpsearch.store.tables import studies
from hpsearch.store.values import CODE, Artifact, Known, NewStudy, Study

__all__ = ["Studies"]


class Studies(Verbs):
    """The verbs of a study's row."""

    @verb
    def create(self, connection: sa.Connection, new: NewStudy) -> tuple[Study, bool]:
        """The study of this name, and whether it is new; if not, its digest tells whose it is.

        It is made with its first stage, and is not done before its finish, where it has one.

        Raises ConflictError where the name belongs to an Optuna study that hpsearch did not make.
        """
        uid = uuid4().hex
        try:
            with connection.begin_nested():
                study_id = trials.create_study(connection, new.name, new.direction, uid)
        except sa.exc.IntegrityError:
            return self._existing(connection, new.name), False
        return self._filled(connection, new, study_id, uid), True

    @verb
    def replace(self, connection: sa.Connection, seen: Study, new: NewStudy) -> Study | None:
        """Make a study in place of one of its name that was refused before any trial counted, and
        is served as that was; None where it is not such a one any more, or a worker holds a ticket.

        It is one transaction: who is killed leaves the one study or the other, whole.
        """
        old = study_rows.locked_again(connection, seen)
        if old is None or not old.refused or dealing.any_counts(connection, old):
            return None
        study_rows.forget(connection, old.study_id)
        trials.delete_study(connection, old.study_id)
        new, uid = replace(new, priority=old.priority, max_parallel=old.max_parallel), uuid4().hex
        study_id = trials.create_study(connection, new.name, new.direction, uid)
        return self._filled(connection, new, study_id, uid)

    def _filled(self, connection: sa.Connection, new: NewStudy, study_id: int, uid: str) -> Study:
        """The study once our rows of it are there beside Optuna's."""
        # SQLite gives the id of a deleted study to the next one; anyone who deleted it with
        # Optuna's tools left our rows behind.
        study_rows.forget(connection, study_id)
        connection.execute(
            sa.insert(studies).values(
                study_id=study_id, uid=uid, direction=new.direction, digest=new.digest,
                document=json.dumps(new.document), base=new.base, state="open",
                priority=new.priority, max_parallel=new.max_parallel, crash_limit=new.crash_limit,
                tickets=new.tickets, issued=0, drawn=0, floor=0, floor_origin=0, ended=0,
                hours=new.hours, active_s=0.0, opened=stage_rows.end_of(new.stage),
                early=new.early, finish="due" if new.final else None,
                final=json.dumps(new.final) if new.final else None, **_code_columns(new.code),
            )
        )  # fmt: skip
        stage_rows.add(connection, study_id, 0, new.stage)
        study = self._study(connection, new.name)
        trials.name_metrics(connection, _metrics([study]))
        return study

    def _existing(self, connection: sa.Connection, name: str) -> Study:
        try:
            return self._study(connection, name)
        except NotFoundError:
            raise ConflictError(
                f"the name {name!r} is taken in {self.database.name} by a study that hpsearch "
                "did not make; choose another one: --set name=..."
            ) from None

    def code(self, study: Study) -> Manifest:
        """The files of a study's own code; none where it has none."""
        with self.database.read() as connection:
            files = study_rows.code_files(connection, study.study_id)
        return Manifest({str(path): str(digest) for path, digest in files.items()})

    @verb
    def replace_code(
        self, connection: sa.Connection, seen: Study, code: Manifest, *, accept: bool = False
    ) -> Study | None:
        """Give a study other code of its own, as long as no ticket of it has been issued, or own
        training code has failed before any report; later only where somebody wants to `accept` it.
        Workers with the code of before finish what they have, and take no more.

        The study as it is then; None where it has been deleted meanwhile. A look at whether it can
        be trained, which stopped it, says nothing of the new code.
        """
        study = study_rows.locked_again(connection, seen)
        if study is None or (study.issued and not study.refused and not accept):
            return study
        again = {"state": "open", "sanity": None} if study.refused else {}
        study_rows.put(connection, study.study_id, **_code_columns(code), **again)
        dealing.add_refused(connection, study)
        return study_rows.current(connection, study.study_id)

    def name_metrics(self) -> None:
        """Name the metric of studies that were made before hpsearch did so, for Optuna's readers.

        That changes nothing of them, and is done once.
        """
        with self.database.read() as connection:
            nameless = study_rows.find(connection, trials.nameless())
        if names := _metrics(nameless):
            self.database.write(lambda connection: trials.name_metrics(connection, names))

    def study(self, name: str) -> Study:
        """The study of this name. Raises NotFoundError, which lists the names there are."""
        with self.database.read() as connection:
            return self._study(connection, name)

    def by_id(self, study_id: int) -> Study | None:
        """The study that has Optuna's id; None: hpsearch has none of that id.

        Raises DamagedError where its row makes no sense: it is hpsearch's all the same.
        """
        with self.database.read() as connection:
            return study_rows.numbered(connection, study_id)

    def of_trial(self, trial_id: int) -> Study | None:
        """The study that a trial of Optuna's id belongs to; None: it is no study of hpsearch.

        Raises DamagedError as `by_id`.
        """
        with self.database.read() as connection:
            study_id = trials.study_of(connection, trial_id)
            return None if study_id is None else study_rows.numbered(connection, study_id)

    def current(self, seen: Study) -> Study | None:
        """A study that was seen before as it is now; None: it has been deleted."""
        with self.database.read() as connection:
            return study_rows.again(connection, seen)

    def is_there(self, seen: Study) -> bool:
        """Whether a study that was seen before has not been deleted. One whose row is damaged by
        now is there, though `current` and `studies` leave it out."""
        with self.database.read() as connection:
            return study_rows.is_there(connection, seen.uid)

    def studies(self) -> list[Study]:
        """All studies, the most important first."""
        with self.database.read() as connection:
            return study_rows.find(connection)

    @verb
    def record_data(
        self, connection: sa.Connection, study_id: int, facts: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Keep what the first worker found out about the data; what was kept, now or before."""
        study = study_rows.locked(connection, study_id)
        if study is not None and study.data is not None:
            return study.data
        study_rows.put(connection, study_id, data=json.dumps(facts))
        return facts

    @verb
    def record_sanity(
        self, connection: sa.Connection, study: Study, outcome: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Keep whether anything can be learnt in a study; what counts from now on.

        With `stops` the study is stopped. Where another worker has found otherwise, or has begun,
        that counts: on another device there may be more memory, or more digits. Own training code
        stops it until a trial has reported: its first trials are the look. None, and nothing is
        kept, where somebody has deleted or stopped it during the look.
        """
        current = study_rows.locked_again(connection, study)
        if current is None:
            return None
        recorded = current.sanity
        passed = recorded is not None and not recorded["stops"]
        if passed or current.state not in ("open", "paused"):
            return recorded
        stops = outcome["stops"] and _may_stop(connection, current, outcome)
        record = {**outcome, "stops": stops}
        state = "stopped" if stops else current.state
        study_rows.put(connection, study.study_id, sanity=json.dumps(record), state=state)
        return record

    @verb
    def add_known(
        self, connection: sa.Connection, seen: Study, known: Sequence[Known]
    ) -> int | None:  # fmt: skip
        """Let a study's samplers know of trials that were made elsewhere; how many were not known
        yet, None where the study has been deleted. They are no part of its budget."""
        study = study_rows.locked_again(connection, seen)
        return None if study is None else known_rows.add(connection, study.study_id, known)

    def known(self, study_id: int) -> list[Known]:
        """The trials from elsewhere that a study's samplers know."""
        with self.database.read() as connection:
            return known_rows.find(connection, study_id)

    @verb
    def claim_pictures(
        self, connection: sa.Connection, seen: Study, by: str, within_s: float
    ) -> bool:
        """Take it on to draw the pictures of a study that has ended: whether they are to be drawn,
        and nobody else is about to.

        Args:
            seen: The study.
            by: Who asks.
            within_s: Seconds after which somebody else may, unless they are done by then.
        """
        study = study_rows.locked_again(connection, seen)
        if study is None or study.state not in ("done", "stopped"):
            return False
        return picture_rows.claim(connection, study, by, within_s)

    @verb
    def record_pictures(
        self, connection: sa.Connection, seen: Study, artifacts: Sequence[Artifact], *,
        done: bool = False,
    ) -> bool:  # fmt: skip
        """Note pictures as Optuna's artifacts of the study and of its trials; with `done` also that
        there is nothing left to draw. Whether the study is there still."""
        study = study_rows.locked_again(connection, seen)
        if study is None:
            return False
        picture_rows.record(connection, study, artifacts, done=done)
        return True

    @verb
    def delete(self, connection: sa.Connection, name: str) -> None:
        """Delete a study with all its trials. A worker on it finds out at its next write."""
        study = self._locked(connection, name)
        study_rows.forget(connection, study.study_id)
        trials.delete_study(connection, study.study_id)


def _metrics(rows: Iterable[Study]) -> dict[int, str]:
    """The metric that steers each study; of a damaged document none."""
    metrics = {study.study_id: study.document.get("metric") for study in rows}
    named = {  # that of own code has its direction beside its name
        study_id: metric.get("name") if isinstance(metric, dict) else metric
        for study_id, metric in metrics.items()
    }
    return {study_id: name for study_id, name in named.items() if isinstance(name, str)}


def _code_columns(code: Manifest | None) -> dict[str, str | None]:
    """What a study's row says of its own code."""
    if code is None:
        return {"code": None, "code_files": None}
    return {"code": code.digest, "code_files": json.dumps(dict(code.files))}


def _may_stop(connection: sa.Connection, study: Study, outcome: Mapping[str, Any]) -> bool:
    if study.issued == 0:
        return True
    own = outcome["suspect"] == CODE and "train" in study.document
    return own and not trials.any_report(connection, study.study_id)
