"""How long a study takes: the epochs that its pruner leaves, times what an epoch takes by shape.

`forecast` estimates it before a study runs, from shapes that were timed; `left_s` while it runs,
from what its epochs have taken. Nobody can know beforehand which shapes a search settles on, or how
many trials its pruner lets through, so a forecast is a value and a factor: it may be that much more
or less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev
from typing import Any

from hpsearch.spec import StudySpec
from hpsearch.spec.settings import HEART, JOINT, PURE, RECIPE
from hpsearch.stages import outline, packing

__all__ = [
    "Forecast", "Pace", "Progress", "Rung", "Shape", "Span", "Tempo", "epochs", "forecast", "left",
    "rungs", "tempo", "together",
]  # fmt: skip

_STRICT, _USUAL, _LENIENT = 0.8, 0.5, 0.3
"""A pruner that is to keep a share s of the trials at each rung lets s to this power through: it
compares a trial with those before, which are worse where a sampler learns, and lets equals pass.
Of 60 trials on digits 31, 18 and 12 passed the rungs of ASHA with TPE, and 26, 10 and 8 at random
(medians of six seeds); s ** 0.5 makes that 35, 20 and 12, and s alone 20, 7 and 2."""

_MACHINE = 1.3
"""By this factor a machine is faster or slower than while it was timed."""

_ENOUGH, _UNSEEN = 3, 2.0
"""Where fewer shapes than that were timed, others may take this factor longer or less at least."""

_LEAN = 1.5
"""By this factor a search that learns settles on slower shapes than it draws: so much longer staged
search worked with the same trials as random search, and TPE 1.1 times as long (20 seeds, digits).
"""

_LEARNED_S, _DRAWN_S = 0.15, 0.01
"""Seconds that a worker takes for a trial beside its epochs, where a sampler that learns proposes
it and where none does."""

_FEW = 4
"""Trials that a worker has under way where their shapes are not known before (`packing`)."""

_SLOTS = 64
"""The most slots of a stack where a study does not say."""

_PRIOR = 10
"""As many ended trials as the rule for pruners counts for once there are trials to count."""

_JITTER, _MOST_DOUBT = 0.35, math.log(3)
"""Logarithms of factors: an estimate of the time left is never surer than the first, nor called
less sure than the second. With the first, and `_TAIL`, the true time was in the range in 90 % of
the looks at 23 searches of 7 to 129 seconds on a loaded machine; in 73 % with 0.2 and no tail."""
_TAIL = 0.5
"""What the last trials take by themselves, of their time among others: towards the end fewer are
under way than before, and stacks with fewer slots are faster."""

_LEAST_S, _LEAST_EPOCHS = 3.0, 10
"""Work after which the time left can be told."""
_FINISH = (0.6, 0.3, 1.2)
"""What an epoch of a finish takes beside one of the search, at least, and at most: the seeds of a
configuration have one shape, and are trained together where that pays."""
_LEAST_SHARE, _LONG_S = 0.1, 30.0
"""That share of the trials has ended by then, or so many seconds of work are done."""


@dataclass(frozen=True)
class Span:
    """An expected value, and the range that it should lie in."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Shape:
    """Networks of one shape that were timed: the same layers, batch size, optimizer and loss."""

    words: str
    """The parameters that make it: `depth=2 width=64`."""
    epochs_s: tuple[tuple[int, float], ...]
    """How many were trained together, 1 first, and the seconds of an epoch of all of them."""
    candidate_bytes: int
    """Memory of one trained alone."""
    stack_bytes: int
    """Memory of the most that were trained together."""
    checkpoint_bytes: int

    @property
    def alone_s(self) -> float:
        """Seconds that one epoch takes when trained alone."""
        return self.epochs_s[0][1]

    @property
    def shared_s(self) -> float:
        """Seconds that one epoch takes among those trained together, where that pays; else
        alone."""
        return min(seconds / count for count, seconds in self.epochs_s)


@dataclass(frozen=True)
class Pace:
    """What one device takes for the shapes of a study, from a few seconds of timing."""

    device: str
    devices: int
    """Those like it that the workers share."""
    seats: int
    """Workers that the devices serve at full speed."""
    shapes: tuple[Shape, ...]
    """Those that were timed; the last one may be the largest, and not be drawn."""
    draws: tuple[int, ...]
    """The default configuration, starting points and random draws that were timed, each the number
    of its shape."""
    shaping: tuple[str, ...]
    """The parameters by which shapes differ."""
    possible: int
    """Shapes among 500 random draws."""
    data_bytes: int
    memory_bytes: int
    """Free on the device."""
    disk_bytes: int | None
    """Free where checkpoints lie; None: that is not known."""
    timed: str = ""
    """What was timed, where it is own training code, whose shapes nobody knows."""
    start_s: float = 0.0
    """Seconds that a trial takes before its first epoch: the start of a program, reading data."""
    faults: tuple[str, ...] = ()
    """Shapes that cannot be trained there, and why."""


@dataclass(frozen=True)
class Rung:
    """An epoch after which a pruner may stop trials, or the last one."""

    epoch: int
    trials: float
    """Trials of the search that are expected to train it."""


@dataclass(frozen=True)
class Forecast:
    """What a study is expected to take."""

    workers: int
    device: str
    trials: int
    """Its tickets, those of a finish included."""
    epochs: Span
    """Epochs of all trials together."""
    rungs: tuple[Rung, ...]
    epoch_s: Span
    """Seconds that one epoch of one trial takes alone: the mean of the shapes drawn, the least, the
    most."""
    work_s: Span
    """Seconds from the first ticket to the end."""
    candidate_bytes: int
    stack_bytes: int
    """Memory of all that a worker trains at once, of the largest shape, and of the data."""
    disk_bytes: int
    warnings: tuple[str, ...] = ()


# --- before it runs ---------------------------------------------------------------------------


def together(spec: StudySpec, shaping: Sequence[str], shares: Sequence[float], workers: int) -> int:
    """About how many trials of one shape a worker trains at once, if the device is best used so.

    Args:
        spec: The study.
        shaping: The parameters by which shapes differ.
        shares: How often each shape is drawn; they add up to 1.
        workers: How many share the tickets.
    """
    total, most = outline.tickets(spec), spec.search.slots or _SLOTS
    if _learns(spec, shaping):
        most = min(most, _FEW)
    alike = math.ceil(total * sum(share**2 for share in shares) / workers)
    return max(min(packing.room(most, 0, total, learns=_learns(spec)), alike), 1)


def _learns(spec: StudySpec, names: Sequence[str] | None = None) -> bool:
    """Whether some of these parameters, by default any, are drawn by what trials gave."""
    names = spec.space.names if names is None else names
    groups = {p.group for p in spec.space if p.name in names}
    return any(spec.search.sampler[group] not in PURE for group in groups)


def forecast(spec: StudySpec, pace: Pace, workers: int = 1) -> Forecast:
    """What a study takes with so many workers on devices like the one that was timed."""
    total, finish = outline.tickets(spec), outline.final_tickets(spec) * spec.budget.epochs
    search = _searched(spec)
    alone = [pace.shapes[number].alone_s for number in pace.draws]
    parallel = min(workers, pace.seats)
    each_s, factor = _epoch(spec, pace)
    each_s /= parallel
    start_s = pace.start_s / parallel
    trial_s = (_LEARNED_S if _learns(spec) else _DRAWN_S) / parallel + start_s
    search_s = search.expected * each_s + total * trial_s
    factor = math.hypot(factor, math.log(search.high / search.low) / 2)
    finish_s = finish * each_s + outline.final_tickets(spec) * start_s
    work_s = _ranged(search_s, factor, spec.budget.hours, finish_s)
    planned = Forecast(
        workers=workers,
        device=pace.device,
        trials=total + outline.final_tickets(spec),
        epochs=epochs(spec),
        rungs=rungs(spec),
        epoch_s=Span(fmean(alone), min(alone), max(alone)),
        work_s=work_s,
        candidate_bytes=max(shape.candidate_bytes for shape in pace.shapes),
        stack_bytes=pace.data_bytes + max(shape.stack_bytes for shape in pace.shapes),
        disk_bytes=_disk(spec, pace, workers),
    )
    begun = spec.budget.hours and spec.budget.hours * 3600 / search_s
    return replace(planned, warnings=tuple(_warnings(spec, pace, planned, begun or 1.0)))


def epochs(spec: StudySpec) -> Span:
    """Epochs of all trials together, those of a finish included: what can be told without timing
    anything."""
    search, finish = _searched(spec), outline.final_tickets(spec) * spec.budget.epochs
    return Span(search.expected + finish, search.low + finish, search.high + finish)


def _searched(spec: StudySpec) -> Span:
    """Epochs of all trials of the search."""
    total = outline.tickets(spec)
    return Span(*(total * sum(_reaching(spec, by)) for by in (_USUAL, _STRICT, _LENIENT)))


def _epoch(spec: StudySpec, pace: Pace) -> tuple[float, float]:
    """Seconds that one epoch of one trial takes on a busy worker, and the logarithm of the factor
    by which that may be off.

    Shapes that a sampler draws meet in a stack now and then: that lies between alone and together.
    A search that learns may settle on any shape; one that does not trains them all.
    """
    drawn = [pace.shapes[number] for number in pace.draws]
    alone, shared = fmean(s.alone_s for s in drawn), fmean(s.shared_s for s in drawn)
    mixed = _learns(spec, pace.shaping)
    seconds = math.sqrt(alone * shared) if mixed else shared
    spread = pstdev([math.log(shape.shared_s) for shape in drawn])
    if len(set(pace.draws)) < min(_ENOUGH, pace.possible):
        spread = max(spread, math.log(_UNSEEN))
    if _learns(spec) or spec.search.strategy != JOINT or spec.final:
        seconds *= _LEAN
    else:
        spread /= math.sqrt(len(drawn))
    company = abs(math.log(alone / shared)) / 2 if mixed else 0.0
    return seconds, math.hypot(math.log(_MACHINE), spread, company)


def _ranged(search_s: float, factor: float, hours: float | None, finish_s: float) -> Span:
    """The search, which its hours end, and after it the finish, which has no hours."""
    most = hours * 3600 if hours else math.inf
    low, high = (
        min(search_s * f, most) + finish_s * f for f in (math.exp(-factor), math.exp(factor))
    )
    return Span(min(search_s, most) + finish_s, low, high)


def rungs(spec: StudySpec) -> tuple[Rung, ...]:
    """How many trials train each epoch that fewer begin than the one before, and the last."""
    shares = _reaching(spec, _USUAL)
    ends = [e for e in range(1, len(shares)) if shares[e] < shares[e - 1]]
    return tuple(Rung(e, outline.tickets(spec) * shares[e - 1]) for e in (*ends, len(shares)))


def _reaching(spec: StudySpec, leniency: float) -> tuple[float, ...]:
    """For each epoch from 1 the share of trials that train it, where a pruner that keeps a share s
    at a rung lets s ** leniency through."""
    epochs, shares = spec.budget.epochs, [0.0] * spec.budget.epochs
    for weight, rungs, keep in _brackets(spec):
        for epoch in range(epochs):
            passed = sum(rung <= epoch for rung in rungs)
            shares[epoch] += weight * keep ** (leniency * passed)
    whole = _unpruned(spec)
    return tuple(whole + (1 - whole) * share for share in shares)


def _unpruned(spec: StudySpec) -> float:
    """The share of the search's trials that no pruner stops, as they learn by heart."""
    if spec.search.strategy != RECIPE:
        return 0.0
    return outline.sizes(spec).get(HEART, 0) / outline.tickets(spec)


def _brackets(spec: StudySpec) -> Iterator[tuple[float, list[int], float]]:
    """The share of trials in each bracket, its rungs, and the share that each of them keeps."""
    pruner, epochs = spec.search.pruner, spec.budget.epochs
    options = pruner.steps(spec.version)
    if pruner.name in ("asha", "hyperband"):
        factor, first = options["reduction_factor"], options["min_resource"]
        rungs = [first * factor**k for k in range(64) if first * factor**k < epochs]
        for weight, skipped in _weights(pruner.name, options, epochs):
            yield weight, rungs[skipped:], 1 / factor
    elif pruner.name in ("median", "percentile"):
        # Those after the first rarely stop a trial that passed it.
        yield 1.0, [max(options["n_warmup_steps"], 1)], options.get("percentile", 50.0) / 100
    else:
        yield 1.0, [], 1.0


def _weights(name: str, options: dict[str, Any], epochs: int) -> list[tuple[float, int]]:
    """The share of trials in each bracket, and the rungs that it leaves out.

    Those of Hyperband are Li et al., "Hyperband" (2018), as Optuna's HyperbandPruner has them.
    """
    if name == "asha":
        return [(1.0, options["min_early_stopping_rate"])]
    factor = options["reduction_factor"]
    count = math.floor(math.log(max(epochs / options["min_resource"], 1), factor)) + 1
    sizes = [math.ceil(count * factor**s / (s + 1)) for s in reversed(range(count))]
    return [(size / sum(sizes), skipped) for skipped, size in enumerate(sizes)]


def _disk(spec: StudySpec, pace: Pace, workers: int) -> int:
    """Bytes of checkpoints of all that is under way, the best so far, one being written, and a
    finish, if all were of the largest shape."""
    under_way = max(_FEW, *(shape.epochs_s[-1][0] for shape in pace.shapes))
    count = min(workers * under_way, outline.tickets(spec)) + 2 + outline.final_tickets(spec)
    return count * max(shape.checkpoint_bytes for shape in pace.shapes)


def _warnings(spec: StudySpec, pace: Pace, planned: Forecast, begun: float) -> Iterator[str]:
    if begun < 1:
        trials = outline.tickets(spec)
        yield (
            f"budget.hours is {spec.budget.hours:g}: about {max(trials * begun, 1):,.0f} of "
            f"{trials:,} trials will begin before that; set fewer trials or epochs, or more hours "
            "or workers"
        )
    at_once = planned.stack_bytes * math.ceil(planned.workers / pace.devices)
    if at_once > pace.memory_bytes:
        yield (
            f"memory: about {at_once / 2**30:.2g} GiB at once, and "
            f"{pace.memory_bytes / 2**30:.2g} GiB are free on {pace.device}; "
            + (
                "fewer workers need less"
                if pace.timed
                else "set a lower search.stack, batch_size or size of networks"
            )
        )
    if pace.disk_bytes is not None and planned.disk_bytes > pace.disk_bytes:
        yield (
            f"disk: checkpoints take up to {planned.disk_bytes / 2**30:.2g} GiB at once, and "
            f"{pace.disk_bytes / 2**30:.2g} GiB are free there; name another place: "
            "--checkpoints PLACE"
        )
    if pace.faults:
        more = f", and {len(pace.faults) - 1} more" if len(pace.faults) > 1 else ""
        yield f"cannot be trained here: {pace.faults[0]}{more}"
    stop_after = spec.budget.stop_after
    if stop_after is not None and stop_after < spec.budget.epochs:
        yield f"trials that budget.stop_after: {stop_after} ends sooner are not foreseen"
    if spec.search.pruner.name in ("patient", "threshold"):
        yield f"trials that the pruner {spec.search.pruner.name} stops are not foreseen"


# --- while it runs ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """How far a study is."""

    ended: tuple[int, ...]
    """Epochs of each trial of the search that has ended."""
    running: tuple[int, ...]
    """Epochs so far of each trial under way."""
    waiting: int
    """Tickets of the search that no trial has yet."""
    finish: int
    """Epochs that trials of a finish still have to train."""
    epochs: int
    """Epochs trained by all trials."""
    work_s: float
    """Seconds of work that they took."""
    limit_s: float | None = None
    """Seconds that the hours of the search leave; None: it has no limit."""


@dataclass(frozen=True)
class Tempo:
    """How fast a study is trained."""

    epoch_s: float
    """Seconds of work for an epoch of any trial."""
    parallel: float = 1.0
    """Trials under way at a time, the mean."""
    drift: float = 0.0
    """Logarithm of the factor by which it differs from the tempo before."""


def tempo(progress: Progress, since: Progress | None = None) -> Tempo | None:
    """The tempo since an earlier look at a study, or since its start; None while too little is
    done to tell."""
    epochs = progress.epochs - (since.epochs if since else 0)
    work_s = progress.work_s - (since.work_s if since else 0.0)
    if work_s < _LEAST_S or epochs < _LEAST_EPOCHS:
        return None
    return Tempo(work_s / epochs, max(len(progress.running), 1))


def left(spec: StudySpec, progress: Progress, lately: Tempo | None = None) -> Span | None:
    """Seconds of work that a study still takes; None while too little is done to tell.

    The range is narrower the more trials have ended, the steadier the tempo, and the less of the
    study is left: those to come may run more epochs, and those epochs take longer, than what has
    been seen. Towards the end trials run out: the last one takes as long as it takes, however many
    there were beside it.

    Args:
        spec: The study.
        progress: How far it is.
        lately: Its tempo lately; None: that since its start.
    """
    now = lately or tempo(progress)
    if now is None or not _is_told(progress):
        return None
    to_come = _to_come(spec, progress)
    factor = math.exp(min(math.hypot(_doubt(spec, progress, to_come), now.drift), _MOST_DOUBT))
    limit_s = math.inf if progress.limit_s is None else progress.limit_s
    alone_s = _TAIL * (now.parallel - 1) * now.epoch_s
    usual, longest = _last(spec, progress)
    expected, low, high = (
        min(to_come * now.epoch_s * by + alone_s * last, limit_s)
        + progress.finish * now.epoch_s * share
        for by, last, share in zip(
            (1.0, 1 / factor, factor), (usual, 0.0, longest), _FINISH, strict=True
        )
    )
    return Span(expected, low, high)


def _last(spec: StudySpec, progress: Progress) -> tuple[float, float]:
    """Epochs of the trial that ends last: as many as are expected, and at most."""
    begun = [*progress.running, *([0] if progress.waiting else [])]
    shares = _reaching(spec, _USUAL)
    usual = max((_remaining(shares, epoch) for epoch in begun), default=0.0)
    return usual, max((len(shares) - epoch for epoch in begun), default=0)


def _is_told(progress: Progress) -> bool:
    """Whether there is enough to go by: the first few trials train alone, and not in stacks."""
    if progress.work_s >= _LONG_S:
        return True
    ended = len(progress.ended)
    taken = ended + len(progress.running) + progress.waiting
    return ended >= max(min(_FEW, taken), _LEAST_SHARE * taken)


def _doubt(spec: StudySpec, progress: Progress, to_come: float) -> float:
    """The logarithm of the factor by which the time left may be off."""
    share = to_come / max(to_come + progress.epochs, 1.0)
    lengths = progress.ended or (1,)
    spread = pstdev(lengths) / max(fmean(lengths), 1.0) if len(lengths) > 1 else 1.0
    ahead = max(progress.waiting + len(progress.running), 1)
    count = spread * math.sqrt(1 / (len(progress.ended) + 1) + 1 / ahead)
    slower = math.log(_LEAN) * share if _learns(spec) or spec.search.strategy != JOINT else 0.0
    return math.hypot(math.log(_MACHINE) * share, count, slower, _JITTER)


def _to_come(spec: StudySpec, progress: Progress) -> float:
    """Epochs that trials of the search still train."""
    shares = _reaching(spec, _USUAL)
    usual, count = sum(shares), len(progress.ended)
    mean = (_PRIOR * usual + sum(progress.ended)) / (_PRIOR + count)
    under_way = sum(_remaining(shares, epoch) for epoch in progress.running)
    return progress.waiting * mean + under_way * mean / usual


def _remaining(shares: Sequence[float], epoch: int) -> float:
    """Epochs that a trial is expected to train after its first ones."""
    return sum(shares[epoch:]) / (shares[epoch - 1] if epoch else 1.0)
