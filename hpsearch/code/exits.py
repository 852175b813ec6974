"""What a study's own code may not do to the process that runs it: end it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hpsearch.code.imports import explained, in_use
from hpsearch.errors import CodeError

__all__ = ["contained"]


@contextmanager
def contained(what: str = "") -> Iterator[None]:
    """Inside, `sys.exit()` and whatever else is no `Exception` is a CodeError with its place.

    A worker has other trials and other studies, and its exit code is its own. Ctrl-C stays what it
    is. A decorator too; `what` stands before the message. Where this process runs no code of
    a study's own, nothing is changed.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        if in_use() is None:
            raise
        raise CodeError(f"{what}: {explained(error)}" if what else explained(error)) from error
