"""The dry runs behind a forecast: the shapes that a study draws, each trained for a moment."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hpsearch import plan
from hpsearch.catalog import Value
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

_RIDGE = 0.3
"""The strength of the ridge. With 20 shapes of a shipped study timed, the others were met within
0.29, 0.23 and 0.19 alone and 0.34, 0.26 and 0.20 in stacks, in logarithms (digits, circles,
Fashion-MNIST); with 0.1 and with 1 it was hardly worse. Dry runs themselves are off by a fifth."""

_STACK = 5
"""Candidates of a stack that is timed: about what a sampler that learns has under way, and the
seeds of a finish."""


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
    timed, fitted = runs.timed(examples, limit_s)
    ordered = [*timed, *(shape for shape in examples if shape not in timed)]
    numbers = {shape: number for number, shape in enumerate(ordered)}
    settings = [runs.shaping(examples[shape]) for shape in ordered]
    found = inferred(settings, list(timed.values()), {numbers[shape] for shape in fitted})
    tensors = [t for p in (dataset.train, dataset.validation) for t in (p.inputs, p.targets)]
    return Timings(
        device=devices.describe(device),
        devices=devices_,
        seats=seats,
        start_s=start_s,
        load_s=load_s,
        shaping=tuple(sorted(shapes_by(spec.space.names))),
        draws=tuple(numbers[shape_of(c)] for c in candidates),
        shapes=tuple(found),
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
    ) -> tuple[dict[Hashable, Shape], set[Hashable]]:
        """As many of the shapes as there is time for: a third of it for shapes alone, a third for
        the same in a stack, a third for how large stacks of them are. And which ones that is known
        of."""
        began, found, fitted = time.perf_counter(), dict[Hashable, Shape](), set[Hashable]()

        def over(part: int) -> bool:
            return time.perf_counter() - began > limit_s * part / 3

        for shape, example in examples.items():
            if found and over(1):
                break
            with self._noting(example):
                found[shape] = self._alone(example)
        if not found:
            raise HpsearchError(f"nothing that the study draws can be trained: {self.faults[0]}")
        for shape, alone in found.items():
            if over(2):
                break
            with suppress(Exception):  # what cannot be stacked: a fit says so
                found[shape] = self._stacked(examples[shape], alone)
            devices.empty_cache(self._device)
        # Those apart from the others in what they gain: the rest is like one of them.
        unknown = [shape for shape in found if len(found[shape].epochs_s) > 1] or [*found]
        while unknown and not (fitted and over(3)):
            known = [_gain(found[shape]) for shape in fitted]
            at = max(unknown, key=lambda shape: _distance(_gain(found[shape]), known))
            unknown.remove(at)
            fitted.add(at)
            with self._noting(examples[at]):
                found[at] = self._fitted(examples[at], found[at])
        return found, fitted

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
        """With what a stack of it takes."""
        return _with(alone, self._cost(example, _STACK))

    def _fitted(self, example: Candidate, known: Shape) -> Shape:
        """With the slots that a worker comes to, and what they take."""
        started = time.perf_counter()
        slots = self._array.fit(example).slots
        known = replace(known, slots=slots, fit_s=time.perf_counter() - started)
        if slots == 1:
            return replace(known, stack_bytes=known.candidate_bytes)
        return _with(known, self._cost(example, slots))


def _with(known: Shape, cost: Cost) -> Shape:
    times = {**dict(known.epochs_s), cost.slots: cost.epoch_s}
    return replace(known, epochs_s=tuple(sorted(times.items())), stack_bytes=cost.memory_bytes)


def inferred(
    settings: Sequence[Assignment], timed: Sequence[Shape], fitted: Collection[int]
) -> list[Shape]:
    """All shapes, by those that were timed.

    What an epoch takes alone, and what it gains in a stack, are from ridge regressions of their
    logarithms: on the logarithms of sizes, and on all else as categories.

    Args:
        settings: What makes each of them.
        timed: The first of them, alone or in a stack too.
        fitted: Some of these whose slots are known, by their places; at least one.
    """
    columns = _columns(settings)
    seconds = _regressed(columns, {n: shape.epoch_s(1) for n, shape in enumerate(timed)})
    stacked = {n: _gain(shape) for n, shape in enumerate(timed) if len(shape.epochs_s) > 1}
    gains = _regressed(columns, stacked or dict.fromkeys(fitted, 1.0))
    found = []
    for number, one in enumerate(settings):
        if number in fitted:
            found.append(timed[number])
            continue
        if number < len(timed):
            shape = timed[number]
        else:
            like = min(timed, key=lambda s: _distance(s.epoch_s(1), [seconds[number]]))
            shape = replace(like, words=_words(one), epochs_s=((1, seconds[number]),))
        # Not like one that takes as long: wide networks gain less in stacks than deep ones.
        gain = stacked.get(number, gains[number])
        like = min((timed[n] for n in fitted), key=lambda s: _distance(_gain(s), [gain]))
        found.append(_like(like, shape, gain))
    return found


def _regressed(columns: NDArray[np.float64], known: Mapping[int, float]) -> list[float]:
    """Of all rows (N, columns) the positive value that some of them have, by ridge regression of
    its logarithm."""
    rows, logs = list(known), np.log(list(known.values()))
    columns = columns - columns[rows].mean(axis=0)
    x, y = columns[rows], logs - logs.mean()
    slopes = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
    return [float(value) for value in np.exp(columns @ slopes + logs.mean())]


def _gain(shape: Shape) -> float:
    """What a candidate takes in a stack, next to what it takes alone."""
    return shape.epoch_s(_STACK) / _STACK / shape.epoch_s(1)


def _distance(value: float, others: Sequence[float]) -> float:
    """From the nearest of the others, in logarithms."""
    return min((abs(math.log(value / other)) for other in others), default=0.0)


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


def _like(other: Shape, shape: Shape, gain: float) -> Shape:
    """A shape with stacks as those of another one, but for what they gain."""
    scale = shape.epoch_s(1) / other.epoch_s(1)
    memory = shape.candidate_bytes / max(other.candidate_bytes, 1)
    stacks = [(n, s * scale * gain / _gain(other)) for n, s in other.epochs_s if n > 1]
    return replace(
        shape,
        slots=other.slots,
        epochs_s=((1, shape.epoch_s(1)), *stacks),
        fit_s=other.fit_s,
        stack_bytes=round(other.stack_bytes * memory),
    )
