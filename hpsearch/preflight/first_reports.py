"""The first two reports of own training code: hpsearch cannot look at it before, as the code alone
knows how to train.

The first trial is the default configuration, unless the study file has points to start from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpsearch.spec import StudySpec

__all__ = ["LOOKS_AT", "SUSPECT", "diverged", "judged"]

LOOKS_AT = 2
"""Epochs of the first trial."""

SUSPECT = "reports"
"""What is suspected where they speak against learning anything."""

_WORTH_SAVING_S = 60.0
"""A trial that takes longer should not have to start again."""


def judged(
    spec: StudySpec, curve: Mapping[int, float], epoch_s: float, *, saves: bool
) -> dict[str, Any]:
    """What the first two reports look like, as `Study.sanity` has it. It stops nothing.

    Args:
        spec: The study.
        curve: The metric by epoch, of the first two at least.
        epoch_s: Seconds of an epoch.
        saves: Whether there is anything to continue from (`run.save`).
    """
    remarks, suspect = [], None
    if len({curve[epoch] for epoch in range(1, LOOKS_AT + 1)}) == 1:
        suspect = SUSPECT
        remarks.append(
            f"{spec.metric} is {curve[1]:.4g} after each of its first {LOOKS_AT} epochs; does "
            "training change what is measured?"
        )
    if not saves and epoch_s * spec.budget.epochs >= _WORTH_SAVING_S:
        remarks.append(
            "its code saves nothing (run.save), so a trial that loses its worker starts again"
        )
    return _outcome(suspect, "; ".join(remarks), epoch_s)


def diverged(message: str) -> dict[str, Any]:
    """The same where the metric became no number in one of them."""
    advice = f"{message}; look at the data, and try a lower learning rate as the default"
    return _outcome(SUSPECT, advice, None)


def _outcome(suspect: str | None, said: str, epoch_s: float | None) -> dict[str, Any]:
    return {"suspect": suspect, "said": said, "rate": None, "epoch_s": epoch_s, "stops": False}
