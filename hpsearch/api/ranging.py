"""Which learning rates suit a study's default configuration, before anything is searched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.api.opening import settings_kept
from hpsearch.errors import HpsearchError, StudyFileError, line

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.preflight.lr_range import RangeTest
    from hpsearch.spec import StudySpec

__all__ = ["Rates", "rates"]

_LOW, _HIGH = 1e-6, 10.0
"""The rates that are tried where the study does not search the learning rate."""
_BEYOND = 10.0
"""So many times below and above the study's range: whether that lies well is the question."""


@dataclass(frozen=True)
class Rates:
    """What a range test has found."""

    test: RangeTest
    suggested: float | None
    """Where the loss falls fastest, to two digits; None: it does not fall, but for chance."""
    largest: float | None
    """From which on it rises; None: it does not."""
    searched: tuple[float, ...]
    """The ends of the study's own range, or its values in order; none: it does not search lr."""
    nearest: float | None
    """The suggested rate as the study can have it: of a list of values the nearest; None where it
    lies outside, or none is searched."""

    @property
    def is_inside(self) -> bool | None:
        """Whether the suggested rate is in the study's range; None where one of them is missing."""
        if not self.searched or not self.suggested:
            return None
        return self.searched[0] <= self.suggested <= self.searched[-1]


def rates(spec: StudySpec, base: Path, device: str | None = None) -> Rates:
    """Try learning rates on the default configuration: a range test of a few seconds.

    Args:
        spec: The study.
        base: The study file's folder.
        device: Where; None: the first device of this machine.

    Raises HpsearchError where that configuration cannot be trained, StudyFileError for own training
    code.
    """
    from hpsearch.weights import weighed

    if spec.data is None:
        raise StudyFileError(
            f"study {spec.name!r} has its own training code: the range test is for networks that "
            "hpsearch trains. Search yours over a wide range, lr: {min: 1e-5, max: 1e-1, log: true}"
        )
    searched = _searched(spec)
    low, high = (searched[0] / _BEYOND, searched[-1] * _BEYOND) if searched else (_LOW, _HIGH)
    test = _tested(weighed(spec, base), base, device, max(low, _LOW / _BEYOND), high)
    suggested, largest = (r and float(f"{r:.1e}") for r in (test.steepest, test.largest))
    return Rates(test, suggested, largest, tuple(searched), _nearest(spec, searched, suggested))


def _searched(spec: StudySpec) -> list[float]:
    domains = [parameter.domain for parameter in spec.space if parameter.name == "lr"]
    values = [v for domain in domains for v in getattr(domain, "values", domain.ends)]
    return sorted(v for v in values if isinstance(v, (int, float)))


def _nearest(spec: StudySpec, searched: Sequence[float], rate: float | None) -> float | None:
    if rate is None or not searched or not searched[0] <= rate <= searched[-1]:
        return None
    if any(p.name == "lr" and p.domain.contains(rate) for p in spec.space):
        return rate
    logarithm = math.log(rate)  # of a list of values
    return min(searched, key=lambda value: abs(math.log(value) - logarithm))


def _tested(
    spec: StudySpec, base: Path, device: str | None, low: float, high: float
) -> RangeTest:  # fmt: skip
    from hpsearch.preflight.lr_range import range_test
    from hpsearch.sources.opening import open_data
    from hpsearch.stages.candidates import example_of
    from hpsearch.stages.results import default_point
    from hpsearch.training import devices

    chosen = devices.device(device or devices.local()[0])
    with settings_kept():
        devices.prepare(chosen, None)
        dataset = open_data(spec, base, chosen)
        candidate = example_of(spec, default_point(spec), "range test")
        try:
            return range_test(candidate, dataset, chosen, low, high)
        except (ArithmeticError, ValueError) as error:
            why = f"the default configuration cannot be trained: {line(error)}"
            raise HpsearchError(why) from None
