"""Optuna's enumerations, by the same names and numbers, for what does not need the rest of it.

Optuna takes as long to load as a verb of the command line to answer. A member here equals Optuna's
and stands for it in any query; to compare by `is` would tell them apart.
"""

from __future__ import annotations

from enum import Enum, IntEnum

__all__ = ["ReportKind", "StudyDirection", "TrialState", "ValueKind"]


class TrialState(IntEnum):
    """How far a trial is."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4

    def is_finished(self) -> bool:
        """Whether nothing more comes to it."""
        return self not in (TrialState.RUNNING, TrialState.WAITING)


class StudyDirection(IntEnum):
    """Where the value of a study's trials is to go."""

    NOT_SET = 0
    MINIMIZE = 1
    MAXIMIZE = 2


class ValueKind(Enum):
    """What the value of a trial is where it is not finite, and has no number in its row."""

    FINITE = 1
    INF_POS = 2
    INF_NEG = 3


class ReportKind(Enum):
    """The same of a report."""

    FINITE = 1
    INF_POS = 2
    INF_NEG = 3
    NAN = 4
