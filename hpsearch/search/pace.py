"""Proposing must not eat the time of training: what a Gaussian process may cost."""

from __future__ import annotations

__all__ = ["GRACE_S", "SHARE", "Pace"]

SHARE = 0.1
"""Most time spent proposing, as a share of the time spent training."""

GRACE_S = 20.0
"""Seconds of training that are taken as done at the start, for the first proposals."""

_GUESS_S = 0.15
"""What a Gaussian process takes for a proposal from few trials, before it was measured."""

_FEW = 100
"""As many trials as `_GUESS_S` holds for. With n of them beyond that the time grows as n ** 2:
measured, 0.1 s from 100 trials, 3 to 10 s from 1,000."""

_MOST_BYTES = 1e9
"""Memory that a Gaussian process may take for a moment."""


class Pace:
    """The time of one study's proposals and training in one process."""

    def __init__(self) -> None:
        self._training_s = 0.0
        self._proposing_s = 0.0
        self._gp_s = _GUESS_S
        """For one proposal, scaled to few trials: a running mean."""

    def trained(self, seconds: float) -> None:
        """Training took so long since the last call."""
        self._training_s += seconds

    def proposed(self, seconds: float) -> None:
        """Proposals took so long, by whichever sampler."""
        self._proposing_s += seconds

    def measured(self, seconds: float, proposals: int, complete: int) -> None:
        """A Gaussian process took so long for a batch of proposals from `complete` trials."""
        self._gp_s += (seconds / proposals / _growth(complete) - self._gp_s) / 2

    def allows_gp(self, proposals: int, complete: int, running: int, parameters: int) -> bool:
        """Whether a Gaussian process has the time and the memory for a batch of proposals.

        Args:
            proposals: Size of the batch.
            complete: Trials that it would learn from.
            running: Trials under way, which it takes into account.
            parameters: How many it would draw.
        """
        if _bytes(complete, running + proposals, parameters) > _MOST_BYTES:
            return False
        expected_s = self._gp_s * proposals * _growth(complete)
        return self._proposing_s + expected_s <= SHARE * (self._training_s + GRACE_S)


def _growth(complete: int) -> float:
    return max(complete / _FEW, 1.0) ** 2


def _bytes(complete: int, running: int, parameters: int) -> float:
    """Memory of Optuna's GPSampler, measured: doubles, about four arrays of each size at once.

    One holds the distances of all trials, the other, for 2,048 points to begin at, 128 draws of
    the values of the trials under way.
    """
    return 4 * 8.0 * (complete**2 * parameters + 2048 * 128 * (running + 1))
