"""What a finish found, in words: a sentence first, then the figures behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from hpsearch.insight.words import number
from hpsearch.spec.settings import Direction

__all__ = [
    "FEW_PAIRS",
    "Finding",
    "as_good",
    "figures",
    "finding",
    "headline",
    "interval",
    "sentence",
    "spread",
]

Finding = Literal["better", "worse", "no evidence", "too few", "not compared"]
"""What the winner is beside the default settings."""

Found = Mapping[str, Any]
"""The fields of `final.Verdict`, or of one of its estimates."""

_SAME = 1e-6
"""Metrics that differ by less than this share are the same."""

FEW_PAIRS = 3
"""With fewer differences Student's interval says next to nothing."""


def sentence(verdict: Found, direction: Direction, *, wide: bool = False) -> str:
    """Whether tuning has helped, and what to do; that a simple answer is as good, if one is; how
    many trainings that is from, if some are missing. Where `wide`, the figure comes with its
    interval."""
    sentences = [f"{headline(verdict, wide=wide)}{_beside(verdict, direction)}"]
    if verdict["test"] is None:
        sentences.append(f"No test part was used, as {verdict['why']}: the winner was chosen by "
                         "these figures, so they are slightly optimistic.")  # fmt: skip
    if simple := as_good(verdict, direction):
        sentences.append(simple)
    if missing := _missing(verdict):
        sentences.append(f"Only {missing}.")
    return " ".join(sentences)


def headline(verdict: Found, *, wide: bool = False) -> str:
    """What the winner gives on the test part, or where none was used by its reports; where `wide`,
    with its interval."""
    measured = _measured(verdict)
    figure = interval(measured) if wide else number(measured["mean"])
    return f"{'Test' if verdict['test'] else 'Trained again,'} {verdict['metric']} {figure}"


def _measured(verdict: Found) -> Found:
    """The winner on the test part, or where none was used by what its trainings reported."""
    estimate: Found = verdict["test"] or verdict["validation"]
    return estimate


def as_good(verdict: Found, direction: Direction) -> str:
    """That the best of the simple answers is as good as the networks; "" where it is not, or where
    an earlier program measured none."""
    sign = 1 if direction == "maximize" else -1
    simple = verdict.get("baselines") or {}
    name = max(simple, key=lambda name: sign * simple[name], default=None)
    if name is None or sign * (_measured(verdict)["mean"] - simple[name]) > _SAME * abs(
        simple[name]
    ):
        return ""
    return f"No skill: {name} gives {number(simple[name])}."


def _beside(verdict: Found, direction: Direction) -> str:
    """The default configuration next to the winner."""
    default, difference = verdict["default"], verdict["difference"]
    if default is None:
        return "; the default settings could not be trained, so there is nothing to compare with."
    if difference is None and verdict["optimism"] is None:
        return ", of the default settings: no trial of the search completed to compare them with."
    if difference is None and default == _measured(verdict):
        return ": nothing that was searched beat the default settings; keep the default."
    if difference is None:
        return ": no seed completed for both the winner and the default settings."
    return f"; default settings {number(default['mean'])}: {_judgement(verdict, direction)}."


def finding(verdict: Found, direction: Direction) -> Finding:
    """What the winner is beside the default settings: better or worse only where the interval of
    the difference says so."""
    default, difference = verdict["default"], verdict["difference"]
    if default is None or difference is None:
        return "not compared"
    gain, values = _gain(difference, direction), set(difference["values"])
    if values == {0.0}:
        return "no evidence"
    if len(difference["values"]) < FEW_PAIRS or len(values) == 1:
        return "too few"
    if gain["low"] > 0:
        return "better"
    return "worse" if gain["high"] < 0 else "no evidence"


def _judgement(verdict: Found, direction: Direction) -> str:
    gain, judged = _gain(verdict["difference"], direction), finding(verdict, direction)
    if judged == "too few":
        much = _short(abs(gain["mean"]))
        seen = "gain" if gain["mean"] > 0 else "loss"
        return f"too few seeds to know whether the {seen} of {much} is real"
    if judged == "better":
        return f"the gain of {interval(gain, _short)} is more than chance"
    if judged == "worse":
        loss = {"mean": -gain["mean"], "low": -gain["high"], "high": -gain["low"]}
        return f"worse by {interval(loss, _short)}, which is more than chance; keep the default"
    return "no evidence that tuning helped; keep the default"


def _gain(difference: Found, direction: Direction) -> dict[str, Any]:
    """Winner less default, turned so that more is better."""
    if direction == "maximize" or difference["low"] is None:
        sign = 1 if direction == "maximize" else -1
        return {**difference, "mean": sign * difference["mean"]}
    turned = {"mean": -difference["mean"], "low": -difference["high"], "high": -difference["low"]}
    return {**difference, **turned}


def figures(verdict: Found, direction: Direction) -> list[tuple[str, str]]:
    """The figures behind the sentence, each with its name."""
    default, difference = verdict["default"], verdict["difference"]
    count = len(verdict["validation"]["values"])
    tested, part = verdict["test"] is not None, "test" if verdict["test"] else "reported"
    chosen = "validation" if verdict["rows"] else "reported"  # own code knows on what
    rows = [(f"{chosen}, {count} trainings", interval(verdict["validation"]))]
    if tested:
        size = f", {verdict['rows']:,} rows" if verdict["rows"] else ""
        rows.append((f"test{size}", interval(verdict["test"])))
    if default is not None and difference is not None:
        rows.append((f"{part}, default settings", interval(default)))
        rows.append(("gain over the default", _shown(_gain(difference, direction))))
    rows += [
        (f"test, {name}", number(value)) for name, value in (verdict.get("baselines") or {}).items()
    ]
    if verdict["optimism"] is not None:
        pair = ("best", "mean")[:: 1 if direction == "maximize" else -1]
        rows.append((f"optimism ({' minus '.join(pair)})", number(verdict["optimism"])))
    if missing := _missing(verdict):
        rows.append(("trainings", missing))
    if verdict["use"] > 1:
        rows.append(("test part", f"used {verdict['use']} times: each use makes its figures more "
                     "optimistic"))  # fmt: skip
    return rows


def _shown(gain: Found) -> str:
    """A gain with its interval, where that rests on enough seeds to say anything."""
    count = len(gain["values"])
    if 1 < count < FEW_PAIRS:
        return f"{number(gain['mean'])} over {count} seeds, too few for an interval"
    return interval(gain)


def _missing(verdict: Found) -> str:
    """How many trainings completed, where that is not all of them; "" where it is, or where an
    earlier program did not count them."""
    asked, completed = verdict.get("asked"), verdict.get("completed")
    return f"{completed} of {asked} trainings completed" if asked != completed else ""


def spread(verdict: Found) -> str:
    """What stands beside the means of a finish."""
    if len(verdict["validation"]["values"]) < FEW_PAIRS:
        return "with its mean and each training"
    return "with the 95 % interval of its mean"


def interval(estimate: Found, shown: Callable[[float], str] = number) -> str:
    """A mean with its 95 % interval, or of too few values with the values themselves."""
    if estimate["low"] is None:
        return shown(estimate["mean"])
    if estimate["low"] == estimate["high"]:
        return f"{shown(estimate['mean'])} (the same each time)"
    if 1 < len(estimate.get("values", ())) < FEW_PAIRS:
        return f"{shown(estimate['mean'])} ({' and '.join(map(shown, estimate['values']))})"
    return f"{shown(estimate['mean'])} ({shown(estimate['low'])} to {shown(estimate['high'])})"


def _short(value: float) -> str:
    """A difference: its second digit is as uncertain as any."""
    return f"{value:.2g}"
