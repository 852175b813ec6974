"""One candidate in an array: who trains it, how far it has come, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from hpsearch.code import explained
from hpsearch.errors import HpsearchError
from hpsearch.runner import Failure, Report, Saved
from hpsearch.spec.conflicts import SettingsError
from hpsearch.training import devices
from hpsearch.training.trial_progress import DivergedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    from hpsearch.runner.candidate import Candidate
    from hpsearch.training.solo import Solo
    from hpsearch.training.stacking.stack import Stack
    from hpsearch.training.trial_progress import TrialProgress

    Trainer: TypeAlias = Solo | Stack

__all__ = ["Member", "State", "described"]


class State(Enum):
    """Whether there is anything left to train."""

    TRAINING = auto()
    OVER = auto()
    """Finished or paused: nothing is left to train here."""
    LOST = auto()
    """Failed, or broken off in an epoch by itself: there is no state of it."""


@dataclass(eq=False)
class Member:
    """A candidate in an array. It is built in its first epoch, where a failure can be reported."""

    candidate: Candidate
    saved: Saved | None
    """Where it continues from; None: from its start, or it is with its trainer."""
    until: int | None
    """The epoch after which it pauses; None: none."""
    progress: TrialProgress | None = None
    trainer: Trainer | None = None
    state: State = State.TRAINING

    @property
    def waits(self) -> bool:
        """Whether it is still to be given a trainer."""
        return self.trainer is None and self.state is State.TRAINING

    @property
    def built(self) -> TrialProgress:
        """Its progress, which it has once it has been built."""
        assert self.progress is not None
        return self.progress

    @property
    def resumed(self) -> Mapping[str, Any] | None:
        """The state that its trainer begins with; None: its start."""
        return None if self.saved is None else self.saved.state

    def checkpoint(self) -> Saved | None:
        """What is left of it after its last whole epoch; None where that is nothing."""
        if self.state is State.LOST:
            return None
        if self.trainer is None:
            return self.saved
        if self.built.epoch == 0:
            return None
        return Saved(self.trainer.state(self.trainer.members.index(self.built)))

    def entered(self) -> Report:
        """The report of its last epoch, which may have brought it to its end here."""
        progress = self.built
        paused = self.until is not None and progress.epoch >= self.until and not progress.finished
        if progress.finished or paused:
            self.state = State.OVER
        return Report(
            self.candidate.key, progress.curve[-1], progress.kept,
            finished=progress.finished, paused=paused, parameters=progress.parameters,
        )  # fmt: skip

    def failed(self, error: Exception) -> Report:
        """The report of a failure: nothing is left of it."""
        if isinstance(error, DivergedError):
            failure, message = Failure.DIVERGED, str(error)
        else:
            never = isinstance(error, SettingsError)
            failure, message = Failure.SETTINGS if never else Failure.ERROR, described(error)
            if devices.is_out_of_memory(error):
                failure = Failure.OUT_OF_MEMORY
        self.state, self.saved = State.LOST, None
        curve = self.progress.curve if self.progress else []
        last = curve[-1] if curve else None
        return Report(self.candidate.key, last, failure=failure, message=message)


def described(error: Exception) -> str:
    """The error in one line; ours speak for themselves, others need the name of their class. One
    that came through the study's own code begins with the place there."""
    return explained(error, kind=not isinstance(error, (ValueError, HpsearchError)))
