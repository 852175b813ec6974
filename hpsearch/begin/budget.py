"""How many trials of how many epochs: what fits into a few minutes, by a few timed steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DataError, HpsearchError, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.begin.draft import Draft
    from hpsearch.fleet import DevicePlace
    from hpsearch.forecast.pace import Forecast
    from hpsearch.spec import StudySpec

__all__ = ["PLAIN", "settle", "suited"]

PLAIN: dict[str, Any] = {"trials": 40, "epochs": 27}
"""The budget where nothing has been timed."""
_FINAL = {"top": 2, "seeds": 3}
_SIZES: tuple[tuple[int, int, bool], ...] = (
    (60, 27, True), (40, 27, True), (40, 27, False), (30, 27, False), (30, 9, False),
    (20, 9, False), (12, 9, False), (12, 3, False),
)  # fmt: skip
"""Trials, epochs, and whether there is a finish: the first that fits is taken."""
_FITS_S = 600.0
"""A first search is over in ten minutes."""
_LONGEST_H = 1.0
"""Where nothing fits."""
_STEPS_S = 2.0
"""Dry runs are begun for so long."""


def suited(draft: Draft, folder: Path) -> None:
    """Hold the study against its data: a metric that cannot be measured becomes accuracy.

    Raises DataError where the data is none for this study.
    """
    from hpsearch.preflight.data_check import check_look
    from hpsearch.sources.opening import look

    draft.content.setdefault("budget", dict(PLAIN))
    spec = draft.spec(folder)
    seen = look(spec, folder)
    if seen is None:
        return
    try:
        check_look(spec, folder, seen)
    except DataError as error:
        if spec.metric not in ("auroc", "f1"):
            raise
        draft.content["metric"] = "accuracy"
        draft.notes[("metric",)] = f"accuracy, as {spec.metric} cannot be measured: {error}"
        check_look(draft.spec(folder), folder, seen)


def settle(draft: Draft, folder: Path, seats: Sequence[DevicePlace]) -> Forecast | None:
    """Give a study of networks a budget by dry runs on the first of the devices; what it will take.

    None where nothing could be timed: then it has the plain one, and says so.

    Loads PyTorch, and takes some seconds.
    """
    from hpsearch.api.planning import timed
    from hpsearch.forecast.pace import forecast

    spec = draft.spec(folder)
    try:
        pace = timed(spec, folder, seats, limit_s=_STEPS_S)
    except DataError:
        raise
    except HpsearchError as error:
        draft.note(("budget",), f"not timed: {line(error)}")
        return None
    for trials, epochs, final in _SIZES:
        chosen = _with(draft, folder, {"trials": trials, "epochs": epochs}, final=final)
        planned = forecast(chosen, pace, len(seats))
        if planned.work_s.expected <= _FITS_S:
            return planned
    budget = {"trials": _SIZES[-1][0], "epochs": _SIZES[-1][1], "hours": _LONGEST_H}
    return forecast(_with(draft, folder, budget, final=False), pace, len(seats))


def _with(draft: Draft, folder: Path, budget: dict[str, Any], *, final: bool) -> StudySpec:
    """The study with that budget, which the draft has from now on."""
    draft.content["budget"] = budget
    draft.content.pop("final", None)
    if final:
        draft.content["final"] = dict(_FINAL)
    return draft.spec(folder)
