"""What one epoch of one candidate gave: the one record of it, from its training to the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    def ends(self, epoch: int, best_epoch: int, epochs: int) -> bool:
        """Whether a candidate of at most `epochs` ends with this one, `best_epoch` being its best
        so far."""
        stale = self.stop_after is not None and epoch - best_epoch >= self.stop_after
        return stale or epoch >= epochs
