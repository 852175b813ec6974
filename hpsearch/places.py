"""Where a study's files lie."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path

from hpsearch import urls
from hpsearch.store.engine import Database
from hpsearch.store.values import Study

__all__ = ["checkpoint_place"]


def checkpoint_place(database: Database, study: Study, said: str | None = None) -> str:
    """Where a study's checkpoints lie, the same for every worker that can reach it: a folder or
    a URL.

    The option, else `checkpoints` of the study file, else beside SQLite's file, else the user's
    data folder. A relative folder starts at the study file's.
    """
    own = f"{study.name}-{study.uid[:8]}"
    configured = said or study.document.get("checkpoints")
    if configured:
        folder = urls.folder(configured)
        if folder is None:
            return urls.below(configured, own)
        root = Path(study.base) / Path(folder).expanduser()
    elif database.file:
        root = database.file.with_suffix(".checkpoints")
    else:
        root = user_data_path("hpsearch") / "checkpoints"
    return str(root / own)
