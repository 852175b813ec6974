"""What a quick look at the data of a study shows, for `hpsearch check`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpsearch.spec.problem import Kind

__all__ = ["Look"]


@dataclass(frozen=True)
class Look:
    """What the data, or the beginning of it, shows."""

    title: str
    """What was looked at, such as `wine.csv: 178 rows`."""
    lines: tuple[str, ...]
    """What it is, in lines of at most 80 characters."""
    notes: tuple[str, ...] = ()
    """What a reader should know, a sentence each."""
    warnings: tuple[str, ...] = ()
    """Choices that may hurt."""
    facts: Any = None
    """The same as plain values, for `--json`."""
    classes: tuple[str, ...] | None = None
    """The names of the classes, none where the target is a number; None where they are not known,
    as not all was looked at."""
    kind: Kind | None = None
    """What one input is, where that depends on the data."""
    shape: tuple[int, ...] | None = None
    """Of one input as a network is given it; None where that is not known, as not all was looked
    at."""
    rarest: int | None = None
    """Rows of the class that has the fewest, where that is known."""
