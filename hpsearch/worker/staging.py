"""Which stages a study has, on one worker: it reads those that others opened, and opens the next.

Nothing is kept here that the database does not have: a worker that dies in between leaves a stage
that is open, or one that the next worker opens.
"""

from __future__ import annotations

import logging

from hpsearch.errors import NotFoundError
from hpsearch.search import Search
from hpsearch.spec import StudySpec
from hpsearch.stages import outline
from hpsearch.stages.stage import Stage
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Lease, Study

__all__ = ["Staging"]

_log = logging.getLogger(__name__)


class Staging:
    """The stages of one study, which `search` draws by."""

    def __init__(
        self, ledger: Ledger, study: Study, spec: StudySpec, search: Search, mirror: Mirror
    ) -> None:
        """Reads those that are open."""
        self._ledger, self._study, self._spec = ledger, study, spec
        self._search, self._mirror = search, mirror
        self.read()

    def covers(self, lease: Lease) -> bool:
        """Whether the stage of that ticket is known here."""
        end = self._search.stages[-1].end
        return lease.opened is None if end is None else lease.draw_index < end

    def follow(self) -> None:
        """Read what others may have opened meanwhile, where the newest stage has an end.

        Where it has none, a finish can be asked for that somebody has opened since: `covers` knows
        it by the tickets, and what is missing has to be `read`.
        """
        if self._search.stages[-1].end is not None:
            self.read()

    def advance(self) -> bool:
        """Open the next stage if its time has come; whether there is one that was not known."""
        known = len(self._search.stages)
        # In this order: the trials of a study whose tickets have all ended are all there to read.
        study = self._ledger.current(self._study)
        if study is None or study.opened is None:
            return False
        if study.awaits_stage:
            self._mirror.refresh()
            spec = self._spec.with_final(study.final)
            left = 0 if study.is_out_of_time else study.tickets - study.issued
            left -= outline.final_tickets(spec) if study.finish == "due" else 0
            held = outline.in_hours(study.hours, study.ended, study.active_s)
            stage = self._search.next_stage(study.drawn, left, held=held, spec=spec)
            self._ledger.open_stage(study, known, stage.as_json())
        self.read()
        if len(self._search.stages) == known:
            return False
        _log.info("%s: the stage %s begins", self._study.name, self._search.stages[-1].name)
        return True

    def read(self) -> None:
        """Read all stages that have been opened. Raises NotFoundError where there are none."""
        found = self._ledger.stages(self._study.study_id)
        if not found and not self._search.stages:
            raise NotFoundError(f"study {self._study.name!r} has been deleted")
        if found:  # else it has been deleted while it was in training
            self._search.enter([Stage.from_json(stage, self._spec.space) for stage in found])
