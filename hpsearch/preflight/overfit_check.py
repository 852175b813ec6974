"""Whether a configuration learns at all: a short look at it before a search.

The rule is old advice: over-fitting a handful of rows. Goodfellow, Bengio and Courville, "Deep
learning" (2016), section 11.5; Karpathy, "A recipe for training neural networks" (2019).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from hpsearch.errors import line
from hpsearch.sources.dataset import Part
from hpsearch.spec.conflicts import SettingsError, loss_name
from hpsearch.training import devices, losses
from hpsearch.training.candidate import Candidate, derived_seed
from hpsearch.training.stacking.stack import Stack
from hpsearch.training.trial_progress import TrialProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from hpsearch.sources.dataset import Dataset

__all__ = ["Finding", "examine"]

_ROWS = 16
"""Of the small batch."""

_PASSES, _REPEATS = 30, 10
"""Steps by that batch: so many times this many, with a look at the loss between."""

_SOON = 5
"""Passes after which a loss that has not begun to fall is given up."""

_ZERO = 0.05
"""A loss is near zero at this share of that of the best constant output."""

_FALL = 0.95
"""A loss that does not come below this share of the best constant's has not begun to fall."""

_APART = 0.5
"""Two rows are told apart at this share."""

_RATES = (1e-1, 1e-2, 1e-3, 1e-4)
"""Tried where the candidate's own does not do."""

_STARTS, _SAFE_RATES = 3, (1e-2, 1e-3)
"""First weights, and Adam's rates, at which a network is tried that seems not to learn."""

_NARROW = 8
"""All units of a layer with fewer may be dead by chance."""

_MOST_WEIGHTS = 20_000_000
"""Of all networks tried at once; what has more is not looked at, as that would take too long."""

_LONGEST_S = 2.0
"""Of the small batch; two rows, which seldom come to it, get twice that."""


@dataclass(frozen=True)
class Finding:
    """What has come of it."""

    suspect: Literal["data", "loss", "network", "learning rate"] | None
    """None: it learns, or that could not be told."""
    said: str
    """In words, where there is something to say."""
    certain: bool = False
    """Whether no configuration that shares what is suspected can learn."""
    rate: float | None = None
    """A learning rate that works, where the candidate's own is suspected."""


def examine(
    candidate: Candidate, dataset: Dataset, device: torch.device, interrupted: Callable[[], bool]
) -> Finding:
    """Whether a candidate, without regularisation, learns a handful of training rows by heart.

    It takes two seconds at most; six where nothing is learnt. What cannot be told in that time, or
    has a reason that may be a good one, is not held against it: rows that are alike, a network
    that is small.
    """
    said = _amiss(dataset.train)
    if said:
        return Finding("data", said, certain=True)
    try:
        loss_name(candidate.settings["loss"], dataset.task, len(dataset.classes))  # type: ignore[arg-type]
    except SettingsError as error:
        return Finding("loss", str(error), certain=True)
    try:
        return _Probe(candidate, dataset, device, interrupted).finding()
    except _UndecidedError as error:
        return Finding(None, str(error))
    except Exception as error:  # training meets it again, where it is reported
        devices.empty_cache(device)
        return Finding(None, f"not looked at: {line(error)}")


def _amiss(train: Part) -> str:
    """What is wrong with the rows themselves; that a number is not finite is seen on loading."""
    if _alike(train.targets):
        return f"all {len(train.targets):,} training rows have the same target"
    if _alike(train.inputs):
        return f"all {len(train.inputs):,} training rows have the same inputs, and targets differ"
    return ""


def _alike(rows: Tensor) -> bool:
    few = rows[:1000]  # which is enough for most
    return bool((few == rows[0]).all()) and bool((rows == rows[0]).all())


class _UndecidedError(Exception):
    """It cannot be told."""


class _Probe:
    """One candidate over a few rows."""

    def __init__(
        self, candidate: Candidate, dataset: Dataset, device: torch.device,
        interrupted: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._dataset, self._device, self._interrupted = dataset, device, interrupted
        self._deadline = time.monotonic() + _LONGEST_S
        plain = {
            "dropout": 0.0,
            "weight_decay": 0.0,
            "label_smoothing": 0.0,
            "clip": None,
            "class_weight": "none",
        }
        steady = {"schedule": "constant", "warmup": 0.0, "epochs": _PASSES}
        self._settings: Mapping[str, Any] = {**candidate.settings, **plain, **steady}
        self._candidate = candidate
        course = TrialProgress(candidate, dataset)
        self._order = course.order().to(device)
        weights = {name: w for name, w in course.network().named_parameters() if w.dim() > 1}
        self._weights = sum(w.numel() for w in weights.values())
        self._width = min((len(w) for w in [*weights.values()][:-1]), default=_NARROW)
        self._most = _MOST_WEIGHTS // self._weights

    def finding(self) -> Finding:
        batch, own = self._batch(), float(self._settings["lr"])
        first = self._shares(batch, [{"lr": own}])[0]
        if first < _ZERO:
            return Finding(None, "")
        rates = [rate for rate in _RATES if not math.isclose(rate, own)]
        shares = self._shares(batch, [{"lr": rate} for rate in rates])
        reached = [rate for rate, share in zip(rates, shares, strict=True) if share < _ZERO]
        if not reached:
            return self._of_network()
        if first < _FALL or self._shares(batch, [{"lr": own}], patient=True)[0] < _FALL:
            return Finding(None, "")
        return Finding(
            "learning rate",
            f"at the learning rate {own:g} the default configuration does not begin to learn "
            f"{len(batch)} rows by heart; at {reached[0]:g} it does",
            rate=reached[0],
        )

    def _of_network(self) -> Finding:
        """Any network that passes anything on tells two rows apart, be it a linear one; and Adam
        gets through layers in which gradients shrink."""
        adam = {"optimizer": "adam", "beta1": 0.9, "beta2": 0.999}
        starts = range(_STARTS)
        ways = [{**adam, "lr": rate, "start": start} for start in starts for rate in _SAFE_RATES]
        self._deadline = time.monotonic() + 2 * _LONGEST_S
        shares = self._shares(self._pair(), ways, enough=_APART, patient=True)
        if any(share < _APART for share in shares):
            return Finding(
                "network",
                "the default configuration does not learn a few rows by heart at any learning "
                "rate: its network is small, its optimizer slow, or the rows are much alike",
            )
        why = "stays that of a constant" if any(map(math.isfinite, shares)) else "is not a number"
        return Finding(
            "network",
            "the network cannot tell two training rows apart: whatever its first weights and its "
            f"learning rate, its loss {why}; look at its depth, activation and init",
            certain=self._width >= _NARROW,
        )

    def _batch(self) -> Tensor:
        """Rows of different inputs, not all of one target."""
        targets, inputs = self._dataset.train.targets, self._dataset.train.inputs
        ordered = targets[self._order].flatten()
        other = (ordered != ordered[0]).int().argmax()  # the first of another target
        some = torch.cat([self._order[:1], self._order[other : other + 1], self._order[1:64]])
        kinds = torch.unique(inputs[some].flatten(1), dim=0, return_inverse=True)[1].tolist()
        firsts = dict(zip(reversed(kinds), some.flip(0), strict=True))  # the last one said stays
        return torch.stack([firsts[kind] for kind in dict.fromkeys(kinds)][:_ROWS])

    def _pair(self) -> Tensor:
        """The two rows farthest apart of which the targets differ clearly."""
        some = self._order[:256]
        targets = self._dataset.train.targets[some].float().flatten()
        apart = (targets.unsqueeze(0) - targets.unsqueeze(1)).abs()
        inputs = self._dataset.train.inputs[some].flatten(1)
        floor = apart.max() / 2 if self._dataset.task == "regression" else 0.0
        distance = torch.cdist(inputs, inputs).where(apart > floor, 0.0)
        first, second = divmod(int(distance.argmax()), len(some))
        if not distance[first, second] > 0:
            raise _UndecidedError("not looked at: two rows of different targets were not found")
        return some[[first, second]]

    def _shares(
        self, rows: Tensor, ways: Sequence[Mapping[str, Any]], *, enough: float = _ZERO,
        patient: bool = False,
    ) -> list[float]:  # fmt: skip
        """How far each way gets, all of them as one stack: its last loss as a share of that of the
        best constant output."""
        if len(ways) > self._most:
            raise _UndecidedError(f"not looked at: the network has {self._weights:,} weights")
        train = self._dataset.train
        part = Part(train.inputs[rows], self._scaled(train.targets[rows]))
        tiny = replace(self._dataset, train=Part(_repeated(part.inputs), _repeated(part.targets)))
        members = [TrialProgress(self._changed(way, len(rows)), tiny) for way in ways]
        constant = _constant_loss(part.targets, tiny, members[0].loss)
        if not constant > 0:
            raise _UndecidedError("not looked at: a few rows of different targets were not found")
        stack = Stack(members[0].network(), tiny, self._device)
        stack.join([(course, None) for course in members])
        shares: list[float] = []
        for done in range(_PASSES):
            found = stack.train(lambda: self._interrupted() or time.monotonic() > self._deadline)
            if found is None:
                raise _UndecidedError("not decided: it would take too long")
            shares = (found / constant).tolist()
            falls = patient or done < _SOON or any(share < _FALL for share in shares)
            if not falls or any(share < enough for share in shares):
                break
            for course in members:
                course.epoch += 1
        return shares

    def _scaled(self, targets: Tensor) -> Tensor:
        """Numbers standardised over these rows alone, two of them to -1 and 1.

        Beside one huge target of the training rows the others are all but alike, and it is itself
        too far off for so few steps, whatever the network.
        """
        if self._dataset.task == "classification" or _alike(targets):
            return targets
        return (targets - targets.mean()) / targets.std(correction=0)

    def _changed(self, way: Mapping[str, Any], rows: int) -> Candidate:
        settings = {**self._settings, **way, "batch_size": rows}
        seed = derived_seed(self._candidate.seed, "start", settings.pop("start", 0))
        return replace(self._candidate, settings=settings, seed=seed)


def _repeated(rows: Tensor) -> Tensor:
    return rows.repeat(_REPEATS, *(1 for _ in rows.shape[1:]))


def _constant_loss(targets: Tensor, dataset: Dataset, loss: str) -> float:
    """The loss of the best output that does not look at its inputs, about."""
    if dataset.task == "classification":
        share = torch.unique(targets, return_counts=True)[1] / len(targets)
        return float(-(share * share.log()).sum())
    constant = targets.mean(dim=0, keepdim=True).expand_as(targets)
    return float(losses.loss_of(loss)(constant.unsqueeze(0), targets))
