"""A guide on improving a classifier: two circles of points, and a line to find the fault with."""

from __future__ import annotations

from typing import Any

from benchmarks.lessons.lesson import (
    Figures,
    Goal,
    Hpsearch,
    Lesson,
    Told,
    least,
    most,
    percent,
    points,
    run,
    share,
)  # fmt: skip

__all__ = ["LESSONS"]

_GUIDE = "improving a classifier"


def _linear(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "circles-linear")
    values = [trial["value"] for trial in found.search]
    return {"least": min(values), "most": max(values), "networks": len(values),
            "epochs": found.search[0]["epoch"]}  # fmt: skip


def _tell_linear(f: Figures) -> Told:
    return Told(
        f"{percent(f['least'])} to {percent(f['most'])} of 200 validation points in "
        f"{f['networks']} networks after {f['epochs']:,} epochs",
        "It holds. Half is what guessing gives, and 200 points move it by 3.5 points up or down.",
    )


def _circles(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "circles")
    return {**found.test, "linear": max(found.values(activation="none"))}


def _tell_circles(f: Figures) -> Told:
    winner = f["winner"]
    return Told(
        f"{share(f['test'])} of the test points with {winner['activation']}, without an "
        f"activation {share(f['default'])}: {points(f['difference'])}",
        "It holds. Inputs are scaled before training, so that a few hundred epochs are enough.",
    )


def _line(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "line")
    trials = {s: found.trial(schedule=s) for s in ("constant", "cosine")}
    return {
        **{name: trial["value"] for name, trial in trials.items()},
        "end": trials["constant"]["curve"]["1000"], "cosine_end": trials["cosine"]["curve"]["1000"],
    }  # fmt: skip


def _tell_line(f: Figures) -> Told:
    return Told(
        f"Mean absolute error on the last 20 points {f['constant']:.2g} at the best epoch and "
        f"{f['end']:.2g} at the end with a constant rate; less than "
        f"{max(f['cosine_end'], 1e-6):.0e} at the end with one that falls to zero",
        "It holds, and the cause can be removed: at a constant rate the absolute error never "
        "comes to rest. Keep the best epoch, or let the rate fall.",
    )


LESSONS = (
    Lesson(
        "circles-linear",
        _GUIDE,
        "Dense layers without activations stay at 50 % on two circles, whatever their number, "
        "their width, the epochs and the learning rate.",
        _linear,
        _tell_linear,
        (
            least("least", 0.4, "accuracy of the worst network"),
            most("most", 0.6, "accuracy of the best network"),
        ),
    ),
    Lesson(
        "circles",
        _GUIDE,
        "With ReLU between the layers the circles can be separated.",
        _circles,
        _tell_circles,
        (
            Goal("99 % of the test points", lambda f: f["test"]["mean"] >= 0.99),
            most("linear", 0.6, "accuracy without an activation"),
        ),
    ),
    Lesson(
        "line",
        _GUIDE,
        "To find the fault, try a line: the error is 0.0008 at the best epoch and 0.0036 at the "
        "end.",
        _line,
        _tell_line,
        (
            Goal("an error below 0.001", lambda f: min(f["constant"], f["cosine"]) < 0.001),
            Goal(
                "a larger error at the end at a constant rate",
                lambda f: f["end"] > f["constant"] > f["cosine_end"],
            ),
        ),
    ),
)
