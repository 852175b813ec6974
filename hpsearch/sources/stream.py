"""Rows that are read ahead of the training, in processes of their own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset

from hpsearch.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.sources.raw import Rows

__all__ = ["Encode", "Read", "Stream"]

Encode = Callable[["Tensor"], "Tensor"]
"""Makes float32 inputs of rows as they are stored, on the device of those."""

Read = Callable[["Rows"], "NDArray[Any]"]
"""Rows by their numbers, (B, *shape), as they are stored."""

_MOST_PROCESSES = 4
"""Processes that read for a GPU: with more the copying of their batches is what takes the time."""

_LOST, _MOST_LOST = "DataLoader worker (pid", 3
"""How PyTorch begins to say that a reader has ended, and how often that may be before a batch."""

_LOOK_S = 1.0
"""Between two looks of a reader whether its worker is there."""


class _LostError(Exception):
    """A process that reads has ended."""


class Stream:
    """Reads rows of a data set, ahead of the training and in processes of its own."""

    def __init__(
        self, read: Read, device: torch.device, encode: Encode | None = None, *, portable: bool
    ) -> None:
        """
        Args:
            read: Gives rows of the data as they are stored. DataError where they are unavailable.
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
        """Inputs of each of `rows`, read ahead; where a process that reads is lost, by others.

        Raises DataError where those are lost too, before they have read a batch.
        """
        self._turn += 1
        turn, given, lost = self._turn, 0, 0
        while given < len(rows):
            try:
                for stored in self._ahead(rows[given:]):
                    given, lost = given + 1, 0
                    yield self._on_device(stored)
                    if turn != self._turn:
                        raise RuntimeError("another iterator of the same data has begun meanwhile")
            except _LostError as error:
                lost += 1
                if lost == _MOST_LOST:
                    raise DataError(
                        f"the process that reads the data was lost {lost} times without a batch: "
                        "see that there is memory for it"
                    ) from error

    def _ahead(self, rows: Sequence[Rows]) -> Iterator[NDArray[Any] | DataError]:
        """What is stored of each of `rows`. _LostError where a process that reads has ended."""
        self._order.rows = rows
        try:
            yield from self._begun()
        except RuntimeError as error:
            self.close()  # the next batches start other processes
            if str(error).startswith(_LOST):
                raise _LostError from error
            raise

    def _begun(self) -> Iterator[Any]:
        """An epoch of the loader. PyTorch would have the end of a reader raise an error wherever
        this process is, in the middle of a write to the database too; it also looks for readers
        while it waits for a batch."""
        before = signal.getsignal(signal.SIGCHLD) if self._processes else None
        batches = iter(self._loader_now())
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, before)
        return batches

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
