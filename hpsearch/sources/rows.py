"""The parts of a data set: rows that lie on the device, or that are streamed to it.

Training takes them a batch at a time and measures go through them in order, and neither needs to
know where they lie: a part gives the same numbers either way.

Shapes: `N` rows of a part, `B` rows of a batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from hpsearch.sources.raw import Rows
    from hpsearch.sources.stream import Encode, Stream

__all__ = ["Derived", "Part", "Resident", "Streamed"]


class Part(ABC):
    """Rows that a network is trained or measured on."""

    targets: Tensor
    """(N, ...) on the device, as the task encodes them: int64 (N,) class indices, or float32 (N, 1)
    standardised numbers."""

    @property
    @abstractmethod
    def resident(self) -> bool:
        """Whether all rows lie on the device."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (C, H, W) for images, (D,) for tables."""

    @property
    def device(self) -> torch.device:
        """Where its batches lie."""
        return self.targets.device

    @property
    @abstractmethod
    def device_bytes(self) -> int:
        """What it takes on the device for as long as it is used."""

    @abstractmethod
    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, *shape), float32 or int64 for tokens, and targets of some rows, int64 (B,) on
        the device.

        A part that is streamed reads them at once: `batches` reads ahead.
        """

    @abstractmethod
    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """What `batch` gives of each of `rows`, in their order.

        A part that is streamed reads ahead, and only for anyone who began last: another iterator of
        any part of its data set is over then.
        """

    @property
    def inputs(self) -> Tensor:
        """All inputs at once, (N, *shape) on the device, float32 or int64 for tokens: for parts
        that have the room."""
        return torch.cat(list(self.pieces(max(len(self), 1))))

    def pieces(self, size: int) -> Iterator[Tensor]:
        """The inputs of all rows in order, up to `size` at a time."""
        rows = torch.arange(len(self), device=self.device)
        return (inputs for inputs, _ in self.batches(torch.split(rows, size)))

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class Resident(Part):
    """Rows on the device."""

    stored: Tensor
    """(N, *shape)."""
    targets: Tensor
    encode: Encode | None = None
    """Makes inputs of what is stored; None: those are inputs."""

    @property
    def resident(self) -> bool:
        """Whether all rows lie on the device."""
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.stored.shape[1:])

    @property
    def device_bytes(self) -> int:
        """What it takes on the device."""
        return sum(t.numel() * t.element_size() for t in (self.stored, self.targets))

    @property
    def inputs(self) -> Tensor:
        """All inputs at once."""
        return self._encoded(self.stored)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of some rows."""
        inputs = self._encoded(self.stored.index_select(0, rows))
        return inputs, self.targets.index_select(0, rows)

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of each of `rows`."""
        return map(self.batch, rows)

    def pieces(self, size: int) -> Iterator[Tensor]:
        """The inputs of all rows in order."""
        return map(self._encoded, torch.split(self.stored, size))  # no copy of what is stored

    def _encoded(self, stored: Tensor) -> Tensor:
        return stored if self.encode is None else self.encode(stored)


@dataclass(frozen=True, eq=False)
class Streamed(Part):
    """Rows that are read when they are needed."""

    stream: Stream
    rows: Rows
    """(N,): which rows of the data they are."""
    targets: Tensor
    input_shape: tuple[int, ...]
    """The shape of one input."""

    @property
    def resident(self) -> bool:
        """Whether all rows lie on the device."""
        return False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return self.input_shape

    @property
    def device_bytes(self) -> int:
        """What it takes on the device."""
        return self.targets.numel() * self.targets.element_size()

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of some rows."""
        return self.stream.read(self._numbers(rows)), self.targets[rows]

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of each of `rows`."""
        inputs = self.stream.batches([self._numbers(some) for some in rows])
        return ((read, self.targets[some]) for read, some in zip(inputs, rows, strict=True))

    def _numbers(self, rows: Tensor) -> Rows:
        numbers: Rows = self.rows[rows.cpu().numpy()]
        return numbers


@dataclass(frozen=True, eq=False)
class Derived(Part):
    """Rows on the device that are made of those of another part, once, when they are first needed.

    They are not made where gradients are recorded or inference mode is on: training may use them.
    """

    part: Part
    make: Callable[[Part], Tensor]
    """Makes inputs (N, *shape), float32, of all rows of a part, in their order."""
    input_shape: tuple[int, ...]
    """The shape of one input."""
    item_bytes: int = 4
    """Of one number."""

    @property
    def targets(self) -> Tensor:  # type: ignore[override]
        """Those of the other part."""
        return self.part.targets

    @property
    def resident(self) -> bool:
        """Whether all rows lie on the device."""
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return self.input_shape

    @property
    def device_bytes(self) -> int:
        """What it takes on the device, beside the other part."""
        return len(self) * math.prod(self.input_shape) * self.item_bytes

    @cached_property
    def _made(self) -> Resident:
        with torch.inference_mode(mode=False), torch.no_grad():
            return Resident(self.make(self.part), self.targets)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of some rows."""
        return self._made.batch(rows)

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of each of `rows`."""
        return self._made.batches(rows)

    def pieces(self, size: int) -> Iterator[Tensor]:
        """The inputs of all rows in order."""
        return self._made.pieces(size)
