"""Candidates that cost nothing: in the place of `training.array.Array`, all that is left of a
worker is what it does with the database."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from hpsearch.runner import Fit, Report, Saved
from hpsearch.runner.candidate import Candidate
from hpsearch.runner.epoch import Epoch
from hpsearch.sources.dataset import Dataset
from hpsearch.training.stacking.shaping import Shapes

__all__ = ["NoopArray", "learning_curve"]

SLOTS = 64
"""As many as a small network is given on a processor."""


def learning_curve(seed: int) -> Iterator[float]:
    """Values that rise to a height of their own, so that a pruner has something to tell apart."""
    height = random.Random(seed).random()
    return (height * (1 - 0.5**epoch) for epoch in range(1, 1_000_000))


class NoopArray:
    """A `runner.Runner` with epochs that take no time."""

    stacks = True
    ahead = 0
    waiting = ()

    def __init__(self, dataset: Dataset, *_arguments: Any, **_options: Any) -> None:
        self._shapes = Shapes(dataset)
        self._candidates: dict[int, tuple[Candidate, list[Epoch], Iterator[float]]] = {}

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates that it has."""
        return tuple(self._candidates)

    def shape(self, candidate: Candidate) -> Hashable:
        """The shape that the network would have."""
        return self._shapes(candidate)

    def shaping(self, example: Candidate, names: Iterable[str]) -> frozenset[str]:
        """The parameters on which that depends."""
        return self._shapes.by(example, names)

    def fit(self, _candidate: Candidate, *, alone: bool = False) -> Fit:
        """How many candidates of the shape of this one are trained at once, and why."""
        return Fit(SLOTS, "they cost nothing")

    def add(
        self, candidate: Candidate, saved: Saved | None = None, until: int | None = None
    ) -> None:
        """Take a candidate in, from its start or from where it was saved."""
        curve = list(saved.curve) if saved else []
        values = learning_curve(candidate.seed)
        for _ in curve:
            next(values)
        self._candidates[candidate.key] = candidate, curve, values

    def remove(self, key: int) -> None:
        """Let a candidate go."""
        del self._candidates[key]

    def log(self, key: int) -> bytes:
        """It writes none."""
        return b""

    def saved(self, key: int) -> Saved | None:
        """A checkpoint of that candidate."""
        candidate, curve, _ = self._candidates[key]
        entries = [epoch.as_json() for epoch in curve]
        state = {"digest": candidate.digest, "epoch": len(curve), "curve": entries}
        return Saved(state) if curve else None

    def close(self) -> None:
        """Let every candidate go."""
        self._candidates.clear()

    def reports(self, timeout_s: float = 0.0) -> Iterator[Report]:
        """A report of every candidate."""
        for key in self.keys:
            if key in self._candidates:
                yield self._report(key, *self._candidates[key])

    def _report(
        self, key: int, candidate: Candidate, curve: list[Epoch], values: Iterator[float]
    ) -> Report:
        value = next(values)
        curve.append(Epoch(len(curve) + 1, value, {"accuracy": value}, 0.0))
        finished = len(curve) == candidate.settings["epochs"]
        return Report(key, curve[-1], curve[-1], finished=finished)
