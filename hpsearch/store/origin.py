"""What tells a study from an earlier one that had its id: SQLite gives ids again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from hpsearch.store import picture_rows
from hpsearch.store.optuna_tables import STUDIES, STUDY_SYSTEM, STUDY_USER, TRIALS
from hpsearch.store.prepared import Among, Prepared

__all__ = ["STUDY", "Origin", "origin", "select"]

STUDY: sa.BindParameter[int] = sa.bindparam("study", type_=sa.Integer)
"""The study that a statement is about: its value `study`."""


class Origin(NamedTuple):
    """A study as its rows have it."""

    name: str
    uid: str | None
    """hpsearch's, as JSON."""
    began: datetime | str | None
    """When its first trial did, as the driver gives it."""
    note: str | None
    """Of pictures, by which the trials are known that have got some."""

    def is_same(self, later: Origin) -> bool:
        """Whether a study is this one still: its first trial may have begun since."""
        return self[:2] == later[:2] and self.began in (None, later.began)


def origin(connection: sa.Connection, study_id: int) -> Origin:
    """The origin of a study. KeyError if there is none of that id."""
    row = _one.run(connection, {"study": study_id}).one_or_none()
    if row is None:
        raise KeyError(f"there is no study with the id {study_id}")
    return Origin(*row)


def select() -> sa.Select[Any]:
    """A query for the origin of `STUDY`; no row where there is no such study."""
    uid = sa.select(STUDY_USER.c.value_json).where(
        STUDY_USER.c.study_id == STUDY, STUDY_USER.c.key == "hpsearch"
    )
    first = sa.select(sa.func.min(TRIALS.c.trial_id)).where(TRIALS.c.study_id == STUDY)
    began = sa.select(TRIALS.c.datetime_start).where(TRIALS.c.trial_id == first.scalar_subquery())
    note = sa.select(STUDY_SYSTEM.c.value_json).where(
        STUDY_SYSTEM.c.study_id == STUDY, STUDY_SYSTEM.c.key == picture_rows.NOTE
    )
    parts = (part.scalar_subquery() for part in (uid, began, note))
    columns = (p.label(name) for p, name in zip(parts, Origin._fields[1:], strict=True))
    return sa.select(STUDIES.c.study_name.label("name"), *columns).where(
        STUDIES.c.study_id == STUDY
    )


@Prepared
def _one(_among: Among) -> sa.Executable:
    return select()
