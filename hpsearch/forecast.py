"""What a study will take: a pure function of the study file and of dry runs on a device.

The study is played through many times (`simulation`): the median of the plays is what is expected,
and their spread, with what a dry run may be off by, the range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from hpsearch import halving
from hpsearch.simulation import Costs, Played, PlayedStage, play
from hpsearch.spec import StudySpec, versions
from hpsearch.spec.settings import FINAL, JOINT, LEARNS_AFTER, PURE, WARMUP
from hpsearch.stages import outline
from hpsearch.stages.stage import Stage

__all__ = ["Forecast", "Rung", "Shape", "Span", "Timings", "forecast"]

_PLAYS, _TRIALS = 40, 12_000
"""Plays of a study, at most, and the trials of all plays together: that takes a second or two."""

_LARGEST = 2_000
"""Trials that are played at the most; of a larger study a part is, and stands for the whole."""

_INNER = 0.1
"""Of the plays this share lies below the range, and above it."""

_TIMING = 1.25
"""By this factor a study takes longer or shorter than its dry runs say, as machines do."""


@dataclass(frozen=True)
class Shape:
    """Candidates of one shape on one device, by dry runs of it or of others."""

    words: str
    """The parameters that make it: `depth=2 width=64`."""
    slots: int
    """How many are trained at once."""
    epochs_s: tuple[tuple[int, float], ...]
    """Of so many at once, rising from 1, seconds of an epoch of all, evaluation included."""
    fit_s: float
    """The dry run by which a worker comes to `slots`."""
    candidate_bytes: int
    stack_bytes: int
    checkpoint_bytes: int

    def epoch_s(self, count: int) -> float:
        """Seconds of an epoch of so many at once."""
        known = self.epochs_s
        if len(known) == 1:
            return known[0][1] * count
        pairs = list(pairwise(known))
        (x, y), (right, above) = next((p for p in pairs if count <= p[1][0]), pairs[-1])
        return y + (above - y) * (count - x) / (right - x)


@dataclass(frozen=True)
class Timings:
    """What a machine said about a study in a few seconds."""

    device: str
    devices: int
    """Those like it that the workers share."""
    seats: int
    """Workers that its devices serve at full speed."""
    start_s: float
    """Until a worker is there."""
    load_s: float
    """What the first candidate that is trained alone takes longer than others."""
    shaping: tuple[str, ...]
    """The parameters by which shapes differ."""
    draws: tuple[int, ...]
    """The default configuration, the starting points and random draws of the space, each the number
    of its shape."""
    shapes: tuple[Shape, ...]
    """All that are drawn."""
    timed: int
    """The first so many of them, alone at least; all else is inferred from that."""
    data_bytes: int
    memory_bytes: int
    """Free on the device."""
    disk_bytes: int | None
    """Free where checkpoints lie; None: that is not known."""
    faults: tuple[str, ...] = ()
    """Shapes that cannot be trained there, and why."""


@dataclass(frozen=True)
class Span:
    """An expected value and the range that it should lie in."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Rung:
    """Where a pruner may stop trials, or the last epoch."""

    epoch: int
    trials: float
    """Trials of the search that are expected to get there."""


@dataclass(frozen=True)
class Forecast:
    """What a study is expected to take."""

    workers: int
    device: str
    trials: int
    """Its tickets, those of a finish included."""
    begun: int
    """Those that are expected to begin: fewer where its hours end before."""
    epochs: Span
    """Of all trials together."""
    rungs: tuple[Rung, ...]
    start_s: float
    """Until the first worker is there; not part of the others."""
    work_s: Span
    """From the first ticket to the end, as `active_s` of a study counts."""
    device_s: Span
    """Of all workers together."""
    epoch_s: Span
    """Of one candidate alone: the median shape, the fastest, the slowest."""
    candidate_bytes: int
    stack_bytes: int
    """Of all that is under way on a worker at once, of the largest shape."""
    disk_bytes: int
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values; `from_json` makes a forecast of them again."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: object) -> Forecast | None:
        """The forecast of `as_json`; None for what another version of hpsearch has kept."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(found)
        except ValidationError:
            return None


def forecast(spec: StudySpec, timings: Timings, workers: int = 1) -> Forecast:
    """What a study takes with so many workers, on the device of the dry runs."""
    total = outline.tickets(spec)
    part = min(_LARGEST / total, 1.0)
    count = max(min(_PLAYS, _TRIALS // round(total * part)), 4)
    whole = 1 / part
    held = None
    if spec.budget.hours and spec.search.strategy != JOINT:
        left = _played(spec, timings, workers, part, seed=0).left
        held = max(total - math.ceil(left * whole), 1)
    plays = [_played(spec, timings, workers, part, seed, held) for seed in range(count)]

    def span(values: Sequence[float], timing: float = 1.0) -> Span:
        found = sorted(value * whole for value in values)
        cut = round(_INNER * (len(found) - 1))
        return Span(found[len(found) // 2], found[cut] / timing, found[-1 - cut] * timing)

    alone = sorted(timings.shapes[n].epoch_s(1) for n in timings.draws)
    trials = total + outline.final_tickets(spec)
    # Not what began: the rounded stages of a part do not add up to the whole.
    left = math.ceil(span([p.left for p in plays]).expected)
    found = Forecast(
        workers=workers,
        device=timings.device,
        trials=trials,
        begun=max(trials - left, 0),
        epochs=span([p.epochs for p in plays]),
        rungs=_rungs(spec, plays, whole),
        start_s=timings.start_s,
        work_s=span([p.seconds for p in plays], _TIMING),
        device_s=span([p.busy_s for p in plays], _TIMING),
        epoch_s=Span(alone[len(alone) // 2], alone[0], alone[-1]),
        candidate_bytes=max(s.candidate_bytes for s in timings.shapes),
        stack_bytes=timings.data_bytes + max(s.stack_bytes for s in timings.shapes),
        disk_bytes=_disk(spec, timings, workers * max(p.most for p in plays)),
        warnings=(),
    )
    return replace(found, warnings=tuple(_warnings(spec, timings, found)))


def _played(
    spec: StudySpec, timings: Timings, workers: int, part: float, seed: int, held: int | None = None
) -> Played:
    """How that part of the study goes, where the hours hold so many of all its trials."""
    pruner, epochs = spec.search.pruner, spec.budget.epochs
    hours = spec.budget.hours
    return play(
        _stages(spec, timings, part, held), epochs,
        halving.stopping(pruner.name, pruner.steps(spec.version), epochs, seed),
        halving.rungs(pruner.name, pruner.steps(spec.version), epochs),
        _costs(spec, timings, max(workers / timings.seats, 1.0)),
        workers=workers,
        limit_s=hours * 3600 * part if hours else float("inf"),
        bounded=spec.version > versions.FIRST,
        shaped=bool(timings.shaping),
        seed=seed,
    )  # fmt: skip


def _stages(spec: StudySpec, timings: Timings, part: float, held: int | None) -> list[PlayedStage]:
    found = outline.provisional(spec, held)
    stages = [_stage(spec, stage, set(timings.shaping), part) for stage in found]
    if spec.final:
        count = max(round(outline.final_tickets(spec) * part), 1)
        stages.append(PlayedStage(FINAL, count, top=spec.final.top))
    return stages


def _stage(spec: StudySpec, stage: Stage, shaping: set[str], part: float) -> PlayedStage:
    learned = {name: LEARNS_AFTER[by] for name, by in stage.samplers.items() if by not in PURE}
    near = stage.name not in (JOINT, WARMUP)
    return PlayedStage(
        stage.name, max(round((stage.count or 0) * part), 1),
        learns_after=min(learned.values(), default=None),
        shapes_known=not learned.keys() & shaping,
        near=near,
        bases=outline.carried(spec, stage.name)
        if near and not stage.samplers.keys() & shaping else 0,
    )  # fmt: skip


def _costs(spec: StudySpec, timings: Timings, crowd: float) -> Costs:
    """Costs of a worker; where more of them share the devices, each takes longer by `crowd`."""
    shapes = timings.shapes
    return Costs(
        shapes=timings.draws,
        slots=lambda number: shapes[number].slots,
        epoch_s=lambda number, count: crowd * shapes[number].epoch_s(count),
        fit_s=lambda number: crowd * shapes[number].fit_s if spec.search.slots is None else 0.0,
        load_s=timings.load_s,
    )


def _rungs(spec: StudySpec, plays: Sequence[Played], whole: float) -> tuple[Rung, ...]:
    pruner, epochs = spec.search.pruner, spec.budget.epochs
    at = halving.rungs(pruner.name, pruner.steps(spec.version), epochs)
    if pruner.name in ("median", "percentile"):
        at = at[:1]  # it may stop a trial after each epoch from there on
    return tuple(
        Rung(e, whole * sum(p.getting_to(e) for p in plays) / len(plays)) for e in (*at, epochs)
    )


def _disk(spec: StudySpec, timings: Timings, under_way: int) -> int:
    """Checkpoints of all that is under way, of the best so far, and of a finish, of the largest
    shape; and one that is being written."""
    each = max(shape.checkpoint_bytes for shape in timings.shapes)
    return each * (under_way + 2 + outline.final_tickets(spec))


def _warnings(spec: StudySpec, timings: Timings, found: Forecast) -> list[str]:
    said = []
    if spec.budget.hours and found.begun < found.trials:
        said.append(
            f"budget.hours is {spec.budget.hours:g}: about {found.begun:,} of {found.trials:,} "
            "trials will begin before that; set fewer trials or epochs, or more hours or workers"
        )
    at_once = found.stack_bytes * math.ceil(found.workers / timings.devices)
    if at_once > timings.memory_bytes:
        said.append(
            f"memory: about {at_once / 2**30:.2g} GiB at once, and "
            f"{timings.memory_bytes / 2**30:.2g} GiB are free on {timings.device}; set a lower "
            "search.stack, batch_size or size of networks"
        )
    if timings.disk_bytes is not None and found.disk_bytes > timings.disk_bytes:
        said.append(
            f"disk: checkpoints take up to {found.disk_bytes / 2**30:.2g} GiB at once, and "
            f"{timings.disk_bytes / 2**30:.2g} GiB are free there; name another place: "
            "--checkpoints PLACE"
        )
    if timings.faults:
        more = f", and {len(timings.faults) - 1} more" if len(timings.faults) > 1 else ""
        said.append(f"cannot be trained here: {timings.faults[0]}{more}")
    if spec.budget.stop_after is not None and spec.budget.stop_after < spec.budget.epochs:
        said.append(
            f"which trials budget.stop_after: {spec.budget.stop_after} will end cannot be "
            "foreseen: this is without it"
        )
    if not halving.foreseeable(spec.search.pruner.name):
        said.append(
            f"what the pruner {spec.search.pruner.name} will stop cannot be foreseen: this is "
            "without it"
        )
    return said
