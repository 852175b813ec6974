"""Candidates that cost nothing: in the place of `training.array.Array`, all that is left of a
worker is what it does with the database."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from hpsearch.training.array import Report
from hpsearch.training.candidate import Candidate
from hpsearch.training.stacking.slots import Fit

__all__ = ["NoopArray", "learning_curve"]

SLOTS = 64
"""As many as a small network is given on a processor."""


def learning_curve(seed: int) -> Iterator[float]:
    """Values that rise to a height of their own, so that a pruner has something to tell apart."""
    height = random.Random(seed).random()
    return (height * (1 - 0.5**epoch) for epoch in range(1, 1_000_000))


class NoopArray:
    """The face of `Array`, with epochs that take no time."""

    stacks = True

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        self._held: dict[int, tuple[Candidate, list[dict[str, Any]], Iterator[float]]] = {}

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates held."""
        return tuple(self._held)

    def fit(self, candidate: Candidate) -> Fit:
        """How many candidates of the shape of this one are trained at once, and why."""
        return Fit(SLOTS, "they cost nothing")

    def has_state(self, key: int) -> bool:
        """Whether there is a `state` of that candidate."""
        return bool(self._held[key][1])

    def add(self, candidate: Candidate, state: Mapping[str, Any] | None = None) -> None:
        """Take a candidate in, from its start or from a `state` of it."""
        curve = list(state["curve"]) if state else []
        values = learning_curve(candidate.seed)
        for _ in curve:
            next(values)
        self._held[candidate.key] = candidate, curve, values

    def remove(self, key: int) -> None:
        """Let a candidate go."""
        del self._held[key]

    def state(self, key: int) -> dict[str, Any]:
        """A checkpoint of that candidate."""
        candidate, curve, _ = self._held[key]
        return {"digest": candidate.digest, "epoch": len(curve), "curve": list(curve)}

    def epoch(self) -> Iterator[Report]:
        """A report of every candidate."""
        for key in self.keys:
            if key in self._held:
                yield self._report(key, *self._held[key])

    def _report(
        self, key: int, candidate: Candidate, curve: list[dict[str, Any]], values: Iterator[float]
    ) -> Report:
        value = next(values)
        entry: dict[str, Any] = {"epoch": len(curve) + 1, "value": value, "seconds": 0.0}
        entry["metrics"] = {"accuracy": value}
        curve.append(entry)
        kept = {name: entry[name] for name in ("epoch", "value", "metrics")}
        return Report(key, finished=len(curve) == candidate.settings["epochs"], kept=kept, **entry)
