"""The dry runs behind a forecast: the shapes that a study draws, each trained for a moment."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch import packing, plan
from hpsearch.catalog import PURE, Value
from hpsearch.errors import HpsearchError, line
from hpsearch.forecast import Shape, Timings
from hpsearch.space import Assignment, Grid
from hpsearch.spec import StudySpec
from hpsearch.training import devices
from hpsearch.training.array import Array
from hpsearch.training.candidate import Candidate
from hpsearch.training.fit import Cost, checkpoint_bytes, cost
from hpsearch.training.stack import shape_of, shapes_by

if TYPE_CHECKING:
    import torch

    from hpsearch.training.data import Dataset

__all__ = ["LIMIT_S", "draws", "inferred", "rehearse"]

LIMIT_S = 10.0
"""Dry runs are begun for so long; what has been begun is brought to its end."""

_DRAWS = 500
"""Random draws of the space: they tell how often trials are of one shape."""

_RIDGE = 0.1
"""The strength of the ridge: dry runs are off by a fifth, and what a parameter changes is of the
order of 1 in logarithms, which makes 0.04; more, as few shapes are timed."""


def draws(spec: StudySpec, count: int) -> Iterator[Assignment]:
    """The default configuration, the starting points, and random draws of the whole space."""
    yield plan.default_point(spec)
    rng = random.Random(spec.search.seed)
    yield from (_drawn(spec, point, rng) for point in spec.start)
    endless = any(p.domain.size is None for p in spec.space)
    cells = None if endless or set(spec.search.sampler.values()) != {"grid"} else Grid(spec.space)
    for _ in range(count):
        if cells is not None:
            yield cells.cell(rng.randrange(cells.size))
        else:
            yield _drawn(spec, {}, rng)


def _drawn(spec: StudySpec, point: Assignment, rng: random.Random) -> Assignment:
    """As a worker assigns them: a point's values, defaults beside them, and random ones."""
    values = dict[str, Value]()
    for parameter in spec.space:
        if not parameter.active({**spec.space.constants, **values}):
            continue
        if parameter.name in point:
            values[parameter.name] = point[parameter.name]
        elif point and parameter.default is not None:
            values[parameter.name] = parameter.default
        else:
            values[parameter.name] = parameter.domain.at(rng.random())
    return values


def rehearse(
    spec: StudySpec,
    dataset: Dataset,
    device: torch.device,
    *,
    devices_: int,
    seats: int,
    since: float,
    disk_bytes: int | None = None,
    limit_s: float = LIMIT_S,
) -> Timings:
    """Time what a study draws, on one device.

    Args:
        spec: The study.
        dataset: Its data, on the device.
        device: Where.
        devices_: Devices like it that the workers share.
        seats: Workers that the devices serve at full speed.
        since: Unix time at which a worker would have started that is here by now: it loads what
            this process has loaded.
        disk_bytes: Free where its checkpoints will lie; None: not known.
        limit_s: No dry run is begun after so many seconds.

    Raises HpsearchError where nothing that the study draws can be trained.
    """
    start_s = time.time() - since
    candidates = [
        Candidate(0, spec.family, spec.settings(values), seed)
        for seed, values in enumerate(draws(spec, _DRAWS))
    ]
    runs = _Runs(spec, dataset, device)
    load_s = runs.loading_s(candidates[0])
    examples = dict[Hashable, Candidate]()
    for candidate in candidates:
        examples.setdefault(shape_of(candidate), candidate)
    timed = runs.timed(examples, limit_s)
    order = dict.fromkeys([*timed, *examples])
    numbers = {shape: number for number, shape in enumerate(order)}
    tensors = [t for p in (dataset.train, dataset.validation) for t in (p.inputs, p.targets)]
    return Timings(
        device=devices.describe(device),
        devices=devices_,
        seats=seats,
        start_s=start_s,
        load_s=load_s,
        shaping=tuple(sorted(shapes_by(spec.space.names))),
        draws=tuple(numbers[shape_of(c)] for c in candidates),
        shapes=inferred(tuple(timed.values()), [runs.shaping(examples[shape]) for shape in order]),
        timed=len(timed),
        data_bytes=sum(t.numel() * t.element_size() for t in tensors),
        memory_bytes=devices.free_memory(device),
        disk_bytes=disk_bytes,
        faults=tuple(runs.faults),
    )


class _Runs:
    """Dry runs of one study on one device."""

    def __init__(self, spec: StudySpec, dataset: Dataset, device: torch.device) -> None:
        self._spec, self._dataset, self._device = spec, dataset, device
        self._array = Array(dataset, spec.metric, device, stack=spec.search.slots)
        shaping = shapes_by(spec.space.names)
        self._named = [name for name in spec.space.names if name in shaping]
        self.faults: list[str] = []
        """Shapes that cannot be trained, and why."""

    def shaping(self, example: Candidate) -> Assignment:
        """The parameters that make its shape."""
        return {name: example.settings[name] for name in self._named}

    def loading_s(self, example: Candidate) -> float:
        """What the first candidate that is trained alone takes longer than it does after that."""
        times = []
        for _ in range(2):
            started = time.perf_counter()
            with suppress(Exception):  # it is met again where it is noted
                self._cost(example, 1)
            times.append(time.perf_counter() - started)
        return max(times[0] - times[1], 0.0)

    def timed(
        self, examples: Mapping[Hashable, Candidate], limit_s: float
    ) -> dict[Hashable, Shape]:
        """As many of the shapes as there is time for: alone in the first half of it, in stacks in
        the second."""
        began, found = time.perf_counter(), dict[Hashable, Shape]()
        for shape, example in examples.items():
            if found and time.perf_counter() - began > limit_s / 2:
                break
            with self._noting(example):
                found[shape] = self._alone(example)
        if not found:
            raise HpsearchError(f"nothing that the study draws can be trained: {self.faults[0]}")
        stacked = list[Shape]()
        for shape, alone in list(found.items()):
            if stacked and time.perf_counter() - began > limit_s:
                found[shape] = _like(stacked, alone)
                continue
            with self._noting(examples[shape]):
                found[shape] = self._stacked(examples[shape], alone)
                stacked.append(found[shape])
        return found

    @contextmanager
    def _noting(self, example: Candidate) -> Iterator[None]:
        """A candidate that cannot be trained is noted; the others can be."""
        try:
            yield
        except Exception as error:
            devices.empty_cache(self._device)
            self.faults.append(f"{self._words(example) or 'the network'}: {line(error)}")

    def _words(self, example: Candidate) -> str:
        return _words(self.shaping(example))

    def _cost(self, example: Candidate, slots: int) -> Cost:
        return cost(example, self._dataset, self._device, self._spec.metric, slots)

    def _alone(self, example: Candidate) -> Shape:
        found = self._cost(example, 1)
        return Shape(
            words=self._words(example),
            slots=1,
            epochs_s=((1, found.epoch_s),),
            fit_s=0.0,
            candidate_bytes=found.memory_bytes,
            stack_bytes=found.memory_bytes,
            checkpoint_bytes=checkpoint_bytes(example, self._dataset),
        )

    def _stacked(self, example: Candidate, alone: Shape) -> Shape:
        """With what stacks of it take: of two, of as many as there usually are, of a full one."""
        started = time.perf_counter()
        slots = self._array.fit(example).slots
        fit_s = time.perf_counter() - started
        learns = not PURE.issuperset(self._spec.search.sampler.values())
        usual = packing.room(slots, 0, plan.tickets(self._spec), learns=learns)
        counts = sorted({min(2, slots), usual, slots if self._spec.final else usual} - {1})
        costs = [self._cost(example, count) for count in counts]
        epochs_s = (*alone.epochs_s, *((found.slots, found.epoch_s) for found in costs))
        memory = max([found.memory_bytes for found in costs], default=alone.stack_bytes)
        return replace(alone, slots=slots, epochs_s=epochs_s, fit_s=fit_s, stack_bytes=memory)


def inferred(timed: tuple[Shape, ...], settings: Sequence[Assignment]) -> tuple[Shape, ...]:
    """All shapes: those that were timed, and the others by them.

    What an epoch of another shape takes is from a ridge regression of its logarithm: on the
    logarithms of sizes, and on all else as categories.

    Args:
        timed: Shapes.
        settings: What makes them, and after that what makes the others.
    """
    others = settings[len(timed) :]
    if not others:
        return timed
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(DictVectorizer(), Ridge(_RIDGE))
    features = [{name: _feature(v) for name, v in values.items()} for values in settings]
    model.fit(features[: len(timed)], [math.log(shape.epoch_s(1)) for shape in timed])
    found = list(timed)
    for values, log_s in zip(others, model.predict(features[len(timed) :]), strict=True):
        seconds = math.exp(log_s)
        alone = replace(_nearest(timed, seconds), words=_words(values), epochs_s=((1, seconds),))
        found.append(_like(timed, alone))
    return tuple(found)


def _words(settings: Assignment) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _feature(value: Value) -> float | str:
    """The logarithm of a size; all else is a category."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return math.log(value)
    return str(value)


def _nearest(known: Iterable[Shape], alone_s: float) -> Shape:
    """The one that takes about as long: what stacks of a shape gain goes by that."""
    return min(known, key=lambda shape: abs(math.log(shape.epoch_s(1) / alone_s)))


def _like(known: Iterable[Shape], alone: Shape) -> Shape:
    """A shape that was timed alone, with stacks as those of the nearest one of others."""
    alone_s = alone.epoch_s(1)
    other = _nearest(known, alone_s)
    scale = alone_s / other.epoch_s(1)
    memory = alone.candidate_bytes / max(other.candidate_bytes, 1)
    return replace(
        alone,
        slots=other.slots,
        epochs_s=tuple((count, seconds * scale) for count, seconds in other.epochs_s),
        fit_s=other.fit_s,
        stack_bytes=round(other.stack_bytes * memory),
    )
