"""What people ask of a study: to pause it, to add to its budget, to run trials again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hpsearch.errors import ConflictError
from hpsearch.spec import version_of, versions
from hpsearch.spec.settings import FINAL
from hpsearch.store import dealing, stage_rows, study_rows, ticket_rows
from hpsearch.store.ledger.transactions import Verbs, verb
from hpsearch.store.values import State, Study

__all__ = ["Steering"]


class Steering(Verbs):
    """The verbs of a study's state and budget."""

    @verb
    def set_state(self, connection: sa.Connection, name: str, state: State) -> Study:
        """Pause, stop or open a study. Raises ConflictError where it is done already.

        What was stopped of a finish is begun again where it is opened: the verdict is about as many
        trainings as were asked for.
        """
        study = self._locked(connection, name)
        if study.state == "done":
            raise ConflictError(
                f"study {name!r} is done: {study.ended} of {study.tickets} trials have ended; "
                f"hpsearch extend {name} --trials N adds to its budget"
            )
        study_rows.put(connection, study.study_id, state=state)
        if state == "stopped":
            ticket_rows.end_abandoned(connection, study.study_id)
        if state == "open":
            dealing.add_refused(connection, study)
            dealing.add_stopped(connection, self._study(connection, name))
            study_rows.close(connection, study.study_id)  # its last ticket may have ended meanwhile
        return self._study(connection, name)

    @verb
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
        study = self._locked(connection, name)
        values: dict[str, Any] = {}
        if priority is not None:
            values["priority"] = priority
        if max_parallel is not None:
            values["max_parallel"] = max_parallel or None
        if values:
            study_rows.put(connection, study.study_id, **values)
        return self._study(connection, name)

    @verb
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
        study = self._locked(connection, name)
        if study.finish == "open":
            raise ConflictError(
                f"study {name!r} is in its finish; add to its budget once that is done"
            )
        total = study.tickets + trials
        searching = _searching(connection, study, finish)
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
            return _searching(connection, study, finish)

    def to_retry(self, study: Study) -> int:
        """How many trials `retry_failed` would run again."""
        with self.database.read() as connection:
            return len(dealing.to_retry(connection, study))

    @verb
    def retry_failed(self, connection: sa.Connection, name: str) -> int:
        """Issue a new ticket for each trial that failed and was not retried, but those whose
        settings can never be trained; how many.

        A trial that has ended stays as it is, for Optuna's readers keep it forever; its
        successor has the same parameters and a place of its own in the budget.

        Raises ConflictError where the hours are spent: they would end before their first epoch.
        """
        study = self._locked(connection, name)
        added = dealing.add_retries(connection, study)
        if added and study.is_out_of_time and version_of(study.document) > versions.FIRST:
            raise ConflictError(
                f"study {name!r} has spent its {study.hours:.3g} hours, and no trial would be run "
                f"again: add to them first, hpsearch extend {name} --trials N --hours H"
            )
        if added and study.state == "done":
            study_rows.put(connection, study.study_id, state="open")
        return added

    @verb
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
        study = self._locked(connection, name)
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


def _searching(connection: sa.Connection, study: Study, finish: int) -> int:
    retries = study.issued - study.drawn
    finishes = stage_rows.spans(connection, study.study_id, FINAL) if study.finish else []
    to_come = finish if study.finish == "due" else 0
    return study.tickets - retries - to_come - sum(len(one) for one in finishes)
