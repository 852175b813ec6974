"""The note of a study that optuna-dashboard shows: its upper part is hpsearch's, the rest
belongs to the people who write there. Each function is one transaction.

The attributes are optuna-dashboard's (`_note.py`): a version, and the text in pieces. It writes
them one by one; here they change together, so a process that is killed leaves the old note or the
new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hpsearch.store import study_rows, trials
from hpsearch.store.engine import Database, now
from hpsearch.store.optuna_tables import STUDY_SYSTEM
from hpsearch.store.prepared import upsert
from hpsearch.store.tables import studies
from hpsearch.store.values import Study

__all__ = ["LINE", "claim", "edit", "read", "write"]

LINE = "*hpsearch keeps what is above this line up to date; what you write below it stays.*"
"""Between the two parts. What stands in a note without it is a person's."""

_CLAIM = "hpsearch:note"
"""A system attribute of the study: the state that its note is of, who writes it, and until when
that is waited for."""
_VERSION, _PIECE = "dashboard:note_ver", "dashboard:note_str:"
_PIECE_LENGTH = 2045
"""What optuna-dashboard has in one attribute at most."""


def claim(
    database: Database, study: Study, of: str, by: str, within_s: float, *, waits: bool = True
) -> bool:
    """Whether `by` is to write the note of the study in the state `of` now. Nobody else is, for so
    many seconds, but one that never `waits`: then another one may, as this one may have been
    killed."""

    def body(connection: sa.Connection) -> bool:
        if not _is_there(connection, study):
            return False
        claimed, moment = _claimed(connection, study.study_id), _moment(connection)
        if claimed.get("of") == of:
            taken = claimed.get("by") != by and moment < float(claimed.get("until", 0.0))
            if claimed.get("done") or (waits and taken):
                return False
        _put(connection, study.study_id, {
            _CLAIM: {"of": of, "by": by, "until": moment + within_s, "done": False},
        })  # fmt: skip
        return True

    return database.write(body)


def write(database: Database, study: Study, of: str, text: str) -> None:
    """Put hpsearch's part of the note in place of the one before, where it differs."""

    def body(connection: sa.Connection) -> None:
        if not _is_there(connection, study):
            return
        version, before = _note(connection, study.study_id)
        _, line, below = before.partition(LINE)
        own = below if line else f"\n\n{before}" if before else ""
        whole = f"{text.rstrip()}\n\n{LINE}{own}"
        if whole != before:
            _put_note(connection, study.study_id, version + 1, whole)
        _put(connection, study.study_id, {_CLAIM: {"of": of, "done": True}})

    database.write(body)


def read(database: Database, study_id: int) -> tuple[int, str]:
    """The version of the note and its text; 0 and "" where there is none."""
    with database.read() as connection:
        return _note(connection, study_id)


def edit(database: Database, study: Study, version: int, text: str) -> bool:
    """Put a whole note that a person has edited; whether it follows the one that is there."""

    def body(connection: sa.Connection) -> bool:
        if not _is_there(connection, study):
            return False
        if version != _note(connection, study.study_id)[0] + 1:
            return False
        _put_note(connection, study.study_id, version, text)
        return True

    return database.write(body)


def _is_there(connection: sa.Connection, study: Study) -> bool:
    """Whether the study is still the one that was seen, with its lock held from now on."""
    trials.lock_study(connection, study.study_id)
    rows = study_rows.find(connection, studies.c.study_id == study.study_id)
    return any(row.uid == study.uid for row in rows)


def _moment(connection: sa.Connection) -> float:
    return float(connection.execute(sa.select(now())).scalar_one())


def _attrs(connection: sa.Connection, study_id: int) -> dict[str, Any]:
    """The attributes of the note, as far as they make sense."""
    key, attrs = STUDY_SYSTEM.c.key, dict[str, Any]()
    which = key.in_((_CLAIM, _VERSION)) | key.startswith(_PIECE, autoescape=True)
    query = sa.select(key, STUDY_SYSTEM.c.value_json)
    for name, text in connection.execute(query.where(STUDY_SYSTEM.c.study_id == study_id, which)):
        try:
            attrs[name] = json.loads(text)
        except ValueError:
            continue
    return attrs


def _claimed(connection: sa.Connection, study_id: int) -> Mapping[str, Any]:
    claimed = _attrs(connection, study_id).get(_CLAIM)
    return claimed if isinstance(claimed, dict) else {}


def _note(connection: sa.Connection, study_id: int) -> tuple[int, str]:
    attrs = _attrs(connection, study_id)
    version = attrs.get(_VERSION)
    if not isinstance(version, int):
        return 0, ""
    pieces = [str(attrs[key]) for at in range(len(attrs)) if (key := f"{_PIECE}{at}") in attrs]
    return version, "".join(pieces)


def _put_note(connection: sa.Connection, study_id: int, version: int, text: str) -> None:
    cut = range(0, len(text), _PIECE_LENGTH)
    pieces = {f"{_PIECE}{at}": text[i : i + _PIECE_LENGTH] for at, i in enumerate(cut)}
    # Those of a longer note before are emptied: optuna-dashboard counts them.
    old = {key: "" for key in _attrs(connection, study_id) if key.startswith(_PIECE)}
    _put(connection, study_id, {_VERSION: version, **old, **pieces})


def _put(connection: sa.Connection, study_id: int, attrs: Mapping[str, Any]) -> None:
    rows = [{"study_id": study_id, "key": key, "value_json": json.dumps(value)}
            for key, value in attrs.items()]  # fmt: skip
    upsert(connection, STUDY_SYSTEM, ("study_id", "key"), rows)
