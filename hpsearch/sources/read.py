"""The rows of the data that a study names, before they are split. PyTorch is not needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpsearch.files import refusals_told
from hpsearch.sources.normal import marked
from hpsearch.sources.raw import Raw
from hpsearch.spec.registry import named
from hpsearch.spec.source import SOURCES
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.sources.split import DataSettings

__all__ = ["read"]


def read(settings: DataSettings, decided: Mapping[str, Any] | None = None) -> Raw:
    """All rows of the data that `settings` name, by what was decided of them, if anything was.

    Raises DataError where the data is missing or not as it should be, and CodeError where a source
    of an installed package fails.
    """
    section = settings.section
    with SOURCES.blamed(section.source), refusals_told():
        raw = named(SOURCES[section.source].read)(section, settings.base, decided)
        if not isinstance(raw, Raw):
            raise TypeError(f"read has to give a Raw, and gave a {type(raw).__name__}")
    raw = replace(raw, task=section.task or raw.task)
    return marked(raw, section) if TASKS[raw.task].target == "inputs" else raw
