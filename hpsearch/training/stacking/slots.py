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
from hpsearch.training.stacking.agreement import disagreement
from hpsearch.training.stacking.shaping import sibling
from hpsearch.training.stacking.stack import Stack
from hpsearch.training.trial_progress import TrialProgress
from hpsearch.training.tuning import Tuning

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset

__all__ = ["Cost", "checkpoint_bytes", "cost", "fit", "fixed", "has_room", "objection"]

_MOST = 64
"""Slots of a stack at most: what each of them costs outside the device grows with them."""

_GAIN = 1.1
"""A larger stack must be faster by this factor for each candidate: the fewer are under way at once,
the more a pruner and a learning sampler know."""

_STEPS = 4
"""Steps of a dry run that are timed, after one that is not."""

_WIDE = 1 << 15
"""Parameters of a network from which on its products take longer than the calls: a stack of two is
timed beside one of a single slot, else one of eight."""

_LARGEST = 1 << 24
"""Parameters of a network from which on a stack is not tried: to compare it with networks alone
takes longer than it could save."""

_ROWS = 8
"""Rows by which a stack is compared with networks alone."""

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
    parameters: int
    """Of each candidate."""


def fixed(candidate: Candidate, dataset: Dataset, slots: int, epoch: int = 0) -> Fit:
    """As many as the caller says, where the network can be stacked at all."""
    if slots == 1:
        return Fit(1, "stacking is off")
    why = objection(candidate, dataset, epoch)
    return Fit(1, why) if why else Fit(slots, "as the study says")


def objection(candidate: Candidate, dataset: Dataset, epoch: int = 0) -> str:
    """Why candidates like this one cannot be stacked in the epoch after so many; "" where a stack
    of two agrees with each of them alone. Raises what building one raises."""
    other = sibling(candidate, dataset)
    members = [_members(one, dataset, 2, epoch)[k] for k, one in enumerate((candidate, other))]
    train = members[0].dataset.train
    rows = torch.arange(2 * _ROWS, device=train.device) % len(train)
    inputs = train.batch(rows)[0].cpu()
    networks = [member.network() for member in members]
    weights = sum(parameter.numel() for parameter in networks[0].parameters())
    if weights > _LARGEST:
        return f"with {weights:,} weights a network fills the device by itself"
    inputs_2N = inputs.view(2, _ROWS, *inputs.shape[1:])
    return disagreement(networks, members[0].network(), inputs_2N)


def fit(candidate: Candidate, dataset: Dataset, device: torch.device, epoch: int = 0) -> Fit:
    """The number of slots at which a candidate like this one takes the least time, an epoch of it
    after so many.

    A step of K slots takes each about a/K + b: two stacks are timed, and the size is doubled for as
    long as that promises a gain and memory lasts. Raises what training the candidate alone raises.
    """
    if why := objection(candidate, dataset, epoch):
        return Fit(1, why)
    dry = partial(_dry_run, candidate, dataset, device, epoch=epoch)
    alone = _timed(_alone(candidate, dataset, device, epoch), device)
    one = dry(slots=1)
    try:
        slots, step_s, why = _best(dry, device, one)
    except Exception as error:
        if not devices.is_out_of_memory(error):
            raise
        slots, step_s, why = 1, one.step_s, "there is no memory for more"
    devices.empty_cache(device)
    if alone.step_s < step_s * _GAIN:
        slots, step_s, why = 1, alone.step_s, why if slots == 1 else "a stack is no faster"
    times = f"{step_s * 1e3:.3g} ms a step for each, alone {alone.step_s * 1e3:.3g} ms"
    return Fit(slots, f"{times}; {why}")


def _best(dry: Callable[..., _Dry], device: torch.device, one: _Dry) -> tuple[int, float, str]:
    """The size of a stack, seconds a step for each of its slots, and why it is no larger."""
    tried = 2 if one.parameters >= _WIDE else 8
    if not has_room(tried, one.memory_bytes, device):
        return 1, one.step_s, f"there is no memory for {tried}"
    several = dry(slots=tried)
    shared_s = max(one.step_s - several.step_s, 0.0) / (1 - 1 / tried)
    own_s = one.step_s - shared_s

    def step_s(slots: int) -> float:
        return shared_s / slots + own_s

    slots = 1
    while step_s(slots) > _GAIN * step_s(2 * slots):
        if 2 * slots > _MOST:
            return slots, step_s(slots), f"more than {_MOST} are not tried"
        if not has_room(2 * slots, several.memory_bytes, device):
            return slots, step_s(slots), f"there is no memory for {2 * slots}"
        slots *= 2
    return slots, step_s(slots), "more are no faster"


def has_room(slots: int, candidate_bytes: int, device: torch.device) -> bool:
    """Whether a stack of so many may be tried."""
    return slots * candidate_bytes <= _SHARE * devices.free_memory(device)


def cost(
    candidate: Candidate, dataset: Dataset, device: torch.device, metric: str, slots: int
) -> Cost:
    """What copies of a candidate take together: an epoch of theirs in the mean, and the most
    memory. Raises what training them raises."""
    epochs = int(candidate.settings["epochs"])  # type: ignore[arg-type]
    costs = [
        (span, _cost_from(candidate, dataset, device, metric, slots, epoch))
        for epoch, span in Tuning.of(candidate.settings).spans(epochs)
    ]
    epoch_s = sum(span * one.epoch_s for span, one in costs) / epochs
    return Cost(slots, epoch_s, max(one.memory_bytes for _, one in costs))


def _cost_from(
    candidate: Candidate, dataset: Dataset, device: torch.device, metric: str, slots: int,
    epoch: int,
) -> Cost:  # fmt: skip
    """The cost of the epoch after so many."""
    trainer: Solo | Stack
    if slots == 1:
        trainer = _alone(candidate, dataset, device, epoch)
    else:
        trainer = _stack(candidate, dataset, device, epoch, slots)
    dry = _timed(trainer, device)  # warms up, too
    if isinstance(trainer, Stack):
        trainer.rewind()
    times = list[float]()
    while len(times) < _EPOCHS and sum(times) < _EPOCH_S:
        times.append(_epoch_s(trainer, device, metric))
    return Cost(slots, median(times), dry.memory_bytes * slots)


def _epoch_s(trainer: Solo | Stack, device: torch.device, metric: str) -> float:
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
    dataset, settings = course.dataset, [member.plain for member in trainer.members]
    part = dataset.validation
    measure(trainer.outputs(part), part.targets, dataset, course.loss, settings, metric)
    if broken_off and isinstance(trainer, Stack):
        trainer.rewind()
    return trained_s + time.perf_counter() - started


def checkpoint_bytes(candidate: Candidate, dataset: Dataset) -> int:
    """A checkpoint of it, about: the last and the best network, and what the optimizer remembers of
    each weight that is trained in the end.

    Raises what training the candidate raises.
    """
    progress = TrialProgress(candidate, dataset)
    progress.epoch = int(candidate.settings["epochs"]) - 1  # type: ignore[arg-type]
    network = progress.whole_network()
    remembered = len(optimizers.MOMENTS[str(candidate.settings["optimizer"])])
    weights = sum(w.numel() * w.element_size() for w in network.parameters())
    trained = sum(w.numel() * w.element_size() for w in network.parameters() if w.requires_grad)
    buffers = sum(b.numel() * b.element_size() for b in network.buffers())
    return remembered * trained + 2 * (weights + buffers)


def _dry_run(
    candidate: Candidate, dataset: Dataset, device: torch.device, slots: int, epoch: int
) -> _Dry:
    return _timed(_stack(candidate, dataset, device, epoch, slots), device)


def _members(candidate: Candidate, dataset: Dataset, slots: int, epoch: int) -> list[TrialProgress]:
    """Copies of a candidate after so many epochs, each from a seed of its own."""
    members = []
    for k in range(slots):
        seed = derived_seed(candidate.seed, "dry run", k)
        member = TrialProgress(replace(candidate, seed=seed), dataset)
        member.epoch = epoch
        members.append(member)
    return members


def _stack(
    candidate: Candidate, dataset: Dataset, device: torch.device, epoch: int, slots: int
) -> Stack:
    members = _members(candidate, dataset, slots, epoch)
    stack = Stack(members[0], device)
    stack.join([(course, None) for course in members])
    return stack


def _alone(candidate: Candidate, dataset: Dataset, device: torch.device, epoch: int) -> Solo:
    (member,) = _members(candidate, dataset, 1, epoch)
    return Solo(member, device)


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
    return _Dry(min(steps) / slots, used() // slots, trainer.parameters)
