"""One parameter as W&B, Katib, Ray, Optuna, Hyperopt, NNI or Hydra write it -> as a study file
does.

Their words for distributions are the same few: a name such as `loguniform` or
`q_log_uniform_values` says what is drawn (`uniform`, `int`, `choice`), whether in the logarithm,
and whether in steps.

Sources: docs.wandb.ai/guides/sweeps/sweep-config-keys; Katib's `feasibleSpace`; Ray's
`tune.search.sample`; Optuna's `Trial.suggest_*`; Hyperopt's `hp`; NNI's `_type`; Hydra's sweeps.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Translated", "called", "in_text", "number", "theirs", "translated", "written"]

_OURS = frozenset({"min", "max", "step", "log", "count", "values", "default", "when", "cap"})
_MARKS = frozenset({
    "value", "distribution", "type", "_type", "_value", "bounds", "range", "low", "high", "lower",
    "upper", "choices", "options", "categories", "parameterType", "parametertype", "feasibleSpace",
    "feasible_space", "log_scale", "logscale", "mu", "sigma", "probabilities", "q",
})  # fmt: skip
"""Keys of a parameter that are another program's and none of ours."""

_LOW = ("min", "low", "lower", "minValue")
_HIGH = ("max", "high", "upper", "maxValue")
_LISTS = ("values", "choices", "options", "categories", "list")
_CHOICES = frozenset({"choice", "categorical", "gridsearch", "suggestcategorical", "discrete",
                      "pchoice", "constant", "categoricalwprobabilities", "fixed"})  # fmt: skip
_CALLS = re.compile(
    r"(?:(?:ray\.)?tune|hp|trial|optuna\.distributions|nni)?\.?"
    r"(?:(?:suggest_)?(?:q_?)?(?:log)?_?(?:rand|float|int|uniform|discrete_uniform|uniform_?int)|"
    r"(?:suggest_)?(?:q_?)?(?:log_?uniform|log_?rand_?int|rand_?int|randn|normal|log_?normal)|"
    r"(?:suggest_)?categorical|p?choice|grid_search|interval|tag|range|"
    r"(?:Float|Int|Categorical)Distribution|sample_from)\s*\(.*\)",
    re.DOTALL,
)
_NORMAL_REACH = 2.0
"""Standard deviations that a range reaches to each side of a normal distribution's mean: 95 %."""


@dataclass(frozen=True)
class Translated:
    """A parameter in the words of a study file."""

    ours: Any
    """A mapping with min and max, or with values; anything else is a constant."""
    lost: str = ""
    """What of it has no counterpart, as a sentence begins; "" for nothing."""


def number(value: object) -> float | None:
    """A number, also where it is written as a text; whole ones stay whole. None for no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    try:
        parsed = float(value)
    except ValueError:
        return None
    whole = re.fullmatch(r"[-+]?[0-9]{1,18}", value.strip())
    return int(value) if whole else parsed if math.isfinite(parsed) else None


def called(raw: object) -> bool:
    """Whether a text is a call as Ray, Optuna or Hyperopt write it: `loguniform(1e-4, 1e-1)`."""
    return isinstance(raw, str) and _CALLS.fullmatch(raw.strip()) is not None


def translated(raw: object) -> Translated | None:
    """A parameter that another program would read, as a study file has it; None where it is none of
    theirs, or cannot be said."""
    if isinstance(raw, str):
        return _of_call(raw.strip()) if called(raw) else None
    if not isinstance(raw, Mapping) or not raw.keys() & _MARKS:
        return None
    try:
        return _of_mapping(raw)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None


def theirs(raw: Mapping[str, object]) -> list[str]:
    """The keys of such a parameter that are none of ours."""
    return [key for key in raw if key not in _OURS]


def written(ours: object) -> str:
    """A parameter, or a part of one, as one line of a study file."""
    if isinstance(ours, Mapping):
        return f"{{{', '.join(f'{key}: {written(value)}' for key, value in ours.items())}}}"
    if isinstance(ours, (list, tuple)):
        return f"[{', '.join(map(written, ours))}]"
    if isinstance(ours, str):
        return ours if ours.isidentifier() else json.dumps(ours, ensure_ascii=False)
    return f"{ours:.10g}" if isinstance(ours, float) else json.dumps(ours, default=str)


def in_text(lines: Sequence[str]) -> tuple[str, str] | None:
    """What was expected in place of such a call in lines that are no YAML, and the call; None where
    there is none."""
    for line in lines:
        for start in re.finditer(r"[\w.]+\(", line):
            text = line[start.start() : line.find(")", start.end()) + 1]
            if called(text) and (translation := translated(text)):
                return written(translation.ours), text
    return None


def _of_mapping(raw: Mapping[str, Any]) -> Translated | None:
    space = raw.get("feasibleSpace", raw.get("feasible_space"))
    if isinstance(space, Mapping):  # Katib
        kind = str(raw.get("parameterType", raw.get("parametertype", "double")))
        return _of_katib(kind.lower(), space)
    if "_type" in raw and isinstance(raw.get("_value"), Sequence):  # NNI
        return _of_arguments(str(raw["_type"]), [*raw["_value"]], {})
    if "value" in raw and not raw.keys() & {*_LOW, *_HIGH, *_LISTS, "bounds", "range"}:
        return Translated(raw["value"])
    named = str(raw.get("distribution", raw.get("type", "")))
    values = next((raw[key] for key in _LISTS if key in raw), None)
    if isinstance(values, (list, tuple)):
        lost = "the probabilities of values" if "probabilities" in raw else ""
        return Translated({"values": [*values]}, lost)
    low, high = (next((raw[key] for key in keys if key in raw), None) for keys in (_LOW, _HIGH))
    pair = raw.get("bounds", raw.get("range"))
    if isinstance(pair, (list, tuple)) and len(pair) == 2:
        low, high = pair
    arguments = [raw["mu"], raw["sigma"]] if {"mu", "sigma"} <= raw.keys() else [low, high]
    log = raw.get("log", raw.get("log_scale", raw.get("logscale", False)))
    if str(log).lower() in ("log", "loguniform", "true", "yes", "on", "1"):
        log = True
    named = named or ("int" if all(isinstance(n, int) for n in arguments) else "uniform")
    if named in ("log_uniform", "q_log_uniform", "inv_log_uniform"):  # W&B's have exponents
        arguments = [math.exp(float(n or 0.0)) for n in arguments]
    more = {"q": raw.get("q", raw.get("step")), "log": log is True, "inclusive": True}
    return _of_arguments(named, arguments, more)


def _of_katib(kind: str, space: Mapping[str, Any]) -> Translated | None:
    if isinstance(space.get("list"), list):
        texts = space["list"]
        numbers = [number(text) for text in texts]
        if kind != "categorical" and None not in numbers:
            return Translated({"values": numbers})
        return Translated({"values": texts})
    low, high = number(space.get("min")), number(space.get("max"))
    if low is None or high is None:
        return None
    if kind == "int":
        low, high = int(low), int(high)
    named = str(space.get("distribution", "uniform")).lower()
    ours: dict[str, Any] = {"min": low, "max": high} if kind == "int" else {
        "min": float(low), "max": float(high)}  # fmt: skip
    if named.startswith("log"):
        return Translated({**ours, "log": True})
    step = number(space.get("step"))
    if step:
        ours["step"] = int(step) if kind == "int" else float(step)
    lost = f"the distribution {named}: each value is as likely" if "normal" in named else ""
    return Translated(ours, lost)


def _of_call(text: str) -> Translated | None:
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _of_node(node)


def _of_node(node: ast.expr) -> Translated | None:
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "tag":  # Hydra: tag(log, interval(1e-4, 1))
        inner = _of_node(node.args[-1]) if node.args else None
        is_log = any(getattr(one, "id", "") == "log" for one in node.args[:-1])
        if inner is None or not isinstance(inner.ours, dict) or not is_log:
            return inner
        return Translated({**inner.ours, "log": True}, inner.lost)
    try:
        arguments = [_literal(one) for one in node.args]
        more = {one.arg: _literal(one.value) for one in node.keywords if one.arg}
        if arguments and isinstance(arguments[0], str) and name not in ("choice", "grid_search"):
            arguments = arguments[1:]  # the name: trial.suggest_float("lr", ...), hp.uniform("lr")
        elif name == "choice" and len(arguments) == 2 and isinstance(arguments[1], (list, tuple)):
            arguments = arguments[1:]  # hp.choice("lr", [...])
        return _of_arguments(name, arguments, more)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None


def _literal(node: ast.expr) -> Any:
    """A plain value; a bare name, as in Hydra's `choice(sgd, adam)`, is a text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(one) for one in node.elts]
    return ast.literal_eval(node)


def _of_arguments(
    name: str, arguments: Sequence[Any], more: Mapping[str, Any]
) -> Translated | None:  # fmt: skip
    """A distribution by its name, arguments and options."""
    word = re.sub(r"[^a-z]", "", name.lower()).removeprefix("suggest").removesuffix("distribution")
    if word in _CHOICES:
        argument = arguments[0] if len(arguments) == 1 else [*arguments]
        values = more.get("choices", more.get("categories", argument))
        return Translated({"values": [*values]}) if isinstance(values, (list, tuple)) else None
    word = word.removesuffix("values").removeprefix("inv")
    stepped, word = word.startswith("q"), word.removeprefix("q")
    if "normal" in word or word == "randn":
        return _of_normal(word, arguments)
    low, high = (number(more.get(k, a)) for k, a in zip(("low", "high"), _two(arguments, more),
                                                        strict=True))  # fmt: skip
    if low is None or high is None:
        return None
    log = "log" in word or more.get("log") is True
    whole = "int" in word.replace("interval", "") or (word == "range" and _whole(low, high))
    if whole and not more.get("inclusive") and word in ("randint", "lograndint", "range"):
        high -= 1  # Ray, NNI, Hydra and Python leave out the upper end
    ours: dict[str, Any] = {"min": int(low), "max": int(high)} if whole else {
        "min": float(low), "max": float(high)}  # fmt: skip
    if log:
        ours["log"] = True
    step = number(more.get("q", more.get("step")))
    if step is None and (stepped or "discrete" in word) and len(arguments) > 2:
        step = number(arguments[2])
    if not step:
        return Translated(ours)
    if log:
        return Translated(ours, f"steps of {step:g}, which a logarithmic range has not")
    return Translated({**ours, "step": int(step) if whole else float(step)})


def _two(arguments: Sequence[Any], more: Mapping[str, Any]) -> tuple[Any, Any]:
    """The two ends; of one argument alone it is the upper one, as of NNI's randint."""
    if len(arguments) == 1 and "low" not in more:
        return 0, arguments[0]
    return (arguments[0] if arguments else None), (arguments[1] if len(arguments) > 1 else None)


def _whole(*ends: float) -> bool:
    return all(isinstance(end, int) for end in ends)


def _of_normal(word: str, arguments: Sequence[Any]) -> Translated | None:
    mean, deviation = number(arguments[0]), number(arguments[1])
    if mean is None or deviation is None:
        return None
    reach = _NORMAL_REACH * abs(deviation)
    low, high = mean - reach, mean + reach
    lost = "the normal distribution: a range of two standard deviations to each side stands for it"
    if "log" in word:
        return Translated({"min": math.exp(low), "max": math.exp(high), "log": True}, lost)
    return Translated({"min": float(low), "max": float(high)}, lost)
