"""Numbers, settings and lengths of time as people read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.forecast.pace import Span

__all__ = [
    "about",
    "counted",
    "duration",
    "number",
    "params",
    "percent",
    "rate_first",
    "rough",
    "setting",
    "signed",
    "span",
]

_UNITS = (("h", 7200.0, 3600.0), ("min", 120.0, 60.0), ("s", 1.0, 1.0), ("ms", 0.0, 1e-3))
"""A unit of time, the seconds from which it is used, and the seconds that it has."""


def number(value: float | None) -> str:
    """Four significant digits, as many as validation on a few thousand rows can carry."""
    if value is None:
        return "-"
    whole = 1e4 <= abs(value) < 1e6
    return f"{value:.0f}" if whole else f"{value:.4g}"


def signed(value: float) -> str:
    """A difference with its sign, in digits as a number has them."""
    return f"{'+' if value > 0 else ''}{number(value)}"


def percent(share: float | None) -> str:
    """A share of 1 in whole percent."""
    return "-" if share is None else f"{100 * share:.0f} %"


def counted(of: float, noun: str) -> str:
    """How many there are of what."""
    return f"{of:,.10g} {noun}{'' if of == 1 else 's'}"


def setting(value: Any) -> str:
    """A parameter's value, short; nothing as the file has it."""
    if value is None:
        return "null"
    return f"{value:.3g}" if isinstance(value, float) else visible(value, lines=False)


def params(values: Mapping[str, Any]) -> str:
    """Parameters in a line."""
    return " ".join(f"{name}={setting(value)}" for name, value in values.items())


def span(seconds: float) -> str:
    """A length of time: 45s, 3m20s, 2h05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def rough(value: float) -> str:
    """Two significant digits, as many as an estimate can carry."""
    return f"{float(f'{value:.2g}'):,.10g}"


def duration(seconds: float) -> str:
    """A length of time that is an estimate: 45 s, 12 min, 3.5 h."""
    unit, _, size = next(unit for unit in _UNITS if seconds >= unit[1])
    return f"{rough(seconds / size)} {unit}"


def about(estimate: Span, shown: Callable[[float], str] = duration) -> str:
    """An estimate, by default a length of time, and its range: about 12 min (8 to 25 min)."""
    low, high = shown(estimate.low), shown(estimate.high)
    unit = high.partition(" ")[2]
    if unit:
        low = low.removesuffix(f" {unit}")
    return f"about {shown(estimate.expected)} ({low} to {high})"


def rate_first(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in their order, but the learning rate before all others."""
    return {name: params[name] for name in sorted(params, key=lambda name: name != "lr")}
