"""Numbers, settings and lengths of time as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpsearch.terminal import visible

__all__ = ["counted", "number", "params", "setting", "span"]


def number(value: float | None) -> str:
    """Four significant digits, as many as validation on a few thousand rows can carry."""
    if value is None:
        return "-"
    whole = 1e4 <= abs(value) < 1e6
    return f"{value:.0f}" if whole else f"{value:.4g}"


def counted(of: float, noun: str) -> str:
    """How many there are of what."""
    return f"{of:,.10g} {noun}{'' if of == 1 else 's'}"


def setting(value: Any) -> str:
    """A parameter's value, short."""
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
