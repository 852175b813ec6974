"""optuna-dashboard over the study database, behind a guard.

TLS is not done here: a proxy before it does that better.
"""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from hpsearch.dashboard.artifacts import Artifacts
from hpsearch.dashboard.guard import HEALTH, Guard, is_loopback
from hpsearch.dashboard.login import Login, read_login
from hpsearch.dashboard.owned import Owned
from hpsearch.dashboard.readable import ReadableStorage
from hpsearch.dashboard.server import Server
from hpsearch.errors import HpsearchError, StudyFileError
from hpsearch.insight.note import refresh
from hpsearch.store.engine import Database
from hpsearch.store.history import uncollected
from hpsearch.store.ledger import Ledger
from hpsearch.store.storage import open_storage

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from optuna.storages import BaseStorage

__all__ = ["Login", "read_login", "serve", "watched"]

_READ_AHEAD = 20_000
"""Trials that are read before anybody asks for them: about two seconds' work."""


def serve(
    database: Database,
    host: str,
    port: int,
    ready: Callable[[str], None],
    *,
    login: Login | None = None,
    read_only: bool = False,
    checkpoints: str | None = None,
) -> None:
    """Serve until interrupted; `ready` is called with the address once requests are answered.

    Args:
        database: Where the studies are.
        host: Name or address to bind to.
        port: 0 takes any that is free.
        ready: Told the address.
        login: What requests must carry.
        read_only: Refuse whatever writes.
        checkpoints: Where checkpoints and pictures lie; None: where each study says.

    Raises StudyFileError where others could reach it without a login; HpsearchError where the
    address is unavailable.
    """
    import optuna_dashboard  # and with it scikit-learn, which takes a second

    address = _resolved(host, port)
    if login is None and not is_loopback(address):
        raise StudyFileError(
            f"optuna-dashboard can delete studies, and {host} can be reached from other machines: "
            "name a login (--user and --password-file, or HPSEARCH_DASHBOARD_USER and "
            "HPSEARCH_DASHBOARD_PASSWORD_FILE), or bind it to 127.0.0.1"
        )
    ledger = Ledger(database)
    if not read_only:
        ledger.name_metrics()
    store = Artifacts(ledger, checkpoints)
    storage = open_storage(database, ReadableStorage)
    threading.Thread(target=_prepare, args=(ledger, storage, read_only), daemon=True).start()
    app = optuna_dashboard.wsgi(storage, artifact_store=store)
    app.catchall = False  # what goes wrong is logged, and not written past the log with a password
    try:
        owned = watched(Owned(app, ledger, checkpoints), ledger.database)
        server = Server(Guard(owned, login, read_only=read_only), address, port, HEALTH)
    except OSError as error:
        raise HpsearchError(
            f"port {port} of {host} cannot be opened ({error.strerror}); name another: --port N"
        ) from None
    shown = f"[{address}]" if ":" in address else address
    with suppress(KeyboardInterrupt):  # which `run` takes for a wish to end, too
        ready(f"http://{shown}:{server.effective_port}/")
        server.run()
    server.close()


def _prepare(ledger: Ledger, storage: BaseStorage, read_only: bool) -> None:
    """Read the trials of the newest studies, while a browser is being opened; then see to the
    notes."""
    room = _READ_AHEAD
    with suppress(HpsearchError):
        for study in sorted(ledger.studies(), key=lambda study: -study.study_id):
            room -= study.issued
            if room < 0:
                break
            with suppress(HpsearchError, KeyError):  # deleted meanwhile
                storage.get_all_trials(study.study_id, deepcopy=False)
    if not read_only:
        _write_notes(ledger)


def _write_notes(ledger: Ledger) -> None:
    """Bring notes up to date that nobody has, of studies that an earlier hpsearch made or a command
    has changed since."""
    by = f"dashboard {uuid.uuid4().hex[:12]}"
    with suppress(HpsearchError):
        for study in ledger.studies():
            with suppress(HpsearchError):
                refresh(ledger, study, by)


def watched(app: WSGIApplication, database: Database) -> WSGIApplication:
    """The application, which is not asked where the database's file is not the one any more that
    was opened: LostError. optuna-dashboard would answer that something has gone wrong."""

    def checked(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        database.check()
        with uncollected():
            return app(environ, start)

    return checked


def _resolved(host: str, port: int) -> str:
    """The address of a host, IPv4 before IPv6: judged and bound is one and the same."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "that is no name of a host"
        raise HpsearchError(f"the host {host!r} is not known here ({reason})") from None
    return str(min(addresses, key=lambda info: info[0] != socket.AF_INET)[4][0])
