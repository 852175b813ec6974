"""The database of a call, the folder of its own code, and what a process settles before PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch import urls
from hpsearch.store import LEASE_S

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger

__all__ = [
    "absolute_place",
    "limit_threads",
    "named_checkpoints",
    "open_ledger",
    "runs_code",
    "settings_kept",
    "url_of",
]


def open_ledger(
    storage: str | None, lease_s: float = LEASE_S, *, make: bool = False,
    announce: Callable[[Path], None] = lambda _: None,
) -> Ledger:  # fmt: skip
    """The ledger over the named database, which is made only where `make` says so; `announce` is
    called before a file is made.

    Raises StorageError where it cannot be reached or used, NotFoundError where it is not there.
    """
    from hpsearch.store.engine import Database, storage_url
    from hpsearch.store.ledger import Ledger

    database = Database(storage_url(storage))
    if make and database.file is not None and not database.file.exists():
        announce(database.file)
    ledger = Ledger(database, lease_s, make=make)
    if not database.is_read_only:
        ledger.sweep()
    return ledger


def url_of(storage: Path | str | None) -> str:
    """The URL of a database that is named by it, or by the path of an SQLite file; None:
    HPSEARCH_STORAGE, else `hpsearch.db` in the current folder."""
    from hpsearch.store.engine import storage_url

    if storage is None or "://" in str(storage):
        return storage_url(None if storage is None else str(storage))
    return f"sqlite:///{Path(storage).absolute()}"


def absolute_place(place: str | None) -> str | None:
    """A relative folder starts in the current one; a URL is as it is; empty is none."""
    folder = urls.folder(place) if place else None
    return str(urls.local(folder).resolve()) if folder else place or None


def named_checkpoints() -> str | None:
    """The place of checkpoints that the environment names."""
    return absolute_place(os.environ.get("HPSEARCH_CHECKPOINTS"))


def runs_code(spec: StudySpec, base: Path, code: Path | None) -> Path | None:
    """The folder of the own code of a study, from which this process may run code from now on; None
    where it has none. Raises CodeError where it cannot be read.

    Args:
        spec: The study.
        base: The study file's folder.
        code: The folder, where it is not that one.
    """
    if not spec.needs_code:
        return None
    from hpsearch.code import Code, use

    folder = (base if code is None else code).absolute()
    use(Code.at(folder))
    return folder


def limit_threads(threads: int | None) -> None:
    """Settle how many threads an operation on a CPU has, and how they wait; None: as many as cores.

    To be called before PyTorch is loaded, which is when OpenMP reads it.
    """
    # Threads that wait for work in a busy loop, as they do by default, make an epoch ten times
    # longer where another process wants the core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


@contextmanager
def settings_kept() -> Iterator[None]:
    """Inside, PyTorch's settings of this process may change; after it they are what they were."""
    import torch

    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
