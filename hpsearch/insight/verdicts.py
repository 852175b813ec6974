"""What a finish found, in words: a sentence first, then the figures behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from hpsearch.insight.words import counted, number
from hpsearch.spec.settings import Direction
from hpsearch.terminal import visible

__all__ = [
    "FEW_PAIRS",
    "Finding",
    "as_good",
    "few",
    "figures",
    "finding",
    "headline",
    "interval",
    "is_dust",
    "sentence",
    "spread",
]

Finding = Literal["better", "worse", "no evidence", "too few", "not compared"]
"""What the winner is beside the default settings."""

Found = Mapping[str, Any]
"""The fields of `final.Verdict`, or of one of its estimates."""

Record = Mapping[str, Any] | None
"""What is known of the study's data, `Study.data`; None: nothing is."""

_SAME = 1e-6
"""Metrics that differ by less than this share are the same: they are kept in single precision."""

_FEW_ROWS = 100
"""Rows of the test part below which other rows may well give another verdict: one standard
deviation of a share of 0.9 on so many is 0.03."""

_FAR = 0.1
"""Share of the figure on validation data by which that on the test part must differ to be called
far from it: with a few hundred rows a few percent are chance."""

FEW_PAIRS = 3
"""With fewer differences Student's interval says next to nothing."""


def sentence(
    verdict: Found, direction: Direction, data: Record = None, *, wide: bool = False
) -> str:  # fmt: skip
    """That a simple answer is as good, if one is; whether tuning has helped, and what to do; how
    many trainings that is from, if some are missing. Where `wide`, the figure comes with its
    interval."""
    first = headline(verdict, direction, wide=wide)
    sentences = [f"{first}{_beside(verdict, direction, data)}"]
    if verdict["test"] is None:
        sentences.append(f"No test part was used, as {verdict['why']}: the winner was chosen by "
                         "these figures, so they are slightly optimistic.")  # fmt: skip
    if far := _other_rows(verdict):
        sentences.append(far)
    if missing := _missing(verdict):
        sentences.append(f"Only {missing}.")
    return " ".join(sentences)


def headline(verdict: Found, direction: Direction, *, wide: bool = False) -> str:
    """What the winner gives on the test part, or where none was used by its reports, and that a
    simple answer is as good, if one is; where `wide`, with its interval."""
    measured = _measured(verdict)
    figure = number(measured["mean"])
    if wide:
        figure = interval(measured)
        if over := _over_what(measured, verdict):
            figure = f"{figure.removesuffix(')')} {over})"
    what = f"{'Test' if verdict['test'] else 'Trained again,'} {verdict['metric']} {figure}"
    simple = as_good(verdict, direction)
    return f"{what}, {simple}" if simple else what


def _over_what(estimate: Found, verdict: Found) -> str:
    """What an interval of the winner is over: seeds alone; "" where there is none."""
    if len(estimate["values"]) < FEW_PAIRS:
        return ""
    rows = f" on these {counted(verdict['rows'], 'row')}" if verdict["rows"] else ""
    return f"over {len(estimate['values'])} seeds{rows}"


def _measured(verdict: Found) -> Found:
    """The winner on the test part, or where none was used by what its trainings reported."""
    estimate: Found = verdict["test"] or verdict["validation"]
    return estimate


def as_good(verdict: Found, direction: Direction) -> str:
    """That the best of the simple answers is as good as the winner's networks, or as the one that
    is handed over; "" where it is not, or where an earlier program measured none."""
    sign = 1 if direction == "maximize" else -1
    simple = verdict.get("baselines") or {}
    name = max(simple, key=lambda name: sign * simple[name], default=None)
    if name is None:
        return ""
    worth, own = simple[name], (verdict.get("network") or {}).get(verdict["metric"])
    answer = f"no better than a simple answer ({visible(name, lines=False)}: {number(worth)})"
    if not _is_above(_measured(verdict)["mean"], worth, sign):
        return answer
    if own is not None and not _is_above(own, worth, sign):
        return f"but the network handed over gives {number(own)}, {answer}"
    return ""


def _is_above(value: float, simple: float, sign: int) -> bool:
    return sign * (value - simple) > _SAME * abs(simple)


def _other_rows(verdict: Found) -> str:
    """That the networks gave far more or less on the validation rows than the interval of the test
    part lets expect; "" where they did not, or where nothing is known of the rows."""
    test, validation = verdict["test"], verdict["validation"]
    if not verdict["rows"] or test is None or None in (test["low"], validation["low"]):
        return ""
    gap = abs(test["mean"] - validation["mean"])
    reach = sum(estimate["high"] - estimate["low"] for estimate in (test, validation))
    if gap <= max(reach, _FAR * abs(validation["mean"])):
        return ""
    return (f"Other rows may differ by more than seeds do: on validation data the same networks "
            f"gave {number(validation['mean'])}.")  # fmt: skip


def few(verdict: Found, data: Record) -> str:
    """That the test part is too small for a verdict on other rows; "" where it is not, or where own
    training code knows its rows."""
    rows = verdict["rows"]
    if not rows:
        return ""
    counts = (data or {}).get("class_rows", {}).get("test", ())
    # A mean over the classes is as uncertain as one over so many rows of balanced classes.
    worth = len(counts) ** 2 / sum(1 / max(count, 1) for count in counts) if counts else rows
    if rows >= _FEW_ROWS > worth and verdict["metric"] not in ("accuracy", "loss"):
        rarest = visible((data or {})["classes"][counts.index(min(counts))], lines=False)
        return f"{min(counts)} test rows of class {rarest} are few"
    return f"{rows} test rows are few" if rows < _FEW_ROWS else ""


def _beside(verdict: Found, direction: Direction, data: Record) -> str:
    """The default configuration next to the winner."""
    default, difference = verdict["default"], verdict["difference"]
    if default is None:
        return "; the default settings could not be trained, so there is nothing to compare with."
    if difference is None and verdict["optimism"] is None:
        return (
            "; that is of the default settings: no trial of the search completed to compare with."
        )
    if difference is None and default == _measured(verdict):
        return ("; trained again, nothing that was searched beat the default settings: keep the "
                "default.")  # fmt: skip
    if difference is None:
        return ": no seed completed for both the winner and the default settings."
    return f"; default settings {number(default['mean'])}: {_judgement(verdict, direction, data)}."


def finding(verdict: Found, direction: Direction) -> Finding:
    """What the winner is beside the default settings: better or worse only where the interval of
    the difference says so."""
    if verdict["default"] is None or verdict["difference"] is None:
        return "not compared"
    gain = _gain(verdict, direction)
    values = set(gain["values"])
    if values == {0.0}:
        return "no evidence"
    if len(gain["values"]) < FEW_PAIRS or len(values) == 1:
        return "too few"
    if gain["low"] > 0:
        return "better"
    return "worse" if gain["high"] < 0 else "no evidence"


def _judgement(verdict: Found, direction: Direction, data: Record) -> str:
    gain, judged = _gain(verdict, direction), finding(verdict, direction)
    if judged == "too few":
        much = _short(abs(gain["mean"]))
        seen = "gain" if gain["mean"] > 0 else "loss"
        return f"too few seeds to know whether the {seen} of {much} is real"
    small = few(verdict, data)
    chance = f"more than chance over seeds; {small}" if small else "more than chance"
    if judged == "better":
        return f"the gain of {_over(gain, verdict)} is {chance}"
    if judged == "worse":
        loss = {"mean": -gain["mean"], "low": -gain["high"], "high": -gain["low"]}
        return f"worse by {_over(loss, verdict)}, which is {chance}; keep the default"
    if set(gain["values"]) == {0.0}:
        return "equal, so no evidence that tuning helped; keep the default"
    return "no evidence that tuning helped; keep the default"


def _over(gain: Found, verdict: Found) -> str:
    """A gain with its interval, and what that is over."""
    rows = f"; {counted(verdict['rows'], 'test row')}" if verdict["rows"] else ""
    over = f"over {len(verdict['difference']['values'])} seeds{rows}"
    return f"{_short(gain['mean'])} ({_short(gain['low'])} to {_short(gain['high'])} {over})"


def _gain(verdict: Found, direction: Direction) -> dict[str, Any]:
    """Winner less default, turned so that more is better; 0 where all seeds gave both the same."""
    difference, sign = verdict["difference"], 1 if direction == "maximize" else -1
    values = difference["values"]
    largest = max(abs(_measured(verdict)["mean"]), abs(verdict["default"]["mean"]))
    if all(is_dust(value, largest) for value in values):
        end = None if difference["low"] is None else 0.0
        return {"mean": 0.0, "low": end, "high": end, "values": [0.0] * len(values)}
    gain = {**difference, "mean": sign * difference["mean"]}
    if sign > 0 or difference["low"] is None:
        return gain
    return {**gain, "low": -difference["high"], "high": -difference["low"]}


def is_dust(difference: float, of: float) -> bool:
    """Whether a difference is what single precision leaves of none."""
    return abs(difference) <= _SAME * abs(of)


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
        rows.append(("gain, seed by seed", _shown(_gain(verdict, direction))))
    rows += [
        (f"test, {name}", number(value)) for name, value in (verdict.get("baselines") or {}).items()
    ]
    if verdict["optimism"] is not None:
        optimism = verdict["optimism"]
        none = is_dust(optimism, verdict["validation"]["mean"])
        rows.append(("optimism of the best trial", number(0.0 if none else optimism)))
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
    return "with the 95 % interval of its mean over seeds, on these rows"


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
