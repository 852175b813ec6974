"""What all checks of declarations share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsearch.spec.settings import Setting

__all__ = ["check_docs", "promise"]


def promise(kept: bool, message: str) -> None:
    """Raise AssertionError with that message unless the promise is kept."""
    if not kept:
        raise AssertionError(message)


def check_docs(doc: str, settings: Iterable[Setting]) -> None:
    """That a declaration and each of its settings are described in a sentence."""
    for what, text in (("it", doc), *((s.name, s.doc) for s in settings)):
        promise(text.strip().endswith("."), f"{what} needs a doc, a sentence that ends with a stop")
