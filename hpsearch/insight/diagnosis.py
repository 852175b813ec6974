"""What a learning curve says of its trial, in a word.

Pure functions of what is kept anyway: the study's metric after each epoch, and `train_loss` and
`loss` after the last one. So shape is judged by the metric, and fit by the last losses. The
questions are those that Godbole et al., Deep Learning Tuning Playbook (2023), ask of training
curves; the figures are ours unless a source stands beside them. docs/guides/reading-a-report.md has
them all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean
from types import MappingProxyType

from hpsearch.spec.settings import Direction
from hpsearch.spec.task import Metric, Task

__all__ = [
    "ADVICE", "BEST", "FEW", "Diagnosis", "Word", "Yardstick", "best_epoch", "diagnose", "is_blown",
    "summary",
]  # fmt: skip

FEW = 5
"""Epochs below which a curve has no shape: Prechelt's strips are of as many."""
BEST = 5
"""Best trials that the study's word comes from: "at least the best few" (Tuning Playbook)."""

BLOWN = 2.0
"""Diverged: the training loss is above so many times what guessing costs."""
NOISY = 0.2
"""Noisy: the error jumps by this share of itself from epoch to epoch."""
PROGRESS = 0.05
"""Still improving: the last strip but one lies above the last by this share of the error."""
FALLEN = 0.05
"""Over-fitting: the error has risen by this share above its lowest. Prechelt, "Early stopping - but
when?" (1998): generalization loss, stopping criterion GL with alpha = 5 (per cent)."""
GAP = 0.1
"""Over-fitting: validation loss less training loss, as a share of what guessing costs."""
UNLEARNT = 0.5
"""Under-fitting: both losses are above this share of what guessing costs."""
HARDLY = 0.8
"""Hardly learnt, or under-fitting where the metric is better than that of a constant answer: both
losses are above this share of what guessing the classes by their shares costs."""
CHANCE = 2.0
"""Standard errors, by the jumps of the curve, that a difference of two strips has to have."""


class Word(StrEnum):
    """What a curve, or a study's best curves, look like."""

    DIVERGED = "diverged"
    NOISY = "noisy"
    STILL = "still improving"
    HARDLY = "hardly learnt"
    OVER = "over-fitting"
    UNDER = "under-fitting"
    SATURATED = "saturated early"
    FINE = "fine"


ADVICE: Mapping[Word, str] = MappingProxyType({
    Word.DIVERGED: "search lower learning rates",
    Word.NOISY: "lower learning rates, larger batches or more validation rows",
    Word.STILL: "more epochs",
    Word.HARDLY: "more epochs, another learning rate or another network",
    Word.OVER: "more regularisation, or more data",
    Word.UNDER: "a larger network, if the data has more to tell",
    Word.SATURATED: "fewer epochs, and more trials for them",
    Word.FINE: "nothing in the curves to fix",
})  # fmt: skip
"""What to try next where that is the word."""


@dataclass(frozen=True)
class Yardstick:
    """What the curves of one study are measured by."""

    metric: Metric
    task: Task
    classes: int
    """Of the target; 0 where it is a number, or nothing is known of the data yet."""
    rows: int
    """Of the validation part; 0: not known."""
    constant: float | None = None
    """The metric of a constant answer; None: not known."""
    by_shares: float | None = None
    """The usual loss of guessing classes by how frequent they are; None: not known."""

    def error(self, value: float) -> float:
        """What is left to gain."""
        return self.metric.error(value)

    def doubt(self, error: float) -> float:
        """The standard error of a share measured on so few rows: a smaller difference says nothing.

        Goodfellow, Bengio and Courville, "Deep Learning" (2016), section 5.4.3. 0 where the metric
        is no share.
        """
        counts = self.rows and (self.metric.low, self.metric.high) == (0, 1)
        return math.sqrt(max(error * (1 - error), 0.0) / self.rows) if counts else 0.0

    def guessed(self, loss: str | None) -> float:
        """The training loss of a network that has learnt nothing."""
        return self.task.guess(loss, self.classes)

    def unlearnt(self, loss: str | None, *, balanced: bool) -> float:
        """The same where it need only know how frequent the classes are, unless they are balanced:
        of rare classes that costs little."""
        guessed = self.guessed(loss)
        if self.by_shares is None or balanced or not self.task.is_usual_scale(loss):
            return guessed
        return min(guessed, self.by_shares)


@dataclass(frozen=True)
class Diagnosis:
    """What the best curves of a study say together."""

    word: Word | None
    """None: most of them, or the best one where they differ, cannot be judged."""
    words: Mapping[int, Word | None]
    """The words of the best trials by number, the best first; none: no trial was completed."""
    diverged: int
    """Of all its trials."""

    @property
    def agreeing(self) -> int:
        """How many of the trials have the study's word."""
        return sum(word is self.word for word in self.words.values())


def best_epoch(curve: Mapping[int, float], direction: Direction) -> int:
    """The epoch of the best value of a learning curve, the first of equals."""
    sign = 1 if direction == "maximize" else -1
    return max(curve, key=lambda epoch: (sign * curve[epoch], -epoch))


def diagnose(
    curve: Sequence[float], metrics: Mapping[str, float], yardstick: Yardstick, *,
    loss: str | None = None, diverged: bool = False, balanced: bool = False,
) -> Word | None:  # fmt: skip
    """The word for a trial that has ended.

    Args:
        curve: The study's metric after each epoch.
        metrics: After the last epoch, `train_loss` and `loss` among them.
        yardstick: The study's.
        loss: The name of the trial's loss; None: its task's own.
        diverged: Whether a number of it was not finite.
        balanced: Whether rows counted by how rare their class is.

    None where the curve is too short to tell, or a metric is missing.
    """
    guessed, train, validation = (
        yardstick.guessed(loss),
        metrics.get("train_loss"),
        metrics.get("loss"),
    )
    if diverged or is_blown(metrics, guessed):
        return Word.DIVERGED
    if len(curve) < FEW or train is None or validation is None:
        return None
    way = _Way([yardstick.error(value) for value in curve], yardstick)
    if way.is_noisy:
        return Word.NOISY
    if way.is_above(way.before, way.last, PROGRESS):
        return Word.STILL
    # Dropout and smoothing are in the one, not in the other: the network fits as the lower says.
    if min(train, validation) > HARDLY * yardstick.unlearnt(loss, balanced=balanced):
        return Word.UNDER if way.is_better_than(yardstick.constant) else Word.HARDLY
    if validation - train > GAP * guessed:
        return Word.OVER
    if min(train, validation) > UNLEARNT * guessed:
        return Word.UNDER
    if validation > train and way.is_above(way.last, way.lowest, FALLEN):
        return Word.OVER
    return Word.FINE if way.is_above(way.early, way.last, PROGRESS) else Word.SATURATED


def is_blown(metrics: Mapping[str, float], guessed: float) -> bool:
    """Whether the training loss is far above that of a network that has learnt nothing."""
    train = metrics.get("train_loss")
    return train is not None and train > BLOWN * guessed


class _Way:
    """Errors after each epoch, in strips: means over a few epochs (Prechelt, 1998)."""

    def __init__(self, errors: Sequence[float], yardstick: Yardstick) -> None:
        count = len(errors)
        self._yardstick = yardstick
        self._size = min(max(count // 4, 2), 5)
        strips = [mean(errors[i : i + self._size]) for i in range(count - self._size + 1)]
        self.last, self.before, self.lowest = strips[-1], strips[-1 - self._size], min(strips)
        self.early = strips[count // 3]
        late = errors[count // 2 :]
        self._level, self._doubt = mean(late), yardstick.doubt(mean(late))
        # In fewer epochs the bend of a curve that has just begun looks like noise.
        self._noise = _noise(late) if count >= 2 * FEW else 0.0

    @property
    def is_noisy(self) -> bool:
        """Whether the value hangs on which epoch is the last one."""
        return self._noise > max(NOISY * self._level, self._doubt)

    def is_better_than(self, constant: float | None) -> bool:
        """Whether the last strip is better than a constant answer, and not by chance."""
        if constant is None:
            return False
        return self.is_above(self._yardstick.error(constant), self.last, PROGRESS)

    def is_above(self, strip: float, other: float, share: float) -> bool:
        """Whether a strip lies above another by that share of it, and not by chance."""
        chance = CHANCE * self._noise * math.sqrt(2 / self._size)
        return strip - other > max(share * other, chance, self._doubt)


def _noise(values: Sequence[float]) -> float:
    """The deviation of values around a smooth curve, from how far each is off its neighbours' mean.

    Gasser, Sroka and Jennen-Steinmetz, "Residual variance and residual pattern in nonlinear
    regression" (Biometrika 73, 1986).
    """
    off = [b - (a + c) / 2 for a, b, c in zip(values, values[1:], values[2:], strict=False)]
    return math.sqrt(2 / 3 * mean(x * x for x in off))


def summary(best: Mapping[int, Word | None], diverged: int) -> Diagnosis | None:
    """What a study's trials say together; None where they say nothing.

    Args:
        best: The words of its best trials by number, the best first. One without a word counts
            as such: the word of another trial is not its word.
        diverged: How many of all its trials diverged, which is the study's word where none was
            completed.
    """
    if not best:
        return Diagnosis(Word.DIVERGED, {}, diverged) if diverged else None
    if not diverged and not any(best.values()):
        return None
    word, count = Counter(best.values()).most_common(1)[0]
    if 2 * count <= len(best):  # they differ: the best one's
        word = next(iter(best.values()))
    return Diagnosis(word, dict(best), diverged)
