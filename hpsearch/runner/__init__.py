"""What trains candidates, as a worker sees it, and the values that pass between the two.

runner.add(candidate)
while runner.keys:
    for report in runner.reports(timeout_s=1.0):
        ...
        if report.finished or report.failure:
            runner.remove(report.key)

`training.array.Array` is the runner of networks that hpsearch trains itself, and
`children.runner.Children` that of own training code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from hpsearch.runner.epoch import Epoch

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from hpsearch.runner.candidate import Candidate

__all__ = ["TEST", "Failure", "Fit", "Report", "Runner", "Saved", "Tester"]

TEST = "test"
"""The part of the data that a finish uses, once."""


class Failure(StrEnum):
    """Why a candidate cannot continue. The runner itself can."""

    DIVERGED = "diverged"
    """A loss or a metric is not a finite number."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device has too little memory for it."""
    SETTINGS = "settings"
    """Its settings can never be trained together."""
    ERROR = "error"
    """A fault."""


@dataclass(frozen=True)
class Report:
    """One candidate after one epoch, or after a failure."""

    key: int
    last: Epoch | None
    """The epoch that it has finished; after a failure the one before that, if there was any."""
    kept: Epoch | None = None
    """The epoch that counts so far, its best one or `last`, with its details; None after a
    failure."""
    finished: bool = False
    """Whether that was its last epoch: all are done, or too many without a better value."""
    paused: bool = False
    """Whether it has come to the epoch up to which it was to be trained here, and is not
    `finished`."""
    parameters: int | None = None
    """Numbers of its network that are trained; None where there is no network, or none yet."""
    failure: Failure | None = None
    message: str = ""
    """One line about the failure, or why it has finished before its last epoch."""
    log: str = ""
    """After a failure of own training code, the last lines that it wrote."""


@dataclass(frozen=True)
class Fit:
    """How many candidates of one shape are trained at once, and why."""

    slots: int
    """1: each by itself."""
    reason: str


@dataclass(frozen=True)
class Saved:
    """A checkpoint of one candidate: all it takes to continue with it, alone or in any company.

    What it is read from may be damaged. Reading a property raises LookupError, TypeError or
    ValueError then.
    """

    state: Mapping[str, Any]
    """Plain types and tensors on the CPU, by the names of checkpoint format 4. One of format 3 says
    nothing of a best epoch: the network that it has is that of its last one."""

    @property
    def digest(self) -> str | None:
        """That of the candidate; None where it has none."""
        return self.state.get("digest")

    @property
    def epoch(self) -> int:
        """The last epoch."""
        return int(self.state["epoch"])

    @property
    def best_epoch(self) -> int:
        """The epoch of the best network so far."""
        return int(self.state.get("best_epoch", self.epoch))

    @property
    def kept_epoch(self) -> int:
        """The epoch that counts: the best one, or the last."""
        return int(self.state.get("kept_epoch", self.epoch))

    @cached_property
    def curve(self) -> tuple[Epoch, ...]:
        """All epochs so far, without their details."""
        return tuple(Epoch(**entry) for entry in self.state["curve"])

    @property
    def details(self) -> dict[str, Any]:
        """What the task measured beside metrics in the epoch that counts."""
        return dict(self.state.get("details", {}))

    @property
    def kept(self) -> Epoch:
        """The epoch that counts, with its details."""
        return replace(self.curve[self.kept_epoch - 1], details=self.details)

    @property
    def own(self) -> dict[str, Any] | None:
        """What own training code had saved after the epoch that counts, by name; None: nothing."""
        own = self.state["own"]
        if own is None:
            return None
        return dict(own["last"] if own["best"] is None else own["best"])

    @property
    def network(self) -> dict[str, Any]:
        """The weights and buffers after the epoch that counts, by PyTorch's names."""
        return dict(self.state["best"] if "best" in self.state else self.state["model"])


class Tester(Protocol):
    """A runner of own training code, which alone can test what it has trained."""

    @property
    def tests(self) -> bool:
        """Whether there is anything that `test` could run."""

    def test(self, candidate: Candidate, saved: Saved, part: str) -> Mapping[str, float] | None:
        """What its own code measures on a part of its data, the metric among it, with what the
        candidate had saved after the epoch that counts. None where the worker is to leave.

        Raises CodeError where that goes wrong, CheckpointError where `saved` is of another one.
        """


class Runner(Protocol):
    """Trains candidates on one device, as many at once as it has been given and as pay."""

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates that it has, in the order in which they came."""

    @property
    def stacks(self) -> bool:
        """Whether more than one candidate may be trained at once."""

    @property
    def ahead(self) -> int:
        """Candidates that are worth having at hand beside the one in training, as each is over so
        soon that to fetch them one by one would take longer than to train them."""

    @property
    def waiting(self) -> tuple[int, ...]:
        """Keys of the candidates that it has not begun with."""

    def add(
        self, candidate: Candidate, saved: Saved | None = None, until: int | None = None
    ) -> None:
        """Take a candidate in, from its start or from where it was saved.

        Args:
            candidate: What to train.
            saved: A checkpoint of it. One of its last epoch gives that epoch's report again, so
                that a worker that died before it was noted loses nothing.
            until: The epoch, counted from its start, after which it is trained no further here;
                None: its last one. Its rates are those of all its epochs.

        Raises CheckpointError where `saved` is not of this candidate, or does not fit it.
        """

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """What is ready, a report of an epoch or of a failure each; nothing if that takes longer.

        A candidate that has finished, failed or paused stays until it is removed, and is passed
        over. While a report is in the caller's hands its candidate may be removed and others added.
        """

    def remove(self, key: int) -> None:
        """Let a candidate go, finished or not."""

    def saved(self, key: int) -> Saved | None:
        """A checkpoint of that candidate after its last whole epoch.

        None where there is nothing to save: after a failure, where an interruption broke its epoch
        off, and before its first epoch.
        """

    def log(self, key: int) -> bytes:
        """What own code of that candidate has written here so far, where nobody has kept it yet."""

    def shape(self, candidate: Candidate) -> Hashable:
        """Candidates of one shape can be trained as one."""

    def shaping(self, example: Candidate, names: Iterable[str]) -> frozenset[str]:
        """Those of the parameters on which the shape of a candidate like this one depends."""

    def fit(self, candidate: Candidate, *, alone: bool = False) -> Fit:
        """How many candidates of the shape of this one are trained at once, and why.

        The first call for a shape may take as long as a few steps of training do; none does where
        it is `alone`, the only one of its shape at hand.
        """

    def close(self) -> None:
        """Let everything go: no other call follows."""
