"""What one epoch of one candidate gave: the one record of it, from its training to the database."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.spec.settings import Direction

__all__ = ["Epoch", "Keeping"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch of one candidate gave."""

    epoch: int
    """Its number, from 1."""
    value: float
    """The study's metric on the validation part."""
    metrics: Mapping[str, float]
    """`train_loss`, the mean over the epoch, and the metrics of the validation part."""
    seconds: float
    """Wall-clock time, evaluation included; in a stack an equal share for each candidate."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the task measures beside metrics, as plain values: of classes the `confusion` matrix.
    Only of the epoch whose network is kept."""

    def is_better(self, than: Epoch | None, direction: Direction) -> bool:
        """Whether its network is the better one: by the metric, and where that is the same by the
        loss on the validation part. Area under the curve is 1 wherever classes are in the right
        order, and of few rows accuracy takes few values, long before a network is sure of them."""
        if than is None:
            return True
        if self.value != than.value:
            return (self.value > than.value) is (direction == "maximize")
        return self.metrics.get("loss", math.inf) < than.metrics.get("loss", -math.inf)

    def as_json(self) -> dict[str, Any]:
        """The entry of a learning curve in a checkpoint; `Epoch(**entry)` makes it again."""
        return {
            "epoch": self.epoch, "value": self.value, "metrics": dict(self.metrics),
            "seconds": self.seconds,
        }  # fmt: skip


@dataclass(frozen=True)
class Keeping:
    """Which epoch of a candidate counts, and when it has nothing left to gain."""

    best: bool = False
    """Whether its network and its value are those of its best epoch; else of its last one."""
    stop_after: int | None = None
    """Epochs without a better value after which it is finished; None: it trains all its epochs."""

    def ends(self, curve: Sequence[Epoch], best_epoch: int, epochs: int) -> bool:
        """Whether a candidate has nothing left to train.

        Args:
            curve: Its epochs so far, from the first.
            best_epoch: The best of them. `stop_after` counts from the first one with its value.
            epochs: How many it has at most.
        """
        if len(curve) >= epochs:
            return True
        if self.stop_after is None or not best_epoch:
            return False
        best = curve[best_epoch - 1].value
        first = next(entry.epoch for entry in curve if entry.value == best)
        return len(curve) - first >= self.stop_after
