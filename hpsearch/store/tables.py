"""hpsearch's own tables, and how they come to be beside Optuna's in one database.

Optuna's tables are a contract: its library, its command line and its dashboard read them. hpsearch
adds tables under names of its own and never a column to Optuna's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.compiler import compiles

from hpsearch.errors import SchemaError, StorageError
from hpsearch.store.engine import Database

__all__ = [
    "KNOWN_REVISIONS", "OLDEST", "SCHEMA_VERSION", "check", "duties", "epochs", "finishes",
    "is_ready", "leases", "metadata", "optuna_revision", "prepare", "schema", "schema_lock",
    "stages", "studies", "tickets", "versions", "workers",
]  # fmt: skip

SCHEMA_VERSION = 8
OLDEST = 5
"""The first schema that `upgrades` leads from."""
KNOWN_REVISIONS = frozenset({"v3.2.0.a"})
"""Of Optuna's tables, schema version 12, as its migrations name them: those written here."""
_LOCK = 0x6870_7365  # any fixed number: "hpse"


class _LongText(sa.Text):
    """Text of any length, where MySQL's TEXT ends after 64 kB."""


@compiles(_LongText, "mysql")
@compiles(_LongText, "mariadb")
def _longtext(_element: Any, _compiler: Any, **_kw: Any) -> str:
    return "LONGTEXT"


_LONG = _LongText()


def _index_of_few(name: str, *columns: str, where: str) -> sa.Index:
    """An index that has none of the many rows that have ended, where the database can do that."""
    index = sa.Index(name, *columns)

    # As an argument of `Index` the condition makes every command load the code for every database.
    @event.listens_for(index, "before_create")
    def _narrow(index: sa.Index, connection: sa.Connection, **_: Any) -> None:
        if connection.dialect.name in {"postgresql", "sqlite"}:
            index.dialect_options[connection.dialect.name]["where"] = sa.text(where)

    return index


metadata = sa.MetaData()

schema = sa.Table(
    "hpsearch_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
)

studies = sa.Table(
    "hpsearch_studies",
    metadata,
    # Optuna's study_id. No foreign key: who deletes a study with Optuna's tools must not be
    # stopped by us, and what is left behind is cleared when the number is used again.
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("uid", sa.String(32), nullable=False),  # never used again, unlike study_id
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # of the checked study file
    sa.Column("document", _LONG, nullable=False),  # the checked study file, as JSON
    sa.Column("base", sa.Text, nullable=False),  # the study file's folder, for relative paths
    sa.Column("state", sa.String(16), nullable=False),  # open, paused, stopped, done
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("max_parallel", sa.Integer),  # the most tickets leased at once; NULL: no limit
    sa.Column("crash_limit", sa.Integer, nullable=False),  # losses in a row that FAIL a ticket
    sa.Column("claimed_at", sa.Double),  # when a ticket was last leased
    sa.Column("tickets", sa.Integer, nullable=False),  # the budget
    sa.Column("issued", sa.Integer, nullable=False),  # tickets that have a row
    sa.Column("drawn", sa.Integer, nullable=False),  # issued ones that are not retries
    sa.Column("floor", sa.Integer, nullable=False),  # every number below it has been issued
    sa.Column("floor_origin", sa.Integer, nullable=False),  # those below it that are no retries
    sa.Column("ended", sa.Integer, nullable=False),
    sa.Column("opened", sa.Integer),  # draw indices below it belong to opened stages; NULL: all do
    # Whether a ticket of the polish may be drawn while those of an earlier stage are under way. Its
    # name is that of a setting of 0.1 by which the stages themselves began before their time.
    sa.Column("overlap", sa.Boolean, nullable=False, key="early"),
    sa.Column("finish", sa.String(8)),  # due, open, done; NULL: there is none
    sa.Column("hours", sa.Double),  # of work, as active_s counts it; NULL: no limit
    sa.Column("active_s", sa.Double, nullable=False),  # time in which any worker held a lease
    sa.Column("active_at", sa.Double),  # when active_s was last brought up to date
    sa.Column("data", _LONG),  # what the first worker found: fingerprint, split, sizes
    sa.Column(
        "sanity", sa.Text
    ),  # whether the default configuration learns; NULL: nobody has looked
    sa.Column("final", sa.Text),  # what its finish takes, top and seeds, as JSON; NULL: has none
    sa.Column("code", sa.String(64)),  # hash of its own code; NULL: it has none
    sa.Column("code_files", _LONG),  # path and hash of each file of it, as JSON; never the code
)

stages = sa.Table(
    "hpsearch_stages",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first", sa.Integer, nullable=False),  # the draw index of its first ticket
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("content", _LONG, nullable=False),  # what it draws and what it holds, as JSON
)

finishes = sa.Table(
    "hpsearch_finishes",
    metadata,
    # A use of the test part: there before anybody looks at it, the result once it is known.
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("begun_at", sa.Double, nullable=False),
    sa.Column("result", _LONG),
)

tickets = sa.Table(
    "hpsearch_tickets",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(8), nullable=False),  # open (given back), leased, ended
    sa.Column("fence", sa.Integer, nullable=False),  # grows with every lease
    sa.Column("worker", sa.String(64)),  # its last holder
    sa.Column("trial_id", sa.Integer),  # once it has parameters
    sa.Column("origin", sa.Integer, nullable=False),  # the number to sample by
    sa.Column("retry_of", sa.Integer),  # the failed ticket that this one runs again
    sa.Column("reached", sa.Integer, nullable=False),  # the last epoch that it ever finished
    sa.Column("crashes", sa.Integer, nullable=False),  # lost workers since then
    sa.Column("lost", sa.Text),  # how it lost the last one
    _index_of_few("hpsearch_tickets_open", "state", "study_id", "number", where="state = 'open'"),
    sa.Index("hpsearch_tickets_trial", "trial_id"),
)

leases = sa.Table(
    "hpsearch_leases",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("fence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("worker", sa.String(64), nullable=False),
    sa.Column("taken_at", sa.Double, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("ending", sa.String(8)),  # ended, returned, lost
    sa.Index("hpsearch_leases_worker", "worker", "ended_at"),
    _index_of_few(
        "hpsearch_leases_live", "ended_at", "study_id", "until", where="ended_at IS NULL"
    ),
)

workers = sa.Table(
    "hpsearch_workers",
    metadata,
    sa.Column("worker", sa.String(64), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("lease_s", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("stopped_at", sa.Double),
    sa.Column("serves", _LONG),  # studies, families and sources, a line each, after one newline
    sa.Index("hpsearch_workers_present", "stopped_at"),
)

epochs = sa.Table(
    "hpsearch_epochs",
    metadata,
    # What Optuna's one value a step leaves out: every metric, the training loss, the time.
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
)

duties = sa.Table(
    "hpsearch_duties",
    metadata,
    # What one process at a time does for a study beside its tickets: bringing it to MLflow.
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("duty", sa.String(80), primary_key=True),
    sa.Column("worker", sa.String(64), nullable=False),  # who has it, or had it last
    sa.Column("fence", sa.Integer, nullable=False),  # grows whenever it may have had another holder
    sa.Column("until", sa.Double),  # NULL: nobody has it
    sa.Column("said", sa.Text),  # how it stands, in a line
)


def versions(connection: sa.Connection) -> tuple[int | None, str | None]:
    """The version of hpsearch's tables and the revision of Optuna's; None where there are none."""
    ours = None
    if sa.inspect(connection).has_table(schema.name):
        ours = connection.execute(sa.select(sa.func.max(schema.c.version))).scalar()
    return ours, optuna_revision(connection)


def optuna_revision(connection: sa.Connection) -> str | None:
    """The revision of Optuna's tables; None where there are none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def prepare(database: Database) -> None:
    """Create the tables where they are missing; any number of processes may do so at once.

    Raises SchemaError where the database was made by another version of hpsearch or Optuna.
    """
    if is_ready(database):
        return
    if database.file:
        _use_wal(database)
    database.write(_create)


def is_ready(database: Database) -> bool:
    """Whether all tables are there.

    Raises SchemaError where they are of another version of hpsearch or Optuna.
    """
    if database.file and not database.file.exists():  # to look would make one
        return False
    with database.read() as connection:
        ours, revision = versions(connection)
    check(database, ours, revision)
    if ours is not None and ours != SCHEMA_VERSION:
        raise SchemaError(
            f"{_of_schema(database, ours)}; hpsearch db upgrade brings it up to date, with all its "
            "studies, or name another database: --storage URL"
        )
    return ours == SCHEMA_VERSION and revision is not None


def check(database: Database, ours: int | None, revision: str | None) -> None:
    """Raise SchemaError where nothing here leads from these versions to those known."""
    if ours is not None and not OLDEST <= ours <= SCHEMA_VERSION:
        newer = ours > SCHEMA_VERSION
        made = "finish its studies with the hpsearch that made it (Optuna reads them as they are)"
        way_out = "update hpsearch" if newer else made
        raise SchemaError(
            f"{_of_schema(database, ours)}; {way_out}, or name another database: --storage URL"
        )
    if revision is not None and revision not in KNOWN_REVISIONS:
        raise SchemaError(
            f"the database {database.name} has Optuna's schema {revision}, and this version of "
            f"hpsearch knows {' and '.join(KNOWN_REVISIONS)}; run `optuna storage upgrade`, or "
            "update hpsearch"
        )


def _of_schema(database: Database, ours: int) -> str:
    own = f"and this version knows {SCHEMA_VERSION}"
    return f"the database {database.name} has hpsearch's schema {ours}, {own}"


def _use_wal(database: Database) -> None:
    # Switching to WAL answers "locked" at once where another process is about it: `write` repeats
    # it. It is a property of the file and outlives this connection; it must not be set inside a
    # transaction.
    def switch(connection: sa.Connection) -> None:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    database.write(switch)


def _create(connection: sa.Connection) -> None:
    """Make what is missing, under a lock. Each step looks first, so a killed one can be redone."""
    from hpsearch.store.optuna_private import models, optuna_version  # half a second to load

    with schema_lock(connection):
        models.BaseModel.metadata.create_all(connection)
        version = models.VersionInfoModel.__table__
        if connection.execute(sa.select(sa.func.count()).select_from(version)).scalar() == 0:
            connection.execute(
                sa.insert(version).values(
                    version_info_id=1,
                    schema_version=models.SCHEMA_VERSION,
                    library_version=optuna_version,
                )
            )
        if optuna_revision(connection) is None:
            _stamp(connection)
        metadata.create_all(connection)
        if connection.execute(sa.select(sa.func.count()).select_from(schema)).scalar() == 0:
            connection.execute(sa.insert(schema).values(version=SCHEMA_VERSION))


@contextmanager
def schema_lock(connection: sa.Connection) -> Iterator[None]:
    """Only one process makes the schema: the transaction itself on SQLite, a named lock elsewhere.

    Without it, PostgreSQL refuses the second of two CREATE TYPE with an error.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield
    elif connection.dialect.name == "mysql":
        if connection.execute(sa.select(sa.func.get_lock("hpsearch_schema", 120))).scalar() != 1:
            raise StorageError("another process has been making the tables for 120 s; try again")
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.release_lock("hpsearch_schema")))
    else:
        yield


def _stamp(connection: sa.Connection) -> None:
    """Note in the database which of Optuna's migrations its tables are as good as, as Optuna does.

    Raises SchemaError where the Optuna that is installed makes others than those known here.
    """
    from alembic.config import Config  # a tenth of a second to load, for once in a database's life
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from hpsearch.store.optuna_private import models, optuna_version

    folder = Path(models.__file__).parent
    config = Config(str(folder / "alembic.ini"))
    config.set_main_option("script_location", str(folder / "alembic").replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head() or "head"
    if head not in KNOWN_REVISIONS:
        raise SchemaError(
            f"Optuna {optuna_version} makes tables of schema {head}, and this version of "
            f"hpsearch knows {' and '.join(KNOWN_REVISIONS)}; update hpsearch"
        )
    MigrationContext.configure(connection).stamp(scripts, head)
