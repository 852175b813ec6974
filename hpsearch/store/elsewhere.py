"""Studies of Optuna in another database, or of hpsearch in the same one: read, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import ConflictError, NotFoundError
from hpsearch.spec.faults import nearest
from hpsearch.store.engine import Database
from hpsearch.store.frozen import frozen
from hpsearch.store.history import History
from hpsearch.store.optuna_rows import read_studies
from hpsearch.store.optuna_tables import STUDIES
from hpsearch.store.tables import check, optuna_revision
from hpsearch.store.trials import METRIC_NAMES, is_feasible

__all__ = ["Elsewhere", "finished"]


@dataclass(frozen=True)
class Elsewhere:
    """A study of another database."""

    name: str
    direction: str
    """maximize or minimize."""
    metric: str | None
    """What its value is called; None: nobody has said."""
    trials: list[FrozenTrial]
    """Those that completed and that Optuna may take for its best one."""
    others: int
    """How many more there are: pruned, failed, under way, or against a constraint."""


def finished(url: str, name: str | None) -> Elsewhere:
    """The finished trials of a study of Optuna.

    Args:
        url: Its database.
        name: The study; None: the only one there is.

    Raises NotFoundError where there is none of that name, or where several are there and none is
    named, ConflictError for a study of several objectives, and StorageError for a database that
    cannot be read.
    """
    database = Database(url)
    if database.file and not database.file.exists():
        raise NotFoundError(f"there is no {database.name}")
    with database.read() as connection:
        revision = optuna_revision(connection)
        if revision is None:
            raise NotFoundError(f"{database.name} has no studies of Optuna")
        check(database, None, revision)
        return _read(connection, database, name)


def _read(connection: sa.Connection, database: Database, name: str | None) -> Elsewhere:
    names = list(connection.execute(sa.select(STUDIES.c.study_name)).scalars())
    if name is None and len(names) != 1:
        listed = ", ".join(sorted(names)[:20]) or "none"
        raise NotFoundError(f"{database.name} has {len(names)} studies: {listed}; name one with "
                            "--study")  # fmt: skip
    chosen = names[0] if name is None else name
    if chosen not in names:
        near = nearest(chosen, names)
        hint = f"did you mean {near}?" if near else f"it has {', '.join(sorted(names)[:20])}"
        raise NotFoundError(f"{database.name} has no study {chosen!r}; {hint}")
    (study,) = read_studies(connection, STUDIES.c.study_name == chosen)
    if len(study.directions) != 1:
        count = len(study.directions)
        raise ConflictError(
            f"study {chosen!r} has {count} objectives, and hpsearch searches by one"
        )
    history = History[FrozenTrial](study._study_id)
    every = [trial for _, trial in history.shown(history.fetch(connection), frozen)]
    trials = [trial for trial in every if _counts(trial)]
    metric = study.system_attrs.get(METRIC_NAMES)
    named = metric[0] if isinstance(metric, list) and metric else None
    return Elsewhere(chosen, study.direction.name.lower(), named, trials, len(every) - len(trials))


def _counts(trial: FrozenTrial) -> bool:
    """Whether it completed, by a value that means what others' do: a training of a finish is of a
    configuration that was chosen before."""
    return trial.state is TrialState.COMPLETE and is_feasible(trial)
