"""Whether a configuration learns at all: a short look at it before a search.

The rule is old advice: over-fitting a handful of rows. Goodfellow, Bengio and Courville, "Deep
learning" (2016), section 11.5; Karpathy, "A recipe for training neural networks" (2019).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor

from hpsearch.errors import line
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset, Part, Resident
from hpsearch.spec.settings import Value
from hpsearch.spec.task import TASKS
from hpsearch.tasks.losses import constant_loss
from hpsearch.training import devices
from hpsearch.training.solo import Solo
from hpsearch.training.stacking.slots import objection
from hpsearch.training.stacking.stack import Stack
from hpsearch.training.trial_progress import TrialProgress

__all__ = ["Finding", "examine", "steady"]

_ROWS = 16
"""Rows that are to be learnt by heart."""
_PASSES, _REPEATS = 30, 10
"""Steps by those rows: so many times this many, with a look at the loss between."""
_SOON = 5
"""Passes after which losses that have not begun to fall are given up."""
_ZERO, _FALL = 0.05, 0.95
"""Shares of the loss of the best constant output: below the first a loss is near zero, and above
the second it has not begun to fall."""
_RATES = (1e-1, 1e-2, 1e-3, 1e-4)
"""Learning rates that are tried where the candidate's own does not do."""
_MOST_WEIGHTS = 20_000_000
"""Weights of all networks that are tried at once; with more it would take too long."""
_LONGEST_S = 2.0
_PIECE = 1000
"""Rows that are looked at together."""


@dataclass(frozen=True)
class Finding:
    """What the look came to."""

    suspect: Literal["data", "network", "learning rate"] | None
    """None: the candidate learns, or that could not be decided. With `data` nothing can learn."""
    said: str = ""
    """In words, where there is something to say."""
    rate: float | None = None
    """A learning rate that works, where the candidate's own is suspected."""


def examine(
    candidate: Candidate, dataset: Dataset, device: torch.device, interrupted: Callable[[], bool]
) -> Finding:
    """Whether a candidate, without regularisation, learns a handful of training rows by heart.

    It takes two seconds at most. What cannot be decided in that time is not held against it.
    """
    train = dataset.train
    own = TASKS[dataset.task].target == "inputs"
    targets = iter([train.targets])
    for name, pieces in (("target", targets), ("inputs", train.pieces(_PIECE))):
        if not (own and name == "target") and _are_alike(pieces):
            return Finding("data", f"all {len(train):,} training rows have the same {name}")
    try:
        return _learns(candidate, dataset, device, interrupted)
    except Exception as error:  # training meets it again, where it is reported
        devices.empty_cache(device)
        return Finding(None, f"not decided before the first trial: {line(error)}")


def _learns(
    candidate: Candidate, dataset: Dataset, device: torch.device, interrupted: Callable[[], bool]
) -> Finding:
    progress = TrialProgress(candidate, dataset)
    rows = _rows(progress.order(), dataset.train)
    settings = {**candidate.settings, **steady(candidate)}
    tiny, constant = _tiny(dataset, rows, progress.loss, settings)
    # A code is smaller than the inputs, and cannot hold them all: that the loss falls is enough.
    zero = _FALL if TASKS[dataset.task].target == "inputs" else _ZERO
    deadline = time.monotonic() + _LONGEST_S

    def shares(*rates: float, patient: bool = False) -> list[float]:
        """The last loss at each rate, as a share of that of the best constant output."""
        fixed = {**settings, "batch_size": len(rows)}
        tried = [replace(candidate, settings={**fixed, "lr": rate}) for rate in rates]
        losses_K = _losses(
            [TrialProgress(one, tiny) for one in tried], tiny, device, constant * zero,
            math.inf if patient else constant * _FALL,
            lambda: interrupted() or time.monotonic() > deadline,
        )  # fmt: skip
        return (losses_K / constant).tolist()

    own = float(candidate.settings["lr"])  # type: ignore[arg-type]
    (share,) = shares(own)
    if share < zero:
        return Finding(None)
    others = zip(_RATES, shares(*_RATES), strict=True)
    rate = next((rate for rate, other in others if other < zero), None)
    what = f"the default configuration does not learn {len(rows)} rows by heart"
    if rate is None:
        return Finding(
            "network",
            f"{what} at any learning rate: its network is small or passes nothing on, its "
            "optimizer is slow, or the rows are much alike",
        )
    if share < _FALL or shares(own, patient=True)[0] < _FALL:
        return Finding(None)
    return Finding(
        "learning rate", f"{what} at its learning rate {own:g}; at {rate:g} it does", rate
    )


def steady(candidate: Candidate) -> dict[str, Value]:
    """Settings of a candidate that is trained without regularisation, at a steady rate."""
    plain = candidate.vocabulary.plain
    return {**plain, "schedule": "constant", "warmup": 0.0, "epochs": _PASSES}


def _losses(
    members: Sequence[TrialProgress], tiny: Dataset, device: torch.device, enough: float,
    fallen: float, is_over: Callable[[], bool],
) -> Tensor:  # fmt: skip
    """The losses of candidates that are trained side by side until one is low enough, or soon none
    has fallen."""
    network = members[0].network()
    weights = sum(parameter.numel() for parameter in network.parameters())
    if len(members) * weights > _MOST_WEIGHTS:
        raise ValueError(f"the network has {weights:,} weights")
    trainers = _trainers(members, tiny, device)
    while True:
        losses = [trainer.train(is_over) for trainer in trainers]
        if any(loss is None for loss in losses):
            raise TimeoutError("it would take too long")
        losses_K = torch.cat([loss for loss in losses if loss is not None])
        for member in members:
            member.epoch += 1
        passes, lowest = members[0].epoch, float(losses_K.nan_to_num(math.inf).min())
        if lowest < enough or passes == _PASSES or (passes >= _SOON and lowest >= fallen):
            return losses_K


def _trainers(
    members: Sequence[TrialProgress], tiny: Dataset, device: torch.device
) -> list[Stack] | list[Solo]:
    """One stack of all of them, or where they cannot be stacked one trainer each."""
    if len(members) == 1 or objection(members[0].candidate, tiny):
        return [Solo(member, device) for member in members]
    stack = Stack(members[0], device)
    stack.join([(member, None) for member in members])
    return [stack]


def _are_alike(pieces: Iterator[Tensor]) -> bool:
    first = next(pieces)
    few = first[:1000]  # which is enough for most
    return bool((few == first[0]).all()) and all(
        bool((piece == first[0]).all()) for piece in chain([first], pieces)
    )


def _rows(order: Tensor, train: Part) -> Tensor:
    """Up to 16 training rows of different inputs, not all of one target, int64 (B,)."""
    order = order.to(train.targets.device)
    targets = train.targets[order].flatten()
    other = (targets != targets[0]).int().argmax()  # the first of another target
    some = torch.cat([order[:1], order[other].view(1), order[1:64]])
    inputs = train.batch(some)[0].cpu()
    chosen: list[int] = []
    for at, row in enumerate(inputs):
        if not any(torch.equal(row, inputs[one]) for one in chosen):
            chosen.append(at)
    return some[chosen[:_ROWS]]


def _tiny(
    dataset: Dataset, rows: Tensor, loss: str, settings: Mapping[str, Any]
) -> tuple[Dataset, float]:
    """Those rows in place of the training part, and the loss of their best constant output."""
    inputs, targets = dataset.train.batch(rows)
    target = TASKS[dataset.task].target
    if target == "numbers":  # one far from all others leaves those alike
        targets = (targets - targets.mean()) / targets.std(correction=0)
    of_target = inputs.flatten(1) if target == "inputs" else targets
    constant = constant_loss(dataset.task, loss, settings, of_target, dataset.problem())
    if not constant > 0:
        raise ValueError("no rows of different inputs and targets were found")
    repeated = Resident(torch.cat([inputs] * _REPEATS), torch.cat([targets] * _REPEATS))
    return replace(dataset, train=repeated), constant
