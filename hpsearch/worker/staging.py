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

    def advance(self, *, idle: bool) -> bool:
        """Open the next stage if its time has come; whether there is one that was not known.

        While the trials of the stages before it are under way, an `idle` worker opens a stage of
        one early ticket of the polish: it would have nothing to train.
        """
        opened = len(self._search.stages)
        # In this order: the trials of stages whose tickets have all ended are all there to read.
        answer = self._ledger.between_stages(self._study)
        if answer is None or answer[0].opened is None:
            return False
        study, is_over = answer
        if study.awaits_stage and (is_over or (idle and study.early)):
            self._mirror.refresh()
            self._open(study, early=not is_over)
        self.read()
        if len(self._search.stages) == opened:
            return False
        _log.info("%s: the stage %s begins", self._study.name, self._search.stages[-1].name)
        return True

    def _open(self, study: Study, *, early: bool) -> None:
        """Open the stage that the trials in the mirror make, or an early ticket of the polish."""
        opened, spec = self._search.stages, self._spec.with_final(study.final)
        left = 0 if study.is_out_of_time else study.tickets - study.issued
        left -= outline.final_tickets(spec) if study.finish == "due" else 0
        in_hours = outline.in_hours(study.hours, study.ended, study.active_s)
        if in_hours is not None:  # those under way have their part of the hours
            in_hours = max(in_hours - (study.issued - study.ended), 0)
        if not early:
            stage = self._search.next_stage(study.drawn, left, held=in_hours, spec=spec)
        elif outline.spare(spec, opened, left, held=in_hours):
            stage = self._search.early_stage(study.drawn)
        else:
            return
        spare = outline.spare_behind(spec, opened, stage, left, held=in_hours)
        self._ledger.open_stage(study, len(opened), stage.as_json(), early=spare > 0)

    def read(self) -> None:
        """Read the stages that have been opened. Raises NotFoundError where there are none."""
        stages = self._search.stages
        opened = self._ledger.stages(self._study.study_id, len(stages))
        if not opened and not stages:
            raise NotFoundError(f"study {self._study.name!r} has been deleted")
        new = [Stage.from_json(stage, self._spec.space) for stage in opened]
        self._search.enter([*stages, *new])
