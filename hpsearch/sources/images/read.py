"""Image files as a data set: each is read once, decoded, resized and hashed.

Shapes: `N` images, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hpsearch.errors import DataError
from hpsearch.sources.images.decode import Notes, Picture, Shape, size_of
from hpsearch.sources.images.files import labelled
from hpsearch.sources.images.inputs import PictureInputs
from hpsearch.sources.images.pixels import InFile, InMemory
from hpsearch.sources.look import Look
from hpsearch.sources.normalize import fixed_scale
from hpsearch.sources.raw import Raw
from hpsearch.sources.room import Room
from hpsearch.sources.scaling import deviations
from hpsearch.sources.unreadable import attempted, refuse
from hpsearch.spec.task import usual

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hpsearch.sources.images import ImagesSpec
    from hpsearch.sources.images.files import Labelled
    from hpsearch.sources.images.pixels import Pixels
    from hpsearch.sources.raw import Rows

__all__ = ["look", "read"]

_SIDE, _OWN_SIDE = 64, 256
"""Pixels a side where none are named, and of images that keep their own at most."""
_AT_ONCE, _BYTES_AT_ONCE = 256, 1 << 24
"""Images that are decoded or counted together, and their pixels, at most."""
_VALUES = 256
"""Of a pixel."""


def read(section: ImagesSpec, base: Path, decided: Mapping[str, Any] | None = None) -> Raw:
    """Image files as a data set.

    Args:
        section: Which files, and what they are made into.
        base: The folder that paths begin at.
        decided: The size that was decided when the study began; None: it is decided now.

    Raises DataError for anything that is not as it should be.
    """
    files = labelled(section, base)
    size = section.size or (tuple(decided["size"]) if decided else _size(files))
    shape = Shape.of((3 if section.color else 1, *size), section.crop)
    pixels = _new_pixels(section, len(files.names), shape)
    fingerprint, notes = _fill(pixels, files, shape)

    def fit(train: Rows) -> tuple[PictureInputs, tuple[str, ...]]:
        mean, deviation = _scale(section.normalize, pixels, train, shape)
        crop = cast("Any", shape.crop)
        return PictureInputs(shape.pixels, crop, mean, deviation), ()

    return Raw(
        task=usual("classes").name,
        targets=np.array(files.targets, np.int64),
        classes=files.classes,
        take=pixels,
        fit=fit,
        fingerprint=fingerprint,
        own_validation=files.own_validation,
        own_test=files.own_test,
        notes=(*files.notes, *notes),
        decided={"size": list(size)},
    )


def look(section: ImagesSpec, base: Path) -> Look:
    """What is in the folders, without a look into the images."""
    files = labelled(section, base)
    counts = Counter(files.targets)
    own = {"validation": files.own_validation, "test": files.own_test}
    lines = [f"{len(files.classes)} classes: {_listed(files.classes)}"]
    lines += [
        f"{count:,} of the images are the {part} part" for part, count in own.items() if count
    ]
    return Look(
        title=f"{section.path}: {len(files.names):,} images",
        lines=tuple(lines),
        notes=files.notes,
        facts={"images": len(files.names), "classes": list(files.classes), **own},
        classes=files.classes,
        shape=(3 if section.color else 1, *section.size) if section.size else None,
        rarest=min(counts.values()),
    )


def _listed(names: tuple[str, ...]) -> str:
    """Names in a line of at most 80 characters."""
    text = ", ".join(names)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _size(files: Labelled) -> tuple[int, int]:
    """Height and width: the images' own, where all have the same and it is small."""
    tried = [attempted(files.folder / name, size_of) for name in files.names]
    refuse([one for one in tried if isinstance(one, DataError)], len(tried))
    sizes = {one for one in tried if not isinstance(one, DataError)}
    if len(sizes) == 1 and max(width_height := sizes.pop()) <= _OWN_SIDE:
        return width_height[1], width_height[0]
    return _SIDE, _SIDE


def _at_once(shape: Shape) -> int:
    return max(min(_AT_ONCE, _BYTES_AT_ONCE // math.prod(shape.pixels)), 1)


def _new_pixels(section: ImagesSpec, count: int, shape: Shape) -> Pixels:
    """In memory where there is room for them and for the parts, which are copies."""
    size = 2 * count * math.prod(shape.pixels)
    kind = InMemory if Room(section.memory).takes(size) else InFile
    return kind(count, shape.pixels)


def _fill(pixels: Pixels, files: Labelled, shape: Shape) -> tuple[str, list[str]]:
    """Decode all files; the fingerprint of names, classes and contents, and notes."""
    fingerprint, notes, start = hashlib.sha256(), Notes(shape), 0
    faults = list[DataError]()
    for tried in _decoded(files, shape):
        faults += (one for one in tried if isinstance(one, DataError))
        if faults:
            continue
        pictures = [one for one in tried if isinstance(one, Picture)]
        pixels.put([picture.pixels_CHW for picture in pictures])
        for place, picture in enumerate(pictures, start):
            name, label = files.names[place], files.classes[files.targets[place]]
            fingerprint.update(f"{name}\0{label}\0{picture.digest}\n".encode("utf-8", "replace"))
            notes.add(files.folder / name, picture)
        start += len(pictures)
    refuse(faults, len(files.names))
    return fingerprint.hexdigest(), notes.lines()


def _decoded(files: Labelled, shape: Shape) -> Iterator[list[Picture | DataError]]:
    """Some images after the other, in order. Pillow decodes in as many threads as there are cores:
    it lets go of Python meanwhile."""
    from joblib import cpu_count

    with ThreadPoolExecutor(cpu_count()) as threads:
        for start in range(0, len(files.names), _at_once(shape)):
            some = files.names[start : start + _at_once(shape)]  # as paths, all take much memory
            paths = [files.folder / name for name in some]
            yield list(
                threads.map(partial(attempted, read=partial(Picture.of, shape=shape)), paths)
            )


def _scale(
    normalize: str, pixels: Pixels, train: Rows, shape: Shape
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel that pixels of 0 to 255 are scaled by."""
    if normalize != "standard":
        return fixed_scale(normalize, shape.channels, _VALUES - 1)
    counts_CV = _counts(pixels, train, shape)
    values_V = np.arange(_VALUES)
    total = counts_CV.sum(axis=1)
    mean_C = (counts_CV * values_V).sum(axis=1) / total
    variance_C = (counts_CV * (values_V - mean_C[:, None]) ** 2).sum(axis=1) / total
    return _plain(mean_C), _plain(deviations(mean_C, variance_C, int(total[0])))


def _plain(values: Iterable[Any]) -> tuple[float, ...]:
    """Numbers that are the same in single precision, in which pixels are scaled."""
    return tuple(float(np.float32(value)) for value in values)


def _counts(pixels: Pixels, rows: Rows, shape: Shape) -> Any:
    """How often each value of a pixel occurs in each channel, (C, 256)."""
    counts_CV = np.zeros((shape.channels, _VALUES), np.int64)
    for start in range(0, len(rows), _at_once(shape)):
        images_NCHW = pixels(rows[start : start + _at_once(shape)])
        for channel in range(shape.channels):
            own = images_NCHW[:, channel].ravel()
            counts_CV[channel] += np.bincount(own, minlength=_VALUES)
    return counts_CV
