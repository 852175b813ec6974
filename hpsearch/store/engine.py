"""From a URL to a database: SQLite, PostgreSQL, MariaDB or MySQL, behind one face.

A transaction here is a function of a connection, so that it can be run again when the database
breaks a deadlock. Writers on SQLite begin with BEGIN IMMEDIATE: a transaction that starts by
reading and then writes would otherwise fail, or let two workers read the same row.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from hpsearch import passwords
from hpsearch.errors import StorageError, UnreachableError, line
from hpsearch.store.sqlite_file import SQLiteFile

if TYPE_CHECKING:
    import tenacity

__all__ = ["DEFAULT_URL", "Database", "now", "storage_url"]

T = TypeVar("T")

DEFAULT_URL = "sqlite:///hpsearch.db"

_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
_EXTRAS = {"postgresql": "postgres", "mysql": "mysql"}
_ALIASES = {"postgres": "postgresql", "mariadb": "mysql"}
"""What SQLAlchemy no longer knows but many providers hand out; and MariaDB under SQLAlchemy's mysql
name, which is also what Optuna reads."""

_RETRIED = {
    "40001", "40P01", "55P03",  # PostgreSQL: serialization failure, deadlock, lock not available
    "1205", "1213", "1020",     # MySQL, MariaDB: lock wait timeout, deadlock, record has changed
}  # fmt: skip


_FULL = ("too many clients", "remaining connection slots", "too many connections",
         "no more connections", "max_user_connections")  # fmt: skip
"""What servers and poolers say that have no connection left."""

_SETTLED = ("password", "denied", "authentication", "does not exist", "unknown database",
            "unknown host", "name or service not known", "could not translate host name",
            "failed to resolve host", "getaddrinfo", "no pg_hba.conf entry")  # fmt: skip
"""What they say where waiting does not help."""

_READ_ONLY = "attempt to write a readonly database"
"""What SQLite says of a file that this process may not write to."""

_SURE_S = 5.0
"""For which a connection that has been used is taken to be there."""


class now(FunctionElement[float]):  # noqa: N801 - it reads as SQL does
    """The database's clock in seconds since 1970. Leases are measured by it and by no other."""

    type = sa.Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(_element: Any, _compiler: Any, **_kw: Any) -> str:
    # unixepoch('subsec') needs SQLite 3.42, which Debian 12 does not have.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgresql_now(_element: Any, _compiler: Any, **_kw: Any) -> str:
    # now() stands still inside a transaction; a lease taken after waiting for a lock must not.
    return "extract(epoch from clock_timestamp())::double precision"


@compiles(now, "mysql")
@compiles(now, "mariadb")
def _mysql_now(_element: Any, _compiler: Any, **_kw: Any) -> str:
    # SYSDATE, unlike NOW, is read when the expression is evaluated.
    return "(unix_timestamp(sysdate(6)) + 0e0)"


def storage_url(option: str | None = None) -> str:
    """The database's URL: the option, else HPSEARCH_STORAGE, else SQLite in this folder."""
    return option or os.environ.get("HPSEARCH_STORAGE") or DEFAULT_URL


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        file = "hpsearch.db" if ":" in url else url
        # Without the password of USER:PASSWORD, which would be hidden as if it were one.
        raise StorageError(
            f"the database URL cannot be read; it looks like sqlite:///{file}, "
            "postgresql://USER@HOST/NAME or mysql://USER@HOST/NAME; a password stands behind USER, "
            "after a colon"
        ) from None
    named = parsed.get_backend_name()
    backend = _ALIASES.get(named, named)
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:") or "mode=memory" in url:
            raise StorageError(
                "a database in memory lives in one process only; name a file: sqlite:///hpsearch.db"
            )
        return parsed.set(database=str(Path(parsed.database or "").absolute()))
    if backend not in _DRIVERS:
        raise StorageError(
            f"database {named!r} is not supported; use sqlite, postgresql, mysql or mariadb"
        )
    # One driver a database, whatever the URL says: the ones that hpsearch is tested with.
    return parsed.set(drivername=f"{backend}+{_DRIVERS[backend]}")


def _connect_args(backend: str) -> dict[str, Any]:
    """How long to wait for a database that does not answer: some ten seconds, not hours."""
    if backend == "sqlite":
        return {"timeout": 20.0}
    if backend == "postgresql":
        return {
            "application_name": "hpsearch",
            "connect_timeout": 5,
            "tcp_user_timeout": 10_000,  # ms, for what was sent and not acknowledged
            "keepalives_idle": 5,  # s, while an answer is waited for
            "keepalives_interval": 3,
            "keepalives_count": 2,
        }
    return {"connect_timeout": 5, "read_timeout": 30, "write_timeout": 30}


_SESSION = {
    # A client that is stopped or cut off inside a transaction holds its locks until the server
    # notices, by default after hours: here after this time without a word from it.
    "postgresql": (
        "SET idle_in_transaction_session_timeout = '15s'",
        "SET tcp_keepalives_idle = 5",
        "SET tcp_keepalives_interval = 3",
        "SET tcp_keepalives_count = 2",
    ),
    "mariadb": ("SET SESSION idle_transaction_timeout = 15",),
    # Attributes of a trial are compared as one text, which MySQL cuts after 1,024 bytes. It has no
    # limit for idle transactions: a frozen client's locks last until `wait_timeout`.
    "mysql": ("SET SESSION group_concat_max_len = 1048576",),
}
"""What a session asks of its server, by SQLAlchemy's name of the database."""


class Database:
    """One database. `read` gives a connection that only reads; `write` runs a transaction."""

    def __init__(self, url: str) -> None:
        """Raises StorageError where the URL makes no sense or its driver is not installed."""
        passwords.learn(url)
        parsed = _parse(url)
        self.backend = parsed.get_backend_name()
        self.url = parsed.render_as_string(hide_password=False)
        plain = parsed.set(drivername=self.backend)  # as people write it: without the driver
        self.name = passwords.hide(plain.render_as_string(hide_password=True))
        options: dict[str, Any] = {}
        if self.backend == "mysql":
            # REPEATABLE READ would show a worker the tickets as they were when it began to wait.
            options["isolation_level"] = "READ COMMITTED"
        try:
            arguments = _connect_args(self.backend)
            parsed, arguments = _prepared(parsed, arguments)
            unset = {k: v for k, v in arguments.items() if k not in parsed.query}
            self.engine = sa.create_engine(parsed, connect_args=unset, **options)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise StorageError(
                f"the driver for {self.backend} is not installed; "
                f"pip install 'hpsearch[{_EXTRAS[self.backend]}]'"
            ) from error
        self._inherited: list[sa.Pool] = []
        self._reading: dict[str, Any] = {"hpsearch_read": True}
        if self.backend == "postgresql":
            # Each statement sees what is committed when it begins, in a transaction or not: without
            # one, two messages less are sent.
            self._reading["isolation_level"] = "AUTOCOMMIT"
        try:
            if self.file:
                self.file.exists()
            self._watched = SQLiteFile(self.file) if self.file else None
        except OSError as error:  # as with too long a name
            raise StorageError(
                f"the database {self.name} cannot be opened: {line(error)}; name another file"
            ) from None
        if self._watched:
            _tune_sqlite(self.engine, self._watched)
        else:
            _tune_session(self.engine)
            _look_before_use(self.engine)
        # At the latest when this process ends, but not by os._exit: a worker does so itself.
        weakref.finalize(self, self.engine.dispose)

    def close(self) -> None:
        """Give back the connections. The last to leave a SQLite file moves its log into it: who
        then copies that one file has it all."""
        self.engine.dispose()

    def forked(self) -> None:
        """In a copy of the process: leave the connections to the other one, and open others."""
        self._inherited.append(self.engine.pool)  # else they would be closed, for both
        self.engine.dispose(close=False)

    def check(self) -> None:
        """Raise LostError where SQLite's file is not the one any more that was opened."""
        if self._watched:
            self._watched.check()

    def rest(self) -> None:
        """Keep one connection at most while there is little to do: a server has few to give."""
        pool = self.engine.pool
        if isinstance(pool, sa.QueuePool) and not self.file and pool.checkedin() > 1:
            self.engine.dispose()

    @property
    def is_read_only(self) -> bool:
        """Whether it is a SQLite file that this process may only read."""
        return self._watched is not None and self._watched.is_read_only

    @property
    def file(self) -> Path | None:
        """SQLite's file; None for a server."""
        return Path(self.engine.url.database or "") if self.backend == "sqlite" else None

    def version(self) -> str:
        """What the server, or SQLite, says of its version."""
        with self.read() as connection:
            query = "SELECT sqlite_version()" if self.file else "SELECT version()"
            return str(connection.execute(sa.text(query)).scalar())

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading: one consistent view on SQLite, no lock held anywhere."""
        with self._translated(), self.engine.connect() as plain:
            yield plain.execution_options(**self._reading)

    def write(self, body: Callable[[sa.Connection], T]) -> T:
        """Run `body` in one transaction, again if the database broke a deadlock with it."""
        with self._translated():
            try:
                return self._once(body)
            except DBAPIError as error:
                if not _is_conflict(error):
                    raise
            result: T = _again()(self._once, body)
            return result

    def _once(self, body: Callable[[sa.Connection], T]) -> T:
        with self.engine.begin() as connection:
            return body(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the driver raises into one clear line without the password."""
        try:
            yield
        except (SQLAlchemyError, OverflowError, UnicodeError) as error:  # the last two: a value's
            self.check()
            raise self.error(error) from None

    def error(self, error: Exception) -> StorageError:
        """The StorageError for what SQLAlchemy or Optuna raised."""
        cause = getattr(error, "orig", None) or error
        message = passwords.hide(line(cause))
        kind = UnreachableError if _may_pass(error) else StorageError
        reported = kind(f"the database {self.name} failed: {message}; {self._advice(message)}")
        if isinstance(reported, UnreachableError):
            file_missing = self.file is not None and "locked" not in message
            reported.settled = file_missing or any(word in message.lower() for word in _SETTLED)
        return reported

    def _advice(self, message: str) -> str:
        words = message.lower()
        if _READ_ONLY in words:
            return (
                "only reading is allowed here: copy the file into a folder of your own, and name "
                "the copy, --storage sqlite:///COPY.db"
            )
        if any(word in words for word in _FULL):
            return "wait until others have left, or raise its limit (max_connections)"
        if "password" in words or "denied" in words or "authentication" in words:
            return "check the user and the password"
        if self.backend == "sqlite":
            return "check that the folder exists, can be written and has room"
        return "check that it runs and can be reached from here: hpsearch db check"


def _may_pass(error: Exception) -> bool:
    """Whether the same may go well later: the connection is gone, the server is not itself.

    A statement that makes no sense, a value that does not fit, stay so however often they come.
    """
    if isinstance(error, (OperationalError, InterfaceError, sa.exc.TimeoutError)):
        # So SQLite calls what a server calls an error of the statement: it is another database.
        settled = ("no such table", "no such column", _READ_ONLY)
        return not str(getattr(error, "orig", "")).startswith(settled)
    if not isinstance(error, DBAPIError):
        return False
    # 25006: read-only, as a server is that has lost its place to another one.
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) == "25006"


def _is_conflict(error: BaseException) -> bool:
    """Whether the transaction lost against another one and may win when it is run again."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    original = error.orig
    if isinstance(original, sqlite3.OperationalError):
        return "locked" in str(original) or "busy" in str(original)
    code = getattr(original, "sqlstate", None) or (original.args[0] if original.args else None)
    return str(code) in _RETRIED


def _again() -> tenacity.Retrying:
    """The second attempt at a transaction, and more: the first one succeeds nearly always, and
    needs none of this."""
    import tenacity  # which loads asyncio

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_conflict),
        wait=tenacity.wait_random_exponential(multiplier=0.02, max=1.0),
        stop=tenacity.stop_after_attempt(9),
        reraise=True,
    )


def _prepared(url: sa.URL, arguments: dict[str, Any]) -> tuple[sa.URL, dict[str, Any]]:
    """`prepare_threshold=none` of a URL of PostgreSQL: psycopg takes it as a value, not as text.

    Behind a pooler that gives each transaction another session, prepared statements are missing.
    """
    threshold = url.query.get("prepare_threshold")
    if threshold is None or url.get_backend_name() != "postgresql":
        return url, arguments
    if threshold != "none" and not (isinstance(threshold, str) and threshold.isdecimal()):
        raise StorageError(f"prepare_threshold is none or a number of uses; got {threshold!r}")
    value = None if threshold == "none" else int(str(threshold))
    url = url.difference_update_query(["prepare_threshold"])
    return url, {**arguments, "prepare_threshold": value}


def _look_before_use(engine: sa.Engine) -> None:
    """Try a connection that has been unused for a while before it is given out.

    A server that was restarted, or a firewall, may have closed it. One that was in use a moment ago
    is not asked, which would be one more transaction for each.
    """

    @event.listens_for(engine, "connect")
    @event.listens_for(engine, "checkin")
    def _used(_connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _out(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used_at", 0.0) < _SURE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:  # the pool connects anew, and drops the others
            raise sa.exc.InvalidatePoolError from None


def _tune_session(engine: sa.Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        kind = "mariadb" if getattr(engine.dialect, "is_mariadb", False) else engine.dialect.name
        with connection.cursor() as cursor:
            for statement in _SESSION.get(kind, ()):
                cursor.execute(statement)
        connection.commit()


def _tune_sqlite(engine: sa.Engine, watched: SQLiteFile) -> None:
    """Make SQLAlchemy and not Python's driver begin transactions, and writers do so at once. A file
    that can only be read is opened so that nothing need be written."""

    @event.listens_for(engine, "do_connect")
    def _open(dialect: Any, record: Any, _arguments: Any, options: dict[str, Any]) -> Any:
        settled = watched.settled()
        if settled is None:
            return None  # as usual
        record.info["hpsearch_settled"] = settled
        return dialect.connect(settled[0], **options, uri=True)

    @event.listens_for(engine, "checkout")
    def _out(_connection: Any, record: Any, _proxy: Any) -> None:
        # SQLite does not look whether anybody has changed it after all.
        settled = record.info.get("hpsearch_settled")
        if settled is not None and settled != watched.settled():
            raise sa.exc.DisconnectionError

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        connection.execute("PRAGMA synchronous=NORMAL")  # safe in WAL against a killed process
        watched.opened()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        watched.check(connection.info)
        reads = connection.get_execution_options().get("hpsearch_read", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
