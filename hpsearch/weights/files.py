"""Files of weights: where they are looked for, and by which hash they are known.

Nothing is downloaded. A file that is found becomes known in this process by its hash, by which
candidates name it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch import files
from hpsearch.errors import DataError, line
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.registry import PluginError, named
from hpsearch.spec.space import Choices
from hpsearch.spec.weights import NONE, PRETRAINED, Weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hpsearch.spec import StudySpec

__all__ = ["FOLDER_FILE", "Published", "know", "known", "missing", "path_of", "weighed"]

FOLDER_FILE = "model.safetensors"
"""The weights in a folder that `hpsearch best --save` has made."""

_PATHS: dict[str, Path] = {}
"""SHA-256 -> a file that has it."""


@dataclass(frozen=True)
class Published:
    """The weights of a model that its makers publish."""

    places: tuple[Path, ...]
    """Where they are looked for, in this order; the first is where a file belongs that is put there
    by hand."""
    source: str | None = None
    """Where they can be had from, such as a URL."""


def weighed(spec: StudySpec, base: Path) -> StudySpec:
    """The study with the hash of every file that its networks begin with, found here.

    Args:
        spec: The study.
        base: The study file's folder.

    Raises DataError where one of them is not here; it says which file belongs where.
    """
    weights = spec.weights
    if weights.named == NONE:
        return spec
    hashes = {name: _known(_located(spec, name, base)) for name in _names(spec)}
    return replace(spec, weights=Weights(weights.named, hashes))


def missing(spec: StudySpec, base: Path) -> str:
    """Why a worker cannot begin with a study's weights, which are known afterwards; "" if it can.

    Args:
        spec: The study as the database has it, with the hashes.
        base: The study file's folder.
    """
    for name, digest in spec.weights.hashes.items():
        try:
            path = _located(spec, name, base)
            if _known(path) != digest:
                return f"{path} is not the file that the study began with: its hash differs"
        except DataError as error:
            return str(error)
    return ""


def known() -> Mapping[str, Path]:
    """Hash and place of each file that is known in this process."""
    return dict(_PATHS)


def know(paths: Mapping[str, Path]) -> None:
    """Take over what is known in another process of this machine."""
    _PATHS.update(paths)


def path_of(digest: str) -> Path:
    """The file of that hash.

    Raises DataError where none is known in this process.
    """
    if digest not in _PATHS:
        raise DataError(f"no file of weights with the SHA-256 {digest} is known here")
    return _PATHS[digest]


def _names(spec: StudySpec) -> Iterator[str]:
    """What the hashes are of: each model that the study can draw, or its one file or folder."""
    if spec.weights.named != PRETRAINED:
        yield spec.weights.named
        return
    drawn = next((parameter for parameter in spec.space if parameter.name == "model"), None)
    if drawn is not None and isinstance(drawn.domain, Choices):
        yield from map(str, drawn.domain.values)
    if drawn is None or drawn.when:
        yield str(spec.settings({})["model"])


def _located(spec: StudySpec, name: str, base: Path) -> Path:
    if spec.weights.named != PRETRAINED:
        path = base / name
        path = path / FOLDER_FILE if path.is_dir() else path
        if not path.exists():
            raise DataError(f"network.weights: there is no file {path}")
        return path
    family = FAMILIES[spec.family]
    if family.lacking:
        raise DataError(f"the weights of {name} cannot be looked for: {family.lacking}")
    assert family.published is not None
    try:
        published: Published = named(family.published)(name)
    except (PluginError, ValueError) as error:
        raise DataError(f"network.weights: {line(error)}") from error
    for place in published.places:
        if place.exists():
            return place
    first = published.places[0]
    source = f" ({published.source})" if published.source else ""
    raise DataError(
        f"the weights of {name} are not here, and hpsearch downloads none: put "
        f"{first.name}{source} into {first.parent}, or name a file in network.weights"
    )


def _known(path: Path) -> str:
    """The hash of a file, by which it is known from now on."""
    try:
        status = path.stat()
        digest = _hash(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"the weights {path} cannot be read: {line(error)}") from error
    _PATHS[digest] = path
    return digest


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, changed_ns: int) -> str:
    """SHA-256 of a file of that size and time of change."""
    with files.open_regular(path) as file:
        # What is opened has `readinto`, which typeshed's BinaryIO lacks.
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
