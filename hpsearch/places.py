"""Where a study's files lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from hpsearch import urls
from hpsearch.store.engine import Database
from hpsearch.store.values import Study

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec
    from hpsearch.training.data import DataSettings

__all__ = ["checkpoint_place", "checkpoint_root", "data_settings", "default_root", "stays_here"]


def checkpoint_place(database: Database, study: Study, said: str | None = None) -> str:
    """Where a study's checkpoints lie, the same for every worker that can reach it: a folder or
    a URL.

    The option, else `checkpoints` of the study file, else `default_root`. A relative folder
    starts at the study file's.
    """
    own = f"{study.name}-{study.uid[:8]}"
    configured = said or study.document.get("checkpoints")
    root = checkpoint_root(database, configured, Path(study.base))
    return str(root / own) if root else urls.below(str(configured), own)


def checkpoint_root(database: Database, configured: str | None, base: Path) -> Path | None:
    """The folder of the studies' checkpoints; None where they lie at a URL.

    Args:
        database: The one that the workers share.
        configured: The place that an option or the study file names.
        base: The study file's folder, where a relative one starts.
    """
    if not configured:
        return default_root(database)
    folder = urls.folder(configured)
    return None if folder is None else base / Path(folder).expanduser()


def default_root(database: Database) -> Path:
    """Where checkpoints lie that nobody named a place for: beside SQLite's file, else in the
    user's data folder."""
    if database.file:
        return database.file.with_suffix(".checkpoints")
    return user_data_path("hpsearch") / "checkpoints"


def stays_here(database: Database, said: str | None, *configured: str | None) -> bool:
    """Whether checkpoints lie where no other machine finds them, though it may find the database.

    Args:
        database: The one that the workers share.
        said: The place that an option or the environment names.
        configured: The `checkpoints` of each study; none: studies that nobody knows yet.
    """
    named = said or (configured and all(configured))
    return not named and database.file is None


def data_settings(spec: StudySpec, base: Path) -> DataSettings:
    """Which data the study names; `base` is its file's folder."""
    from hpsearch.training.data import DataSettings

    data = spec.data
    return DataSettings(
        source=data.source,
        path=base / data.path if data.path else None,
        target=data.target,
        task=data.task,
        root=base / data.root if data.root else None,
        validation=data.validation,
        test=data.test or 0.0,
        seed=data.seed,
        limit=data.limit,
        ignore=tuple(data.ignore),
    )
