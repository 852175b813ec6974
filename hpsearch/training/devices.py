"""Everything that differs between a CPU, an NVIDIA GPU and an Apple GPU."""

from __future__ import annotations

import gc
import platform
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from hpsearch.errors import HpsearchError
from hpsearch.processes.threads import one_thread
from hpsearch.sources.room import free_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "all_digits",
    "computes_in_half",
    "describe",
    "device",
    "empty_cache",
    "free_memory",
    "half",
    "half_precision",
    "is_out_of_memory",
    "local",
    "memory_used",
    "mixes_groups",
    "prepare",
    "seeded",
    "synchronize",
]


def local() -> list[str]:
    """Names of the devices of this machine that are worth a worker each."""
    if torch.cuda.is_available():
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["mps"] if torch.backends.mps.is_available() else ["cpu"]


def device(name: str) -> torch.device:
    """The device of that name: `cpu`, `cuda:0`, `mps`. HpsearchError where there is none."""
    try:
        chosen = torch.device(name)
    except RuntimeError:
        chosen = torch.device("meta")
    if chosen.type == "cuda":
        chosen = torch.device("cuda", chosen.index or 0)
    if chosen.type != "cpu" and str(chosen) not in local():
        names = ", ".join(dict.fromkeys(["cpu", *local()]))
        raise HpsearchError(f"device {name!r} is not on this machine; there is: {names}")
    return torch.device(chosen.type) if chosen.type in ("cpu", "mps") else chosen


def describe(device: torch.device) -> str:
    """The device in words, for a list of workers."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device}, {properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return f"{device}, {platform.processor() or platform.machine()}"


def prepare(device: torch.device, threads: int | None) -> None:
    """Settle this process on its device: once, before anything is trained.

    `threads` is the number of CPU threads for an operation that pays for them (see
    `hpsearch.processes.threads`); None leaves PyTorch's choice, all cores. Several processes on one
    machine need to share them.
    """
    one_thread(threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")  # TF32: convolutions use it already


def half_precision(device: torch.device) -> bool:
    """Whether convolutions run faster, and as well, in bfloat16 there."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def computes_in_half(device: torch.device, precision: str, *, maps: bool) -> bool:
    """Whether a network computes in bfloat16 there.

    Args:
        device: Where.
        precision: The candidate's setting of that name.
        maps: Whether the network has convolutions of images.
    """
    if precision == "auto":
        return maps and half_precision(device)
    return precision == "bf16"


def half(device: torch.device, on: bool) -> AbstractContextManager[object]:
    """Inside, where `on`, products and convolutions compute in bfloat16, and what needs the digits
    in float32, by PyTorch's own lists."""
    return torch.autocast(device.type, torch.bfloat16) if on else nullcontext()


@contextmanager
def all_digits(device: torch.device, precision: str) -> Iterator[None]:
    """Inside, products of float32 have all their digits where that is the `precision`: by default
    an NVIDIA GPU rounds what goes into them to TF32."""
    if device.type != "cuda" or precision != "float32":
        yield
        return
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def mixes_groups(device: torch.device) -> bool:
    """Whether a grouped convolution there lets what is not finite in one group into others.

    cuDNN packs small groups into one product and fills the gaps with zeros.
    """
    return device.type == "cuda"


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Inside, PyTorch's random numbers on the CPU and `device` start at `seed`; outside, nothing
    has changed."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # torch.manual_seed would seed the GPUs too, and those are not forked here.
        (torch.default_generator if device.type == "cpu" else torch).manual_seed(seed)
        yield


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def memory_used(device: torch.device) -> Iterator[Callable[[], int]]:
    """What a call inside takes at its peak, in bytes, beside what was there before.

    On a GPU it is measured. Elsewhere it is what autograd keeps for the way back, twice.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_allocated(device) - before
        return
    live = peak = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal live, peak
        live += tensor.numel() * tensor.element_size()
        peak = max(peak, live)
        return tensor

    def unpack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal live
        live -= tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield lambda: 2 * peak


def empty_cache(device: torch.device) -> None:
    """Give memory that no tensor uses back to the device."""
    gc.collect()  # an exception's traceback can hold tensors in a cycle
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the CPU, had too little memory. The CPU says it in words only."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
