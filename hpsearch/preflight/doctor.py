"""Look at devices, database, data and versions: what works, and what fixes the rest."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from hpsearch import passwords
from hpsearch._version import __version__
from hpsearch.checkpoints.places import default_root, stays_here
from hpsearch.errors import HpsearchError, SchemaError, StorageError, TrackingError
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.source import SOURCES
from hpsearch.spec.task import TASKS
from hpsearch.store.engine import Database, storage_url
from hpsearch.store.ledger import Ledger
from hpsearch.store.tables import is_ready
from hpsearch.store.upgrades import pending
from hpsearch.tracking.target import ENVIRONMENT, MISSING, installed, probe, target_of

__all__ = ["Finding", "check_database", "examine"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    works: bool
    needed: bool
    """Whether hpsearch is of no use without it."""
    said: str
    fix: str = ""
    """What to do where it does not work."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine(storage: str | None) -> list[Finding]:
    """Everything that a search on this machine needs."""
    return [
        *_versions(), *_devices(), _database(storage), *_checkpoints(storage), *_tracking(),
        *_data(), *_packages(),
    ]  # fmt: skip


def check_database(storage: str | None) -> dict[str, Any]:
    """Facts about the database; changes nothing. Raises StorageError or SchemaError."""
    database = Database(storage_url(storage))
    if database.file and not database.file.exists():
        return {"database": database.name, "state": "not made yet; hpsearch db init makes it"}
    if not is_ready(database):
        return {"database": database.name, "state": "reached, empty; hpsearch db init prepares it"}
    studies = Ledger(database).studies()
    return {
        "database": database.name,
        "state": "ready",
        "server": database.version(),
        "studies": len(studies),
        "open": sum(study.state == "open" for study in studies),
    }


def _versions() -> Iterator[Finding]:
    yield Finding("python", True, True, platform.python_version())
    yield Finding("hpsearch", True, True, __version__)
    for package in ("torch", "torchvision", "optuna", "sqlalchemy"):
        yield Finding(package, True, True, version(package))


def _devices() -> Iterator[Finding]:
    from hpsearch.training import devices

    names = devices.local()
    for name in names:
        description = devices.describe(devices.device(name))
        yield Finding(f"device {name}", True, True, description)
    if names == ["cpu"]:
        yield Finding(
            "accelerator", False, False, "none that PyTorch can use",
            "with an NVIDIA GPU: install its driver, and a PyTorch that fits it",
        )  # fmt: skip


def _database(storage: str | None) -> Finding:
    try:
        facts = check_database(storage)
    except StorageError as error:
        return Finding("database", False, True, str(error), _fix(storage, error))
    return Finding("database", True, True, f"{facts['database']}: {facts['state']}")


def _fix(storage: str | None, error: StorageError) -> str:
    """What to do about a database that cannot be used."""
    if isinstance(error, SchemaError):
        with contextlib.suppress(StorageError):
            pending(Database(storage_url(storage)))  # raises where no way leads on from it
            return "run hpsearch db upgrade"
    return "name another one with --storage or HPSEARCH_STORAGE, or fix what it says"


def _checkpoints(storage: str | None) -> Iterator[Finding]:
    try:
        database = Database(storage_url(storage))
    except StorageError:  # which is said already
        return
    setting = os.environ.get("HPSEARCH_CHECKPOINTS")
    place = passwords.hide(setting or default_root(database))
    if stays_here(database, setting):
        yield Finding(
            "checkpoints", False, False,
            f"{place} on each machine by itself, where a study names no place: a trial that moves "
            "to another machine starts again",
            "name a place that all machines reach in HPSEARCH_CHECKPOINTS, on each of them",
        )  # fmt: skip
    else:
        yield Finding("checkpoints", True, False, f"{place}, where a study names no other place")


def _tracking() -> Iterator[Finding]:
    try:
        target = target_of({}, "")
        if target is None:
            return
        if not installed():
            raise TrackingError(MISSING)
        probe(target)
    except HpsearchError as error:
        fix = f"studies are searched all the same; fix that, or unset {ENVIRONMENT}"
        yield Finding("mlflow", False, False, str(error), fix)
    else:
        yield Finding("mlflow", True, False, target.name)


def _data() -> Iterator[Finding]:
    from hpsearch.sources.readymade import find, locations

    for name, source in SOURCES.all(installed=False).items():
        if not source.folder:
            continue
        path = find(name)
        looked = ", ".join(map(str, locations(name, None)))
        where = str(path) if path else f"not in {looked}"
        fix = "name its folder in HPSEARCH_DATA, or let the first study that needs it download it"
        yield Finding(f"data {name}", path is not None, False, where, fix)


def _packages() -> Iterator[Finding]:
    """What installed packages add, a line each, and what of it is left out."""
    for registry in (FAMILIES, SOURCES, TASKS):
        for what, package, why in registry.added():
            fix = "hpsearch works without it; fix the package, or uninstall it" if why else ""
            yield Finding(what, not why, False, why or package, fix)
