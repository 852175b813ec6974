"""Which image files there are, in folders or by a table, and of which class each is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hpsearch.errors import DataError, line
from hpsearch.files import near

if TYPE_CHECKING:
    from hpsearch.sources.images import ImagesSpec

__all__ = ["Below", "Labelled", "images_below", "is_image", "labelled"]

_ENDINGS = frozenset({
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm",
    ".tif", ".tiff", ".webp",
})  # fmt: skip
"""How the names of image files end; others are left out of a folder."""

_TRAIN, _VALIDATION, _TEST = "train", "val", "test"
_PARTS = (_TRAIN, _VALIDATION, _TEST)
_NAMED = 3
"""Names that a message lists."""


class Below(NamedTuple):
    """What is in a folder, by paths relative to it, in order."""

    images: list[str]
    others: list[str]


@dataclass(frozen=True)
class Labelled:
    """The image files of a data set: those of training, validation and test part, one after the
    other."""

    folder: Path
    names: list[str]
    """Paths relative to the folder."""
    classes: tuple[str, ...]
    targets: list[int]
    """Of each file the place of its class."""
    own_validation: int = 0
    own_test: int = 0
    """How many of the files are the data set's own validation and test part."""
    notes: tuple[str, ...] = ()


def is_image(name: str) -> bool:
    """Whether a file is called like an image."""
    return os.path.splitext(name)[1].lower() in _ENDINGS  # noqa: PTH122  twice as fast


def images_below(folder: Path) -> Below:
    """The image files in a folder and in those below it, and the other files; hidden ones are
    passed over. DataError where it cannot be read."""
    below = Below([], [])

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot read the folder {error.filename}: {line(error)}") from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = os.path.relpath(os.path.join(place, name), folder)  # noqa: PTH118  twice as fast
                (below.images if is_image(name) else below.others).append(path)
    return below


def labelled(section: ImagesSpec, base: Path) -> Labelled:
    """The image files that a study names. DataError where they are no data set."""
    folder = base / section.path
    if not folder.is_dir():
        what = "is a file" if folder.exists() else f"does not exist{near(folder)}"
        raise DataError(f"data.path: the folder of images {folder} {what}")
    files = _by_table(section, base, folder) if section.labels else _by_folder(folder)
    if len(files.classes) < 2:
        raise DataError(
            f"{folder} has images of one class, {files.classes[0]}: a network needs two or more "
            "to tell apart"
        )
    return files


def _by_folder(folder: Path) -> Labelled:
    inside = sorted(path.name for path in folder.iterdir() if _is_folder(path))
    if _TRAIN not in inside or not set(inside) <= set(_PARTS):
        return _classes(folder, "")
    train = _classes(folder, _TRAIN)
    names, targets, notes = [*train.names], [*train.targets], [*train.notes]
    counts = {_VALIDATION: 0, _TEST: 0}
    for part in (part for part in counts if part in inside):
        own = _classes(folder, part, train.classes)
        counts[part] = len(own.names)
        names, targets, notes = names + own.names, targets + own.targets, [*notes, *own.notes]
    return Labelled(
        folder, names, train.classes, targets, counts[_VALIDATION], counts[_TEST], tuple(notes)
    )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _classes(folder: Path, part: str, of_training: Sequence[str] = ()) -> Labelled:
    """A folder of images a class; the classes of validation and test are those of training."""
    place = folder / part
    classes = tuple(sorted(path.name for path in place.iterdir() if _is_folder(path)))
    if unknown := set(classes) - set(of_training or classes):
        raise DataError(f"{place} has the class {min(unknown)}, which {folder / _TRAIN} has not")
    index = {name: number for number, name in enumerate(of_training or classes)}
    names, targets = list[str](), list[int]()
    others = [p.name for p in place.iterdir() if p.is_file() and not p.name.startswith(".")]
    for name in classes:
        inside = images_below(place / name)
        if not inside.images:
            raise DataError(
                f"the folder of class {name}, {place / name}, has no images: put some there, or "
                "remove it"
            )
        names += [os.path.join(part, name, file) for file in inside.images]  # noqa: PTH118
        targets += [index[name]] * len(inside.images)
        others += [f"{name}/{file}" for file in inside.others]
    if not names:
        raise DataError(
            f"{place} has no images in a folder for each class, such as {place / 'cat' / '1.jpg'}"
        )
    return Labelled(
        folder,
        names,
        tuple(index),
        targets,
        notes=_left_out(Path(folder.name, part), sorted(others)),
    )


def _left_out(shown: Path, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    some = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    noun = "file" if len(names) == 1 else "files"
    return (f"{shown}: {len(names):,} {noun} left out, as no images: {some}",)


def _by_table(section: ImagesSpec, base: Path, folder: Path) -> Labelled:
    """The files that a table lists."""
    from hpsearch.sources.table import cells
    from hpsearch.sources.table.reading import ReadOptions

    assert section.labels is not None
    path, columns = base / section.labels, (section.file, section.label)
    table = cells.read(path, ReadOptions(texts=frozenset(columns)))
    if missing := [name for name in columns if name not in table.names]:
        raise DataError(
            f"{path} has no column {missing[0]}, but {', '.join(table.names)}; name the columns of "
            "files and classes in data.file and data.label"
        )
    names, labels = (list(map(_text, table.column(name).to_pylist())) for name in columns)
    first: dict[str, int] = {}
    for row, (name, label) in enumerate(zip(names, labels, strict=True)):
        where = f"{path}, line {table.line_of(row)}"
        if not name or not label:
            raise DataError(f"{where}: no {section.label if name else section.file}")
        if name in first:
            raise DataError(f"{where}: {name} is listed twice, first in line "
                            f"{table.line_of(first[name])}")  # fmt: skip
        if not (folder / name).is_file():
            raise DataError(f"{where}: there is no image {folder / name}")
        first[name] = row
    if not names:
        raise DataError(f"{path} lists no images")
    classes = tuple(sorted(set(labels)))
    index = {label: number for number, label in enumerate(classes)}
    return Labelled(folder, names, classes, [index[label] for label in labels], notes=table.notes)


def _text(value: object) -> str:
    """A cell as text; files that know types have labels that are numbers."""
    return "" if value is None else str(value)
