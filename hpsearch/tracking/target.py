"""Which MLflow a study is delivered to, and whether it answers; MLflow itself is not loaded."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from hpsearch import passwords, urls
from hpsearch.errors import StudyFileError, TrackingError, line
from hpsearch.spec.faults import Faults
from hpsearch.spec.models import TrackSpec
from hpsearch.spec.place import check_tracking

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DUTY", "ENVIRONMENT", "MISSING", "Target", "installed", "probe", "refusal", "silence",
    "target_of",
]  # fmt: skip

ENVIRONMENT = "HPSEARCH_MLFLOW"
"""Names the MLflow of every study, before what its file says."""

DUTY = "mlflow "
"""How the names of duties begin that are a delivery to MLflow."""

MISSING = "MLflow is not installed here: pip install 'hpsearch[mlflow]'"

_PROBE_S = 5.0
_REFUSED = (401, 403)
_CREDENTIALS = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


@dataclass(frozen=True)
class Target:
    """An MLflow, and the experiment that a study's runs are in."""

    uri: str = field(repr=False)
    """MLflow's tracking URI, which may have a password; of a file with its whole path."""
    experiment: str

    @property
    def name(self) -> str:
        """The URI as people see it, without who logs in."""
        parts = urlsplit(self.uri)
        host = parts.netloc.rpartition("@")[2]
        return passwords.hide(urlunsplit(parts._replace(netloc=host)) if host else self.uri)

    @property
    def duty(self) -> str:
        """The name of the duty to deliver a study there; no two places have the same."""
        content = f"{self.uri}\n{self.experiment}".encode()
        return DUTY + hashlib.sha256(content).hexdigest()[:32]

    @property
    def artifacts(self) -> str | None:
        """Where files of a new experiment go: beside a SQLite file; None: as the server says."""
        file = _sqlite_file(self.uri)
        return None if file is None else (file.parent / "mlartifacts").as_uri()


def target_of(
    document: Mapping[str, Any], base: Path | str, option: str | None = None
) -> Target | None:
    """Where a study is delivered to; None: nowhere.

    Args:
        document: The study's.
        base: The study file's folder, where a relative path in it begins.
        option: The URI that a command names, before the environment's and the file's.

    Raises StudyFileError for what is no URI of MLflow.
    """
    section = document.get("track")
    track = TrackSpec(**section) if isinstance(section, dict) else None
    experiment = track.experiment if track else TrackSpec.model_fields["experiment"].default
    text = option or os.environ.get(ENVIRONMENT)
    if text:
        passwords.learn(text)
        return Target(_absolute(_checked(text, option is not None), Path.cwd()), experiment)
    return Target(_absolute(track.mlflow, urls.local(str(base))), experiment) if track else None


def _checked(uri: str, is_option: bool) -> str:
    faults = Faults()
    check_tracking(uri, faults, private=True)
    if len(faults):
        where = "--uri" if is_option else ENVIRONMENT
        expected = "a server, http://HOST:5000, or a database, sqlite:///FILE"
        raise StudyFileError(f"{where}: expected {expected}; got {passwords.hide(uri)!r}")
    return uri


def _sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite URI; None for another URI."""
    kind, separator, rest = uri.partition(":///")
    is_file = separator and kind.partition("+")[0] == "sqlite"
    return Path(unquote(rest.partition("?")[0])) if is_file else None


def _absolute(uri: str, base: Path) -> str:
    """The URI, of a SQLite file with its whole path."""
    if (file := _sqlite_file(uri)) is None:
        return uri.rstrip("/")
    kind, _, rest = uri.partition(":///")
    query = "".join(rest.partition("?")[1:])
    return f"{kind}:///{(base.absolute() / file)}{query}"


def installed() -> bool:
    """Whether MLflow can be used here."""
    return importlib.util.find_spec("mlflow") is not None


def probe(target: Target) -> None:
    """Raise TrackingError where it can be seen from here, within seconds, that nothing will be
    delivered to MLflow; a server of another kind than HTTP is not asked."""
    from urllib.error import HTTPError

    if (file := _sqlite_file(target.uri)) is not None:
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise TrackingError(f"MLflow's database {file} cannot be written")
        return
    if urls.scheme(target.uri) not in ("http", "https"):
        return
    try:
        with _opened(target.uri, "/api/2.0/mlflow/experiments/search?max_results=1"):
            pass
    except HTTPError as error:
        with error:
            raise TrackingError(refusal(target.name, error.code)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        cause = reason if isinstance(reason, BaseException) else error
        raise TrackingError(silence(target.name, line(cause))) from None


def refusal(name: str, code: int) -> str:
    """What to say of a server that answers with an error."""
    if code in _REFUSED:
        user, password = _CREDENTIALS
        return f"MLflow at {name} refuses the login ({code}): set {user} and {password}"
    return f"MLflow at {name} answers with an error ({code})"


def silence(name: str, why: str) -> str:
    """What to say of a server that does not answer."""
    return f"MLflow at {name} does not answer: {why[:1].lower()}{why[1:]}"


def _opened(uri: str, path: str) -> Any:
    """The answer of a server, with the login that MLflow's client would use."""
    from urllib.request import Request, urlopen  # which load all that HTTP and mail are made of

    parts = urlsplit(uri)
    user, password = (os.environ.get(name, "") for name in _CREDENTIALS)
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    request = Request(address + path)  # the scheme has been looked at
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    elif user:
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    return urlopen(request, timeout=_PROBE_S)
