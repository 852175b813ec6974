"""optuna-dashboard over the study database, on this machine only."""

from __future__ import annotations

from collections.abc import Callable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard

from hpsearch.errors import HpsearchError
from hpsearch.store.engine import Database
from hpsearch.store.trials import optuna_storage

__all__ = ["serve"]

HOST = "127.0.0.1"
"""optuna-dashboard has no login and can delete studies: it is not offered to the network."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Requests are not worth a line each."""


class _Server(WSGIServer):
    daemon_threads = True


def serve(database: Database, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; `ready` is called with the address once requests are answered.

    Raises HpsearchError where the port is taken.
    """
    app = optuna_dashboard.wsgi(optuna_storage(database.url))
    try:
        server = make_server(HOST, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise HpsearchError(
            f"port {port} of {HOST} cannot be opened ({error.strerror}); name another: --port N"
        ) from None
    with server:
        ready(f"http://{HOST}:{server.server_port}/")
        server.serve_forever()
