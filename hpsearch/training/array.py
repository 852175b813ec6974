"""The candidates that one device trains at the same time.

array = Array(dataset, "accuracy", device)
array.add(candidate)
while array.keys:
    for report in array.epoch():
        ...
        if report.finished or report.failure:
            array.remove(report.key)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hpsearch.catalog import METRICS
from hpsearch.errors import CheckpointError, HpsearchError, line
from hpsearch.training import devices
from hpsearch.training.slot import DivergedError, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch

    from hpsearch.training.candidate import Candidate
    from hpsearch.training.data import Dataset

__all__ = ["Array", "Failure", "Report"]


class Failure(StrEnum):
    """Why a candidate cannot go on. The array itself can."""

    DIVERGED = "diverged"
    """A loss or a metric is not a finite number."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device has too little memory for it."""
    ERROR = "error"
    """Settings that make no sense together, or a fault."""


@dataclass(frozen=True)
class Report:
    """One candidate after one epoch."""

    key: int
    epoch: int
    """Epochs finished, from 1; after a failure those before it, perhaps 0."""
    value: float | None
    """The study's metric on the validation part; None after a failure."""
    metrics: Mapping[str, float]
    """`train_loss`, the mean over the epoch, and the metrics of the validation part."""
    seconds: float
    """Wall-clock time of this epoch, evaluation included."""
    finished: bool
    """Whether that was the last epoch."""
    failure: Failure | None = None
    message: str = ""
    """One line about the failure."""


@dataclass
class _Held:
    """A candidate in the array. It is built in its first epoch, where a failure can be reported."""

    candidate: Candidate
    state: Mapping[str, Any] | None
    slot: Slot | None = None
    over: bool = False
    """Finished, failed or spoilt: nothing is left to train."""


def _never() -> bool:
    return False


class Array:
    """Trains up to `room` candidates on one device, an epoch of each at a time.

    `metric` is a key of `catalog.METRICS`; ValueError where it does not suit the data.
    `interrupted` is asked between any two batches; once it says True the epoch is broken off.
    """

    def __init__(
        self,
        dataset: Dataset,
        metric: str,
        device: torch.device,
        *,
        room: int = 1,
        interrupted: Callable[[], bool] = _never,
    ) -> None:
        if dataset.task not in METRICS[metric].tasks:
            raise ValueError(f"the metric {metric} is not for {dataset.task}")
        self._dataset = dataset
        self._metric = metric
        self._device = device
        self._room = room
        self._interrupted = interrupted
        self._held: dict[int, _Held] = {}

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates held, in the order in which they came."""
        return tuple(self._held)

    @property
    def free(self) -> int:
        """How many more candidates there is room for."""
        return self._room - len(self._held)

    def add(self, candidate: Candidate, state: Mapping[str, Any] | None = None) -> None:
        """Take a candidate in, from its start or from a `state` of it.

        Raises CheckpointError where `state` is not of this candidate, or does not fit it.
        """
        if candidate.key in self._held or not self.free:
            raise ValueError(f"no room for candidate {candidate.key}, or it is held already")
        if state is not None and state.get("digest") != candidate.digest:
            raise CheckpointError(
                f"the checkpoint is not of candidate {candidate.key}: its settings or its seed "
                f"differ. Remove it to start over"
            )
        held = _Held(candidate, state)
        if state is not None:
            try:
                self._built(held)
            except CheckpointError:
                raise
            except Exception:  # building fails again in epoch(), where it is reported
                held.slot = None
        self._held[candidate.key] = held

    def remove(self, key: int) -> None:
        """Let a candidate go, finished or not."""
        del self._held[key]

    def state(self, key: int) -> dict[str, Any]:
        """A checkpoint of that candidate, for `add`: plain types and tensors, copied to the CPU.

        Raises CheckpointError after a failure, and where an interruption broke its epoch off.
        """
        held = self._held[key]
        if held.slot is None:
            if held.state is not None and not held.over:
                return dict(held.state)
            raise CheckpointError(f"candidate {key} has nothing to save: it has not been trained")
        return held.slot.state()

    def epoch(self) -> Iterator[Report]:
        """Train every candidate for one epoch and yield a report of each as it is ready.

        A candidate that has finished or failed stays until it is removed, and is passed over. One
        that is added with the state of its last epoch gives that epoch's report again, so that
        whoever died before it was noted loses nothing. While a report is in the caller's hands
        its candidate may be removed and others added; these wait for the next epoch. After an
        interruption nothing more is yielded, and the candidate in training has no state any more.
        """
        for key in self.keys:
            held = self._held.get(key)
            if held is None or held.over:
                continue
            report = self._guarded(held)
            if report is None:
                return
            yield report

    def _guarded(self, held: _Held) -> Report | None:
        """A report whatever happens, None after an interruption."""
        start = time.perf_counter()
        epoch = held.slot.epoch if held.slot else int((held.state or {}).get("epoch", 0))
        try:
            return self._trained(held, start)
        except DivergedError as error:
            failure, message = Failure.DIVERGED, str(error)
        except Exception as error:
            memory = devices.is_out_of_memory(error)
            failure = Failure.OUT_OF_MEMORY if memory else Failure.ERROR
            message = _line(error)
        # Out here the exception, and the tensors in its traceback, are gone.
        held.over, held.slot = True, None
        devices.empty_cache(self._device)
        seconds = time.perf_counter() - start
        key = held.candidate.key
        return Report(key, epoch, None, {}, seconds, False, failure, message)

    def _trained(self, held: _Held, start: float) -> Report | None:
        slot = held.slot or self._built(held)
        if slot.finished:
            held.over = True
            return Report(held.candidate.key, finished=True, **slot.curve[-1])
        train_loss = slot.train(self._interrupted)
        if train_loss is None:
            held.over, held.slot = True, None
            return None
        value, metrics = slot.finish_epoch(train_loss)
        entry: dict[str, Any] = {
            "epoch": slot.epoch,
            "value": value,
            "metrics": metrics,
            "seconds": time.perf_counter() - start,
        }
        slot.curve.append(entry)
        held.over = slot.finished
        return Report(held.candidate.key, finished=slot.finished, **entry)

    def _built(self, held: _Held) -> Slot:
        slot = Slot(held.candidate, self._dataset, self._metric, self._device)
        if held.state is not None:
            slot.restore(held.state)
        held.slot, held.state = slot, None
        return slot


def _line(error: Exception) -> str:
    """The error in one line; ours speak for themselves, others need the name of their class."""
    said, kind = line(error), type(error).__name__
    speaks = isinstance(error, (ValueError, HpsearchError)) or said == kind
    return said if speaks else f"{kind}: {said}"
