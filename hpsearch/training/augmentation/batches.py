"""Training batches in which each image is changed by a draw of its own.

What is drawn for an image is a function of its candidate's seed, the epoch and its row: the same
no matter who else is trained beside it, and again where an epoch is repeated. Random numbers come
from generators of the CPU, so they are the same on every device.

Shapes: `K` slots, `B` rows of a batch in each slot, `N` rows of the training part, `D` random
numbers of a row, `C` channels, `H` height, `W` width. Slots that have an operation in common go
through it together.
"""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hpsearch.runner.candidate import derived_seed
from hpsearch.sources.inputs import Shaded
from hpsearch.spec.augmentation import MIXUP, OPERATIONS, amounts
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.sources.dataset import Dataset
    from hpsearch.spec.augmentation import Operation
    from hpsearch.spec.settings import Value
    from hpsearch.tasks.learning import LossFunction
    from hpsearch.training.trial_progress import TrialProgress

    Draw = Callable[[int, np.random.Generator], NDArray[Any]]

__all__ = ["Augmentation", "Batch", "mixing"]

Batch = tuple["Tensor", ...]
"""Inputs (K*B, *shape) and targets (K*B, ...) of a step; where slots mix classes, beside them the
targets that are mixed in, of the same shape, and the share (K,) of each slot's own ones."""


def mixing(loss_of: LossFunction) -> Callable[..., Tensor]:
    """A loss of outputs (K, B, C) and of what a `Batch` has beside its inputs.

    Of mixed classes it is the mean of the losses by both targets, each by its share: Zhang et al.,
    "mixup: beyond empirical risk minimization" (2018). Of a cross-entropy that is the one by soft
    targets.
    """

    def loss(
        outputs: Tensor,
        targets: Tensor,
        others: Tensor | None = None,
        share_K: Tensor | None = None,
    ) -> Tensor:
        own = loss_of(outputs, targets.view(*outputs.shape[:2], *targets.shape[1:]))
        if others is None or share_K is None:
            return own
        mixed_in = loss_of(outputs, others.view(*outputs.shape[:2], *others.shape[1:]))
        return share_K * own + (1 - share_K) * mixed_in

    return loss


_Given = tuple["Tensor", "Tensor", "Tensor"]
"""Inputs and targets of a batch, and which training rows they are."""

_TOGETHER, _TOGETHER_GPU = 2**19, 2**23
"""Numbers of inputs that are changed at once, where a batch has fewer: what a cache holds; on a
GPU, where calls cost more and memory is far from any cache."""


class _Draws:
    """Random numbers for each training row of some slots, in one epoch."""

    def __init__(self, slots: Sequence[int], purpose: str, draw: Draw) -> None:
        """`draw` is called with a slot and a generator, and gives the numbers (N, D) of that slot,
        which depend on the slot's own settings alone."""
        self.slots = list(slots)
        self._purpose, self._draw = purpose, draw
        self._numbers = torch.empty(0)
        """Those of one slot after the other, (slots * N, D)."""
        self._first_K1 = torch.empty(0)
        """Where those of each slot begin."""

    def begin(self, members: Sequence[TrialProgress]) -> None:
        """Draw those of the epoch that each member is in."""
        drawn = [self._draw(slot, self._generator(members[slot])) for slot in self.slots]
        self._numbers = torch.from_numpy(np.concatenate(drawn))
        self._first_K1 = (torch.arange(len(drawn)) * len(drawn[0])).unsqueeze(1)

    def _generator(self, member: TrialProgress) -> np.random.Generator:
        seed = derived_seed(member.candidate.seed, "augment", self._purpose, member.epoch)
        return np.random.Generator(np.random.PCG64(seed))

    def of(self, rows_KB: Tensor) -> Tensor:
        """(slots * B, D) of a batch, whose rows are those of all slots."""
        own = rows_KB if len(rows_KB) == len(self.slots) else rows_KB[self.slots]
        return self._numbers.index_select(0, (own + self._first_K1).flatten())


class _Use:
    """An operation in some of the slots."""

    def __init__(
        self, operation: Operation, values: Sequence[Mapping[str, Value]], rows: int
    ) -> None:
        first, count = operation.settings[0], operation.draws
        slots = [k for k, own in enumerate(values) if own[first.name] != first.default]
        self.draws = _Draws(slots, first.name, lambda _, g: g.random((rows, count), np.float32))
        self._values_S1K = torch.tensor([
            [[float(values[k][setting.name]) for k in slots]]  # type: ignore[arg-type]
            for setting in operation.settings
        ])  # fmt: skip
        self._apply: Callable[..., Tensor] = pkgutil.resolve_name(operation.apply)

    def __call__(self, pixels_KBCHW: Tensor, places: Sequence[int], rows_KB: Tensor) -> Tensor:
        """The images after it. Those of its own slots lie at these places among them."""
        every = len(places) == len(pixels_KBCHW)
        some = pixels_KBCHW if every else pixels_KBCHW[places]
        values_SN = self._values_S1K.expand(-1, rows_KB.shape[1], -1).mT.flatten(1)
        changed = self._apply(some.flatten(0, 1), self.draws.of(rows_KB), *values_SN).view_as(some)
        if every:
            return changed
        pixels_KBCHW[places] = changed
        return pixels_KBCHW


class Augmentation:
    """What is done to the training batches of candidates that are trained together."""

    def __init__(self, members: Sequence[TrialProgress], dataset: Dataset) -> None:
        """Raises SettingsError where the inputs cannot be changed as the settings say."""
        self._members = list(members)
        self._epochs: list[int] = []
        """Those of which the random numbers are."""
        self._numbers = TASKS[dataset.task].target == "numbers"
        values = [amounts(m.settings, m.candidate.vocabulary.settings) for m in members]
        rows = len(dataset.train)
        uses = [_Use(operation, values, rows) for operation in OPERATIONS]
        self._uses = [use for use in uses if use.draws.slots]
        self._changed = sorted({slot for use in self._uses for slot in use.draws.slots})
        mixed = [k for k, own in enumerate(values) if own[MIXUP.name]]
        alphas = [float(own[MIXUP.name] or 0) for own in values]  # type: ignore[arg-type]
        self._mixup = _Draws(mixed, MIXUP.name, lambda k, g: _partners(alphas[k], rows, g))
        self.idle = not (self._uses or mixed)
        """Whether nothing is done to any batch."""
        if not self.idle:
            self._black, self._range = _scale(dataset)

    def batches(
        self, given: Iterable[tuple[Tensor, Tensor]], rows_KB: Iterable[Tensor]
    ) -> Iterator[Batch]:
        """The batches of an epoch, each as `__call__` changes it.

        Small ones are changed several at once: most of what that takes is calls, not sums.
        """
        waiting, numbers = list[_Given](), 0
        for (inputs, targets), rows in zip(given, rows_KB, strict=True):
            most = _TOGETHER if inputs.device.type == "cpu" else _TOGETHER_GPU
            if waiting and numbers + inputs.numel() > most:
                yield from self._batches(waiting)
                waiting, numbers = [], 0
            waiting.append((inputs, targets, rows))
            numbers += inputs.numel()
        yield from self._batches(waiting)

    def __call__(self, inputs: Tensor, targets: Tensor, rows_KB: Tensor) -> Batch:
        """The batch of a step of the members' next epoch, with its images changed.

        Args:
            inputs: (K*B, C, H, W), which may be written to.
            targets: (K*B, ...).
            rows_KB: Which training rows they are, on the CPU.
        """
        (changed,) = self._batches([(inputs, targets, rows_KB)])
        return changed

    def _batches(self, given: Sequence[_Given]) -> Iterator[Batch]:
        if self.idle or not given:
            yield from ((inputs, targets) for inputs, targets, _ in given)
            return
        self._begin()
        parts = [inputs.view(*rows.shape, *inputs.shape[1:]) for inputs, _, rows in given]
        if self._changed:
            rows_KB = torch.cat([rows for *_, rows in given], dim=1)
            together = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
            sizes = [part.shape[1] for part in parts]
            parts = list(torch.split(self._operated(together, rows_KB), sizes, dim=1))
        for inputs_KB, (_, targets, rows_KB) in zip(parts, given, strict=True):
            if self._mixup.slots:
                targets_KB = targets.view(*rows_KB.shape, *targets.shape[1:])
                yield self._mixed(inputs_KB, targets_KB, rows_KB)
            else:
                yield inputs_KB.flatten(0, 1), targets

    def _begin(self) -> None:
        epochs = [member.epoch for member in self._members]
        if epochs == self._epochs:
            return
        for draws in (*(use.draws for use in self._uses), self._mixup):
            if draws.slots:
                draws.begin(self._members)
        self._epochs = epochs

    def _operated(self, inputs_KB: Tensor, rows_KB: Tensor) -> Tensor:
        """Inputs after all operations, which are done to pixels from 0 to 1."""
        every = len(self._changed) == len(inputs_KB)
        some = inputs_KB if every else inputs_KB[self._changed]
        black, range_ = self._black.to(some), self._range.to(some)
        pixels = some.sub(black).div_(range_)
        for use in self._uses:
            places = [self._changed.index(slot) for slot in use.draws.slots]
            pixels = use(pixels, places, rows_KB)
        changed = pixels.mul_(range_).add_(black)
        if every:
            return changed
        inputs_KB[self._changed] = changed
        return inputs_KB

    def _mixed(self, inputs_KB: Tensor, targets_KB: Tensor, rows_KB: Tensor) -> Batch:
        """Each row mixed with another one of its slot's batch; all of a batch by one share, as in
        the paper: that drawn for its first row."""
        slots = self._mixup.slots
        drawn = self._mixup.of(rows_KB).view(len(slots), -1, 2)
        order = drawn[:, :, 0].argsort(dim=1, stable=True).to(inputs_KB.device)
        share = torch.ones(len(rows_KB))
        share[slots] = drawn[:, 0, 1].to(share)
        share_K = share.to(inputs_KB.device, inputs_KB.dtype)
        place = torch.arange(len(slots), device=order.device).unsqueeze(1)

        def others(values_KB: Tensor) -> Tensor:
            every = values_KB.clone()
            every[slots] = values_KB[slots][place, order]
            return every

        def blend(values_KB: Tensor) -> Tensor:
            own = share_K.view(-1, *[1] * (values_KB.dim() - 1))
            return (own * values_KB + (1 - own) * others(values_KB)).flatten(0, 1)

        if self._numbers:
            return blend(inputs_KB), blend(targets_KB)
        return blend(inputs_KB), targets_KB.flatten(0, 1), others(targets_KB).flatten(0, 1), share_K


def _partners(alpha: float, rows: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """For each row a place in the order of its batch's partners, and a share: (N, 2)."""
    return np.stack([generator.random(rows), generator.beta(alpha, alpha, rows)], axis=1)


def _scale(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """The inputs that are black, and how far from those the white ones are: each (C, 1, 1), or a
    single number."""
    inputs = dataset.preprocessing
    shades = inputs.shades() if isinstance(inputs, Shaded) else None
    if dataset.kind != "images" or shades is None:
        what = f"inputs that are {dataset.kind}" if dataset.kind != "images" else (
            "images of which it is not known what is black and what is white"
        )  # fmt: skip
        raise SettingsError(f"{what} cannot be augmented")
    black, white = (torch.tensor(end).view(-1, 1, 1) for end in (shades.black, shades.white))
    return (black, white - black) if len(black) > 1 else (black[0, 0, 0], (white - black)[0, 0, 0])
