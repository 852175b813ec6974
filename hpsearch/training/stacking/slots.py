"""How many candidates of a shape to train at once, and what they take: by short dry runs on the
device itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import torch

from hpsearch.runner import Fit
from hpsearch.runner.candidate import derived_seed
from hpsearch.training import devices
from hpsearch.training.evaluation import measure
from hpsearch.training.solo import Solo
from hpsearch.training.stacking import optimizers
from hpsearch.training.stacking.layers import CannotStackError
from hpsearch.training.stacking.stack import Stack
from hpsearch.training.trial_progress import TrialProgress

if TYPE_CHECKING:
    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset

__all__ = ["Cost", "checkpoint_bytes", "cost", "fit", "fixed", "has_room"]

_MOST = 64
"""Slots of a stack at the most: what each of them costs outside the device grows with them."""

_GAIN = 1.1
"""A larger stack must be faster by this factor for each candidate: the fewer are under way at once,
the more a pruner and a learning sampler know."""

_BEYOND_DOUBT = 2.0
"""A stack that is faster than one of a single slot by this factor needs no comparison with
PyTorch's own modules and optimizers, which take a second to load."""

_STEPS = 4
"""Steps of a dry run that are timed, after one that is not."""

_LONGEST_S = 1.0
"""What the next larger stack may take to be tried."""

_EPOCHS, _EPOCH_S = 5, 0.1
"""Epochs that are timed, and for how long: what is left of a long one takes as long a step. The
median counts, as other work on the machine comes and goes."""

_SHARE = 0.5
"""Of the memory that is free, what a stack may take."""


@dataclass(frozen=True)
class Cost:
    """What candidates of one shape take that are trained together."""

    slots: int
    """1: by itself."""
    epoch_s: float
    """An epoch of all of them, evaluation included."""
    memory_bytes: int
    """Of all of them, beside the data."""


@dataclass(frozen=True)
class _Dry:
    step_s: float
    """For each candidate."""
    memory_bytes: int
    """For each candidate."""


def fixed(candidate: Candidate, dataset: Dataset, device: torch.device, slots: int) -> Fit:
    """As many as the caller says, where the network can be stacked at all."""
    if slots == 1:
        return Fit(1, "stacking is off")
    try:
        Stack(TrialProgress(candidate, dataset).network(), dataset, device)
    except CannotStackError as error:
        return Fit(1, str(error))
    return Fit(slots, "as the study says")


def fit(candidate: Candidate, dataset: Dataset, device: torch.device) -> Fit:
    """The number of slots at which a candidate like this one takes the least time.

    Doubles the stack while that makes each candidate faster and memory lasts. Raises what training
    the candidate alone raises.
    """
    try:
        alone = best = _dry_run(candidate, dataset, device, 1)
    except CannotStackError as error:
        return Fit(1, str(error))
    chosen, slots, why = 1, 2, ""
    while not why:
        try:
            why = _objection(slots, best, device)
            if why:
                break
            found = _dry_run(candidate, dataset, device, slots)
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
            why = f"there is no memory for {slots}"
            break
        if found.step_s * _GAIN < best.step_s:
            best, chosen = found, slots
        elif slots > 2 * chosen:
            why = "more are no faster"
        slots *= 2
    devices.empty_cache(device)
    if best.step_s * _BEYOND_DOUBT > alone.step_s:
        alone = _timed(_alone(candidate, dataset, device), device)
        if alone.step_s < best.step_s * _GAIN:
            why = why if chosen == 1 else "a stack is no faster"
            best, chosen = alone, 1
    times = f"{best.step_s * 1e3:.3g} ms a step for each, alone {alone.step_s * 1e3:.3g} ms"
    return Fit(chosen, f"{times}; {why}")


def _objection(slots: int, best: _Dry, device: torch.device) -> str:
    """Why a stack of so many is not even tried; empty if nothing speaks against it."""
    if slots > _MOST:
        return f"more than {_MOST} are not tried"
    if not has_room(slots, best.memory_bytes, device):
        return f"there is no memory for {slots}"
    if slots * best.step_s * (_STEPS + 1) > _LONGEST_S:
        return "more would take too long to try"
    return ""


def has_room(slots: int, candidate_bytes: int, device: torch.device) -> bool:
    """Whether a stack of so many may be tried."""
    return slots * candidate_bytes <= _SHARE * devices.free_memory(device)


def cost(
    candidate: Candidate, dataset: Dataset, device: torch.device, metric: str, slots: int
) -> Cost:
    """What copies of a candidate take together. Raises what training them raises."""
    make = _alone if slots == 1 else partial(_stack, slots=slots)
    trainer = make(candidate, dataset, device)
    dry = _timed(trainer, device)  # warms up, too
    if isinstance(trainer, Stack):
        trainer.rewind()
    times = list[float]()
    while len(times) < _EPOCHS and sum(times) < _EPOCH_S:
        times.append(_epoch_s(trainer, dataset, device, metric))
    return Cost(slots, median(times), dry.memory_bytes * slots)


def _epoch_s(trainer: Solo | Stack, dataset: Dataset, device: torch.device, metric: str) -> float:
    """Seconds of an epoch with its evaluation; of a long one a part is trained."""
    times: list[float] = []

    def passed() -> bool:
        devices.synchronize(device)
        times.append(time.perf_counter())
        return len(times) > 3 and times[-1] - times[2] > _EPOCH_S

    course, began = trainer.members[0], time.perf_counter()
    broken_off = trainer.train(passed) is None
    if not broken_off:
        passed()
    trained_s = times[-1] - began
    if len(times) > 3:  # where steps are recorded the first two are not like the others
        step_s = median(after - before for before, after in pairwise(times[2:]))
        trained_s = times[0] - began + len(course.batches) * step_s
    started = time.perf_counter()
    part, settings = dataset.validation, [member.plain for member in trainer.members]
    measure(trainer.outputs(part), part.targets, dataset, course.loss, settings, metric)
    if broken_off and isinstance(trainer, Stack):
        trainer.rewind()
    return trained_s + time.perf_counter() - started


def checkpoint_bytes(candidate: Candidate, dataset: Dataset) -> int:
    """A checkpoint of it, about: the last and the best network, and what the optimizer remembers of
    each weight.

    Raises what training the candidate raises.
    """
    network = TrialProgress(candidate, dataset).network()
    remembered = len(optimizers.MOMENTS[str(candidate.settings["optimizer"])])
    weights = sum(w.numel() * w.element_size() for w in network.parameters())
    buffers = sum(b.numel() * b.element_size() for b in network.buffers())
    return remembered * weights + 2 * (weights + buffers)


def _dry_run(candidate: Candidate, dataset: Dataset, device: torch.device, slots: int) -> _Dry:
    return _timed(_stack(candidate, dataset, device, slots), device)


def _stack(candidate: Candidate, dataset: Dataset, device: torch.device, slots: int) -> Stack:
    """Of so many copies, each from a seed of its own."""
    members = [
        TrialProgress(replace(candidate, seed=derived_seed(candidate.seed, "dry run", k)), dataset)
        for k in range(slots)
    ]
    stack = Stack(members[0].network(), dataset, device)
    stack.join([(course, None) for course in members])
    return stack


def _alone(candidate: Candidate, dataset: Dataset, device: torch.device) -> Solo:
    return Solo(TrialProgress(candidate, dataset), dataset, device)


def _timed(trainer: Solo | Stack, device: torch.device) -> _Dry:
    """Train for a few steps."""
    slots = len(trainer.members)
    times: list[float] = []

    def passed() -> bool:
        devices.synchronize(device)
        times.append(time.perf_counter())
        return len(times) > _STEPS + 1

    with devices.memory_used(device) as used:
        if trainer.train(passed) is not None:
            passed()  # the epoch was shorter than that
    steps = [end - start for start, end in pairwise(times)]
    steps = steps[1:] or steps
    # The shortest: whatever else the machine is at makes a step longer, nothing makes it shorter.
    return _Dry(min(steps) / slots, used() // slots)
