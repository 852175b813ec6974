"""A database of an earlier hpsearch is brought up to date, with all that is in it.

One function a version. MariaDB's ALTER commits by itself, so a step may have been half done by one
that was killed: each looks before it acts, and the version is written last. Optuna's tables are
Optuna's, and are not touched.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from hpsearch.errors import ConflictError, NotFoundError, StorageError, line
from hpsearch.store.engine import Database, now
from hpsearch.store.tables import (
    SCHEMA_VERSION,
    check,
    duties,
    metadata,
    schema,
    schema_lock,
    studies,
    versions,
    workers,
)

__all__ = ["STEPS", "Upgrade", "pending", "upgrade"]


_FORECASTS = "hpsearch_forecasts"
"""A table that schema 5 has, of forecasts that nothing reads any more."""


def _to_6(connection: sa.Connection) -> None:
    """What a finish takes stands beside the document, so that any study can get one; a worker says
    what it serves; forecasts are no longer kept."""
    if sa.inspect(connection).has_table(_FORECASTS):
        connection.exec_driver_sql(f"DROP TABLE {_FORECASTS}")
    _add(connection, studies.c.final)
    _add(connection, workers.c.serves)
    rows = sa.select(studies.c.study_id, studies.c.document).where(studies.c.final.is_(None))
    for study_id, document in connection.execute(rows).all():
        if final := _final(document):
            row = (studies.c.study_id == study_id) & studies.c.final.is_(None)
            connection.execute(sa.update(studies).where(row).values(final=final))


def _to_7(connection: sa.Connection) -> None:
    """A study's own code is known by the hashes of its files."""
    _add(connection, studies.c.code)
    _add(connection, studies.c.code_files)


def _to_8(connection: sa.Connection) -> None:
    """What one process at a time does for a study has a lease."""
    duties.create(connection, checkfirst=True)


STEPS: dict[int, Callable[[sa.Connection], None]] = {6: _to_6, 7: _to_7, 8: _to_8}
"""Version -> what leads to it from the one before."""


def _add(connection: sa.Connection, column: sa.Column[object]) -> None:
    """Add a column, which may be NULL, to its table, unless it is there."""
    table = column.table.name
    if column.name in {present["name"] for present in sa.inspect(connection).get_columns(table)}:
        return
    definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {definition}")


def _final(document: str) -> str | None:
    """The finish that a document of version 1 has; a damaged one is for its own readers."""
    try:
        final = json.loads(document).get("final")
    except (ValueError, RecursionError, AttributeError):
        return None
    return json.dumps(final) if isinstance(final, dict) else None


@dataclass(frozen=True)
class Upgrade:
    """What was done to a database."""

    before: int
    after: int
    """The same as before where it was up to date."""
    copy: Path | None = None
    """The SQLite file as it was."""


def pending(database: Database) -> int | None:
    """The version of a database that has to be upgraded; None: it is up to date.

    Raises NotFoundError where there is nothing, SchemaError where no way leads from its version.
    """
    ours = revision = None
    if database.file is None or database.file.exists():  # to look would make one
        with database.read() as connection:
            ours, revision = versions(connection)
    if ours is None:
        raise NotFoundError(
            f"{database.name} has no tables of hpsearch yet: there is nothing to upgrade; hpsearch "
            "db init makes them"
        )
    check(database, ours, revision)
    return ours if ours < SCHEMA_VERSION else None


def upgrade(database: Database) -> Upgrade:
    """Bring a database up to date. One that is killed can be run again, and two may run at once.

    A SQLite file is copied first. Raises ConflictError where a worker is signed on, and what
    `pending` raises.
    """
    before = pending(database)
    if before is None:
        return Upgrade(SCHEMA_VERSION, SCHEMA_VERSION)
    copies: list[Path] = []

    def steps(connection: sa.Connection) -> Upgrade:
        with schema_lock(connection), _alone(connection, database):
            current = connection.execute(sa.select(sa.func.max(schema.c.version))).scalar_one()
            if current >= SCHEMA_VERSION:  # another process has just done it
                return Upgrade(current, current)
            _refuse_workers(connection, database)
            if database.file:
                for copy in copies:  # of a try that the database broke off
                    copy.unlink(missing_ok=True)
                copies[:] = [_copied(database.file, current)]
            for version in range(current + 1, SCHEMA_VERSION + 1):
                STEPS[version](connection)
                connection.execute(sa.update(schema).values(version=version))
        return Upgrade(current, SCHEMA_VERSION, *copies)

    return database.write(steps)


@contextmanager
def _alone(connection: sa.Connection, database: Database) -> Iterator[None]:
    """Nobody signs on meanwhile: on SQLite nobody writes anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
        connection.exec_driver_sql(f"LOCK TABLE {workers.name} IN SHARE ROW EXCLUSIVE MODE")
        yield
    elif connection.dialect.name == "mysql":
        # These locks outlive an ALTER, which ends a transaction; anyone who has some sees no other
        # table, and can make none.
        _refuse_workers(connection, database)
        metadata.create_all(connection)
        ours = [*metadata.tables, _FORECASTS]
        present = sa.inspect(connection).get_table_names()
        tables = ", ".join(f"{name} WRITE" for name in ours if name in present)
        connection.exec_driver_sql("SET SESSION lock_wait_timeout = 30")
        connection.exec_driver_sql(f"LOCK TABLES {tables}")
        try:
            yield
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")  # UNLOCK would commit
            raise
        finally:
            connection.exec_driver_sql("UNLOCK TABLES")
    else:
        yield


def _refuse_workers(connection: sa.Connection, database: Database) -> None:
    silent_s = now() - workers.c.seen_at
    present = workers.c.stopped_at.is_(None) & (silent_s <= workers.c.lease_s)
    columns = workers.c.worker, workers.c.host, workers.c.pid
    signed_on = connection.execute(sa.select(*columns).where(present).order_by(*columns)).all()
    if signed_on:
        names = ", ".join(f"{row.worker} (process {row.pid} on {row.host})" for row in signed_on)
        raise ConflictError(
            f"workers are signed on at {database.name}: {names}; stop them (Ctrl-C or SIGTERM; they"
            " give back what they hold), and run hpsearch db upgrade again. Nothing was changed"
        )


def _copied(file: Path, version: int) -> Path:
    """A copy of a SQLite file that nobody writes to now, its write-ahead log included."""
    part = file.with_name(f"{file.name}.schema{version}.part")
    try:
        part.unlink(missing_ok=True)  # of one that was killed
        mode = file.stat().st_mode & 0o777
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        part.chmod(mode)  # whatever the umask left of it
        source = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        with closing(source), closing(sqlite3.connect(part)) as target:
            source.backup(target)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        return _named(part, file.with_name(f"{file.name}.schema{version}"))
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"{file} cannot be copied before the upgrade: {line(error)}; make room beside it, or "
            "move it to where there is. Nothing was changed"
        ) from None


def _named(part: Path, stem: Path) -> Path:
    """The copy under the first name that is free; one of an earlier upgrade stays."""
    number = 1
    while True:
        copy = Path(f"{stem}{'' if number == 1 else f'-{number}'}.bak")
        try:
            os.link(part, copy)  # unlike a rename it takes no other's place
        except FileExistsError:
            number += 1
            continue
        part.unlink()
        folder = os.open(copy.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return copy
