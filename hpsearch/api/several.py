"""What concerns several studies of a database: which there are, and how they compare."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hpsearch.api.opening import open_ledger, url_of
from hpsearch.api.study import Study
from hpsearch.errors import HpsearchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hpsearch.reports.comparing import Comparison

__all__ = ["compare", "studies"]

_log = logging.getLogger(__name__)


def studies(storage: Path | str | None) -> list[Study]:
    """All studies of a database that can be read, the first one made first; of others a warning is
    logged."""
    listed = []
    for study in open_ledger(url_of(storage)).studies():
        try:
            listed.append(Study.load(study.name, storage=storage))
        except HpsearchError as error:  # deleted meanwhile, damaged, or of a package not here
            why = str(error).removeprefix(f"study {study.name}: ")
            _log.warning("study %s: %s", study.name, why)
    return listed


def compare(names: Sequence[str], storage: Path | str | None) -> Comparison:
    """Studies of a database side by side. Raises StudyFileError for fewer than two."""
    from hpsearch.reports.comparing import comparison

    return comparison(open_ledger(url_of(storage)), names)
