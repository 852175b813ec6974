"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hpsearch.store.ledger import Ledger

__all__ = [
    "Checkpoints", "FileArgument", "Json", "Lease", "Name", "Storage", "open_ledger", "print_json",
]  # fmt: skip

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
    Path | None,
    typer.Option(
        envvar="HPSEARCH_CHECKPOINTS",
        help="Folder of checkpoints, shared by all workers of a study.",
        show_default="beside the SQLite file",
    ),
]
Lease = Annotated[
    float,
    typer.Option(
        "--lease-s",
        envvar="HPSEARCH_LEASE_S",
        min=1.0,
        help="Seconds after which a silent worker loses its trial.",
    ),
]


def open_ledger(storage: str | None, lease_s: float = 30.0) -> Ledger:
    """The ledger over the named database."""
    from hpsearch.store.engine import Database, storage_url
    from hpsearch.store.ledger import Ledger

    return Ledger(Database(storage_url(storage)), lease_s)


def print_json(data: Any) -> None:
    """Data for programs, on standard output."""
    json.dump(data, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
