"""The rows of the data that a study names, before they are split. PyTorch is not needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DataError
from hpsearch.sources import images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.sources.raw import Raw
    from hpsearch.sources.split import DataSettings

__all__ = ["read"]


def read(settings: DataSettings, decided: Mapping[str, Any] | None = None) -> Raw:
    """All rows of the data that `settings` name, by what was decided of them, if anything was.

    Raises DataError where the data is missing or not as it should be.
    """
    if settings.source not in ("table", "csv"):
        raw = images.load_images(settings.source, settings.root)
        return replace(raw, task=settings.task or raw.task)
    if settings.path is None or settings.target is None:
        raise DataError("a table needs data.path and data.target")
    if settings.source == "csv":
        from hpsearch.sources.table.version_1 import load_table_1

        return load_table_1(settings.path, settings.target, settings.task, settings.ignore)
    from hpsearch.sources.table.read import load_table

    return load_table(settings, decided)
