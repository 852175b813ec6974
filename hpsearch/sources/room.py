"""Memory: what is free here, and what data may take of it."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hpsearch.spec.sizes import AUTO, in_words, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import torch

__all__ = ["Cache", "Room", "free_memory"]

_SHARE_OF_GPU, _SHARE_OF_MACHINE = 0.5, 0.25
"""Of the memory that is free, what data may take. Workers share a machine's, seldom a GPU's."""

_GROUP = Path("/sys/fs/cgroup")
_V2 = ("memory.max", "memory.current", "memory.stat", "inactive_file")
_V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat",
       "total_inactive_file")  # fmt: skip
"""Where a container's limit stands, what it uses, and which of that can be dropped, by the version
of Linux' control groups."""


def free_memory(device: torch.device | None = None) -> int:
    """Bytes that could still be had on that device; None: on this machine, for its CPUs.

    The limit of a container counts where it has one.
    """
    if device is not None and device.type == "cuda":
        import torch

        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    import psutil

    limits = [left for files in (_V2, _V1) if (left := _left_of_group(*files)) is not None]
    return min([int(psutil.virtual_memory().available), *limits])


def _left_of_group(limit: str, used: str, stat: str, droppable: str) -> int | None:
    """Bytes that a control group leaves; None where there is no such limit."""
    try:
        most = int((_GROUP / limit).read_text())
        current = int((_GROUP / used).read_text())
        lines = (_GROUP / stat).read_text().splitlines()
        return most - current + int(dict(line.split() for line in lines)[droppable])
    except (OSError, ValueError, KeyError):
        return None


class Room:
    """What data may take of a device's memory."""

    def __init__(self, bound: str, device: torch.device | None = None) -> None:
        """
        Args:
            bound: A size such as `2 GB`; `auto`: a share of what is free now.
            device: Whose memory; None: this machine's.
        """
        if bound == AUTO:
            on_gpu = device is not None and device.type != "cpu"
            share = _SHARE_OF_GPU if on_gpu else _SHARE_OF_MACHINE
            self._left = int(share * free_memory(device))
            self.why = f"data may take {in_words(self._left)}, {share:g} of the free memory"
        else:
            self._left = size_of(bound)
            self.why = f"data.memory is {bound}"

    def takes(self, size: int) -> bool:
        """Whether so many bytes have room; they are taken then."""
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits

    def gives(self, size: int) -> None:
        """So many bytes that were taken are free again."""
        self._left += size

    @property
    def left(self) -> int:
        """Bytes that it still has."""
        return self._left


class _Sized(Protocol):
    @property
    def device_bytes(self) -> int:
        """What it takes for as long as it is used."""


T = TypeVar("T", bound=_Sized)


class Cache:
    """Keeps what is made of data, so that it is made once: as much as there is room for, and of
    that what was used last.

    What has to make room is gone once nobody uses it; its room is free only then.
    """

    def __init__(self, room: Room | None = None) -> None:
        """`room` says what it may take; None: a share of this machine's free memory."""
        self._room = room
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        """Those that are kept, the one used last at the end."""
        self._alive: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
        """Those too that had to make room and are still in use."""
        self._refused: set[Hashable] = set()

    def get(self, key: Hashable, make: Callable[[], T]) -> T | None:
        """The value of that key, made now if it is not there; None where there is no room for it,
        and it is not made again."""
        if key in self._refused:
            return None
        value: T | None = self._alive.get(key)
        if value is None:
            value = make()
            if not self._takes(size := value.device_bytes):
                self._refused.add(key)
                return None
            assert self._room is not None
            weakref.finalize(value, self._room.gives, size).atexit = False
            self._alive[key] = value
        self._values[key] = value
        self._values.move_to_end(key)
        return value

    def _takes(self, size: int) -> bool:
        if self._room is None:
            self._room = Room(AUTO)
        evictable = sum(value.device_bytes for value in self._values.values())
        if size > self._room.left + evictable:  # not even all of those would make enough
            return False
        while not self._room.takes(size):
            if not self._values:
                return False
            self._values.popitem(last=False)
        return True
