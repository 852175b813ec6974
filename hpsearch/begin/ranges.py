"""A range for a parameter of own training code, guessed from its name and its default."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["guess", "is_known"]

_RANGES: tuple[tuple[str, Any], ...] = (
    (r"(?:lr|learning_?rate|rate|eta)(?:_.*|\d)?|.*_lr", {"min": 1e-4, "max": 1e-1, "log": True}),
    (r"wd|weight_?decay|l2|l1|alpha|reg(?:ularization)?|decay",
     {"min": 1e-6, "max": 1e-2, "log": True}),
    (r".*drop(?:out)?(?:_?(?:rate|prob|p))?", {"min": 0.0, "max": 0.5}),
    (r"momentum|beta_?1", {"min": 0.8, "max": 0.98}),
    (r"gamma|beta_?2", {"min": 0.9, "max": 0.999}),
    (r"(?:train_)?batch(?:_?size)?|bs", {"values": [16, 32, 64, 128]}),
    (r".*(?:width|hidden|units|channels?|dim|embed(?:ding)?|features|filters|neurons)(?:_?size|"
     r"_?dim|s|\d)?", {"values": [32, 64, 128, 256]}),
    (r".*(?:depth|layers?|blocks?|stages)(?:\d)?", {"min": 1, "max": 4}),
    (r"optim(?:izer)?|opt", {"values": ["sgd", "adam", "adamw"]}),
    (r"act(?:ivation)?", {"values": ["relu", "tanh", "gelu"]}),
    (r"kernel(?:_?size)?", {"values": [3, 5, 7]}),
    (r"(?:n_?|num_?)?heads?", {"values": [2, 4, 8]}),
    (r"label_?smoothing|smoothing", {"min": 0.0, "max": 0.2}),
    (r"(?:.*_)?(?:weight|coef|scale|lambda|temperature|tau)", {"min": 0.01, "max": 10.0,
                                                                "log": True}),
)  # fmt: skip


def is_known(name: str) -> bool:
    """Whether a name says what a parameter is."""
    return _of_name(name) is not None


def guess(name: str, default: Any = None, choices: tuple[Any, ...] = ()) -> tuple[Any, str]:
    """A parameter as a study file has it, and what should be said of the guess; "" for nothing."""
    if choices:
        return {"values": [*choices]}, ""
    usual = _of_name(name)
    if isinstance(default, bool):
        return {"values": [False, True]}, ""
    if usual is not None:
        return _around(usual, default), ""
    if isinstance(default, int):
        low, high = max(default // 2, 1), max(2 * default, 2)
        return {"min": low, "max": high}, f"a guess around the default, {default}"
    if isinstance(default, float) and default > 0:
        guessed = {"min": default / 10, "max": default * 10, "log": True}
        return guessed, f"a guess around the default, {default:g}"
    if isinstance(default, str):
        return default, "a constant: say {values: [...]} to search it"
    return {"min": 0.0, "max": 1.0}, "a guess: its name and its default do not say what it may be"


def _of_name(name: str) -> Any:
    plain = name.lower()
    return next((usual for pattern, usual in _RANGES if re.fullmatch(pattern, plain)), None)


def _around(usual: Any, default: Any) -> Any:
    """What the name says, with room for the default."""
    if isinstance(default, bool) or not isinstance(default, (int, float, str)):
        return dict(usual)
    if "values" in usual:
        values = [*usual["values"]]
        alike = type(default) is type(values[0])
        return {"values": sorted({*values, default}) if alike and not isinstance(default, str)
                else values if default in values or not alike else [*values, default]}  # fmt: skip
    if isinstance(default, str) or default <= 0:
        return dict(usual)
    whole = isinstance(usual["min"], int)
    if whole and not isinstance(default, int):
        return dict(usual)
    ends = {"min": min(usual["min"], default), "max": max(usual["max"], default)}
    return {**usual, **{key: value if whole else float(value) for key, value in ends.items()}}
