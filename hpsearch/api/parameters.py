"""Parameters of a study as Python says them: the entries of a study file, by three short names.

    parameters={"lr": hp.log(1e-4, 1e-1), "depth": hp.range(1, 4), "width": hp.choice(32, 64)}

A value that is none of these is a constant, as in a study file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

__all__ = ["When", "choice", "log", "plain", "range"]

When = Mapping[str, Any]
"""Parameters and the values of them with which another one is searched: `{"optimizer": "sgd"}`."""


def log(
    low: float, high: float, *, default: float | None = None, when: When | None = None
) -> dict[str, Any]:
    """A number between `low` and `high`, both included, drawn on a logarithmic scale.

    Args:
        low: The smallest value, above 0.
        high: The largest value. If both ends are whole numbers, so are all values.
        default: The value in the default configuration.
        when: Values of other parameters for which this one is searched:
            `when={"optimizer": "sgd"}`.
    """
    return _entry({"min": low, "max": high, "log": True}, default, when)


def range(
    low: float, high: float, *, step: float | None = None, count: int | None = None,
    default: float | None = None, when: When | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A number between `low` and `high`, both included; a whole number if both ends are.

    Args:
        low: The smallest value.
        high: The largest value.
        step: The distance between two values; None: any value in the range.
        count: How many values a grid search takes from the range.
        default: The value in the default configuration.
        when: Values of other parameters for which this one is searched.
    """
    numbers = {"step": step, "count": count}
    given = {key: value for key, value in numbers.items() if value is not None}
    return _entry({"min": low, "max": high, **given}, default, when)


def choice(*values: Any, default: Any = None, when: When | None = None) -> dict[str, Any]:
    """One of these values: numbers, texts, booleans, or lists of sizes.

    Args:
        *values: The values.
        default: The value in the default configuration.
        when: Values of other parameters for which this one is searched.
    """
    return _entry({"values": list(values)}, default, when)


def _entry(domain: dict[str, Any], default: Any, when: When | None) -> dict[str, Any]:
    if default is not None:
        domain["default"] = default
    if when is not None:
        domain["when"] = dict(when)
    return domain


def plain(value: Any) -> Any:
    """A value as YAML would have it: NumPy's numbers become Python's, tuples lists, paths texts.

    What is nothing of that stays as it is, for the study's check to name it.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    shape, item = getattr(value, "shape", None), getattr(value, "item", None)
    return item() if shape == () and callable(item) else value
