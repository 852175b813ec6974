"""A study played through in a moment: tickets, stacks, rungs and stages, without any network.

Everything that takes time in a study depends on how its trials meet: how many of a shape are under
way together, how many the pruner has let through before, what waits for the end of a stage. So a
forecast plays the study through, with dry-run times for epochs and random numbers for results, and
keeps to the same rules as the workers do (`packing`, `plan`).

A trial is as good as one number says; its reports come with noise, which fades. What a sampler that
learns draws is better than a random draw, and like the best in its shape. A candidate whose epoch
takes longer is better more often than not: it has more weights, or more steps.
"""

from __future__ import annotations

import bisect
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any

from hpsearch.stages import packing

__all__ = ["Costs", "Played", "PlayedStage", "Rule", "play"]

_OF = 3
"""What a sampler that learns draws is as good as the best of so many random draws. With this,
`_NOISE` and `_GRAIN` as many trials reach each rung as in searches of digits: of 60 about 31, 18
and 12 with a sampler that learns (measured with six seeds: 25 to 38, 14 to 21, 9 to 14), 27, 14 and
9 at random (26, 10, 8)."""

_OF_NEAR = 8
"""The same near the best trials, where most are good and a halving stops fewer. Epochs of a trial
in the stages and in the polish of the shipped studies (27 at the most, of Fashion-MNIST 9):

    measured, six seeds   circles 10.9 and 8.7, digits 7.9 and 6.6; two: Fashion-MNIST 4.7 and 3.4
    played with this      circles 11.2 and 7.9, digits 10.4 and 8.1, Fashion-MNIST 5.3 and 4.1
    played with 3         circles  7.5 and 5.9, digits 7.8 and 6.0, Fashion-MNIST 4.4 and 3.5
"""

_NOISE = 0.6
"""Of the first report, next to the spread of random draws; it fades to none at the last epoch."""

_GRAIN = 0.75
"""What reports are rounded to: metrics on some hundred rows are often equal, near the best most of
all, and of equals a halving stops none."""

_LEAN = 0.5
"""The correlation of how good a trial is with the logarithm of what its epoch takes. Of random
trials alone it is less (0.18 on circles, 0.11 on digits, 0.10 on Fashion-MNIST), but what a search
settles on is slower than that makes it: with the same trials TPE worked 1.1 times as long as random
search on digits, staged search 1.5 times (20 seeds)."""

_SAME = 0.5
"""How often what is learned is of the shape of one of the `_BEST` trials."""

_BEST = 5

_CLAIM_S, _TRIAL_S, _LEARNED_S = 0.01, 0.0015, 0.01
"""What tickets take beside the epochs: a claim, each trial in it, and each that a sampler draws by
what it has learned. Measured on SQLite; a server on the same network takes about as long."""

_ROUND_S, _REPORT_S = 0.001, 0.0001
"""What an epoch of all that is under way takes beside the training, and each report of it."""

_IDLE_S = 0.5
"""Until a worker that found no ticket asks again."""


@dataclass(frozen=True)
class PlayedStage:
    """A stage as it is played."""

    name: str
    count: int
    """Its tickets."""
    learns_after: int | None = None
    """So many ended trials, and what they gave draws the next; None: it never does."""
    shapes_known: bool = True
    """Whether the shapes of its tickets are known beforehand."""
    near: bool = False
    """Whether it stays near the best trials whoever draws."""
    bases: int = 0
    """Its trials are of the shapes of so many of the best trials, in turns; 0: shapes are drawn."""
    top: int | None = None
    """Of a finish: so many of the best trials, and the default configuration, are trained again."""

    @property
    def learns(self) -> bool:
        """Whether its trials are drawn by what others gave."""
        return self.learns_after is not None

    @property
    def searches(self) -> bool:
        """Whether its trials may be stopped, and the hours may end it."""
        return self.top is None


Rule = Callable[[int, float, int], bool]
"""Whether a trial stops: its number, its value, the epoch that it has finished."""


@dataclass(frozen=True)
class Costs:
    """What a device takes."""

    shapes: Sequence[int]
    """Draws of the space, each the number of its shape; the first is the default configuration."""
    slots: Callable[[int], int]
    """Of a shape, candidates trained at once."""
    epoch_s: Callable[[int, int], float]
    """Of a shape and so many candidates of it together."""
    fit_s: Callable[[int], float]
    """Of a shape, to find out its slots."""
    load_s: float
    """Before the first epoch that a worker trains a candidate alone."""


@dataclass
class Played:
    """How a study went."""

    seconds: float = 0.0
    """From its first ticket to its end."""
    busy_s: float = 0.0
    """Of all workers together."""
    epochs: int = 0
    begun: dict[str, int] = field(default_factory=dict)
    """Stage -> trials."""
    left: int = 0
    """Trials that the hours were over for."""
    reached: Counter[int] = field(default_factory=Counter)
    """Epoch -> trials of the search that ended with it."""
    most: int = 0
    """Candidates under way at once on one worker, at the most."""

    def getting_to(self, epoch: int) -> int:
        """Trials of the search that finished that epoch."""
        return sum(count for last, count in self.reached.items() if last >= epoch)


@dataclass
class _Trial:
    number: int
    quality: float
    shape: int
    stage: PlayedStage
    epoch: int = 0


@dataclass
class _Worker:
    clock: float = 0.0
    held: list[_Trial] = field(default_factory=list)
    fitted: set[int] = field(default_factory=set)
    loaded: bool = False
    epoch_s: float = 0.0


class _Study:
    """One play."""

    def __init__(
        self, stages: Sequence[PlayedStage], epochs: int, rule: Rule, rungs: Sequence[int],
        costs: Costs, workers: int, limit_s: float, bounded: bool, shaped: bool,
        rng: random.Random,
    ) -> None:  # fmt: skip
        self._stages, self._epochs, self._rule, self._costs = list(stages), epochs, rule, costs
        self._stops = sorted({*rungs, epochs})
        self._limit_s, self._bounded, self._shaped, self._rng = limit_s, bounded, shaped, rng
        self._workers = [_Worker() for _ in range(workers)]
        self._tickets = sum(stage.count for stage in stages)
        found = _standardised([math.log(costs.epoch_s(s, 1)) for s in costs.shapes])
        self._lean = dict(zip(costs.shapes, found, strict=True))
        self._seen: list[tuple[float, int]] = []
        self._upcoming: list[int] = []
        self._left = self._at = 0
        self._number = 0
        self.played = Played()

    def run(self) -> Played:
        self._open(0)
        while True:
            worker = min(self._workers, key=lambda w: w.clock)
            took = self._fill(worker)
            if worker.held:
                self._train(worker, 1 if took else self._ahead(worker))
                continue
            others = [w.clock for w in self._workers if w.held]
            if others:
                worker.clock = max(worker.clock, min(others)) + _IDLE_S
            elif not self._open(self._at + 1):
                self.played.left = self._tickets - sum(self.played.begun.values())
                return self.played

    # --- tickets ------------------------------------------------------------------------------

    def _open(self, at: int) -> bool:
        """Begin a stage; False where there is none left."""
        now = max(w.clock for w in self._workers)
        while at < len(self._stages) and self._spent(self._stages[at]):
            at += 1
        if at >= len(self._stages):
            return False
        for worker in self._workers:
            worker.clock = now
        stage = self._stages[at]
        self._at, self._left = at, stage.count
        self._upcoming = []
        if stage.top is not None:
            each = [*self._best(stage.top), self._costs.shapes[0]]
            self._upcoming = [each[turn % len(each)] for turn in range(stage.count)]
        return True

    @property
    def _stage(self) -> PlayedStage:
        return self._stages[self._at]

    def _spent(self, stage: PlayedStage) -> bool:
        """Whether the hours are over for it; a finish goes on."""
        return stage.searches and self.played.seconds >= self._limit_s

    def _fill(self, worker: _Worker) -> bool:
        """Take the tickets that a worker would; whether there were any."""
        if not self._left or self._spent(self._stage):
            return False
        taken = self._wish(worker)
        for quality, shape in taken:
            worker.held.append(_Trial(self._number, quality, shape, self._stage))
            self._number += 1
        self._left -= len(taken)
        if taken:
            name = self._stage.name
            self.played.begun[name] = self.played.begun.get(name, 0) + len(taken)
            self.played.most = max(self.played.most, len(worker.held))
            worker.clock += _CLAIM_S + len(taken) * (_TRIAL_S + _LEARNED_S * self._stage.learns)
        return bool(taken)

    def _wish(self, worker: _Worker) -> list[tuple[float, int]]:
        coming = list[int | None]()

        def upcoming() -> list[int | None]:
            coming.extend(self._coming())
            return coming

        count, places = packing.wish(
            [trial.shape for trial in worker.held], upcoming, self._room,
            shaped=self._shaped, epoch_s=worker.epoch_s,
        )  # fmt: skip
        count = min(count, -(-self._left // len(self._workers)))
        taken = [coming[at] for at in places[:count]] or [None] * count
        for shape in taken:
            if shape is not None and shape in self._upcoming:
                self._upcoming.remove(shape)
        return [self._draw(shape) for shape in taken]

    def _coming(self) -> Sequence[int | None]:
        """The shapes of the tickets that come next, as far as they are known."""
        if not self._shaped:
            return [self._costs.shapes[0]] * min(packing.AHEAD, self._left)
        if not self._stage.shapes_known:
            return [None]
        missing = max(min(packing.AHEAD, self._left) - len(self._upcoming), 0)
        bases = self._best(self._stage.bases)
        if bases:
            at = self._stage.count - self._left + len(self._upcoming)
            self._upcoming += [bases[(at + more) % len(bases)] for more in range(missing)]
        else:
            self._upcoming += self._rng.choices(self._costs.shapes, k=missing)
        return self._upcoming

    def _best(self, count: int) -> list[int]:
        """The shapes of so many of the best trials, the best first."""
        return [shape for _, shape in reversed(self._seen[len(self._seen) - count :])]

    def _room(self, shape: Any, held: int) -> int:
        slots = self._costs.slots(shape)
        return packing.room(slots, held, self._tickets, learns=self._stage.learns)

    def _draw(self, known: int | None = None) -> tuple[float, int]:
        """How good a trial is, and its shape, where that is not known."""
        after = self._stage.learns_after
        learned = self._stage.near or (after is not None and len(self._seen) >= after)
        draws = _OF_NEAR if self._stage.near else _OF if learned else 1
        quality, shape = max(self._random(known) for _ in range(draws))
        if known is None and learned and self._seen and self._rng.random() < _SAME:
            _, shape = self._rng.choice(self._seen[-_BEST:])
        return quality, shape

    def _random(self, known: int | None) -> tuple[float, int]:
        shape = self._rng.choice(self._costs.shapes) if known is None else known
        by_chance = math.sqrt(1 - _LEAN**2) * self._rng.gauss(0, 1)
        return _LEAN * self._lean[shape] + by_chance, shape

    # --- training -----------------------------------------------------------------------------

    def _ahead(self, worker: _Worker) -> int:
        """Epochs until something may happen to a candidate."""
        ends = (self._stops[bisect.bisect_right(self._stops, t.epoch)] - t.epoch
                for t in worker.held)  # fmt: skip
        return min(ends)

    def _train(self, worker: _Worker, epochs: int) -> None:
        count = Counter(trial.shape for trial in worker.held)
        taken_s = self._prepared(worker, count)
        each = sum(self._epoch_s(worker, s, n) for s, n in count.items())
        worker.epoch_s = each / len(worker.held)
        round_s = each + _ROUND_S + _REPORT_S * len(worker.held)
        bounded = self._bounded and self._stage.searches
        if bounded and math.isfinite(self._limit_s):
            left_s = self._limit_s - worker.clock - taken_s
            epochs = min(epochs, max(math.ceil(left_s / round_s), 1))
        taken_s += epochs * round_s
        worker.clock += taken_s
        self.played.busy_s += taken_s
        self.played.seconds = max(self.played.seconds, worker.clock)
        self.played.epochs += epochs * len(worker.held)
        for trial in worker.held:
            trial.epoch += epochs
        worker.held = [trial for trial in worker.held if not self._ends(trial)]
        if bounded and worker.clock >= self._limit_s:
            for trial in worker.held:
                self.played.reached[trial.epoch] += 1
            worker.held = []

    def _prepared(self, worker: _Worker, count: Mapping[int, int]) -> float:
        """Seconds for the dry runs of shapes that have company for the first time."""
        seconds = 0.0
        for shape in [s for s, n in count.items() if n > 1 and s not in worker.fitted]:
            worker.fitted.add(shape)
            # The first one of a worker that knows the shapes comes before its first ticket.
            if len(worker.fitted) > 1 or not self._stage.shapes_known:
                seconds += self._costs.fit_s(shape)
        if not worker.loaded and any(s not in worker.fitted for s in count):
            worker.loaded, seconds = True, seconds + self._costs.load_s
        return seconds

    def _epoch_s(self, worker: _Worker, shape: int, count: int) -> float:
        slots = self._costs.slots(shape) if shape in worker.fitted else 1
        full, rest = divmod(count, slots)
        seconds = full * self._costs.epoch_s(shape, slots)
        return seconds + (self._costs.epoch_s(shape, rest) if rest else 0.0)

    def _ends(self, trial: _Trial) -> bool:
        noise = _NOISE * (1 - trial.epoch / self._epochs)
        value = round((trial.quality + self._rng.gauss(0, noise)) / _GRAIN) * _GRAIN
        if trial.epoch == 1:
            bisect.insort(self._seen, (trial.quality, trial.shape))
        over = trial.epoch >= self._epochs
        if trial.stage.searches and trial.epoch in self._stops:
            over = self._rule(trial.number, value, trial.epoch) or over
        if over and trial.stage.searches:
            self.played.reached[trial.epoch] += 1
        return over


def _standardised(values: Sequence[float]) -> list[float]:
    """With a mean of 0 and a deviation of 1; all 0 where they are equal."""
    middle, spread = fmean(values), pstdev(values) or 1.0
    return [(value - middle) / spread for value in values]


def play(
    stages: Sequence[PlayedStage], epochs: int, rule: Rule, rungs: Sequence[int], costs: Costs, *,
    workers: int, limit_s: float, shaped: bool, seed: int, bounded: bool = True,
) -> Played:  # fmt: skip
    """Play a study once.

    Args:
        stages: Its stages.
        epochs: The most that a trial runs.
        rule: Which trials stop; it has seen none of another play.
        rungs: The epochs after which it is asked.
        costs: What the device takes.
        workers: How many.
        limit_s: Seconds after which no trial of the search begins.
        bounded: Whether those under way end then.
        shaped: Whether candidates differ in shape.
        seed: The play's.
    """
    rng = random.Random(seed)
    study = _Study(stages, epochs, rule, rungs, costs, workers, limit_s, bounded, shaped, rng)
    return study.run()
