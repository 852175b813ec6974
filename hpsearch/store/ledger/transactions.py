"""What the verbs of the ledger share: one transaction each, and how they find a study by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from hpsearch.errors import NotFoundError
from hpsearch.spec.faults import nearest
from hpsearch.store import study_rows, trials
from hpsearch.store.engine import Database
from hpsearch.store.values import Study

__all__ = ["Verbs", "verb"]

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V", bound="Verbs")


class Verbs:
    """Methods of which each is one transaction of a database; values that come back are frozen."""

    def __init__(self, database: Database, lease_s: float) -> None:
        self.database = database
        self.lease_s = lease_s

    def _study(self, connection: sa.Connection, name: str) -> Study:
        """The study of this name. Raises NotFoundError, which lists the names there are."""
        study = study_rows.named(connection, name)
        if study is not None:
            return study
        others = [study.name for study in study_rows.find(connection)]
        near = nearest(name, others)
        hint = f"did you mean {near}?" if near else f"studies: {', '.join(others) or 'none yet'}"
        raise NotFoundError(f"no study {name!r} in {self.database.name}; {hint}")

    def _locked(self, connection: sa.Connection, name: str) -> Study:
        """The same as it is once its row lock is ours."""
        trials.lock_study(connection, self._study(connection, name).study_id)
        return self._study(connection, name)


def verb(
    body: Callable[Concatenate[V, sa.Connection, P], T],
) -> Callable[Concatenate[V, P], T]:
    """Run a method in one transaction: all of it or nothing."""

    def method(self: V, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.database.write(lambda connection: body(self, connection, *args, **kwargs))

    return functools.update_wrapper(method, body)
