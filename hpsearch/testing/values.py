"""Values of settings and metrics that checks try and compare."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.spec.settings import Setting
    from hpsearch.spec.task import Metric

__all__ = ["best_of", "is_near", "is_within", "others"]

_CLOSE = 1e-5
"""Relative, in single precision: what is left of another order of sums."""


def others(setting: Setting) -> list[Any]:
    """Some values of a setting that are not its default."""
    if setting.kind == "bool":
        return [not setting.default]
    if setting.kind == "choice":
        return [choice for choice in setting.choices if choice != setting.default]
    numbers = [setting.low, setting.high, 0.5, 1, 2]
    values = [int(n) if setting.kind == "int" else float(n) for n in numbers if n is not None]
    return [value for value in values if setting.accepts(value) and value != setting.default]


def best_of(metric: Metric) -> float:
    """The best that a metric can be; infinite where there is none."""
    return metric.high if metric.direction == "maximize" else metric.low


def is_within(value: float, metric: Metric) -> bool:
    """Whether a value is one that the metric can have."""
    room = _CLOSE * max(1.0, abs(value))
    return math.isfinite(value) and metric.low - room <= value <= metric.high + room


def is_near(one: float | Tensor, other: float | Tensor) -> bool:
    """Whether two numbers are the same but for their last digits."""
    return math.isclose(float(one), float(other), rel_tol=_CLOSE, abs_tol=_CLOSE)
