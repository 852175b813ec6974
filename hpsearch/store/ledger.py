"""Tickets, leases, fences, workers and study states: each verb is one transaction.

A ticket is the numbered right to run one trial. A worker holds it by a lease, which ends on the
database's clock unless the worker renews it, and whose fence grows with every lease. Anyone who
comes back late finds a higher fence and is refused. Rows are locked in one order, the study before
its tickets before its leases, so that no two verbs wait for each other.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from hpsearch.code import Manifest
from hpsearch.errors import ConflictError, LostError, NotFoundError
from hpsearch.spec import version_of, versions
from hpsearch.spec.faults import nearest
from hpsearch.spec.settings import EARLY, FINAL
from hpsearch.store import (
    LEASE_S,
    dealing,
    duty_rows,
    epoch_rows,
    known_rows,
    picture_rows,
    stage_rows,
    study_rows,
    ticket_rows,
    trials,
    worker_rows,
)
from hpsearch.store.engine import Database, now
from hpsearch.store.optuna_tables import STUDIES
from hpsearch.store.tables import is_ready, prepare, studies
from hpsearch.store.values import (
    CODE,
    EVERY,
    STOPPED,
    Artifact,
    Duty,
    Key,
    Known,
    Lease,
    NewStudy,
    Outlook,
    Serves,
    State,
    Study,
    TimedEpoch,
    Worker,
    Write,
)

__all__ = ["Ledger"]

P = ParamSpec("P")
T = TypeVar("T")


def _verb(
    body: Callable[Concatenate[Ledger, sa.Connection, P], T],
) -> Callable[Concatenate[Ledger, P], T]:
    """Run a method in one transaction: all of it or nothing."""

    def verb(self: Ledger, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.database.write(lambda connection: body(self, connection, *args, **kwargs))

    return functools.update_wrapper(verb, body)


_BATCH = 500
"""Trials in one query: every database takes lists of that many."""


def _is_stopped(write: Write) -> bool:
    return write.ending is not None and write.ending.reason == STOPPED


def _may_conclude(study: Study, seen: Study) -> bool:
    """Whether the trainings of its finish have ended, those that were there when it was seen."""
    same = (study.opened, study.issued) == (seen.opened, seen.issued)
    return study.state == "open" and study.awaits_verdict and same


def _there(connection: sa.Connection, study_id: int) -> Study | None:
    """The study; None: it has been deleted."""
    return next(iter(study_rows.find(connection, studies.c.study_id == study_id)), None)


def _locked(connection: sa.Connection, study_id: int) -> Study | None:
    """The study as it is once its row lock is ours; None: it has been deleted."""
    trials.lock_study(connection, study_id)
    return _there(connection, study_id)


def _locked_again(connection: sa.Connection, seen: Study) -> Study | None:
    """The same of a study that was seen before: SQLite gives the id of a deleted one again."""
    study = _locked(connection, seen.study_id)
    return study if study is not None and study.uid == seen.uid else None


def _metrics(found: Iterable[Study]) -> dict[int, str]:
    """The metric that steers each study; of a damaged document none."""
    named = {study.study_id: study.document.get("metric") for study in found}
    return {study_id: name for study_id, name in named.items() if isinstance(name, str)}


def _code_columns(code: Manifest | None) -> dict[str, str | None]:
    """What a study's row says of its own code."""
    if code is None:
        return {"code": None, "code_files": None}
    return {"code": code.digest, "code_files": json.dumps(dict(code.files))}


def _chosen(serves: Serves) -> list[sa.ColumnElement[bool]]:
    """The studies that a worker was started for, for a WHERE clause."""
    return [STUDIES.c.study_name.in_(serves.studies)] if serves.studies else []


class Ledger:
    """The verbs. Every method is one transaction; values that come back are frozen."""

    def __init__(self, database: Database, lease_s: float = LEASE_S, *, make: bool = True) -> None:
        """Creates the tables where they are missing; NotFoundError if that is not to be done."""
        if make:
            prepare(database)
        elif not is_ready(database):
            raise NotFoundError(
                f"{database.name} has no studies and no workers yet; hpsearch run FILE or "
                "hpsearch submit FILE makes them"
            )
        self.database = database
        self.lease_s = lease_s
        self._signed_on = set[str]()

    # --- studies ------------------------------------------------------------------------------

    @_verb
    def create(self, connection: sa.Connection, new: NewStudy) -> tuple[Study, bool]:
        """The study of this name, and whether it is new; if not, its digest tells whose it is.

        It is made with its first stage, and is not done before its finish, where it has one.

        Raises ConflictError where the name belongs to an Optuna study that hpsearch did not make.
        """
        uid = uuid.uuid4().hex
        try:
            with connection.begin_nested():
                study_id = trials.create_study(connection, new.name, new.direction, uid)
        except sa.exc.IntegrityError:
            return self._existing(connection, new.name), False
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
        return study, True

    def code(self, study: Study) -> Manifest:
        """The files of a study's own code; none where it has none."""
        with self.database.read() as connection:
            files = study_rows.code_files(connection, study.study_id)
        return Manifest({str(path): str(digest) for path, digest in files.items()})

    @_verb
    def replace_code(
        self, connection: sa.Connection, seen: Study, code: Manifest, *, accept: bool = False
    ) -> Study | None:
        """Give a study other code of its own, as long as no ticket of it has been issued, or own
        training code has failed before any report; later only where somebody wants to `accept` it.
        Workers with the code of before finish what they have, and take no more.

        The study as it is then; None where it has been deleted meanwhile. A look at whether it can
        be trained, which stopped it, says nothing of the new code.
        """
        study = _locked_again(connection, seen)
        if study is None or (study.issued and not study.refused and not accept):
            return study
        again = {"state": "open", "sanity": None} if study.refused else {}
        study_rows.put(connection, study.study_id, **_code_columns(code), **again)
        self._begin_refused_again(connection, study)
        return _there(connection, study.study_id)

    def _begin_refused_again(self, connection: sa.Connection, study: Study) -> None:
        """Issue the tickets anew by whose trials own training code was refused: they cost nothing
        of the budget."""
        if not (study.issued and study.refused):
            return
        added = dealing.add_refused(connection, study)
        more = {"tickets": study.tickets + added, "issued": study.issued + added}
        study_rows.put(connection, study.study_id, **more)

    def _existing(self, connection: sa.Connection, name: str) -> Study:
        try:
            return self._study(connection, name)
        except NotFoundError:
            raise ConflictError(
                f"the name {name!r} is taken in {self.database.name} by a study that hpsearch "
                "did not make; choose another one: --set name=..."
            ) from None

    def name_metrics(self) -> None:
        """Name the metric of studies that were made before hpsearch did so, for Optuna's readers.

        That changes nothing of them, and is done once.
        """
        with self.database.read() as connection:
            found = study_rows.find(connection, trials.nameless())
        if names := _metrics(found):
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
            study = _there(connection, seen.study_id)
        return study if study is not None and study.uid == seen.uid else None

    def is_there(self, seen: Study) -> bool:
        """Whether a study that was seen before has not been deleted. One whose row is damaged by
        now is there, though `current` and `studies` leave it out."""
        with self.database.read() as connection:
            return study_rows.is_there(connection, seen.uid)

    def studies(self) -> list[Study]:
        """All studies, the most important first."""
        with self.database.read() as connection:
            return study_rows.find(connection)

    def waiting(self, serves: Serves = EVERY, but: str | None = None) -> list[Study]:
        """The studies that have a ticket to give now, the one to serve first at the head.

        By priority; within one priority the study with the fewest tickets under way; of equals the
        one that has waited longest.

        Args:
            serves: Only those that a worker serves.
            but: A worker whose own tickets are left out, as if they were not under way: one that
                holds many asks so whether it would choose its study again.
        """
        with self.database.read() as connection:
            waiting = ticket_rows.waiting(connection, but, serves.studies)
        return [study for study in waiting if not serves.lacks(study)]

    def outlook(self, serves: Serves = EVERY) -> Outlook:
        """What there is to do, as one look of a worker that has nothing to do: see `Outlook`."""
        with self.database.read() as connection:
            waiting = ticket_rows.waiting(connection, None, serves.studies)
            found = study_rows.find(connection, studies.c.state == "open", *_chosen(serves))
            abandoned = bool(ticket_rows.abandoned_studies(connection))
        return Outlook(
            waiting=[study for study in waiting if not serves.lacks(study)],
            open=[study for study in found if not serves.lacks(study)],
            others=[study for study in found if serves.lacks(study)],
            abandoned=abandoned,
        )

    def upcoming(self, study_id: int, count: int) -> list[tuple[int, int]]:
        """(number, draw index) of the next tickets that nobody has been issued, up to `count`.

        No more than are within reach (`dealing.REACH`): what `claim` can be asked for by number.
        """
        with self.database.read() as connection:
            study = _there(connection, study_id)
            return dealing.upcoming(connection, study, count) if study else []

    def draw_index(self, study_id: int, number: int) -> int:
        """The number by which an issued ticket is sampled and seeded.

        Raises NotFoundError where there is no such ticket: its study has been deleted.
        """
        with self.database.read() as connection:
            draw_index = ticket_rows.draw_index(connection, study_id, number)
        if draw_index is None:
            raise NotFoundError("the study has been deleted")
        return draw_index

    def suspects(self, study_id: int) -> dict[int, bool]:
        """Tickets that have lost their worker since their last new epoch; whether each is free."""
        with self.database.read() as connection:
            return ticket_rows.suspects(connection, study_id)

    def _study(self, connection: sa.Connection, name: str) -> Study:
        found = study_rows.named(connection, name)
        if found is not None:
            return found
        others = [study.name for study in study_rows.find(connection)]
        near = nearest(name, others)
        hint = f"did you mean {near}?" if near else f"studies: {', '.join(others) or 'none yet'}"
        raise NotFoundError(f"no study {name!r} in {self.database.name}; {hint}")

    @_verb
    def record_data(
        self, connection: sa.Connection, study_id: int, found: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Keep what the first worker found out about the data; what was kept, now or before."""
        study = _locked(connection, study_id)
        if study is not None and study.data is not None:
            return study.data
        study_rows.put(connection, study_id, data=json.dumps(found))
        return found

    @_verb
    def record_sanity(
        self, connection: sa.Connection, study: Study, found: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Keep whether anything can be learnt in a study; what counts from now on.

        With `stops` the study is stopped. Where another worker has found otherwise, or has begun,
        that counts: on another device there may be more memory, or more digits. Own training code
        stops it until a trial has reported: its first trials are the look. None, and nothing is
        kept, where somebody has deleted or stopped it during the look.
        """
        current = _locked(connection, study.study_id)
        # SQLite gives the id of a deleted study again.
        if current is None or current.uid != study.uid:
            return None
        known = current.sanity
        passed = known is not None and not known["stops"]
        if passed or current.state not in ("open", "paused"):
            return known
        stops = found["stops"] and self._may_stop(connection, current, found)
        kept = {**found, "stops": stops}
        state = "stopped" if stops else current.state
        study_rows.put(connection, study.study_id, sanity=json.dumps(kept), state=state)
        return kept

    def _may_stop(self, connection: sa.Connection, study: Study, found: Mapping[str, Any]) -> bool:
        if study.issued == 0:
            return True
        own = found["suspect"] == CODE and "train" in study.document
        return own and not trials.any_report(connection, study.study_id)

    def stages(self, study_id: int, known: int = 0) -> list[dict[str, Any]]:
        """The stages that have been opened in their order, but the first `known` ones."""
        with self.database.read() as connection:
            return stage_rows.find(connection, study_id, known)

    def trained_s(self, study_id: int) -> dict[int, float]:
        """Seconds of training of each trial of a study, by Optuna's id; epochs that were lost with
        a worker are not among them."""
        with self.database.read() as connection:
            return ticket_rows.trained_s(connection, study_id)

    def between_stages(self, seen: Study) -> tuple[Study, bool] | None:
        """A study that was seen before as it is now, and whether the trials of its stages have
        ended, but early ones of the polish; None: it has been deleted."""
        with self.database.read() as connection:
            study = _there(connection, seen.study_id)
            if study is None or study.uid != seen.uid:
                return None
            return study, not self._holds_up(connection, study)

    def _holds_up(self, connection: sa.Connection, study: Study) -> bool:
        return bool(connection.execute(sa.select(ticket_rows.holds_up(study.study_id))).scalar())

    @_verb
    def open_stage(
        self,
        connection: sa.Connection,
        seen: Study,
        number: int,
        stage: Mapping[str, Any],
        *,
        early: bool = False,
    ) -> None:
        """Open the stage of that number that was made of a study as it was seen, unless somebody
        has or its time has not come.

        Which it has once the stages before it have no ticket left to issue and none under way, but
        early ones of the polish: then their trials, of which the new one was made, have ended. An
        early ticket of the polish, a stage by itself, waits for none of them, and a finish for all.

        Args:
            seen: The study.
            number: How many stages it had.
            stage: Plain values of the stage.
            early: Whether another ticket of the polish may be drawn early from now on.
        """
        study_id = seen.study_id
        study = _locked(connection, study_id)
        known = stage_rows.count(connection, study_id)
        if study is None or study.state != "open" or study.drawn != stage["first"]:
            return
        if not study.awaits_stage or not self._is_due(connection, study, stage["name"]):
            return
        same = [(s.uid, s.tickets, s.hours, s.final) for s in (study, seen)]
        if known != number or same[0] != same[1]:  # something was added since it was thought of
            return
        values: dict[str, Any] = {"opened": stage_rows.end_of(stage), "early": early}
        if stage["name"] == FINAL:
            # What the search has no time for any more is not run.
            values |= {"finish": "open", "tickets": study.issued + stage["count"]}
        stage_rows.add(connection, study_id, number, stage)
        study_rows.put(connection, study_id, **values)

    def _is_due(self, connection: sa.Connection, study: Study, name: str) -> bool:
        """Whether nothing that a stage of that name has to wait for is under way."""
        if name == EARLY:
            return study.early
        if name == FINAL:  # all have a claim to be among the best
            return study.ended == study.issued
        return not self._holds_up(connection, study)

    def may_conclude(self, seen: Study) -> bool:
        """Whether a finish that was seen still waits for its verdict."""
        study = self.current(seen)
        return study is not None and _may_conclude(study, seen)

    @_verb
    def begin_verdict(self, connection: sa.Connection, seen: Study) -> int | None:
        """Note that the test part is about to be used: which time that is.

        The same one where anyone who was about to has died over it; None where that is not due, or
        the study is no more what it was when it was seen.
        """
        study = _locked_again(connection, seen)
        if study is None or not _may_conclude(study, seen):
            return None
        return stage_rows.begin_verdict(connection, study.study_id)

    @_verb
    def end_verdict(
        self, connection: sa.Connection, seen: Study, number: int, result: Mapping[str, Any]
    ) -> None:
        """Keep what the test part gave; the finish that was seen is done, unless another one has
        been asked for meanwhile. The first of two results stays."""
        study = _locked_again(connection, seen)
        if study is None:
            return
        first = stage_rows.end_verdict(connection, study.study_id, number, result)
        # Whatever was added while the test part was used: this finish has its verdict.
        if first and study.finish == "open" and study.opened == seen.opened:
            self._end_finish(connection, study)

    @_verb
    def end_finish(self, connection: sa.Connection, seen: Study) -> None:
        """End a finish in which nothing was trained to its end: the test part is not used."""
        study = _locked_again(connection, seen)
        if study is not None and _may_conclude(study, seen):
            self._end_finish(connection, study)

    def _end_finish(self, connection: sa.Connection, study: Study) -> None:
        study_rows.put(connection, study.study_id, finish="done")
        study_rows.close(connection, study.study_id)

    def verdicts(self, study_id: int) -> list[dict[str, Any]]:
        """What each use of the test part gave, in their order."""
        with self.database.read() as connection:
            return stage_rows.verdicts(connection, study_id)

    @_verb
    def add_known(
        self, connection: sa.Connection, seen: Study, known: Sequence[Known]
    ) -> int | None:  # fmt: skip
        """Let a study's samplers know of trials that were made elsewhere; how many were not known
        yet, None where the study has been deleted. They are no part of its budget."""
        study = _locked_again(connection, seen)
        return None if study is None else known_rows.add(connection, study.study_id, known)

    def known(self, study_id: int) -> list[Known]:
        """The trials from elsewhere that a study's samplers know."""
        with self.database.read() as connection:
            return known_rows.find(connection, study_id)

    @_verb
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
        study = _locked_again(connection, seen)
        if study is None or study.state not in ("done", "stopped"):
            return False
        return picture_rows.claim(connection, study, by, within_s)

    @_verb
    def record_pictures(
        self, connection: sa.Connection, seen: Study, artifacts: Sequence[Artifact], *,
        done: bool = False,
    ) -> bool:  # fmt: skip
        """Note pictures as Optuna's artifacts of the study and of its trials; with `done` also that
        there is nothing left to draw. Whether the study is there still."""
        study = _locked_again(connection, seen)
        if study is None:
            return False
        picture_rows.record(connection, study, artifacts, done=done)
        return True

    @_verb
    def finish_again(
        self,
        connection: sa.Connection,
        name: str,
        tickets: int,
        final: Mapping[str, Any],
        due: int = 0,
    ) -> Study:
        """Add a finish to a study that is done, the first one or another.

        Or give another one in place of one that has not begun, where the search has ended.

        Args:
            name: The study.
            tickets: That the finish may take.
            final: What it takes: top and seeds.
            due: Tickets that a finish to come has in the budget.

        Raises ConflictError where the study is not done, where hours have ended it with trials left
        out whose places a finish would take, or no trial of its search completed.
        """
        study = self._named(connection, name)
        # A network of the last one that is lost leaves it without a verdict forever.
        lacks_verdict = study.state == "open" and study.awaits_verdict
        searched = study.ended == study.issued == study.tickets - due
        not_begun = study.state == "open" and study.finish == "due" and searched
        if study.state != "done" and not lacks_verdict and not not_begun:
            waits = study.state in ("paused", "stopped")
            advice = f"hpsearch resume {name} continues with it" if waits else "wait for it"
            raise ConflictError(
                f"study {name!r} is {study.state}, and has to come to its end first: {advice}"
            )
        if dealing.passed_over(connection, study):
            raise ConflictError(
                f"study {name!r} ended with its hours while earlier trials waited for their turn: "
                f"run them first, hpsearch extend {name} --hours H"
            )
        if not lacks_verdict and not dealing.completed(connection, study):
            raise ConflictError(
                f"no trial of the search of study {name!r} completed, so there is nothing to train "
                f"again: add trials first, hpsearch extend {name} --trials N"
            )
        study_rows.put(
            connection, study.study_id, finish="due", state="open", tickets=study.issued + tickets,
            opened=study.drawn, final=json.dumps(dict(final)),
        )  # fmt: skip
        return self._study(connection, name)

    @_verb
    def set_state(self, connection: sa.Connection, name: str, state: State) -> Study:
        """Pause, stop or open a study. Raises ConflictError where it is done already.

        What was stopped of a finish is begun again where it is opened: the verdict is about as many
        trainings as were asked for.
        """
        study = self._named(connection, name)
        if study.state == "done":
            raise ConflictError(
                f"study {name!r} is done: {study.ended} of {study.tickets} trials have ended; "
                f"hpsearch extend {name} --trials N adds to its budget"
            )
        study_rows.put(connection, study.study_id, state=state)
        if state == "open":
            self._begin_refused_again(connection, study)
        if state == "stopped":
            ticket_rows.end_abandoned(connection, study.study_id)
        if state == "open":
            self._begin_stopped_again(connection, study.study_id)
            study_rows.close(connection, study.study_id)  # its last ticket may have ended meanwhile
        return self._study(connection, name)

    def _begin_stopped_again(self, connection: sa.Connection, study_id: int) -> None:
        """Issue tickets anew whose training was stopped in a finish that continues."""
        study = _there(connection, study_id)
        added = dealing.add_stopped(connection, study) if study and study.state == "open" else 0
        if study and added:
            more = {"tickets": study.tickets + added, "issued": study.issued + added}
            study_rows.put(connection, study_id, **more)

    @_verb
    def schedule(
        self,
        connection: sa.Connection,
        name: str,
        priority: int | None = None,
        max_parallel: int | None = None,
    ) -> Study:
        """Change which workers a study gets from now on; None leaves a value as it is.

        Args:
            name: The study.
            priority: Studies of a higher one are served first.
            max_parallel: The most tickets leased at once; 0: no limit.
        """
        study = self._named(connection, name)
        values: dict[str, Any] = {}
        if priority is not None:
            values["priority"] = priority
        if max_parallel is not None:
            values["max_parallel"] = max_parallel or None
        if values:
            study_rows.put(connection, study.study_id, **values)
        return self._study(connection, name)

    @_verb
    def extend(
        self,
        connection: sa.Connection,
        name: str,
        trials: int,
        hours: float | None = None,
        limit: int | None = None,
        finish: int = 0,
    ) -> Study:
        """Add tickets, and hours of work where the study counts them; a done study opens again.

        Args:
            name: The study.
            trials: Tickets to add.
            hours: Hours to add.
            limit: The most tickets that the search has a use for, retries not counted.
            finish: Tickets that a finish to come has in the budget.

        Raises ConflictError where that adds nothing.
        """
        study = self._named(connection, name)
        if study.finish == "open":
            raise ConflictError(
                f"study {name!r} is in its finish; add to its budget once that is done"
            )
        total = study.tickets + trials
        searching = self._searching(connection, study, finish)
        if limit is not None and searching + trials > limit:
            raise ConflictError(
                f"study {name!r} is a grid of {limit} trials, and {searching} are in its budget "
                "already"
            )
        values: dict[str, Any] = {"tickets": total}
        if hours is not None:
            if study.hours is None:
                raise ConflictError(f"study {name!r} has no limit in hours to add to")
            values["hours"] = study.hours + hours
            if study.issued == total:
                raise ConflictError(
                    f"study {name!r} has no trial left for more hours to be spent on: add "
                    "--trials N as well"
                )
        if study.hours is not None:
            over = study.active_s / 3600 - study.hours
            if over >= (hours or 0.0):
                raise ConflictError(
                    f"study {name!r} has spent its {study.hours:.3g} hours, and no trial would "
                    f"begin: add --hours H as well, more than {over:.2g}"
                )
        if study.state == "done":
            values["state"] = "open"
        study_rows.put(connection, study.study_id, **values)
        return self._study(connection, name)

    def searching(self, study: Study, finish: int = 0) -> int:
        """Tickets of a study's budget that are its search's: neither retries nor a finish's.

        Args:
            study: Which.
            finish: Tickets that a finish to come has in the budget.
        """
        with self.database.read() as connection:
            return self._searching(connection, study, finish)

    def _searching(self, connection: sa.Connection, study: Study, finish: int) -> int:
        retries = study.issued - study.drawn
        finishes = stage_rows.spans(connection, study.study_id, FINAL) if study.finish else []
        to_come = finish if study.finish == "due" else 0
        return study.tickets - retries - to_come - sum(len(one) for one in finishes)

    @_verb
    def retry_failed(self, connection: sa.Connection, name: str) -> int:
        """Issue a new ticket for each trial that failed and was not retried, but those whose
        settings can never be trained; how many.

        A trial that has ended stays as it is, for Optuna's readers keep it forever; its
        successor has the same parameters and a place of its own in the budget.

        Raises ConflictError where the hours are spent: they would end before their first epoch.
        """
        study = self._named(connection, name)
        added = dealing.add_retries(connection, study)
        if added and study.is_out_of_time and version_of(study.document) > versions.FIRST:
            raise ConflictError(
                f"study {name!r} has spent its {study.hours:.3g} hours, and no trial would be run "
                f"again: add to them first, hpsearch extend {name} --trials N --hours H"
            )
        if added:
            study_rows.put(
                connection,
                study.study_id,
                tickets=study.tickets + added,
                issued=study.issued + added,
                state="open" if study.state == "done" else study.state,
            )
        return added

    @_verb
    def delete(self, connection: sa.Connection, name: str) -> None:
        """Delete a study with all its trials. A worker on it finds out at its next write."""
        study = self._named(connection, name)
        study_rows.forget(connection, study.study_id)
        trials.delete_study(connection, study.study_id)

    def _named(self, connection: sa.Connection, name: str) -> Study:
        """The study as it is once its row lock is ours; NotFoundError as in `study`."""
        trials.lock_study(connection, self._study(connection, name).study_id)
        return self._study(connection, name)

    # --- tickets ------------------------------------------------------------------------------

    @_verb
    def claim(
        self,
        connection: sa.Connection,
        worker: str,
        study_id: int,
        up_to: int = 1,
        wanted: Sequence[int] = (),
        *,
        beside: bool = False,
        needs: Collection[str] = (),
    ) -> list[Lease]:
        """Lease up to `up_to` tickets: those given back or abandoned first, then new ones.

        Never more than the budget, nor than may run in parallel; of new ones no more than this
        worker's share of what is left (`Offer.share`). A ticket that has lost its worker since
        its last new epoch is leased by itself; one that has lost it too often ends as FAIL. A study
        whose tickets have all ended becomes done.

        Args:
            worker: Who takes them.
            study_id: The study.
            up_to: The most that it has room for.
            wanted: Numbers, of `upcoming`, that come before other new ones.
            beside: Whether they are trained beside others: none that has lost its worker then.
            needs: `Study.needs` of it, as the worker has seen it: workers that lack any of that
                have no share. Where it needs more by now, as it has other code, it has none itself.
        """
        trials.lock_study(connection, study_id)
        offer = ticket_rows.offer(connection, worker, study_id, needs)
        if offer is None:
            return []
        study = offer.study
        if needs and not {*study.needs} <= {*needs}:  # other code has been accepted since
            return []
        values: dict[str, Any] = {"active_s": study.active_s, "active_at": offer.clock}
        if study.max_parallel is not None:
            up_to = max(min(up_to, study.max_parallel - offer.under_way), 0)
        leases: list[Lease] = []
        if offer.has_free:
            take = ticket_rows.take_returned if beside else ticket_rows.take_over
            leases = take(connection, worker, study, up_to, self.lease_s)
        count = min(up_to - len(leases), offer.share)
        if study.hours is not None and study.finish is not None:
            wanted = ()  # hours may end the search at any ticket: the finish follows without a gap
        if count > 0 and not any(lease.crashes for lease in leases):
            dealt = dealing.deal(connection, study, count, wanted)
            new = ticket_rows.issue(connection, worker, study, dealt, self.lease_s)
            leases += new
            values |= {
                "issued": study.issued + len(new), "drawn": study.drawn + len(new),
                "floor": dealt.floor, "floor_origin": dealt.floor_origin,
            }  # fmt: skip
        if leases:
            values["claimed_at"] = now()
        study_rows.put(connection, study_id, **values)
        if not leases:
            study_rows.close(connection, study_id)
        return [replace(lease, left_s=study.left_s, opened=study.opened) for lease in leases]

    @_verb
    def begin(
        self, connection: sa.Connection, begun: Sequence[tuple[Lease, FrozenTrial]]
    ) -> list[tuple[int, int] | None]:
        """Turn held tickets of one study into RUNNING trials; (trial_id, number), None if refused.

        Where an earlier call did so and its answer was lost on the way, that trial.
        """
        if not begun:
            return []
        study_id = begun[0][0].study_id
        trials.lock_study(connection, study_id)
        found = ticket_rows.begin_held(connection, study_id, begun)
        return [found.get(lease.key) for lease, _ in begun]

    @_verb
    def record(self, connection: sa.Connection, writes: Iterable[Write]) -> set[Key]:
        """Write reports and endings of many trials at once; the keys of those refused.

        A write is refused where its ticket has another holder by now, or has ended. An ending that
        is written already, by a call whose answer was lost on the way, is not.
        """
        merged: dict[Key, Write] = {}
        for write in writes:
            key = write.lease.key
            merged[key] = merged[key].then(write) if key in merged else write
        ending = {w.lease.study_id for w in merged.values() if w.ending}
        study_rows.count_time(connection, ending)
        refused: set[Key] = set()
        for study_id, keys in groupby(sorted(merged), key=itemgetter(0)):
            refused |= ticket_rows.record(connection, study_id, [merged[key] for key in keys])
        # A worker that saw its study stopped may say so after somebody has opened it again.
        for study_id in sorted({w.lease.study_id for w in merged.values() if _is_stopped(w)}):
            self._begin_stopped_again(connection, study_id)
        return refused

    @_verb
    def release(
        self, connection: sa.Connection, leases: Collection[Lease], lost: str | None = None
    ) -> None:
        """Give tickets back: the next worker continues where this one stopped.

        Args:
            leases: What to give back.
            lost: What went wrong, where that counts against the trials; None: nothing.
        """
        self._release(connection, leases, lost)

    def _release(
        self, connection: sa.Connection, leases: Collection[Lease], lost: str | None = None
    ) -> None:
        ids = sorted({lease.study_id for lease in leases})
        study_rows.count_time(connection, ids)
        for study_id in ids:
            of_study = [lease for lease in leases if lease.study_id == study_id]
            rows = ticket_rows.holders(connection, of_study).values()
            held = [row.number for row in rows if row.state == "leased"]
            if held and lost is None:
                ticket_rows.give_back(connection, study_id, held)
            elif held and lost is not None:
                ticket_rows.lose(connection, study_id, held, lost)
        for study in study_rows.find(connection, studies.c.study_id.in_(ids)):
            if study.state == "stopped":
                ticket_rows.end_abandoned(connection, study.study_id)

    def sweep(self) -> None:
        """End trials of stopped studies whose workers died: nobody will take them over."""
        with self.database.read() as connection:
            found = ticket_rows.abandoned_studies(connection)
        if found:
            self._sweep(found)

    @_verb
    def _sweep(self, connection: sa.Connection, study_ids: Collection[int]) -> None:
        for study_id in sorted(study_ids):
            study = _locked(connection, study_id)
            if study is not None and study.state == "stopped":
                ticket_rows.end_abandoned(connection, study_id)

    def courses(self, study_id: int, after: Mapping[int, int]) -> dict[int, list[TimedEpoch]]:
        """What epochs gave, and when: of each trial, by Optuna's number, those beyond an epoch.

        Args:
            study_id: The study.
            after: {number of a trial: the last of its epochs that is left out}, 0 for none.
        """
        found: dict[int, list[TimedEpoch]] = {}
        numbers = sorted(after)
        with self.database.read() as connection:
            for i in range(0, len(numbers), _BATCH):
                some = {number: after[number] for number in numbers[i : i + _BATCH]}
                found |= epoch_rows.courses(connection, study_id, some)
        return found

    # --- duties: what one process at a time does for a study -----------------------------------

    @_verb
    def take_duty(
        self, connection: sa.Connection, seen: Study, duty: str, worker: str,
        said: str | None = None,
    ) -> int | None:  # fmt: skip
        """Take a duty of a study that was seen before, or renew it, for `lease_s`.

        Its fence, which is another one whenever somebody else may have had the duty meanwhile;
        None: another worker has it, or the study has been deleted.

        Args:
            seen: The study.
            duty: Its name.
            worker: Who takes it.
            said: How it stands, in a line; None: as was said last.
        """
        if _locked_again(connection, seen) is None:
            return None
        return duty_rows.take(connection, seen.study_id, duty, worker, self.lease_s, said)

    @_verb
    def drop_duty(
        self, connection: sa.Connection, seen: Study, duty: str, worker: str,
        said: str | None = None,
    ) -> None:  # fmt: skip
        """Give a duty back, if the worker has it: another one may take it at once."""
        if _locked_again(connection, seen) is not None:
            duty_rows.drop(connection, seen.study_id, duty, worker, said)

    def duties(self, study_id: int) -> list[Duty]:
        """A study's duties that anybody has had, by their names."""
        with self.database.read() as connection:
            return duty_rows.find(connection, study_id, self.lease_s)

    # --- workers ------------------------------------------------------------------------------

    @_verb
    def sign_on(
        self, connection: sa.Connection, worker: str, host: str, pid: int, device: str,
        serves: Serves = EVERY,
    ) -> None:  # fmt: skip
        """Enter a worker into the list, once however often that is asked."""
        worker_rows.enter(connection, worker, host, pid, device, self.lease_s, serves)
        self._signed_on.add(worker)

    @_verb
    def serve(self, connection: sa.Connection, worker: str, serves: Serves) -> None:
        """Note what a worker serves from now on."""
        worker_rows.serve(connection, worker, serves)

    @_verb
    def sign_off(self, connection: sa.Connection, worker: str, lost: str | None = None) -> None:
        """Take a worker off the list and give back what it holds: it has left, or is dead.

        Args:
            worker: Its name.
            lost: How it died, said by one who saw it; None: it left of its own accord.

        If it has not died after all, the fence protects the tickets all the same.
        """
        self._release(connection, worker_rows.leased(connection, worker), lost)
        worker_rows.leave(connection, worker)

    @_verb
    def renew(
        self,
        connection: sa.Connection,
        worker: str,
        keys: Collection[Key],
        worked_s: float = 0.0,
    ) -> tuple[set[Key], dict[int, Study]]:
        """Prolong these leases of a worker; those it still has, and their studies as they are now.

        One that ran out but that nobody has taken over is prolonged too: nothing is lost. One that
        the worker does not name, as the answer to its claim was lost on the way, runs out.

        Raises LostError where the worker has signed on here and is not known: rows of workers are
        not deleted, so it is another database.

        Args:
            worker: Its name.
            keys: The leases.
            worked_s: Seconds for which it has trained without the database, which count as work.
        """
        ids = {study_id for study_id, _, _ in keys}
        study_rows.count_time(connection, ids, worked_s)
        alive = worker_rows.renew(connection, worker, keys, self.lease_s) if keys else set()
        if not worker_rows.see(connection, worker) and worker in self._signed_on:
            raise LostError(
                f"the database {self.database.name} does not know worker {worker} any more: it "
                "was emptied, or another one was put in its place; end whatever still uses it, and "
                "run again"
            )
        known = study_rows.find(connection, studies.c.study_id.in_(ids)) if ids else []
        return alive, {study.study_id: study for study in known}

    def workers(self) -> list[Worker]:
        """Every worker that has ever signed on, the newest first, with what it holds."""
        with self.database.read() as connection:
            return worker_rows.find(connection)
