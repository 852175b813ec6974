"""The parts of a data set: rows that lie on the device, or that are streamed to it.

Training takes them a batch at a time and measures go through them in order, and neither needs to
know where they lie: a part gives the same numbers either way.

Shapes: `N` rows of a part, `B` rows of a batch.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset

from hpsearch.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.sources.raw import Rows

__all__ = ["Encode", "Part", "Read", "Resident", "Stream", "Streamed"]

Encode = Callable[["Tensor"], "Tensor"]
"""Makes float32 inputs of rows as they are stored, on the device of those."""

Read = Callable[["Rows"], "NDArray[Any]"]
"""Rows by their numbers, (B, *shape), as they are stored."""

_MOST_PROCESSES = 4
"""Processes that read for a GPU: with more the copying of their batches is what takes the time."""


_LOOK_S = 1.0
"""Between two looks of a reader whether its worker is there."""


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
        """Inputs (B, *shape), float32, and targets of some rows, int64 (B,) on the device.

        A part that is streamed reads them at once: `batches` reads ahead.
        """

    @abstractmethod
    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """What `batch` gives of each of `rows`, in their order.

        A part that is streamed reads ahead, and only for whoever began last: another iterator of
        any part of its data set is over then.
        """

    @property
    def inputs(self) -> Tensor:
        """All inputs at once, float32 (N, *shape) on the device: for parts that have the room."""
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


class Stream:
    """Reads rows of a data set, ahead of the training and in processes of its own."""

    def __init__(
        self, read: Read, device: torch.device, encode: Encode | None = None, *, portable: bool
    ) -> None:
        """
        Args:
            read: Gives rows of the data as they are stored. DataError where they cannot be had.
            device: Where they go.
            encode: Makes inputs of what is stored, on the device; None: those are inputs.
            portable: Whether `read` can be sent to another process. Where it cannot, rows are read
                in this one.
        """
        self._reader, self._device, self._encode = _Reader(read), device, encode
        self._processes = _processes(device) if portable else 0
        self._order = _Order()
        self._loader: DataLoader[Any] | None = None
        self._turn = 0
        """Iterators that have begun."""

    def read(self, rows: Rows) -> Tensor:
        """Inputs of these rows of the data, read in this process."""
        return self._on_device(self._reader[rows])

    def batches(self, rows: Sequence[Rows]) -> Iterator[Tensor]:
        """Inputs of each of `rows`, read ahead."""
        self._turn += 1
        turn, self._order.rows = self._turn, rows
        try:
            for stored in self._loader_now():
                yield self._on_device(stored)
                if turn != self._turn:
                    raise RuntimeError("another iterator of the same data has begun meanwhile")
        except RuntimeError:  # a reader was lost: the next epoch starts others
            if turn == self._turn:
                self.close()
            raise

    def close(self) -> None:
        """End the processes that read; the next batches start others."""
        self._loader = None

    def _loader_now(self) -> DataLoader[Any]:
        if self._loader is None:
            self._loader = DataLoader(
                self._reader,
                batch_size=None,  # `_Order` gives the rows of whole batches
                sampler=self._order,
                num_workers=self._processes,
                collate_fn=_as_it_is,
                # Without one of its own it would draw from the generator that drops units.
                generator=torch.Generator().manual_seed(0),
                worker_init_fn=partial(_settle, os.getpid()),
                # A fork would copy threads' locks, and what is on a GPU.
                multiprocessing_context="spawn" if self._processes else None,
                persistent_workers=self._processes > 0,
            )
        return self._loader

    def _on_device(self, stored: NDArray[Any] | DataError) -> Tensor:
        if isinstance(stored, DataError):
            raise stored
        inputs = torch.from_numpy(stored).to(self._device)
        return inputs if self._encode is None else self._encode(inputs)


def _processes(device: torch.device) -> int:
    """One beside a CPU, as it takes from the training what it needs; more where that is a GPU's."""
    if device.type == "cpu":
        return 1
    from joblib import cpu_count  # takes 0.2 s to load

    return max(min(int(cpu_count()) // 2, _MOST_PROCESSES), 1)


class _Reader(Dataset[Any]):
    """Gives a DataLoader what `read` does; a DataError is given and not raised, for else its
    message would come back in the words of the loader."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def __getitem__(self, rows: Any) -> NDArray[Any] | DataError:
        try:
            return self._read(rows)
        except DataError as error:
            return error


class _Order(torch.utils.data.Sampler[Any]):
    """The rows of each batch of the epoch that begins next."""

    rows: Sequence[Rows] = ()

    def __iter__(self) -> Iterator[Rows]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _as_it_is(stored: Any) -> Any:
    """Arrays go through a pipe: tensors would lie in shared memory, of which containers have 64 MB
    by default."""
    return stored


def _settle(parent: int, _: int) -> None:
    """A reader ends with its worker: Ctrl-C is that one's, and so is what a shell has opened."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(null, stream)
    os.close(null)


def _end_with(parent: int) -> None:
    """End this process once that one is over. PyTorch looks for it too, but not for one that was
    killed while this process was loading."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)
