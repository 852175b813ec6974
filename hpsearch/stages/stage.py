"""A stage of one study: what its tickets draw, from which ranges, beside which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from hpsearch.spec.settings import FINAL, Value
from hpsearch.spec.space import Assignment, Choices, Grid, Parameter, Range, Space

__all__ = ["PlannedStage", "Stage"]


@dataclass(frozen=True)
class PlannedStage:
    """A stage before it is known what comes out of those before it."""

    name: str
    """warmup, a priority group, polish, joint, or a step of the recipe."""
    share: float
    """Of the tickets, next to the others' shares."""
    retune: tuple[str, ...] = ()
    """Parameters of other groups that are searched beside the group's, in a narrow range."""


@dataclass(frozen=True)
class Stage:
    """A stage of one study that has been opened."""

    name: str
    first: int
    """The draw index of its first ticket."""
    count: int | None
    """Its tickets; None: all there are."""
    parameters: tuple[Parameter, ...] = ()
    """Those that are drawn, each with the range that it is drawn from."""
    samplers: Mapping[str, str] = field(default_factory=dict)
    """Of each of those by name, who draws it."""
    points: tuple[Assignment, ...] = ()
    """What its first tickets run; what a point does not name has its default, or is drawn."""
    bases: tuple[Assignment, ...] = ()
    """What it holds: its tickets take turns."""
    rescaled: bool = False
    """Whether a learning rate that is drawn is meant for the base's batch size."""
    before: int = 0
    """Tickets of earlier stages that drew from the same ranges: a grid continues after them."""

    @property
    def end(self) -> int | None:
        """The draw index behind its last ticket; None where it has all there are."""
        return None if self.count is None else self.first + self.count

    @cached_property
    def free(self) -> Mapping[str, Parameter]:
        """The parameters that are drawn, by name."""
        return {p.name: p for p in self.parameters}

    def point(self, draw_index: int) -> Assignment | None:
        """The point that the ticket of that draw index runs; None where it is drawn."""
        index = draw_index - self.first
        return self.points[index] if index < len(self.points) else None

    def seed(self, draw_index: int) -> tuple[object, ...]:
        """What the ticket of that draw index has its seed from, beside the study's.

        In a finish that is the same for the same repeat of each base, so that their results can be
        compared in pairs.
        """
        if self.name != FINAL:
            return "candidate", draw_index
        return FINAL, self.first, self.place(draw_index)[0]

    def place(self, draw_index: int) -> tuple[int, int]:
        """The repeat that the ticket of that draw index is, and which of the bases it has in it."""
        return divmod(draw_index - self.first, max(len(self.bases), 1))

    def base(self, draw_index: int) -> Assignment:
        """What the ticket of that draw index holds."""
        return self.bases[self.place(draw_index)[1]] if self.bases else {}

    def grid(self, held: Assignment) -> Grid:
        """The cells of what is searched by grid, beside the constants and what else is `held`."""
        names = [p.name for p in self.parameters if self.samplers[p.name] == "grid"]
        return Grid(Space(self.parameters, held).part(names))

    def as_json(self) -> dict[str, Any]:
        """Plain values; `from_json` makes a stage of them again."""
        return {
            "name": self.name, "first": self.first, "count": self.count,
            "domains": {p.name: _plain_domain(p.domain) for p in self.parameters},
            "samplers": dict(self.samplers),
            "points": [_plain(point) for point in self.points],
            "bases": [_plain(base) for base in self.bases],
            "rescaled": self.rescaled,
            "before": self.before,
        }  # fmt: skip

    @classmethod
    def from_json(cls, plain: Mapping[str, Any], space: Space) -> Stage:
        """The stage of `as_json`, of a study with that space."""
        drawn = plain["domains"]
        return cls(
            plain["name"], plain["first"], plain["count"],
            tuple(replace(p, domain=_domain(p.domain, drawn[p.name]))
                  for p in space if p.name in drawn),
            plain["samplers"],
            tuple(_assignment(point) for point in plain["points"]),
            tuple(_assignment(base) for base in plain["bases"]),
            plain["rescaled"],
            plain["before"],
        )  # fmt: skip


def _plain(values: Assignment) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def _assignment(plain: Mapping[str, Any]) -> dict[str, Value]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}


def _plain_domain(domain: Range | Choices) -> Any:
    if isinstance(domain, Range):
        return {"min": domain.low, "max": domain.high}
    return [list(v) if isinstance(v, tuple) else v for v in domain.values]


def _domain(whole: Range | Choices, plain: Any) -> Range | Choices:
    if isinstance(whole, Range):
        return replace(whole, low=plain["min"], high=plain["max"])
    return Choices(tuple(tuple(v) if isinstance(v, list) else v for v in plain))
