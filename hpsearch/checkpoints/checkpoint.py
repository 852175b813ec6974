"""Checkpoints in a folder or at a URL: never half there, and safe to read.

PLACE/17.2.pt              the last checkpoint of number 17, written under fence 2
PLACE/17.2.k3x9.part       one being written, or left by a process that was killed
PLACE/try-k3x9.pt          the place is tried, before the first trial
PLACE/17.log, 17.tail.log  what own training code wrote in 17 (`children.log`), in a folder
PLACE/17.2.log             the same at a URL, under fence 2
PLACE/trial-8-errors.png   a picture of trial 8, which `pictures.gallery` knows more of

The fence grows with every holder of a number. One who comes back late writes under its old fence,
and so never over the checkpoint of its successor.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import uuid
import zipfile
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from hpsearch import passwords
from hpsearch.checkpoints.backend import PART, shelf
from hpsearch.errors import CheckpointError, line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

__all__ = ["Checkpoints"]

_VERSION = 4
_READ = (3, _VERSION)
"""Versions that are read: one of 3 has no `best` network beside the last one."""
_TENSORS = ("model", "optimizer", "best")
"""The parts of a state that have tensors; the others are plain values ..."""
_OWN = "own"
"""... but for what own training code saves, which has both."""
_Path = list[str | int]
_Layout = dict[str, list[tuple[_Path, list[int], str]]]

_NAME = re.compile(r"(\d+)\.(\d+)(?:\.\w+\.part|\.pt)", re.ASCII)
_LOG = re.compile(r"\d+(?:\.tail(?:-1)?|\.\d+)?\.log", re.ASCII)
_OWN_LOG = re.compile(r"(\d+)\.(\d+)\.log", re.ASCII)
_TRIAL = re.compile(r"try-[0-9a-f]{32}(?:\.\w+\.part|\.pt)", re.ASCII)
_PICTURE = re.compile(r"(?:study|trial-\d{1,10})-[a-z]{1,20}(?:\.\w+\.part|\.png)", re.ASCII)
_MOST_PICTURE = 1 << 25
"""Bytes of a picture that are read."""
_CLEARINGS = 3
"""How often a place is cleared in which somebody writes meanwhile."""


class Checkpoints:
    """The checkpoints in one place, a number each. No other code knows their names.

    Every method raises CheckpointError where the place cannot be used, within 30 s and a second
    for each megabyte of a checkpoint where it is a URL.
    """

    def __init__(self, place: str | Path, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Nothing is asked of the place yet.

        Args:
            place: A folder, or a URL that fsspec knows.
            is_wanted: Asked where the folder had to be made: whether it is of any use by now.

        Raises CheckpointError where the package for that kind of URL is not installed.
        """
        self._is_wanted = is_wanted
        self._known = set[int]()
        """Numbers of which a checkpoint has been written or read here."""
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
        plain = {key: v for key, v in state.items() if key not in (*_TENSORS, _OWN)}
        layout, tensors = _packed({key: state[key] for key in _TENSORS if key in state})
        text = json.dumps({"plain": plain, "layout": layout})
        content = {"version": _VERSION, "plain": text, "tensors": tensors}
        own = {_OWN: state[_OWN]} if _OWN in state else {}
        torch.save({**content, **own}, buffer)
        name = f"{number}.{fence}.pt"
        with self._guarded(f"write the checkpoint {self._shelf.path(name)}", number):
            self._write(name, buffer.getvalue())
        self._known.add(number)

    def try_out(self) -> None:
        """Write a few bytes and remove them: CheckpointError where no checkpoint can be written."""
        name = f"try-{uuid.uuid4().hex}.pt"
        with self._guarded(f"write checkpoints to {self.place}"):
            self._write(name, b"hpsearch")
        with contextlib.suppress(OSError):  # some may only add to a bucket
            self._shelf.remove(name)

    def _write(self, name: str, data: bytes) -> None:
        try:
            self._shelf.write(name, data)
        except FileNotFoundError:
            self._make()
            self._shelf.write(name, data)

    def _make(self) -> None:
        """Make the place, unless it is of no use any more.

        Asked once it is there: who deletes a study deletes its rows, then its place. So either we
        see that the rows are gone, or the place is found there and removed.
        """
        self._shelf.make()
        if not self._is_wanted():
            self._shelf.discard()
            raise CheckpointError(f"nothing is kept in {self.place}: its study has been deleted")

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
                state = _state(_content(file), path)
            except (OSError, CheckpointError):
                raise
            except Exception as error:  # of a damaged file there are errors of any kind
                raise CheckpointError(
                    f"cannot read the checkpoint {path}: {line(error)}. Remove it to start over"
                ) from error
        self._known.add(number)
        return state

    def numbers(self) -> set[int]:
        """The numbers of which there is anything."""
        return {number for _, number, _ in self._entries()}

    def tidy(self, ended: Collection[int], kept: Collection[int]) -> None:
        """Of numbers that have ended remove all but the last checkpoint of those that are `kept`:
        what earlier holders wrote too, and what was left while writing."""
        entries = [entry for entry in self._entries() if entry[1] in ended]
        last = {number: name for name, number, _ in sorted(entries, key=lambda entry: entry[2])
                if number in kept and name.endswith(".pt")}  # fmt: skip
        for name, number, _ in entries:
            if last.get(number) != name:
                with self._guarded(f"remove the checkpoint {self._shelf.path(name)}"):
                    self._shelf.remove(name)

    def clear(self) -> bool:
        """Remove all checkpoints and pictures, and the place if nothing else is in it; whether it
        is gone."""
        with self._guarded(f"remove the checkpoints in {self.place}"):
            for _ in range(_CLEARINGS):
                self._shelf.check()
                for name in self._shelf.names():
                    if any(kind.fullmatch(name) for kind in (_NAME, _TRIAL, _LOG, _PICTURE)):
                        with contextlib.suppress(IsADirectoryError):
                            self._shelf.remove(name)
                if self._shelf.discard():
                    return True
        return False

    def save_log(self, number: int, content: bytes, fence: int = 1) -> None:
        """Put what own training code wrote in that number, under that fence, in the place of what
        there is of it."""
        name = f"{number}.{fence}.log"
        with self._guarded(f"write the log {self._shelf.path(name)}"):
            self._write(name, content)

    def log(self, number: int) -> bytes:
        """What `save_log` has of that number, under all fences; nothing where there is nothing."""
        with self._guarded(f"read logs in {self.place}"):
            matches = map(_OWN_LOG.fullmatch, self._shelf.names())
            parts = sorted((int(m[2]), m[0]) for m in matches if m and int(m[1]) == number)
            return b"".join(self._content(name) for _, name in parts)

    def _content(self, name: str) -> bytes:
        with self._shelf.open(name) as file:
            return file.read()

    def pictures(self) -> set[str]:
        """The names of the pictures that are there, each of them whole."""
        with self._guarded(f"look for pictures in {self.place}"):
            names = self._shelf.names()
        return {name for name in names if _PICTURE.fullmatch(name) and not name.endswith(PART)}

    def picture(self, name: str) -> bytes:
        """A picture of that name; CheckpointError where it is not there."""
        path = self._shelf.path(name)
        with self._guarded(f"read the picture {path}"), self._shelf.open(name) as file:
            content = file.read(_MOST_PICTURE + 1)
        if len(content) > _MOST_PICTURE:
            raise CheckpointError(f"{path} is no picture that hpsearch has drawn: it is too large")
        return content

    def save_picture(self, name: str, content: bytes) -> None:
        """Put a picture in the place of what has that name, all or nothing; what a process that was
        killed has left of it is removed."""
        if not _PICTURE.fullmatch(name):
            raise ValueError(f"{name} is no name of a picture")
        with self._guarded(f"write the picture {self._shelf.path(name)}"):
            stem = name.rpartition(".")[0]
            for other in self._shelf.names():
                if other.startswith(f"{stem}.") and other.endswith(PART):
                    self._shelf.remove(other)
            self._write(name, content)

    def _last(self, number: int) -> str | None:
        """Name of the checkpoint with the highest fence."""
        whole = [(fence, name) for name, ticket, fence in self._entries()
                 if ticket == number and name.endswith(".pt")]  # fmt: skip
        return max(whole)[1] if whole else None

    def _entries(self) -> list[tuple[str, int, int]]:
        """Name, number and fence of all that is there."""
        with self._guarded(f"look for checkpoints in {self.place}"):
            matches = map(_NAME.fullmatch, self._shelf.names())
            return [(m[0], int(m[1]), int(m[2])) for m in matches if m]

    @contextlib.contextmanager
    def _guarded(self, doing: str, number: int | None = None) -> Iterator[None]:
        """OSError as CheckpointError; where `number` has an earlier checkpoint, that is said."""
        try:
            yield
        except OSError as error:
            sentences = [f"cannot {doing}: {line(error)}", self._shelf.advice]
            if number in self._known:
                sentences.insert(1, "the one before is unharmed")
            raise CheckpointError("; ".join(sentences)) from error


def _packed(trees: Mapping[str, Any]) -> tuple[_Layout, dict[str, Any]]:
    """All tensors of nested mappings as one of each type: where each goes, its shape, its type."""
    import torch

    layout: _Layout = {name: [] for name in trees}
    parts: dict[str, list[torch.Tensor]] = {}
    for path, tensor in _leaves(trees, []):
        kind = str(tensor.dtype)
        layout[str(path[0])].append((path, list(tensor.shape), kind))
        parts.setdefault(kind, []).append(tensor.detach().flatten())
    return layout, {kind: torch.cat(part) for kind, part in parts.items()}


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
    own = {_OWN: content[_OWN]} if _OWN in content else {}
    return {**text["plain"], **_unpacked(text["layout"], content["tensors"]), **own}


def _content(file: BinaryIO) -> Any:
    import torch  # here, so that a caller who only asks for a path need not wait for it

    with zipfile.ZipFile(file) as archive:  # torch itself does not look for damage
        # Its size is bounded, and nothing in it is packed, so that what comes out of it is too.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise zipfile.BadZipFile("it is packed")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)
