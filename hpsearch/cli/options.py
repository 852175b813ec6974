"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch import passwords, urls

if TYPE_CHECKING:
    from hpsearch.store.ledger import Ledger

__all__ = [
    "LEASE_S", "Checkpoints", "FileArgument", "Json", "Lease", "Name", "Storage", "open_ledger",
    "print_json",
]  # fmt: skip

LEASE_S = 30.0
"""The default of `--lease-s`; importing the ledger for it would take too long for --help."""


def _absolute(place: str | None) -> str | None:
    """A relative folder starts where the command was typed; a URL is as it is."""
    folder = urls.folder(place) if place else None
    return str(Path(folder).expanduser().resolve()) if folder else place or None


Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar="HPSEARCH_STORAGE",
        help="Database URL: sqlite:///FILE, postgresql://USER:PASSWORD@HOST/NAME, mysql://...",
        show_default="sqlite:///hpsearch.db",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Study file (YAML).")]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        envvar="HPSEARCH_CHECKPOINTS",
        callback=_absolute,
        metavar="PLACE",
        help="Where checkpoints lie, for all workers of a study: a folder, or a URL such as "
        "s3://BUCKET/PREFIX.",
        show_default="beside the SQLite file",
    ),
]
Lease = Annotated[
    float,
    typer.Option(
        "--lease-s",
        envvar="HPSEARCH_LEASE_S",
        min=1.0,
        max=86_400.0,
        help="Seconds after which a silent worker loses its trial.",
    ),
]


def open_ledger(storage: str | None, lease_s: float = LEASE_S, *, make: bool = False) -> Ledger:
    """The ledger over the named database, which is made only where `make` says so."""
    from hpsearch.store.engine import Database, storage_url
    from hpsearch.store.ledger import Ledger

    ledger = Ledger(Database(storage_url(storage)), lease_s, make=make)
    ledger.sweep()
    return ledger


def print_json(data: Any) -> None:
    """Data for programs, on standard output."""
    sys.stdout.write(passwords.hide(json.dumps(data, indent=2, default=str)) + "\n")
