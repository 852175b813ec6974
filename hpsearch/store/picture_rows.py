"""Who draws a study's pictures, and which there are, in Optuna's attributes: steps of the ledger's
transactions.

A picture is an artifact as Optuna's `upload_artifact` writes one, of the study or of a trial. That
a trial has ended does not keep pictures from coming to it, which Optuna's storages would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hpsearch.store import trials
from hpsearch.store.engine import now
from hpsearch.store.optuna_tables import STUDY_SYSTEM, TRIALS
from hpsearch.store.prepared import upsert
from hpsearch.store.values import Artifact, Study

__all__ = ["NOTE", "claim", "pictured", "record"]

NOTE = "hpsearch:pictures"
"""A system attribute of the study: of which state of it pictures are drawn, by whom, until when
that is waited for, and the ids of the trials that have some."""


def claim(connection: sa.Connection, study: Study, by: str, within_s: float) -> bool:
    """Whether `by` is to draw the pictures of the study as it is now; the caller has its lock."""
    noted, moment = _parsed(_note(connection, study.study_id)), _moment(connection)
    if noted.get("of") == _state(study):
        waits = noted.get("by") != by and moment < float(noted.get("until", 0.0))
        if noted.get("done") or waits:
            return False
    _put(connection, study.study_id, {
        **noted, "of": _state(study), "by": by, "until": moment + within_s, "done": False,
    })  # fmt: skip
    return True


def record(
    connection: sa.Connection, study: Study, artifacts: Sequence[Artifact], *, done: bool
) -> None:
    """Write the artifacts; with `done` nobody is to draw more of this state of the study."""
    ids = _trial_ids(connection, study.study_id, artifacts)
    own = {a.key: a.value for a in artifacts if a.trial is None}
    rows = [{"study_id": study.study_id, "key": key, "value_json": json.dumps(value)}
            for key, value in own.items()]  # fmt: skip
    upsert(connection, STUDY_SYSTEM, ("study_id", "key"), rows)
    attrs: dict[int, dict[str, str]] = {}
    for artifact in artifacts:
        if artifact.trial in ids:
            attrs.setdefault(ids[artifact.trial], {})[artifact.key] = artifact.value
    trials.put_system_attrs(connection, attrs)
    noted = _parsed(_note(connection, study.study_id))
    finished = {"of": _state(study), "done": True} if done else {}
    with_pictures = sorted({*noted.get("trials", ()), *attrs})
    count = int(noted.get("count", 0)) + len(artifacts)
    _put(connection, study.study_id,
         {**noted, **finished, "trials": with_pictures, "count": count})  # fmt: skip


def _note(connection: sa.Connection, study_id: int) -> str | None:
    """What a study notes of its pictures, as text; None: nothing."""
    which = (STUDY_SYSTEM.c.study_id == study_id) & (STUDY_SYSTEM.c.key == NOTE)
    text: str | None = connection.execute(
        sa.select(STUDY_SYSTEM.c.value_json).where(which)
    ).scalar()
    return text


def pictured(text: str | None) -> Sequence[int]:
    """The trials that have pictures, by the text of the note; none where there is none."""
    numbers = _parsed(text).get("trials", ())
    return [int(trial_id) for trial_id in numbers]


def _state(study: Study) -> str:
    """What differs once there is more to draw: another best trial, another finish."""
    return f"{study.ended} of {study.tickets}, {study.state}"


def _trial_ids(
    connection: sa.Connection, study_id: int, artifacts: Sequence[Artifact]
) -> dict[int, int]:
    numbers = sorted({a.trial for a in artifacts if a.trial is not None})
    if not numbers:
        return {}
    query = sa.select(TRIALS.c.number, TRIALS.c.trial_id)
    which = (TRIALS.c.study_id == study_id) & TRIALS.c.number.in_(numbers)
    return {row.number: row.trial_id for row in connection.execute(query.where(which))}


def _moment(connection: sa.Connection) -> float:
    return float(connection.execute(sa.select(now())).scalar_one())


def _parsed(text: str | None) -> Mapping[str, Any]:
    """A note that somebody has damaged is none: what it says is only that nothing is left to do."""
    try:
        note = json.loads(text or "{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _put(connection: sa.Connection, study_id: int, note: Mapping[str, Any]) -> None:
    row = {"study_id": study_id, "key": NOTE, "value_json": json.dumps(note)}
    upsert(connection, STUDY_SYSTEM, ("study_id", "key"), [row])
