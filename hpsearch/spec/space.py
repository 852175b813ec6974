"""Parameters, their conditions and groups, and the cells of a grid: pure values.

Every sampler speaks of a parameter through two faces: `at(u)`, the value at a point of the unit
interval, and `grid`, its values in order. So random and quasi-random search are one mapping of
points of the unit cube, and a grid is a number in mixed radix.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from hpsearch.spec.settings import Value

__all__ = ["Assignment", "Choices", "Condition", "Grid", "Parameter", "Range", "Space", "label"]

Assignment = Mapping[str, Value]
"""Parameter name -> value, of the active parameters only."""


def label(value: Value) -> bool | int | float | str | None:
    """`value` as Optuna stores a category: a list of sizes becomes text, `512-512`."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both inclusive."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    integer: bool = False
    count: int | None = None
    """How many points a grid takes from a range of real numbers, spaced evenly (log: by ratio)."""
    auto: bool = False
    """Whether `high` stands for what a device has room for, which is not known yet."""

    def at(self, u: float) -> int | float:
        """The value at `u` in [0, 1): uniform over the range, or over its logarithm."""
        if not (self.integer or self.step):
            return min(max(self._between(self.low, self.high, u), self.low), self.high)
        # Half a step is added at each end, so that the first and last values are as likely
        # as the others (the same rounding as Optuna's search space transform).
        step = self.step or 1
        low, high = self.low - step / 2, self.last + step / 2
        raw = self._between(low, high, u)
        return self._value(min(max(round((raw - self.low) / step), 0), self._steps))

    def _between(self, low: float, high: float, u: float) -> float:
        if self.log:
            return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
        return low + u * (high - low)

    @property
    def _steps(self) -> int:
        """How many whole steps lie between the first and the last value."""
        # A little is added, because (0.3 - 0.0) / 0.1 falls just short of 3.
        return math.floor((self.high - self.low) / (self.step or 1) + 1e-9)

    def _value(self, steps: int) -> int | float:
        """The value that many steps above the first."""
        value = self._spot(steps)
        return value if self.integer else min(max(value, self.low), self.high)

    def _spot(self, steps: int) -> int | float:
        """Where so many steps lead, even out of the range."""
        if self.integer:
            return int(self.low) + steps * int(self.step or 1)
        # Rounded far below the step, so that 0.1 + 2 * 0.1 is 0.3 in every report.
        step = self.step or 1.0
        return round(self.low + steps * step, 10 - math.floor(math.log10(step)))

    def steps_to(self, value: float) -> int:
        """How many whole steps a value lies above the first, about."""
        return round((value - self.low) / (self.step or 1))

    def between(self, first: int, last: int) -> Range:
        """The part from so many steps above the first value to so many, as far as it reaches."""
        low, high = (self._value(min(max(steps, 0), self._steps)) for steps in (first, last))
        return replace(self, low=low, high=high)

    def share(self, value: Value) -> float | None:
        """How far along the range a value lies, on its scale: 0 at `low`, 1 at the last one.

        None for what is no number.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float)) or self.last == self.low:
            return None
        low, high, at = ((math.log(x) if self.log else x) for x in (self.low, self.last, value))
        return (at - low) / (high - low)

    def stretched(self, first: float, last: float) -> Range:
        """The range between two shares of this one, below 0 and above 1 beyond its ends."""
        if self.integer or self.step:
            step = self.step or 1
            spots = (self._between(self.low, self.last, share) for share in (first, last))
            low, high = (self._spot(round((spot - self.low) / step)) for spot in spots)
            return replace(self, low=low, high=high)
        low, high = (self._between(self.low, self.high, share) for share in (first, last))
        return replace(self, low=low, high=high)

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value that a trial may have."""
        return self.low, self.last

    @property
    def last(self) -> int | float:
        """The largest value that a trial may have: below `high` where the last step falls short."""
        return self._value(self._steps) if self.integer or self.step else self.high

    @property
    def size(self) -> int | None:
        """How many values a grid takes; None where the range has no end of them."""
        if self.integer or self.step:
            return self._steps + 1
        return 1 if self.count and self.low == self.high else self.count

    @cached_property
    def grid(self) -> tuple[int | float, ...] | None:
        """The grid's values in order; None where the range has no end of them."""
        if self.size is None:
            return None
        if self.integer or self.step:
            return tuple(self._value(i) for i in range(self.size))
        if self.size == 1:
            return (self.low,)
        inner = (self._between(self.low, self.high, i / (self.size - 1)) for i in range(self.size))
        # 12 digits, so that the middle of 0.01 and 1 is 0.1.
        rounded = [min(max(float(f"{p:.12g}"), self.low), self.high) for p in inner]
        return (self.low, *rounded[1:-1], self.high)

    def contains(self, value: Value) -> bool:
        """Whether a trial may have this value."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if not self.low <= value <= self.high or (self.integer and value != int(value)):
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-6


@dataclass(frozen=True)
class Choices:
    """One of a few values, in no order."""

    values: tuple[Value, ...]

    def at(self, u: float) -> Value:
        """The value at `u` in [0, 1): each as likely as the others."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    @property
    def rises(self) -> bool:
        """Whether they are numbers in rising order, and so a range of steps."""
        numbers = [
            v for v in self.values if isinstance(v, (int, float)) and not isinstance(v, bool)
        ]
        return len(numbers) == len(self.values) and numbers == sorted(set(numbers))

    def share(self, value: Value) -> float | None:
        """How far along numbers in rising order a value stands: 0 the first, 1 the last one.

        None for others, which have no order.
        """
        if not self.rises or value not in self.values or len(self.values) == 1:
            return None
        return self.values.index(value) / (len(self.values) - 1)

    @property
    def ends(self) -> tuple[Value, Value]:
        """The first and the last of the values."""
        return self.values[0], self.values[-1]

    @property
    def grid(self) -> tuple[Value, ...]:
        """The values as the file lists them."""
        return self.values

    @property
    def size(self) -> int:
        """How many values a grid takes."""
        return len(self.values)

    def contains(self, value: Value) -> bool:
        """Whether a trial may have this value; 1 is not true, and not 1.0."""
        return any(value == v and type(value) is type(v) for v in self.values)


@dataclass(frozen=True)
class Condition:
    """A parameter exists only where another one has one of these values."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter that the search varies, and the priority group it belongs to."""

    name: str
    group: str
    domain: Range | Choices
    default: Value = None
    when: tuple[Condition, ...] = ()
    cap: str | None = None
    """Where its upper end comes from, where that is what a device has room for: nothing can go
    beyond it."""

    def unlabelled(self, kept: Value) -> Value:
        """The value that Optuna keeps so: lists of sizes are text there."""
        if isinstance(self.domain, Choices):
            return next(v for v in self.domain.values if label(v) == kept)
        assert isinstance(kept, (int, float))
        return int(kept) if self.domain.integer else float(kept)

    def active(self, values: Assignment) -> bool:
        """Whether the parameter exists, given the values of those it depends on.

        A parameter whose own condition does not hold has no value, so neither does one that
        depends on it.
        """
        return all(c.parameter in values and values[c.parameter] in c.values for c in self.when)


@dataclass(frozen=True)
class Space:
    """What a study searches: its parameters (those that others depend on first), and constants."""

    parameters: tuple[Parameter, ...]
    constants: Assignment = field(default_factory=dict)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters, in their order."""
        return tuple(p.name for p in self.parameters)

    def assignment(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Those that a trial has, from what Optuna keeps of it."""
        return {p.name: p.unlabelled(params[p.name]) for p in self if p.name in params}

    def part(self, names: Container[str]) -> Space:
        """Some of the parameters, without their conditions on searched parameters beside them.

        Whether those hold is known only to who draws the others.
        """
        others = {p.name for p in self.parameters if p.name not in names}
        return Space(
            tuple(
                replace(p, when=tuple(c for c in p.when if c.parameter not in others))
                for p in self.parameters
                if p.name in names
            ),
            self.constants,
        )


class Grid:
    """Every combination of the parameters' values, each known by its number.

    The number is read in mixed radix, the last parameter running fastest. A parameter that is
    inactive under a combination takes no digit, so no cell comes twice.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._asked: dict[str, list[Condition]] = {}
        for condition in (c for p in space for c in p.when):
            self._asked.setdefault(condition.parameter, []).append(condition)
        self._kinds: dict[str, dict[_Answers, tuple[Value, int]]] = {}
        self._sizes: dict[tuple[int, tuple[tuple[str, _Answers], ...]], int] = {}

    @property
    def size(self) -> int:
        """Number of cells."""
        return self._size(0, {})

    def cell(self, number: int) -> dict[str, Value]:
        """The assignment of cell `number`, counted from 0; IndexError beyond the last."""
        if not 0 <= number < self.size:
            raise IndexError(f"cell {number} of a grid of {self.size}")
        values: dict[str, Value] = {}
        for index, parameter in enumerate(self._space):
            if not parameter.active({**self._space.constants, **values}):
                continue
            grid = _values(parameter)
            if parameter.name not in self._asked:
                digit, number = divmod(number, self._size(index + 1, values))
                values[parameter.name] = grid[digit]
                continue
            for value in grid:
                below = self._size(index + 1, {**values, parameter.name: value})
                if number < below:
                    values[parameter.name] = value
                    break
                number -= below
        return values

    def _size(self, index: int, values: Assignment) -> int:
        """Number of cells that parameters from `index` on span, under the values so far."""
        if index == len(self._space):
            return 1
        # Only how conditions answer can change the count, so values that answer alike share it.
        asked = {k: v for k, v in values.items() if k in self._asked}
        key = (index, tuple((k, self._answers(k, v)) for k, v in asked.items()))
        if key not in self._sizes:
            self._sizes[key] = self._count(index, asked)
        return self._sizes[key]

    def _count(self, index: int, known: dict[str, Value]) -> int:
        parameter = self._space.parameters[index]
        if not parameter.active({**self._space.constants, **known}):
            return self._size(index + 1, known)
        if parameter.name not in self._asked:
            return _finite(parameter, parameter.domain.size) * self._size(index + 1, known)
        return sum(
            times * self._size(index + 1, {**known, parameter.name: value})
            for value, times in self._alike(parameter).values()
        )

    def _answers(self, name: str, value: Value) -> _Answers:
        """For each condition on parameter `name`, whether `value` meets it."""
        return tuple(value in condition.values for condition in self._asked[name])

    def _alike(self, parameter: Parameter) -> dict[_Answers, tuple[Value, int]]:
        """The parameter's values by how conditions answer: one of them, and how many."""
        if parameter.name not in self._kinds:
            kinds: dict[_Answers, tuple[Value, int]] = {}
            for value in _values(parameter):
                answers = self._answers(parameter.name, value)
                first, times = kinds.get(answers, (value, 0))
                kinds[answers] = (first, times + 1)
            self._kinds[parameter.name] = kinds
        return self._kinds[parameter.name]


_Answers = tuple[bool, ...]
_T = TypeVar("_T")


def _values(parameter: Parameter) -> tuple[Value, ...]:
    return _finite(parameter, parameter.domain.grid)


def _finite(parameter: Parameter, value: _T | None) -> _T:
    if value is None:
        raise ValueError(f"{parameter.name} has no end of values; give it a step or a count")
    return value
