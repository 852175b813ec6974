"""Options that several commands share."""

from __future__ import annotations

import functools
import gc
import json
import logging
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TextIO

import typer

from hpsearch import files, passwords
from hpsearch.api import opening
from hpsearch.api.opening import absolute_place, limit_threads, named_checkpoints, runs_code
from hpsearch.errors import DamagedError, HpsearchError, line
from hpsearch.store import LEASE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hpsearch.store.ledger import Ledger

__all__ = [
    "AcceptCode", "Checkpoints", "Code", "Events", "FileArgument", "Force", "Json", "Lease",
    "MaxParallel", "Name", "Priority", "Storage", "at_most", "check_free", "limit_threads",
    "loading", "named_checkpoints", "open_ledger", "owner_of", "print_json", "reads", "runs_code",
]  # fmt: skip

P = ParamSpec("P")

_log = logging.getLogger(__name__)


def _from_here(folder: Path | None) -> Path | None:
    """A relative folder starts where the command was typed."""
    return None if folder is None else folder.absolute()


def at_most(limit: float) -> Callable[[Any], Any]:
    """The check of a number option, of either sign; far inside what every database's numbers hold.

    As a range of the option it would take up half of each line of --help.
    """

    def check(number: float | None) -> float | None:
        if number is not None and abs(number) > limit:
            raise typer.BadParameter(f"{number} is beyond {limit:,}")
        return number

    return check


Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar="HPSEARCH_STORAGE",
        metavar="URL",
        help="Database: sqlite:///FILE, postgresql://USER@HOST/NAME, mysql://...",
        show_default="sqlite:///hpsearch.db",
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Replace what is there; a study's own data and files are never replaced."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Events = Annotated[
    bool, typer.Option("--json", help="Print an event a line as JSON, the result last.")
]
Name = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Study file (YAML).")]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        envvar="HPSEARCH_CHECKPOINTS",
        callback=absolute_place,
        metavar="PLACE",
        help="Where checkpoints lie, for all workers of a study: a folder, or a URL such as "
        "s3://BUCKET/PREFIX.",
        show_default="beside the SQLite file, else in this user's data folder",
    ),
]
Code = Annotated[
    Path | None,
    typer.Option(
        "--code",
        envvar="HPSEARCH_CODE",
        callback=_from_here,
        metavar="DIR",
        help="Folder of a study's own code: networks, losses, data, training.",
        show_default="with FILE its folder, else none",
    ),
]
AcceptCode = Annotated[
    bool,
    typer.Option(
        "--accept-code",
        help="Continue a study whose own code has changed since it began; each trial has a note of "
        "the code that trained it.",
    ),
]
Priority = Annotated[
    int | None,
    typer.Option(
        callback=at_most(1_000_000),
        metavar="N",
        help="Studies with a higher priority are served first; a new study has 0.",
    ),
]
MaxParallel = Annotated[
    int | None,
    typer.Option(
        min=0,
        callback=at_most(1_000_000),
        metavar="N",
        help="Most trials under way at once; 0: no limit, the default.",
    ),
]
Lease = Annotated[
    float,
    typer.Option(
        "--lease-s",
        envvar="HPSEARCH_LEASE_S",
        min=1.0,
        callback=at_most(86_400),
        metavar="SECONDS",
        help="Seconds after which a silent worker loses its trial.",
    ),
]


def open_ledger(storage: str | None, lease_s: float = LEASE_S, *, make: bool = False) -> Ledger:
    """The ledger over the named database, which is made only where `make` says so."""
    return opening.open_ledger(storage, lease_s, make=make, announce=_announce)


def check_free(
    file: Path, owner: Callable[[Path], str | None] = lambda _: None, *, force: bool
) -> None:
    """Before anything that takes time: raise where a file may not be written, as `files.written`
    would in the end."""
    try:
        is_there = str(file) != "-" and file.is_file()
    except OSError as error:
        raise HpsearchError(f"{file} cannot be written: {line(error)}") from None
    if is_there:
        files.refuse(file, owner, force=force)


def owner_of(
    file: Path, storage: str | None, own: Mapping[Path, str] | None = None
) -> Callable[[Path], str | None]:
    """Whose a file is that is never written over: what studies of the database have, where there is
    one, and what else there is.

    Args:
        file: What is to be written.
        storage: The database.
        own: Other files and folders, and what each is.
    """

    def named(path: Path) -> str | None:
        for place, what in (own or {}).items():
            if path.is_relative_to(place.resolve()):
                return what
        return None

    if not file.is_file():
        return named
    from hpsearch.checkpoints.places import owner

    try:
        ledger = open_ledger(storage)
        whose = owner(ledger.database, ledger.studies(), named_checkpoints())
    except HpsearchError:  # there is no database yet
        return named
    return lambda path: named(path) or whose(path)


def _announce(file: Path) -> None:
    """Say that there is no database yet: in the wrong folder that is news."""
    from hpsearch.cli.console import note

    note(f"no database yet: makes {os.path.relpath(file)} (--storage URL names another)")


def reads(command: Callable[P, None]) -> Callable[P, None]:
    """A command that only reads a study: rows that make no sense are one line, not a traceback.

    Trials are judged one by one before; this is for all else that others can write into a
    database. The traceback is in the log, at its level for debugging.
    """

    @functools.wraps(command)
    def reading(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except UnicodeError:  # of what it prints, not of what it reads
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            _log.debug("reading failed", exc_info=True)
            name = kwargs.get("name")
            raise DamagedError(
                f"{f'study {name!r}' if name else 'the database'} has rows that make no sense "
                f"({type(error).__name__}: {line(error)}); if nothing but hpsearch wrote to it, "
                "this is a fault of hpsearch: please report it"
            ) from None

    return reading


@contextmanager
def loading() -> Iterator[None]:
    """Inside, no garbage is looked for: modules leave none, and it takes a quarter of the time."""
    gc.disable()
    try:
        yield
    finally:
        # Nor is it ever looked for among them, so that forks share their memory. Once: later it
        # would keep what a process that runs many commands, as tests do, has dropped.
        if not gc.get_freeze_count():
            gc.freeze()
        gc.enable()


def print_json(data: Any, stream: TextIO | None = None) -> None:
    """Data for programs; `stream` is where they go, None: standard output."""
    default = partial(passwords.hide, known=False)  # paths and the like, as text
    text = json.dumps(passwords.hide_in(data), indent=2, default=default)
    # All else that a terminal may take for an order is escaped in JSON as it is.
    (stream or sys.stdout).write(text.replace("\x7f", "\\u007f") + "\n")
