"""Where a study's files lie."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path

from hpsearch.store.engine import Database
from hpsearch.store.values import Study

__all__ = ["checkpoint_folder"]


def checkpoint_folder(database: Database, study: Study, said: Path | None = None) -> Path:
    """Where a study's checkpoints lie, the same for every worker that shares the file system.

    The option, else `checkpoints` of the study file, else beside SQLite's file, else the user's
    data folder.
    """
    configured = said or study.document.get("checkpoints")
    if configured:
        root = Path(study.base) / Path(configured).expanduser()
    elif database.file:
        root = database.file.with_suffix(".checkpoints")
    else:
        root = user_data_path("hpsearch") / "checkpoints"
    return root / f"{study.name}-{study.uid[:8]}"
