"""What a path is, and what of a folder could be searched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hpsearch.errors import DataError, StudyFileError
from hpsearch.files import near, refusals_told

if TYPE_CHECKING:
    from hpsearch.begin.draft import Draft

__all__ = ["TAKES", "Kind", "candidates", "draft_of", "kind_of"]

Kind = Literal["table", "images", "arrays", "script"]

TAKES = (
    ("churn.csv", "a table: CSV, Parquet, Feather, JSON lines, Excel; --target names a column"),
    ("pets/", "a folder with a folder of images for each class, or train, val and test of these"),
    ("data.npz", "arrays X and y: .npz, .safetensors, or a folder of .npy files"),
    ("train.py", "a training script: def train(run), or a command with options"),
)
"""An example of each kind of data, and what it is."""

_SCRIPTS = (".bash", ".jl", ".pl", ".r", ".R", ".rb", ".sh", ".zsh")
"""Endings of programs in languages that `init` does not read."""
_MOST_ENTRIES = 2_000
"""Entries of a folder that are looked at."""
_NO_TABLES = re.compile(r"(?:requirements|readme|license|notes|.*trials)[^/]*", re.IGNORECASE)


def kind_of(path: Path) -> Kind | None:
    """What a path is; None for nothing that can be searched."""
    from hpsearch.begin import arrays, tables

    name = path.name.lower()
    if path.is_dir():
        if any(path.glob("*.npy")):
            return "arrays"
        return "images" if _has_images(path) else None
    if name.endswith(".py"):
        return "script"
    if path.suffix.lower() in arrays.ENDINGS:
        return "arrays"
    return "table" if name.endswith(tuple(tables.ENDINGS)) else None


def _has_images(path: Path) -> bool:
    """Whether a folder has folders with images, directly or below `train`."""
    from hpsearch.sources.images.files import is_image

    below = [one for one in _inside(path) if one.is_dir()]
    below += [two for one in below if one.name == "train" for two in _inside(one) if two.is_dir()]
    with_images = [one for one in below if any(is_image(two.name) for two in _inside(one))]
    return len(with_images) > 1


def _inside(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError:
        return iter(())
    return iter(entries[:_MOST_ENTRIES])


def candidates(folder: Path) -> list[Path]:
    """What of a folder could be searched, or the folder itself.

    Of Python files only those that train: a package or a test is none.
    """
    whole = kind_of(folder)  # its own folders are the classes, or its files the arrays
    paths = [] if whole is None else [folder]
    for path in _inside(folder) if whole is None else ():
        kind = kind_of(path)
        own = kind == "table" and not _NO_TABLES.fullmatch(path.stem) and path.suffix != ".txt"
        if own or kind in ("images", "arrays") or (kind == "script" and path.stem == "train"):
            paths.append(path)
    return paths


def draft_of(path: Path, folder: Path, target: str | None = None) -> Draft:
    """A study of what lies at a path.

    Args:
        path: The data, or the script.
        folder: That of the study file.
        target: What is to be predicted: a column, or an array.

    Raises DataError for data that is not there or cannot be read, StudyFileError for what cannot be
    searched.
    """
    with refusals_told():
        if not path.exists():
            hint = near(path)
            takes = "; name a table, a folder of images, arrays or a training script"
            raise DataError(f"there is no {path}{hint}{takes if hint[-1:] != '?' else ''}")
        path = path.resolve() if path.name in ("", "..") else path
        kind = kind_of(path)
        if kind is None:
            takes = "; ".join(f"{does} ({name})" for name, does in TAKES)
            command = path.suffix in _SCRIPTS or (path.is_file() and os.access(path, os.X_OK))
            page = ". For another program write the study file yourself: docs/guides/any-command.md"
            raise StudyFileError(f"{path} is none of what hpsearch init takes: {takes}"
                                 f"{page if command else ''}")  # fmt: skip
        if target is not None and kind in ("images", "script"):
            raise StudyFileError(f"--target is for tables and arrays: {path} is neither")
        return _drafted(kind, path, folder, target)


def _drafted(kind: Kind, path: Path, folder: Path, target: str | None) -> Draft:
    from hpsearch.begin import arrays, pictures, scripts, tables
    from hpsearch.convert.parts import study_name

    if kind == "table":
        draft = tables.draft(path, folder, target)
    elif kind == "images":
        draft = pictures.draft(path, folder)
    elif kind == "arrays":
        draft = arrays.draft(path, folder, target)
    else:
        draft = scripts.draft(path, folder)
    stem = path.resolve().name.partition(".")[0]
    draft.content = {"name": study_name(stem), **draft.content}
    return draft
