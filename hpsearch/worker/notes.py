"""The note of a study, kept up to date while a worker trains it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from hpsearch.errors import HpsearchError

if TYPE_CHECKING:
    from hpsearch.store.values import Study
    from hpsearch.worker.context import Context

__all__ = ["Notes"]

_LOOK_S = 30.0
"""Between two looks at whether there is something new to say. The note of a short search is written
by the command that runs it, and at its end."""

_log = logging.getLogger(__name__)


class Notes:
    """The note of one study. Of all its workers one writes, by a claim in the database."""

    def __init__(self, context: Context, study: Study) -> None:
        self._context, self._study = context, study
        self._due = time.monotonic() + _LOOK_S

    def look(self, *, now: bool = False) -> None:
        """Write what is new, from time to time or `now`. Whatever goes wrong costs the note
        alone."""
        if not now and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _LOOK_S
        from hpsearch.insight import note  # which a worker of a short search never needs

        try:
            study = self._context.ledger.current(self._study)
            if study is not None:
                note.refresh(self._context.ledger, study, self._context.name)
        except HpsearchError as error:
            _log.debug("the note of study %s was not written: %s", self._study.name, error)
