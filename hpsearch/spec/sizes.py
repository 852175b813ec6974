"""Sizes of memory as people write them."""

from __future__ import annotations

import re

__all__ = ["AUTO", "in_words", "size_of"]

AUTO = "auto"
"""A bound of memory that goes by what is free."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([kmgt])?(i)?b")


def size_of(text: str) -> int:
    """The bytes of a size such as `2 GB` or `512 MiB`; ValueError for what is none."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no size")
    number, prefix, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix or " "))


def in_words(size: int) -> str:
    """A number of bytes as people say it: `1.2 GB`."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= step:
            return f"{size / step:.3g} {unit}"
    return f"{size} bytes"
