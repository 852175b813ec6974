"""The studies that hpsearch comes with, each with the data and the code that it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import hpsearch
from hpsearch.errors import NotFoundError
from hpsearch.spec.faults import nearest

__all__ = ["files_of", "names"]


def _folder() -> Path:
    """Where they lie: in the package, or beside it in a clone."""
    package = Path(hpsearch.__file__).parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "studies"


def names() -> dict[str, str]:
    """Every study by its name, and what it is about."""
    return {path.stem: _about(path) for path in sorted(_folder().glob("*.yaml"))}


def _about(path: Path) -> str:
    """The first paragraph of its comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    sentences: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        text = line.lstrip("# ").strip()
        if text.startswith("yaml-language-server"):
            continue
        if not text and sentences:
            break
        sentences += [text] if text else []
    return " ".join(sentences)


def files_of(name: str) -> list[Path]:
    """The study file of an example, and after it the files that it names.

    Raises NotFoundError where there is none of that name.
    """
    examples = names()
    if name not in examples:
        near = nearest(name, examples)
        hint = f"did you mean {near}? " if near else ""
        raise NotFoundError(f"there is no example {name!r}; {hint}hpsearch init --list names all")
    file = _folder() / f"{name}.yaml"
    return [file, *_named(file.read_text(encoding="utf-8"))]


def _named(text: str) -> Iterator[Path]:
    """The files that a study names outside of its sentences."""
    content = "\n".join(line for line in text.splitlines()
                     if not line.startswith("#") or "$schema=" in line)  # fmt: skip
    for path in sorted(_folder().iterdir()):
        is_named = re.search(rf"(?<![\w./-]){re.escape(path.name)}(?![\w-])", content)
        if path.is_file() and path.suffix not in (".yaml", "") and is_named:
            yield path
