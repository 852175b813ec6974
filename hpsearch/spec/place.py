"""Places that a study file names: whether they can be one at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch import passwords, urls
from hpsearch.errors import StudyFileError
from hpsearch.spec.faults import show

if TYPE_CHECKING:
    from hpsearch.spec.faults import Faults, Path

__all__ = ["check_folder", "check_place", "check_tracking"]

_USELESS = {
    "memory": "memory:// is gone with the process that wrote there",
    "http": "http:// cannot be written to",
    "https": "https:// cannot be written to",
}
"""What fsspec knows and is no place for checkpoints, and why."""


_TRACKING = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks")
"""Kinds of places where MLflow keeps runs; of a database also with a driver behind a plus sign."""


def check_folder(path: Path, place: str, faults: Faults) -> None:
    """Note where `place`, the value at `path`, is a folder that this machine cannot have."""
    if (folder := urls.folder(place)) is None:
        return
    try:
        urls.local(folder)
    except StudyFileError:
        expected = "a folder's path, whose ~ or ~USER stands for a home folder that is here"
        faults.add(path, expected, show(place))


def check_place(place: str, faults: Faults) -> None:
    """Note where `place` is a URL with a password, or of a kind that cannot keep checkpoints."""
    scheme, path = urls.scheme(place), ("checkpoints",)
    if scheme is None:
        return
    from fsspec import available_protocols  # a tenth of a second: only for who names a URL

    # Not what is known of passwords: another one may be a word of this URL.
    protocols = [name for name in available_protocols() if name not in _USELESS]
    shown = passwords.hide(place, known=False)
    if scheme in _USELESS:
        expected = f"a folder, or a URL such as s3://BUCKET/PREFIX, as {_USELESS[scheme]}"
        faults.add(path, expected, show(shown))
        return
    if scheme not in protocols:
        expected = "a folder, or a URL that fsspec knows (s3://, gs://, az://, sftp://, ...)"
        faults.add(path, expected, show(shown), near=(scheme, protocols))
    if not place.partition("://")[2].strip("/"):
        expected = "a URL that names a bucket, or a host and a path"
        faults.add(path, expected, show(shown))
    if shown != place:
        expected = "a URL without a password, as the database keeps it for all to read"
        faults.add(path, expected, show(shown))


def check_tracking(uri: str, faults: Faults, *, private: bool = False) -> None:
    """Note where `uri` is none of MLflow's, or has a password; one that is `private` may."""
    scheme, path = urls.scheme(uri), ("track", "mlflow")
    shown = passwords.hide(uri, known=False)
    if scheme is None or scheme.partition("+")[0] not in _TRACKING:
        expected = "MLflow's server, http://HOST:5000, or its database, sqlite:///FILE"
        faults.add(path, expected, show(shown), near=(scheme or "", _TRACKING))
    elif shown != uri and not private:
        expected = (
            "a URL without a password, as the database keeps it for all to read (the workers' "
            "environment can have one: HPSEARCH_MLFLOW, or MLFLOW_TRACKING_USERNAME and _PASSWORD)"
        )
        faults.add(path, expected, show(shown))
