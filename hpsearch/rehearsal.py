"""The dry runs behind a forecast: the shapes that a study draws, each trained for a moment."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

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
    from numpy.typing import NDArray

    from hpsearch.training.data import Dataset

__all__ = ["LIMIT_S", "draws", "inferred", "rehearse"]

LIMIT_S = 10.0
"""Dry runs are begun for so long; what has been begun is brought to its end."""

_DRAWS = 500
"""Random draws of the space: they tell how often trials are of one shape."""

_RIDGE = 0.1
"""The strength of the ridge. Dry runs are off by a fifth and what a parameter changes is of the
order of 1 in logarithms, which would make 0.04; little data is better met with more."""


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
    others = [shape for shape in examples if shape not in timed]
    numbers = {shape: number for number, shape in enumerate([*timed, *others])}
    known, unknown = ([runs.shaping(examples[s]) for s in of] for of in (timed, others))
    found = list(timed.values())
    tensors = [t for p in (dataset.train, dataset.validation) for t in (p.inputs, p.targets)]
    return Timings(
        device=devices.describe(device),
        devices=devices_,
        seats=seats,
        start_s=start_s,
        load_s=load_s,
        shaping=tuple(sorted(shapes_by(spec.space.names))),
        draws=tuple(numbers[shape_of(c)] for c in candidates),
        shapes=(*found, *inferred(found, known, unknown)),
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
                found[shape] = _like(_nearest(stacked, alone.epoch_s(1)), alone)
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


def inferred(
    timed: Sequence[Shape], known: Sequence[Assignment], others: Sequence[Assignment]
) -> list[Shape]:
    """Shapes that were not timed, by those that were.

    What an epoch takes is from a ridge regression of its logarithm: on the logarithms of sizes, and
    on all else as categories.

    Args:
        timed: Shapes.
        known: What makes them.
        others: What makes the others.
    """
    columns, logs = _columns([*known, *others]), np.log([shape.epoch_s(1) for shape in timed])
    columns -= columns[: len(known)].mean(axis=0)
    x, y = columns[: len(known)], logs - logs.mean()
    slopes = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
    found = []
    for settings, log_s in zip(others, columns[len(known) :] @ slopes + logs.mean(), strict=True):
        seconds = float(np.exp(log_s))
        like = _nearest(timed, seconds)
        alone = replace(like, words=_words(settings), epochs_s=((1, seconds),))
        found.append(_like(like, alone))
    return found


def _columns(settings: Sequence[Assignment]) -> NDArray[np.float64]:
    """(N, columns): of a parameter that is a size in all of them its logarithm, of another one a
    column for each of its values."""
    columns: list[NDArray[np.float64]] = []
    for name in settings[0]:
        values = [one[name] for one in settings]
        sizes = [float(v) for v in values if isinstance(v, int | float) and v is not True and v > 0]
        if len(sizes) == len(values):
            columns.append(np.log(sizes))
            continue
        words = np.array([str(value) for value in values])
        columns += [(words == word).astype(np.float64) for word in np.unique(words)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(settings), 0))


def _words(settings: Assignment) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _nearest(known: Iterable[Shape], alone_s: float) -> Shape:
    """The one that takes about as long: what stacks of a shape gain goes by that."""
    return min(known, key=lambda shape: abs(math.log(shape.epoch_s(1) / alone_s)))


def _like(other: Shape, alone: Shape) -> Shape:
    """A shape that is known alone, with stacks as those of another one."""
    scale = alone.epoch_s(1) / other.epoch_s(1)
    memory = alone.candidate_bytes / max(other.candidate_bytes, 1)
    return replace(
        alone,
        slots=other.slots,
        epochs_s=tuple((count, seconds * scale) for count, seconds in other.epochs_s),
        fit_s=other.fit_s,
        stack_bytes=round(other.stack_bytes * memory),
    )
