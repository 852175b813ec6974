"""Images that cannot be read: all are named at once, as each run would find one more."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hpsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["ADVICE", "attempted", "refuse"]

T = TypeVar("T")

ADVICE = "; remove it, or save it again"
"""How the error of a damaged image ends."""
_NAMED = 3
"""Images that a message names."""


def attempted(path: Path, read: Callable[[Path], T]) -> T | DataError:
    """What `read` makes of an image, or the error, which holds on to nothing that was read."""
    try:
        return read(path)
    except DataError as error:
        return DataError(str(error))


def refuse(faults: Sequence[DataError], count: int) -> None:
    """Raise DataError that names the first of the images, of `count`, that cannot be read; none
    where there are no faults."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        texts = [str(fault) for fault in faults]
        advice = "; remove them, or save them again" if texts[0].endswith(ADVICE) else ""
        named = "; ".join(text.removesuffix(ADVICE) for text in texts[:_NAMED])
        more = f"; and {len(texts) - _NAMED:,} more" if len(texts) > _NAMED else ""
        raise DataError(f"{len(texts):,} of {count:,} images cannot be used: {named}{more}{advice}")
