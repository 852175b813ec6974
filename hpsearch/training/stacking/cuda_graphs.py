"""A function of tensors on an NVIDIA GPU, recorded once and then launched as a whole.

A step of a stack of small networks is fifty kernels. Each is done in a few microseconds and takes
tens of them to be called from Python: an H100 would be idle for 95 % of the time. A CUDA graph
launches all of them with one call.
"""

from __future__ import annotations

import functools
import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

__all__ = ["Recorded", "records"]


def records(device: torch.device) -> bool:
    """Whether functions can be recorded there."""
    return device.type == "cuda"


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: Sequence[Tensor]
    """Where the graph reads its arguments from."""


class Recorded:
    """A function that takes less time on a device that `records`.

    For each shape of its arguments the first call runs as ever, the second records.

    It gets tensors and changes others in place: those must stay where they are in memory, and what
    it does may depend on the shapes of its arguments, never on what is in them. Random numbers are
    those of the device's own generator.
    """

    def __init__(self, function: Callable[..., None], device: torch.device) -> None:
        self._function, self._device = function, device
        self._recordings: dict[tuple[torch.Size, ...], _Recording | None] = {}

    def __call__(self, *inputs: Tensor) -> None:
        """Call the function, or launch its recording."""
        shapes = tuple(x.shape for x in inputs)
        if shapes not in self._recordings:
            # Libraries allocate what they need in their first call, which must not be recorded.
            self._on_own_stream(lambda: self._function(*inputs))
            self._recordings[shapes] = None
            return
        recording = self._recordings[shapes]
        if recording is None:
            recording = self._recordings[shapes] = self._record(inputs)
        for place, value in zip(recording.inputs, inputs, strict=True):
            place.copy_(value)
        recording.graph.replay()

    def _record(self, inputs: Sequence[Tensor]) -> _Recording:
        """Note the kernels; none of them runs."""
        copies = [torch.clone(x, memory_format=torch.contiguous_format) for x in inputs]
        graph = torch.cuda.CUDAGraph()

        def record() -> None:
            # Other threads of a worker use no GPU; the one of autograd's way back is recorded too.
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                self._function(*copies)
            finally:
                graph.capture_end()

        with _no_collection():
            self._on_own_stream(record)
        return _Recording(graph, copies)

    def _on_own_stream(self, call: Callable[[], None]) -> None:
        """Between what is before and after on the stream in use."""
        own, current = _stream(self._device), torch.cuda.current_stream(self._device)
        own.wait_stream(current)
        try:
            with torch.cuda.stream(own):
                call()
        finally:  # after a fault too: what has been launched may still write
            current.wait_stream(own)


@contextmanager
def _no_collection() -> Iterator[None]:
    """What Python clears away meanwhile may free memory on the GPU, which spoils a recording."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all recordings of a device: cuBLAS keeps a workspace of 32 MiB for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
