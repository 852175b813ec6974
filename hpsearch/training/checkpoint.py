"""Checkpoints in a folder or at a URL: never half there, and safe to read.

PLACE/17.2.pt              the last checkpoint of number 17, written under fence 2
PLACE/17.2.k3x9.part       one being written, or left by a process that was killed

The fence grows with every holder of a number. One who comes back late writes under its old fence,
and so never over the checkpoint of its successor.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import zipfile
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from hpsearch import passwords
from hpsearch.errors import CheckpointError, line
from hpsearch.training.shelf import shelf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Checkpoints"]

_VERSION = 4
_READ = (3, _VERSION)
"""Versions that are read: one of 3 has no `best` network beside the last one."""
_TENSORS = ("model", "optimizer", "best")
"""The parts of a state that have tensors; the others are plain values."""
_Path = list[str | int]
_Layout = dict[str, list[tuple[_Path, list[int], str]]]

_NAME = re.compile(r"(\d+)\.(\d+)(?:\.\w+\.part|\.pt)")


class Checkpoints:
    """The checkpoints in one place, a number each. No other code knows their names.

    Every method raises CheckpointError where the place cannot be used, within 30 s and a second
    for each megabyte of a checkpoint where it is a URL.
    """

    def __init__(self, place: str | Path) -> None:
        """`place` is a folder or a URL that fsspec knows. Nothing is asked of it yet.

        Raises CheckpointError where the package for that kind of URL is not installed.
        """
        self.place = passwords.hide(place, known=False)
        """What a user may see of it."""
        try:
            self._shelf = shelf(str(place))
        except OSError as error:
            raise CheckpointError(
                f"cannot use {self.place} for checkpoints: {line(error)}"
            ) from error

    def path(self, number: int) -> str | None:
        """Where the last checkpoint of that number lies, if there is one: a path or a URL."""
        name = self._last(number)
        return name and self._shelf.path(name)

    def save(self, number: int, state: Mapping[str, Any], fence: int = 1) -> None:
        """Put `state` (plain types and tensors) in the place of the last one, all or nothing.

        Raises CheckpointError, the last one intact, where the disk is full or cannot be written.
        """
        import torch

        # Made in memory first: torch.save hides a full disk behind an error of its own.
        buffer = io.BytesIO()
        # Pickling takes 3 us for each plain value, and a learning curve has hundreds. A tensor
        # takes 30 us, and a stack's networks have more than a thousand.
        plain = {key: value for key, value in state.items() if key not in _TENSORS}
        layout, tensors = _packed({key: state[key] for key in _TENSORS if key in state})
        text = json.dumps({"plain": plain, "layout": layout})
        torch.save({"version": _VERSION, "plain": text, "tensors": tensors}, buffer)
        name = f"{number}.{fence}.pt"
        with self._guarded(
            f"write the checkpoint {self._shelf.path(name)}", "the one before is unharmed"
        ):
            self._shelf.write(name, buffer.getvalue())

    def load(self, number: int) -> dict[str, Any] | None:
        """The last state saved, its tensors on the CPU; None where there is none.

        Raises CheckpointError for a file that is damaged or of another version. Nothing in the
        file is executed.
        """
        name = self._last(number)
        if name is None:
            return None
        path = self._shelf.path(name)
        with self._guarded(f"read the checkpoint {path}"), self._shelf.open(name) as file:
            try:
                return _state(_content(file), path)
            except (OSError, CheckpointError):
                raise
            except Exception as error:  # of a damaged file there are errors of any kind
                raise CheckpointError(
                    f"cannot read the checkpoint {path}: {line(error)}. Remove it to start over"
                ) from error

    def numbers(self) -> set[int]:
        """The numbers of which there is anything."""
        return {number for _, number, _ in self._entries()}

    def remove(self, number: int) -> None:
        """Remove that checkpoint and what was left while writing it; nothing there is fine."""
        for name, found, _ in self._entries():
            if found == number:
                with self._guarded(f"remove the checkpoint {self._shelf.path(name)}"):
                    self._shelf.remove(name)

    def clear(self) -> None:
        """Remove the place and all that is in it; nothing there is fine."""
        with self._guarded(f"remove the checkpoints in {self.place}"):
            self._shelf.clear()

    def _last(self, number: int) -> str | None:
        """Name of the checkpoint with the highest fence."""
        whole = [(fence, name) for name, found, fence in self._entries()
                 if found == number and name.endswith(".pt")]  # fmt: skip
        return max(whole)[1] if whole else None

    def _entries(self) -> list[tuple[str, int, int]]:
        """Name, number and fence of all that is there."""
        with self._guarded(f"look for checkpoints in {self.place}"):
            matches = map(_NAME.fullmatch, self._shelf.names())
            return [(m[0], int(m[1]), int(m[2])) for m in matches if m]

    @contextlib.contextmanager
    def _guarded(self, doing: str, consolation: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = [f"cannot {doing}: {line(error)}", consolation, self._shelf.advice]
            raise CheckpointError("; ".join(filter(None, said))) from error


def _packed(trees: Mapping[str, Any]) -> tuple[_Layout, dict[str, Any]]:
    """All tensors of nested mappings as one of each type: where each goes, its shape, its type."""
    import torch

    layout: _Layout = {name: [] for name in trees}
    parts: dict[str, list[torch.Tensor]] = {}
    for path, tensor in _leaves(trees, []):
        kind = str(tensor.dtype)
        layout[str(path[0])].append((path, list(tensor.shape), kind))
        parts.setdefault(kind, []).append(tensor.detach().flatten())
    return layout, {kind: torch.cat(found) for kind, found in parts.items()}


def _leaves(tree: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    if not isinstance(tree, dict):
        yield path, tree
        return
    for key, below in tree.items():
        yield from _leaves(below, [*path, key])


def _unpacked(layout: _Layout, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The nested mappings of which `_packed` made that."""
    tree: dict[str, Any] = {name: {} for name in layout}
    taken = dict.fromkeys(tensors, 0)
    for path, shape, kind in chain.from_iterable(layout.values()):
        first, size = taken[kind], math.prod(shape)
        taken[kind] += size
        below: dict[Any, Any] = tree
        for key in path[:-1]:
            below = below.setdefault(key, {})
        below[path[-1]] = tensors[kind][first : first + size].view(shape)
    return tree


def _state(content: Any, path: str) -> dict[str, Any]:
    version = content.get("version") if isinstance(content, dict) else None
    if version not in _READ:
        raise CheckpointError(
            f"the checkpoint {path} is of version {version}, this program reads versions "
            f"{' and '.join(map(str, _READ))}; remove it to start over"
        )
    text = json.loads(content["plain"])
    return {**text["plain"], **_unpacked(text["layout"], content["tensors"])}


def _content(file: BinaryIO) -> Any:
    import torch  # here, so that whoever only asks for a path need not wait for it

    with zipfile.ZipFile(file) as archive:  # torch itself does not look for damage
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)
