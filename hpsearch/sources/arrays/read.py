"""Arrays as a data set: what their rows are by shape, and their targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError
from hpsearch.sources.arrays.files import check_numbers, fingerprint, names_in, opened
from hpsearch.sources.arrays.inputs import ArrayInputs, Layout, Selection, fit
from hpsearch.sources.arrays.targets import Targets, decide, indices
from hpsearch.sources.look import Look
from hpsearch.sources.raw import Raw
from hpsearch.spec.task import TASKS, usual

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hpsearch.sources.arrays import ArraysSpec
    from hpsearch.sources.raw import Rows

__all__ = ["layout_of", "look", "read"]

_CHANNELS = (1, 3, 4)
"""So many channels an image has: grey, colours, colours and transparency."""


def read(section: ArraysSpec, base: Path, decided: object = None) -> Raw:
    """Arrays as a data set; DataError for anything that is not as it should be."""
    data = _open(section, base)
    arrays = {data.what(section.X): data.X, data.what(section.y): data.y}
    notes = [*data.notes]
    targets_N, test = data.targets.values, data.test
    if test is not None:
        arrays |= {data.what(section.X_test): test.X, data.what(section.y_test): test.y}
        test_N = indices(data.what(section.y_test), test.y, data.targets.classes)
        targets_N = np.concatenate([targets_N, test_N])
        notes.append(f"{section.X_test} and {section.y_test} are the test part, "
                     f"{len(test.y):,} rows")  # fmt: skip
    rows = len(data.y)

    def take(part: Rows) -> Selection:
        if test is not None and len(part) and part[0] >= rows:  # no part has rows of both
            return Selection(test.X, part - rows)
        return Selection(data.X, part)

    def learn(train: Rows) -> tuple[ArrayInputs, tuple[str, ...]]:
        names = section.X, section.y
        return fit(data.layout, Selection(data.X, train), names, data.targets.classes), ()

    return Raw(
        task=usual("classes" if data.targets.classes else "numbers").name,
        targets=targets_N,
        classes=data.targets.classes,
        take=take,
        fit=learn,
        fingerprint=fingerprint(arrays),
        own_test=0 if test is None else len(test.y),
        notes=tuple(notes),
    )


def look(section: ArraysSpec, base: Path) -> Look:
    """What the arrays are, by their shapes and the targets; the inputs are not read."""
    data = _open(section, base)
    shape = " x ".join(map(str, data.layout.shape))
    classes = data.targets.classes
    target = f"{len(classes)} classes" if classes else "numbers"
    lines = [
        f"{section.X}  {data.X.dtype} {data.X.shape}: {data.layout.kind} of {shape}",
        f"{section.y}  {data.y.dtype} {data.y.shape}: {target}",
    ]
    if data.test is not None:
        lines.append(
            f"{section.X_test}, {section.y_test}: the test part, {len(data.test.y):,} rows"
        )
    return Look(
        title=f"{section.path}: {len(data.y):,} rows",
        lines=tuple(lines),
        notes=data.notes,
        facts={"kind": data.layout.kind, "shape": data.layout.shape, "rows": len(data.y)},
        classes=classes,
        kind=data.layout.kind,
        shape=data.layout.shape,
        rarest=int(np.bincount(data.targets.values).min()) if classes else None,
    )


@dataclass(frozen=True)
class _Test:
    X: NDArray[Any]
    y: NDArray[Any]


@dataclass(frozen=True)
class _Data:
    """The arrays of a study, opened and held against each other."""

    path: Path
    X: NDArray[Any]
    y: NDArray[Any]
    layout: Layout
    targets: Targets
    test: _Test | None
    notes: tuple[str, ...]

    def what(self, name: str) -> str:
        """What an error calls an array."""
        return f"{name} of {self.path}"


def _open(section: ArraysSpec, base: Path) -> _Data:
    path = base / section.path
    if not path.exists():
        raise DataError(f"{path} is missing; data.path names a .npz or .safetensors file, or a "
                        "folder of .npy files")  # fmt: skip
    names = names_in(path)
    if not names and not path.is_dir():
        raise DataError(f"{path} is one array; put it into a folder, beside that of the targets, "
                        "and name the folder in data.path")  # fmt: skip
    pair = _pair(path, section.X, section.y)
    layout, notes = layout_of(f"{section.X} of {path}", pair.X, section.kind, section.channels)
    wanted = TASKS[section.task].target if section.task else None
    if wanted == "inputs":  # a class says which rows are normal
        wanted = "classes" if section.normal else None
    targets = decide(f"{section.y} of {path}", pair.y, wanted)
    stems = {name.removesuffix(".npy") for name in names}
    own = [n for n in (section.X_test, section.y_test) if n.removesuffix(".npy") in stems]
    test = None
    if own or (section.X_test, section.y_test) != ("X_test", "y_test"):
        test = _pair(path, section.X_test, section.y_test)
        if test.X.shape[1:] != pair.X.shape[1:]:
            raise DataError(
                f"{section.X_test} of {path} has the shape {test.X.shape}, and {section.X} "
                f"{pair.X.shape}: they differ in more than the number of rows"
            )
    return _Data(path, pair.X, pair.y, layout, targets, test, notes)


def _pair(path: Path, of_inputs: str, of_targets: str) -> _Test:
    X, y = opened(path, of_inputs), opened(path, of_targets)
    check_numbers(f"{of_inputs} of {path}", X)
    if len(X) != (len(y) if y.ndim else 0):
        raise DataError(f"{path}: {of_inputs} has {len(X):,} rows, and {of_targets} has the shape "
                        f"{y.shape}; expected a target for each row")  # fmt: skip
    return _Test(X, y)


def layout_of(
    what: str, array: NDArray[Any], kind: str | None, channels: str | None
) -> tuple[Layout, tuple[str, ...]]:
    """What the rows of an array are, and what is assumed of them, a sentence each.

    Args:
        what: What to call the array in an error.
        array: (N, ...).
        kind: What the study says they are; None: their shape decides.
        channels: Where the study says the channels of images stand; None: their number decides.

    Raises DataError for a shape that is none of the kind.
    """
    given = tuple(array.shape[1:])
    if len(given) not in (1, 2, 3) or (kind in ("images", "sequences") and len(given) == 1):
        raise DataError(f"{what} has the shape {array.shape}; expected "
                        f"{_EXPECTED.get(kind or '', _EXPECTED[''])}")  # fmt: skip
    if kind == "sequences" and len(given) != 2:
        raise DataError(f"{what} has the shape {array.shape}; expected {_EXPECTED['sequences']}")
    if kind == "rows" or len(given) == 1:
        return Layout("rows", given), ()
    if len(given) == 2:
        return _of_two(array, kind, given)
    return _of_three(given, channels)


_EXPECTED = {
    "": "rows (N, D), sequences (N, T, D) or images (N, H, W), (N, C, H, W) or (N, H, W, C)",
    "images": "images (N, H, W), (N, C, H, W) or (N, H, W, C)",
    "sequences": "sequences (N, T, D)",
    "rows": "rows (N, D)",
}


def _of_two(
    array: NDArray[Any], kind: str | None, given: tuple[int, ...]
) -> tuple[Layout, tuple[str, ...]]:
    height, width = given
    if kind == "images" or (kind is None and array.dtype == np.uint8):
        other = "data.kind: sequences takes them for sequences of rows"
        note = f"the arrays of bytes {height} x {width} are taken for grey images; {other}"
        return Layout("images", given), (note,) if kind is None else ()
    note = (f"the arrays {height} x {width} are taken for sequences of {height} steps of {width} "
            "numbers; data.kind: images takes them for images")  # fmt: skip
    return Layout("sequences", given), (note,) if kind is None else ()


def _of_three(given: tuple[int, ...], channels: str | None) -> tuple[Layout, tuple[str, ...]]:
    first, last = given[0] in _CHANNELS, given[2] in _CHANNELS
    if channels is not None:
        return Layout("images", given, channels_last=channels == "last"), ()
    if first != last:
        return Layout("images", given, channels_last=last), ()
    sides = " x ".join(map(str, given))
    note = (f"the arrays {sides} are taken for images of {given[0]} channels; data.channels: last "
            "takes the last axis for these")  # fmt: skip
    return Layout("images", given), (note,)
