"""Which tickets to take next, so that a device trains as many candidates at once as it should.

A stack takes candidates of one shape. Where a ticket's shape is known beforehand, because nothing
that makes it is left to a sampler that learns, tickets of the shape in training are asked for by
their numbers. Otherwise a few are taken at a time, and where they turn out to be of many shapes no
more are until one of those is done.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from hpsearch.runner import Runner
from hpsearch.runner.candidate import Candidate
from hpsearch.search import Search
from hpsearch.spec import StudySpec
from hpsearch.stages import packing
from hpsearch.stages.candidates import candidate_of, example_of
from hpsearch.stages.results import default_point
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study

__all__ = ["Claiming", "Request"]

_REST_S = 0.5
"""Until a database that had nothing to give is asked again while candidates are in training."""


@dataclass(frozen=True)
class Request:
    """What to claim."""

    up_to: int
    wanted: Sequence[int] = ()
    """Numbers of tickets to have before others."""
    ahead: int = 0
    """More to have at hand, where the study lets a worker have such."""


class Claiming:
    """For one study on one device."""

    def __init__(
        self, ledger: Ledger, study: Study, spec: StudySpec, search: Search, runner: Runner
    ) -> None:
        self._ledger, self._study, self._spec = ledger, study, spec
        self._search, self._runner = search, runner
        example = example_of(spec, default_point(spec), "shapes")
        self._shaping = runner.shaping(example, spec.space.names)
        """The parameters on which a candidate's shape depends."""
        self._foreseen: dict[int, Candidate | None] = {}
        """By draw index, of the tickets that were upcoming the last time."""
        self._rested_at = 0.0
        self._epoch_s = 0.0

    def rest(self) -> None:
        """There was no ticket: do not ask again at once."""
        self._rested_at = time.monotonic() + _REST_S

    def trained(self, seconds: float) -> None:
        """One epoch of one candidate took so long."""
        self._epoch_s = seconds

    def wish(self, held: Sequence[Candidate]) -> Request | None:
        """What to claim beside the candidates that are held; None for nothing."""
        if not self._runner.stacks:
            return None if held else Request(1, ahead=self._ahead)
        if held and time.monotonic() < self._rested_at:
            return None
        shape_of = self._runner.shape
        shapes = [shape_of(candidate) for candidate in held]
        examples = dict(zip(shapes, held, strict=True))
        coming: list[tuple[int, Candidate | None]] = []

        def upcoming() -> list[Hashable | None]:
            coming.extend(self._upcoming())
            foreseen = [c and shape_of(c) for _, c in coming]
            for shape, (_, candidate) in zip(foreseen, coming, strict=True):
                if candidate:
                    examples.setdefault(shape, candidate)
            return foreseen

        count, places = packing.wish(
            shapes, upcoming,
            lambda shape, n: self._room(examples[shape], n),
            shaped=bool(self._shaping), epoch_s=self._epoch_s,
        )  # fmt: skip
        if count > 0:
            return Request(count, [coming[at][0] for at in places])
        if coming and coming[0][1] is not None:
            self.rest()  # to look through all that are to come takes time
        return None

    @property
    def _ahead(self) -> int:
        """Tickets to have at hand beside the one that is trained: none that is drawn by the results
        of others."""
        return 0 if self._search.learns else self._runner.ahead

    def _room(self, example: Candidate, held: int) -> int:
        """Slots to fill beside `held` candidates like this one; 0 where only a few are free."""
        slots = self._runner.fit(example).slots
        learns = self._search.learns
        return packing.room(slots, held, self._study.tickets, learns=learns)

    def _upcoming(self) -> list[tuple[int, Candidate | None]]:
        """Numbers of the next tickets, each with what is known of its candidate's shape."""
        tickets = self._ledger.upcoming(self._study.study_id, packing.AHEAD)
        before = self._foreseen
        # What can be foreseen of a ticket does not change; those behind are not asked for again.
        self._foreseen = {
            draw_index: before[draw_index] if draw_index in before else self._foresee(draw_index)
            for _, draw_index in tickets
        }
        return [(number, self._foreseen[draw_index]) for number, draw_index in tickets]

    def _foresee(self, draw_index: int) -> Candidate | None:
        values = self._search.foreseen(draw_index, self._shaping) if self._shaping else {}
        if values is None:
            return None
        return candidate_of(self._spec, self._search.stages, draw_index, values)
