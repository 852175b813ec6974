"""How the search of a study moves on: its stages, and the finish that ends in a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hpsearch.spec.settings import EARLY, FINAL
from hpsearch.store import duty_rows, stage_rows, study_rows, ticket_rows
from hpsearch.store.ledger.transactions import Verbs, verb
from hpsearch.store.values import TESTING, Study

__all__ = ["Stages"]


class Stages(Verbs):
    """The verbs of stages, and of the test part once they are done."""

    def stages(self, study_id: int, known: int = 0) -> list[dict[str, Any]]:
        """The stages that have been opened in their order, but the first `known` ones."""
        with self.database.read() as connection:
            return stage_rows.find(connection, study_id, known)

    def between_stages(self, seen: Study) -> tuple[Study, bool] | None:
        """A study that was seen before as it is now, and whether the trials of its stages have
        ended, but early ones of the polish; None: it has been deleted."""
        with self.database.read() as connection:
            study = study_rows.again(connection, seen)
            return None if study is None else (study, not _holds_up(connection, study))

    @verb
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
        study = study_rows.locked(connection, study_id)
        opened = stage_rows.count(connection, study_id)
        if study is None or study.state != "open" or study.drawn != stage["first"]:
            return
        if not study.awaits_stage or not _is_due(connection, study, stage["name"]):
            return
        same = [(s.uid, s.tickets, s.hours, s.final) for s in (study, seen)]
        if opened != number or same[0] != same[1]:  # something was added since it was thought of
            return
        values: dict[str, Any] = {"opened": stage_rows.end_of(stage), "early": early}
        if stage["name"] == FINAL:
            # What the search has no time for any more is not run.
            values |= {"finish": "open", "tickets": study.issued + stage["count"]}
        stage_rows.add(connection, study_id, number, stage)
        study_rows.put(connection, study_id, **values)

    def may_conclude(self, seen: Study) -> bool:
        """Whether a finish that was seen still waits for its verdict."""
        with self.database.read() as connection:
            study = study_rows.again(connection, seen)
        return study is not None and _may_conclude(study, seen)

    @verb
    def begin_verdict(self, connection: sa.Connection, seen: Study) -> int | None:
        """Note that the test part is about to be used: which time that is.

        The same one where anyone who was about to has died over it, but not that of a worker that
        is still at the finish before; None where that is not due, or the study is no more what it
        was when it was seen.
        """
        study = study_rows.locked_again(connection, seen)
        if study is None or not _may_conclude(study, seen):
            return None
        taken = {d.name for d in duty_rows.find(connection, study.study_id) if d.worker is not None}
        others = {name for name in taken if name.startswith(TESTING)} - {f"{TESTING}{study.opened}"}
        return stage_rows.begin_verdict(connection, study.study_id, len(others))

    @verb
    def end_verdict(
        self, connection: sa.Connection, seen: Study, number: int, result: Mapping[str, Any]
    ) -> None:
        """Keep what the test part gave; the finish that was seen is done, unless another one has
        been asked for meanwhile. The first of two results stays."""
        study = study_rows.locked_again(connection, seen)
        if study is None:
            return
        first = stage_rows.end_verdict(connection, study.study_id, number, result)
        # Whatever was added while the test part was used: this finish has its verdict.
        if first and study.finish == "open" and study.opened == seen.opened:
            _end_finish(connection, study)

    @verb
    def end_finish(self, connection: sa.Connection, seen: Study) -> bool:
        """End a finish in which nothing was trained to its end: the test part is not used.

        False where that is not due: something of it is trained again by now.
        """
        study = study_rows.locked_again(connection, seen)
        if study is None or not _may_conclude(study, seen):
            return False
        _end_finish(connection, study)
        return True

    def verdicts(self, study_id: int) -> list[dict[str, Any]]:
        """What each use of the test part gave, in their order."""
        with self.database.read() as connection:
            return stage_rows.verdicts(connection, study_id)


def _is_due(connection: sa.Connection, study: Study, name: str) -> bool:
    """Whether nothing that a stage of that name has to wait for is under way."""
    if name == EARLY:
        return study.early
    if name == FINAL:  # all have a claim to be among the best
        return study.ended == study.issued
    return not _holds_up(connection, study)


def _holds_up(connection: sa.Connection, study: Study) -> bool:
    return bool(connection.execute(sa.select(ticket_rows.holds_up(study.study_id))).scalar())


def _end_finish(connection: sa.Connection, study: Study) -> None:
    study_rows.put(connection, study.study_id, finish="done")
    study_rows.close(connection, study.study_id)


def _may_conclude(study: Study, seen: Study) -> bool:
    """Whether the trainings of its finish have ended, those that were there when it was seen."""
    same = (study.opened, study.issued) == (seen.opened, seen.issued)
    return study.state == "open" and study.awaits_verdict and same
