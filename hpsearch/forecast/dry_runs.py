"""The dry runs behind a forecast: a few shapes that a study draws, each trained for a moment."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.errors import HpsearchError, line
from hpsearch.forecast.pace import Pace, Shape, together
from hpsearch.preflight.sizing import augmented, hungriest
from hpsearch.spec import StudySpec
from hpsearch.spec.settings import Value
from hpsearch.spec.space import Assignment
from hpsearch.stages.candidates import example_of
from hpsearch.stages.results import default_point
from hpsearch.training import devices
from hpsearch.training.stacking.shaping import Shapes
from hpsearch.training.stacking.slots import checkpoint_bytes, cost, has_room

if TYPE_CHECKING:
    import torch

    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset

__all__ = ["LIMIT_S", "draws", "time_shapes"]

LIMIT_S = 4.0
"""Dry runs are begun for so long after the first one."""

_DRAWS = 500
"""Random draws of the space: they show how often trials are of one shape."""


def draws(spec: StudySpec, count: int) -> Iterator[Assignment]:
    """The default configuration, the starting points, and random draws of the whole space."""
    yield default_point(spec)
    rng = random.Random(spec.search.seed)
    yield from (_drawn(spec, point, rng) for point in spec.start)
    yield from (_drawn(spec, {}, rng) for _ in range(count))


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


def time_shapes(
    spec: StudySpec, dataset: Dataset, device: torch.device, *, devices_: int, seats: int,
    workers: int, disk_bytes: int | None = None, limit_s: float = LIMIT_S,
) -> Pace:  # fmt: skip
    """Time shapes in the order in which they are drawn, and the largest, alone and together, each
    with the most that is done to training images.

    Args:
        spec: The study.
        dataset: Its data, on the device.
        device: Where.
        devices_: Devices like it that the workers share.
        seats: Workers that the devices serve at full speed.
        workers: How many there will be.
        disk_bytes: Free where its checkpoints will lie; None: not known.
        limit_s: Seconds after the first shape in which others are begun.

    Raises HpsearchError where nothing that the study draws can be trained.
    """
    candidates = [
        example_of(spec, augmented(spec, values), "forecast") for values in draws(spec, _DRAWS)
    ]
    shape_of = Shapes(dataset)
    shapes = [shape_of(candidate) for candidate in candidates]
    shaping = tuple(sorted(shape_of.by(candidates[0], spec.space.names)))
    counts = Counter(shapes)
    shares = [count / len(shapes) for count in counts.values()]
    runs = _Runs(spec, dataset, device, shaping, together(spec, shaping, shares, workers))
    until = math.inf
    drawn = list[Hashable]()
    largest = example_of(spec, hungriest(spec), "forecast")
    for shape, candidate in zip(shapes, candidates, strict=True):
        if len(drawn) == 1:  # PyTorch is loaded, and of the memory it is the largest that counts
            until = time.perf_counter() + limit_s
            runs.time(shape_of(largest), largest)
        if drawn and time.perf_counter() > until:
            break
        if runs.time(shape, candidate):
            drawn.append(shape)
    if not drawn:
        fault = next(iter(runs.faults.values()))
        raise HpsearchError(f"nothing that the study draws can be trained: {fault}")
    numbers = {shape: number for number, shape in enumerate(runs.timed)}
    return Pace(
        device=devices.describe(device),
        devices=devices_,
        seats=seats,
        shapes=tuple(runs.timed.values()),
        draws=tuple(numbers[shape] for shape in drawn),
        shaping=shaping,
        possible=len(counts),
        data_bytes=dataset.train.device_bytes + dataset.validation.device_bytes,
        memory_bytes=devices.free_memory(device),
        disk_bytes=disk_bytes,
        faults=tuple(runs.faults.values()),
    )


class _Runs:
    """Dry runs of one study on one device, each shape once."""

    def __init__(
        self,
        spec: StudySpec,
        dataset: Dataset,
        device: torch.device,
        shaping: Sequence[str],
        together: int,
    ) -> None:
        self._spec, self._dataset, self._device = spec, dataset, device
        self._shaping, self._together = shaping, together
        self.timed: dict[Hashable, Shape] = {}
        self.faults: dict[Hashable, str] = {}
        """Shapes that cannot be trained, and why."""

    def time(self, shape: Hashable, example: Candidate) -> bool:
        """Whether a shape can be trained: it has been timed, now if not before."""
        if shape in self.timed or shape in self.faults:
            return shape in self.timed
        words = self._words(example)
        try:
            alone = self._alone(words, example)
        except Exception as error:
            devices.empty_cache(self._device)
            self.faults[shape] = f"{words or 'the network'}: {line(error)}"
            return False
        self.timed[shape] = self._stacked(alone, example)
        return True

    def _words(self, example: Candidate) -> str:
        names = [name for name in self._spec.space.names if name in self._shaping]
        return " ".join(f"{name}={example.settings[name]}" for name in names)

    def _alone(self, words: str, example: Candidate) -> Shape:
        if not self.timed:  # PyTorch loads what the first candidate alone needs
            cost(example, self._dataset, self._device, self._spec.metric, 1)
        shape = cost(example, self._dataset, self._device, self._spec.metric, 1)
        return Shape(
            words=words,
            epochs_s=((1, shape.epoch_s),),
            candidate_bytes=shape.memory_bytes,
            stack_bytes=shape.memory_bytes,
            checkpoint_bytes=checkpoint_bytes(example, self._dataset),
        )

    def _stacked(self, alone: Shape, example: Candidate) -> Shape:
        """With what a stack takes, where there is one."""
        count = self._together
        while count > 1 and not has_room(count, alone.candidate_bytes, self._device):
            count //= 2
        if count == 1:
            return alone
        try:
            shape = cost(example, self._dataset, self._device, self._spec.metric, count)
        except Exception:  # no stacked form, or no memory after all: a worker trains it alone
            devices.empty_cache(self._device)
            return alone
        times = (*alone.epochs_s, (count, shape.epoch_s))
        return replace(alone, epochs_s=times, stack_bytes=shape.memory_bytes)
