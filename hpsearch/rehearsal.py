"""The dry runs behind a forecast: the shapes that a study draws, each trained for a moment."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.errors import HpsearchError, line
from hpsearch.extrapolation import STACK, apart, inferred, speedup, words
from hpsearch.forecast import Shape, Timings
from hpsearch.runner.candidate import Candidate
from hpsearch.spec import StudySpec
from hpsearch.spec.settings import Value
from hpsearch.spec.space import Assignment, Grid
from hpsearch.stages import outline
from hpsearch.training import devices
from hpsearch.training.array import Array
from hpsearch.training.stacking.layers import CannotStackError
from hpsearch.training.stacking.slots import Cost, checkpoint_bytes, cost, has_room
from hpsearch.training.stacking.stack import shape_of, shapes_by

if TYPE_CHECKING:
    import torch

    from hpsearch.sources.dataset import Dataset

__all__ = ["LIMIT_S", "draws", "rehearse"]

LIMIT_S = 10.0
"""Dry runs are begun for so long; what has been begun is brought to its end."""

_DRAWS = 500
"""Random draws of the space: they tell how often trials are of one shape."""


def draws(spec: StudySpec, count: int) -> Iterator[Assignment]:
    """The default configuration, the starting points, and random draws of the whole space."""
    yield outline.default_point(spec)
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
        limit_s: No dry run is begun after so many seconds, but the first of a shape alone and the
            first for the size of stacks.

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
    runs.run(examples, limit_s)
    timed = runs.found
    ordered = [*timed, *(shape for shape in examples if shape not in timed)]
    numbers = {shape: number for number, shape in enumerate(ordered)}
    settings = [runs.shaping(examples[shape]) for shape in ordered]
    found = inferred(settings, list(timed.values()), {numbers[shape] for shape in runs.fitted})
    tensors = [t for p in (dataset.train, dataset.validation) for t in (p.inputs, p.targets)]
    return Timings(
        device=devices.describe(device),
        devices=devices_,
        seats=seats,
        start_s=start_s,
        load_s=load_s,
        shaping=tuple(sorted(shapes_by(spec.family, spec.space.names))),
        draws=tuple(numbers[shape_of(c)] for c in candidates),
        shapes=tuple(runs.with_room(shape) for shape in found),
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
        shaping = shapes_by(spec.family, spec.space.names)
        self._named = [name for name in spec.space.names if name in shaping]
        self._took_s: dict[Hashable, float] = {}
        """The dry runs of shapes alone."""
        self.found: dict[Hashable, Shape] = {}
        """Those that there was time for."""
        self.fitted: set[Hashable] = set()
        """Those of them whose slots are known; at least one."""
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

    def run(self, examples: Mapping[Hashable, Candidate], limit_s: float) -> None:
        """As many of the shapes as there is time for: until a third of it is over alone, until two
        thirds of it in a stack, and in the last one how large a worker's stacks of them are."""
        now = time.perf_counter()
        if not self._array.stacks:
            self._run_alone(examples, now + limit_s)
            self.fitted.update(self.found)
            return
        self._run_alone(examples, now + limit_s / 3)
        tried = self._run_in_stacks(examples, now + limit_s * 2 / 3, now + limit_s)
        self._run_fits(examples, tried, now + limit_s)

    def _run_alone(self, examples: Mapping[Hashable, Candidate], until: float) -> None:
        for shape, example in examples.items():
            began = time.perf_counter()
            if self.found and began > until:
                break
            try:
                self.found[shape] = self._alone(example)
            except Exception as error:
                devices.empty_cache(self._device)
                made_by = words(self.shaping(example)) or "the network"
                self.faults.append(f"{made_by}: {line(error)}")
            self._took_s[shape] = time.perf_counter() - began
        if not self.found:
            raise HpsearchError(f"nothing that the study draws can be trained: {self.faults[0]}")

    def _run_in_stacks(
        self, examples: Mapping[Hashable, Candidate], until: float, end: float
    ) -> list[Hashable]:
        """Those that are known in a stack now, or are too large to try."""
        slots, tried = min(STACK, self._spec.search.slots or STACK), list[Hashable]()
        for shape, alone in self.found.items():
            now = time.perf_counter()
            if now > until:
                break
            tried.append(shape)
            late = now + slots * self._took_s[shape] > end
            if late or not has_room(slots, alone.candidate_bytes, self._device):
                continue
            try:
                self.found[shape] = _with(alone, self._cost(examples[shape], slots))
            except CannotStackError:
                self.fitted.add(shape)
            except Exception:  # no memory after all, for one: a fit tells
                devices.empty_cache(self._device)
        return tried

    def _run_fits(
        self, examples: Mapping[Hashable, Candidate], tried: Sequence[Hashable], until: float
    ) -> None:
        unknown = [shape for shape in tried or self.found if shape not in self.fitted]
        while unknown and (time.perf_counter() < until or not self.fitted):
            # The one whose speedup differs most from those known: the others are like one of them.
            shape = max(unknown, key=self._strangeness)
            unknown.remove(shape)
            self.found[shape] = self._fitted(examples[shape], self.found[shape])
            self.fitted.add(shape)

    def _strangeness(self, shape: Hashable) -> float:
        mine = speedup(self.found[shape])
        known = (speedup(self.found[other]) for other in self.fitted)
        return min((apart(mine, other) for other in known), default=0.0)

    def with_room(self, shape: Shape) -> Shape:
        """With no more slots than a worker tries."""
        slots = shape.slots
        if self._spec.search.slots is not None:
            return shape
        while slots > 1 and not has_room(slots, shape.candidate_bytes, self._device):
            slots //= 2
        return replace(shape, slots=slots, stack_bytes=shape.stack_bytes * slots // shape.slots)

    def _cost(self, example: Candidate, slots: int) -> Cost:
        return cost(example, self._dataset, self._device, self._spec.metric, slots)

    def _alone(self, example: Candidate) -> Shape:
        found = self._cost(example, 1)
        return Shape(
            words=words(self.shaping(example)),
            slots=1,
            epochs_s=((1, found.epoch_s),),
            fit_s=0.0,
            candidate_bytes=found.memory_bytes,
            stack_bytes=found.memory_bytes,
            checkpoint_bytes=checkpoint_bytes(example, self._dataset),
        )

    def _fitted(self, example: Candidate, known: Shape) -> Shape:
        """With the slots that a worker comes to, and what they take."""
        started = time.perf_counter()
        slots = self._array.fit(example).slots
        known = replace(known, fit_s=time.perf_counter() - started)
        while slots > 1:
            try:
                return replace(_with(known, self._cost(example, slots)), slots=slots)
            except Exception as error:  # as a worker takes it
                slots = slots // 2 if devices.is_out_of_memory(error) else 1
                devices.empty_cache(self._device)
        return replace(known, stack_bytes=known.candidate_bytes)


def _with(known: Shape, cost: Cost) -> Shape:
    times = {**dict(known.epochs_s), cost.slots: cost.epoch_s}
    return replace(known, epochs_s=tuple(sorted(times.items())), stack_bytes=cost.memory_bytes)
