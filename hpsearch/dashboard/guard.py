"""What stands before optuna-dashboard, which has no login and can delete: who asks, and for what.

A WSGI middleware of the standard library only. It answers by itself whatever it refuses, so that
no route of the application, known or unknown, is reached before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hpsearch.dashboard.attempts import Attempts
from hpsearch.errors import StorageError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from hpsearch.dashboard.login import Login

__all__ = ["HEALTH", "Guard", "is_loopback"]

_log = logging.getLogger(__name__)

HEALTH = "/healthz"
"""Says that the server answers, and nothing else; without a login, as probes have none."""

_READING = ("GET", "HEAD")
"""Methods that write nothing. In optuna-dashboard 0.21 every route that changes the database has
POST, PUT or DELETE: of its GET routes none calls a method of the storage that writes (a test
compares the whole database before and after each), none is registered for any method, and bottle
knows no header that stands for another method."""

_ALWAYS = [
    ("X-Frame-Options", "SAMEORIGIN"),  # no foreign page may lay itself over the delete button
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
]


class Guard:
    """A WSGI application before another one.

    Args:
        app: The application behind.
        login: What a request must carry; None: nothing, and then the server is bound to loopback.
        read_only: Whether whatever writes is refused.
    """

    def __init__(self, app: WSGIApplication, login: Login | None, *, read_only: bool) -> None:
        self._app, self._login, self._read_only = app, login, read_only
        self._attempts = Attempts()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request, or have it answered."""
        if environ.get("PATH_INFO") == HEALTH and environ["REQUEST_METHOD"] in _READING:
            return _say(start, HTTPStatus.OK, "ok\n")
        if self._login is not None:
            client, given = str(environ.get("REMOTE_ADDR", "")), _given(environ)
            # Not even looked at meanwhile: the answer to a right one would tell it.
            if given and (wait_s := self._attempts.wait_s(client)):
                words = f"too many wrong passwords from this address; try again in {wait_s} s\n"
                later = ("Retry-After", str(wait_s))
                return _say(start, HTTPStatus.TOO_MANY_REQUESTS, words, later)
            if given is None or not _is_right(given, self._login):
                if given:
                    self._attempts.failed(client)
                challenge = ("WWW-Authenticate", 'Basic realm="hpsearch", charset="UTF-8"')
                return _say(start, HTTPStatus.UNAUTHORIZED, "log in\n", challenge)
            self._attempts.passed(client)
        refused = self._refused(environ)
        if refused is not None:
            return _say(start, HTTPStatus.FORBIDDEN, f"{refused}\n")

        def with_headers(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start(status, [*headers, *_ALWAYS], *rest)

        try:
            return self._app(environ, with_headers)
        except StorageError as error:  # such as a SQLite file that was removed under it
            _log.error("%s", error)
            return _say(start, HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n")

    def _refused(self, environ: WSGIEnvironment) -> str | None:
        """Why a request of somebody who may ask is refused; None: it is not."""
        host = environ.get("HTTP_HOST", "")
        # A page of another site can have its own name resolve to 127.0.0.1, and its scripts then
        # read and write here as its own server. They cannot have a login.
        if self._login is None and not is_loopback(_host_name(host)):
            return f"the Host header says {host!r}; open the dashboard as localhost or 127.0.0.1"
        if environ["REQUEST_METHOD"] in _READING:
            return None
        if self._read_only:
            return "this dashboard is read-only"
        # A browser sends the login, or has none to send, whichever page makes it write. Behind a
        # proxy the scheme may differ.
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return f"a page of {origin!r} may not write here"
        return None


def is_loopback(name: str) -> bool:
    """Whether a host name or address, brackets aside, means this machine and no other."""
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host_name(header: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _given(environ: WSGIEnvironment) -> bytes | None:
    """The login that the request carries, `user:password`; None: it carries none."""
    scheme, _, encoded = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_right(given: bytes, login: Login) -> bool:
    # Digests are of one length: the time to compare them tells nothing, not even how long it is.
    expected = f"{login.user}:{login.password}".encode()
    return hmac.compare_digest(_digest(given), _digest(expected))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _say(
    start: StartResponse, status: HTTPStatus, words: str, *headers: tuple[str, str]
) -> list[bytes]:
    body = words.encode()
    start(
        f"{status.value} {status.phrase}",
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))),
         ("Cache-Control", "no-store"), *headers, *_ALWAYS],
    )  # fmt: skip
    return [body]
