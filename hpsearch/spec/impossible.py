"""What of a search space can never be trained: values, or combinations of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.spec.family import FAMILIES
from hpsearch.spec.restricted import involved, restricted
from hpsearch.spec.space import Choices, Grid, Parameter, Range, Space

if TYPE_CHECKING:
    from hpsearch.spec.conflicts import Rule
    from hpsearch.spec.settings import Value

__all__ = ["Combination", "Never", "combinations", "never"]

_MOST_CASES = 10_000
"""Combinations of values that are looked at one by one; of more, nothing is said in advance."""
_MOST_COUNTED = 500
"""Of those that can never be trained, for how many the cells of the whole grid are counted."""
_LISTED = 64
"""Values of a range that are looked at one by one; of a longer one its ends."""
_NAMED = 3
"""Values that a message names one by one."""


@dataclass(frozen=True)
class Never:
    """Values of a setting with which nothing can be trained, whatever else is drawn."""

    name: str
    values: str
    """In words."""
    wanted: str
    why: str


@dataclass(frozen=True)
class Combination:
    """Values that can never be trained together, each of which can beside others."""

    values: Mapping[str, Value]
    """The first such values."""
    why: str
    cells: int | None
    """So many cells of the whole grid; None: it has no end, or too many to count."""
    of: int | None

    def __str__(self) -> str:
        together = " with ".join(f"{name} {_said(value)}" for name, value in self.values.items())
        count = "" if self.cells is None else f" ({self.cells:,} of {self.of:,} cells)"
        return f"{together} can never be trained{count}: {self.why}"


def never(
    space: Space, family: str, rule: Rule, task: str | None, classes: int | None
) -> Never | None:
    """The values of one setting that break `rule` in every candidate that has them; None: none.

    Args:
        space: What is searched.
        family: The networks'.
        rule: Which rule.
        task: None where it is not known yet.
        classes: The same of their number.
    """
    return _never(space, rule, _Cases(space, family, rule, task, classes))


def _never(space: Space, rule: Rule, cases: _Cases) -> Never | None:
    for name in rule.wanted:
        bad = cases.always_bad(name)
        if bad and (name in space.names or name in space.constants):
            parameter = next((p for p in space if p.name == name), None)
            wording = _range_said(parameter, bad) if parameter else _said(bad[0])
            return Never(name, wording, rule.wanted[name], cases.why)
    return None


def combinations(
    space: Space, family: str, rules: Collection[Rule], task: str | None, classes: int | None
) -> list[Combination]:
    """The combinations of searched values that break a rule, where no value does so by itself."""
    clashes = []
    for rule in rules:
        cases = _Cases(space, family, rule, task, classes)
        if cases.bad and _never(space, rule, cases) is None:
            values = {name: cases.bad[0][name] for name in reversed(list(rule.wanted))}
            clashes.append(Combination(values, cases.why, *cases.count()))
    return clashes


class _Cases:
    """All that candidates may have of the settings of one rule."""

    def __init__(
        self, space: Space, family: str, rule: Rule, task: str | None, classes: int | None
    ) -> None:
        self._space, self._names = space, involved(space, rule.wanted)
        listed = {p.name: _few(space, p) for p in space if p.name in self._names}
        grid = Grid(restricted(space, listed, only=self._names))
        plain = {**FAMILIES[family].vocabulary(task).defaults, **space.constants}
        cells = [grid.cell(n) for n in range(grid.size)] if grid.size <= _MOST_CASES else []
        whys = [rule.breach({**plain, **cell}, task, classes) for cell in cells]
        judged = list(zip(cells, whys, strict=True))
        self._bad_cells = [cell for cell, why in judged if why]
        self._good = [{**plain, **cell} for cell, why in judged if not why]
        self.bad = [{**plain, **cell} for cell in self._bad_cells]
        """Those that break the rule, with all settings."""
        self.why = next((why for why in whys if why), "")
        """Why the first of them does."""

    def always_bad(self, name: str) -> list[Value]:
        """The values of a setting that break the rule whatever stands beside them."""
        good = {case[name] for case in self._good}
        return list(dict.fromkeys(case[name] for case in self.bad if case[name] not in good))

    def count(self) -> tuple[int | None, int | None]:
        """How many cells of the whole grid break the rule, and of how many."""
        endless = any(p.domain.size is None or _is_auto(p) for p in self._space)
        exact = all(_is_listed(p) for p in self._space if p.name in self._names)
        if endless or not exact or len(self._bad_cells) > _MOST_COUNTED:
            return None, None
        bad = (
            Grid(restricted(self._space, {name: (value,) for name, value in cell.items()})).size
            for cell in self._bad_cells
        )
        return sum(bad), Grid(self._space).size


def _few(space: Space, parameter: Parameter) -> tuple[Value, ...]:
    """All values of a parameter, or of a long range its first two, its last, and those that a
    condition names."""
    domain = parameter.domain
    if _is_listed(parameter):
        assert domain.grid is not None
        return tuple(domain.grid)
    assert isinstance(domain, Range)
    asked = (v for p in space for c in p.when if c.parameter == parameter.name for v in c.values)
    second = (
        domain.between(1, 1).low if domain.size is not None and not domain.count else domain.high
    )
    return tuple(dict.fromkeys((domain.low, second, domain.last, *asked)))


def _is_listed(parameter: Parameter) -> bool:
    domain = parameter.domain
    if isinstance(domain, Choices):
        return True
    return domain.size is not None and domain.size <= _LISTED and not domain.auto


def _is_auto(parameter: Parameter) -> bool:
    return isinstance(parameter.domain, Range) and parameter.domain.auto


def _range_said(parameter: Parameter, bad: Sequence[Value]) -> str:
    domain = parameter.domain
    if isinstance(domain, Choices):
        return " and ".join(_said(value) for value in bad)
    if _is_listed(parameter):
        values = domain.grid or ()
        are_most = len(values) > 1 and {*values[1:]} <= {*bad}
    else:  # between its ends any number is as its neighbours, but not any whole one
        values, are_most = (), domain.size is None and domain.last in bad
    if are_most:
        low = _said(domain.low)
        return f"{low} to {_said(domain.last)}" if domain.low in bad else f"values above {low}"
    named = " and ".join(_said(value) for value in bad[:_NAMED])
    if len(bad) <= _NAMED:
        return named
    return f"{named} and others" + (f", {len(bad)} of its {len(values)} values" if values else "")


def _said(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
