"""What optuna-dashboard may do to studies of hpsearch.

It writes as if the person who clicks were the only one: it renames a study by copying its trials,
ends trials that a worker holds, and deletes a study without its checkpoints. Between it and the
guard stands this: what it would spoil is refused with a reason that its page shows, and a study is
deleted as `hpsearch delete` does. Artifacts are pictures, and can be looked at alone. Notes are its
own, and stay; that of a study, which hpsearch writes to as well, is changed as a whole.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any

from optuna.artifacts.exceptions import ArtifactNotFound

from hpsearch.checkpoints.places import delete_study
from hpsearch.errors import CheckpointError, HpsearchError
from hpsearch.store import notes

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = ["Owned"]

_BEYOND = re.compile(r"\d{19}")
"""Of a number that is none of any row: a database, and Python itself, would fail over it."""
_CREATE = re.compile(r"/api/studies")
_STUDY = re.compile(r"/api/studies/(-?\d+)")
_RENAME = re.compile(r"/api/studies/(-?\d+)/rename")
_PAGE = re.compile(r"/dashboard(/.*)?")
_SCRIPT = "/hpsearch/refusals.js"
_CONDITIONS = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE")
"""Of a request for a page that is sent whole, as it is not the file that it is made from."""
_CHANGED = ("content-length", "last-modified", "etag", "accept-ranges")
_NOTE = re.compile(r"/api/studies/(-?\d+)/note")
_PREFERENCE = re.compile(r"/api/studies/(-?\d+)/preference(_feedback_component|/.*)?")
_SKIP = re.compile(r"/api/studies/(-?\d+)/-?\d+/skip")
_TELL = re.compile(r"/api/trials/(-?\d+)/tell")
_ATTRS = re.compile(r"/api/trials/(-?\d+)/user-attrs")
_ARTIFACTS = re.compile(r"/api/artifacts/.*")


class Owned:
    """A WSGI application before optuna-dashboard's."""

    def __init__(self, app: WSGIApplication, ledger: Ledger, checkpoints: str | None) -> None:
        """`checkpoints` is where those of all studies lie; None: where each study says."""
        self._app, self._ledger, self._checkpoints = app, ledger, checkpoints

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request, or have it answered."""
        if _BEYOND.search(_path(environ)):
            return _say(start, HTTPStatus.NOT_FOUND, "no database has a row of such a number")
        if environ["REQUEST_METHOD"] == "GET" and _path(environ) == _SCRIPT:
            start("200 OK", [("Content-Type", "text/javascript; charset=utf-8")])
            return [_script()]
        if environ["REQUEST_METHOD"] == "GET" and _PAGE.fullmatch(_path(environ)):
            return self._page(environ, start)
        if environ["REQUEST_METHOD"] in ("POST", "PUT", "DELETE"):
            try:
                if (edited := self._edited(environ)) is not None:
                    return _json(start, *edited)
                reason = self._answer(environ["REQUEST_METHOD"], _path(environ))
            except HpsearchError as error:
                return _say(start, HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
            if reason == "":
                start("204 No Content", [("Content-Type", "application/json")])
                return [b""]
            if reason is not None:
                return _say(start, HTTPStatus.CONFLICT, reason)
            if _STUDY.fullmatch(_path(environ)):
                environ = _without_artifacts(environ)
        try:
            return self._app(environ, start)
        except ArtifactNotFound as error:
            return _say(start, HTTPStatus.NOT_FOUND, str(error))
        except CheckpointError as error:  # of a place that this machine does not reach
            return _say(start, HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _page(self, environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        """optuna-dashboard's page, with the script that shows why something was refused."""
        plain = {k: v for k, v in environ.items() if k not in _CONDITIONS}
        answer: list[Any] = []

        def noted(*started: Any) -> Any:
            answer.append(started)

        parts = self._app(plain, noted)
        body = b"".join(parts)
        if callable(close := getattr(parts, "close", None)):
            close()
        status, headers, *rest = answer[-1]
        body = body.replace(b"<head>", f'<head><script src="{_SCRIPT}"></script>'.encode(), 1)
        unchanged = [(k, v) for k, v in headers if k.lower() not in _CHANGED]
        start(status, [*unchanged, ("Content-Length", str(len(body)))], *rest)
        return [body]

    def _answer(self, method: str, path: str) -> str | None:
        """Why a request is refused; nothing where it is done already; None: it is passed on."""
        if (match := _PREFERENCE.fullmatch(path)) and (study := self._ledger.by_id(int(match[1]))):
            return (
                f"study {study.name!r} is hpsearch's: its trials are compared by their metric, and "
                "not by preference"
            )
        if _ARTIFACTS.fullmatch(path):
            return (
                "artifacts here are the pictures that hpsearch draws of its studies: none is added "
                "or removed by hand; hpsearch pictures STUDY draws what is missing"
            )
        if method == "DELETE":
            match = _STUDY.fullmatch(path)
            study = self._ledger.by_id(int(match[1])) if match else None
            if study is None:
                return None
            delete_study(self._ledger, study, self._checkpoints)
            return ""
        if _CREATE.fullmatch(path):
            return (
                "a study that is created here has no study file, and no worker would serve it: "
                "hpsearch run FILE or hpsearch submit FILE creates one"
            )
        if (match := _RENAME.fullmatch(path)) and (study := self._ledger.by_id(int(match[1]))):
            return (
                f"study {study.name!r} is hpsearch's, and a copy under another name would be "
                "without its workers and checkpoints: run its file again with --set name=..."
            )
        return self._refused_trial(path)

    def _edited(self, environ: WSGIEnvironment) -> tuple[HTTPStatus, dict[str, Any]] | None:
        """The answer to the edit of a study's note; None: it is none, or of no study of
        hpsearch's. optuna-dashboard writes a note piece by piece, and a worker that writes
        meanwhile would leave a mixture of both."""
        match = _NOTE.fullmatch(_path(environ)) if environ["REQUEST_METHOD"] == "PUT" else None
        study = self._ledger.by_id(int(match[1])) if match else None
        if study is None:
            return None
        asked = _body(environ)
        version, text = asked.get("version"), asked.get("body")
        if not isinstance(version, int) or not isinstance(text, str):
            return HTTPStatus.BAD_REQUEST, {"reason": "a note is a version and a body"}
        if notes.edit(self._ledger.database, study, version, text):
            return HTTPStatus.NO_CONTENT, {}
        version, text = notes.read(self._ledger.database, study.study_id)
        return HTTPStatus.CONFLICT, {
            "reason": "the note has changed meanwhile: copy your words, and reload the page",
            "note": {"version": version, "body": text},
        }  # fmt: skip

    def _refused_trial(self, path: str) -> str | None:
        if match := _SKIP.fullmatch(path):
            return self._held(self._ledger.by_id(int(match[1])), "skipped")
        if match := _TELL.fullmatch(path):
            return self._held(self._ledger.of_trial(int(match[1])), "ended")
        if match := _ATTRS.fullmatch(path):
            return self._held(self._ledger.of_trial(int(match[1])), "given attributes")
        return None

    def _held(self, study: Study | None, what: str) -> str | None:
        if study is None:
            return None
        return (
            f"trials of study {study.name!r} are trained by hpsearch's workers, and cannot be "
            f"{what} here: hpsearch stop {study.name} ends those under way"
        )


@cache
def _script() -> bytes:
    return resources.files("hpsearch.dashboard").joinpath("refusals.js").read_bytes()


def _path(environ: WSGIEnvironment) -> str:
    """The path as bottle matches it: decoded, without slashes at its ends."""
    text = str(environ.get("PATH_INFO", "")).encode("latin-1").decode(errors="ignore")
    return f"/{text.strip('/')}"


def _body(environ: WSGIEnvironment) -> dict[str, Any]:
    """The JSON that a request has; empty where that makes no sense."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(length))
    except (RecursionError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _say(start: StartResponse, status: HTTPStatus, reason: str) -> list[bytes]:
    return _json(start, status, {"reason": reason})


def _json(start: StartResponse, status: HTTPStatus, answer: dict[str, Any]) -> list[bytes]:
    body = b"" if status is HTTPStatus.NO_CONTENT else json.dumps(answer).encode()
    start(
        f"{status.value} {status.phrase}",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]


def _without_artifacts(environ: WSGIEnvironment) -> WSGIEnvironment:
    """A request to delete a study that is none of ours, and whose artifacts are not here:
    optuna-dashboard would answer 500 where there is no such study, as it looks for them first."""
    body = json.dumps({"remove_associated_artifacts": False}).encode()
    return {
        **environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json",
    }  # fmt: skip
