"""report, compare: a study as a page that anyone can open, and several studies side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch import files
from hpsearch.cli.options import (
    Checkpoints,
    Force,
    Json,
    Name,
    Storage,
    named_checkpoints,
    open_ledger,
    print_json,
    reads,
)
from hpsearch.errors import StudyFileError
from hpsearch.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.reports.comparing import Comparison
    from hpsearch.store.ledger import Ledger

__all__ = ["compare", "report"]


@reads
def report(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Page to write.",
                     show_default="STUDY.html"),
    ] = None,
    force: Force = False,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Write a study's report: one HTML file that opens anywhere, offline, and prints. With --json
    its main facts are printed, and a page is written only where -o names one."""
    from hpsearch.cli import show
    from hpsearch.reports.page import file_name, report

    ledger = open_ledger(storage)
    found = report(ledger, name, checkpoints, show.note)
    if json_:
        print_json(found.facts)
    if output is not None or not json_:
        path = output or Path(file_name(name))
        _write(ledger, path, lambda: found.html, checkpoints, force=force)
    found.snapshot.complain()


@reads
def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="STUDY", help="Two or more studies.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Page to write as well.",
                     show_default="none"),
    ] = None,
    force: Force = False,
    storage: Storage = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Compare studies side by side: what each reached and cost, and whether the difference from the
    first one is real."""
    from hpsearch.reports.compare_page import html
    from hpsearch.reports.comparing import comparison

    if len(set(names)) < 2:
        raise StudyFileError("name two studies or more to compare; hpsearch status lists them")
    ledger = open_ledger(storage)
    found = comparison(ledger, names)
    if json_:
        print_json(found.facts)
    else:
        _compared(found)
    if output is not None:
        _write(ledger, output, lambda: html(found), named_checkpoints(), force=force)


_MOST_BESIDE = 4
"""Studies whose winners fit beside each other in 80 columns."""


def _compared(found: Comparison) -> None:
    from hpsearch.cli.show import columns, out
    from hpsearch.insight.words import span

    numbers = ("best", "trials", "epochs", "time")
    table = columns("study", "metric", "best", "test, 95 %", "trials", "epochs", "time",
                    right=numbers)  # fmt: skip
    for side in found.sides:
        spent = side.spent
        took = f"{spent.ended}/{spent.tickets}", str(spent.epochs), span(spent.work_s)
        table.add_row(side.name, side.snapshot.metric, side.best_words, side.test_words, *took)
    out.print(table)
    if len(found.sides) <= _MOST_BESIDE:
        _winners(found)
    for side in found.sides:
        said = side.answer
        out.print(f"{side.name}: {'. '.join([said.headline.rstrip('.'), *said.sentences[:1]])}")
    for pair in found.pairs:
        out.print(f"{pair.sentence(found.sides[0].snapshot.metric)}")
    for note in found.notes:
        out.print(note)


def _winners(found: Comparison) -> None:
    """What the winners have that more than one of the studies names, and who names the rest."""
    from hpsearch.cli.show import columns, out

    names = [side.name for side in found.sides]
    beside, alone = columns("winner", *names), dict[str, list[str]]()
    for name, *values in found.parameters:
        named = [one for one, value in zip(names, values, strict=True) if value != "-"]
        if len(named) > 1:
            beside.add_row(name, *values)
        for one in named if len(named) == 1 else ():
            alone.setdefault(one, []).append(name)
    if beside.row_count:
        out.print(beside)
    for one, own in alone.items():
        out.print(f"in {one} alone: {', '.join(own)}")


def _write(
    ledger: Ledger, path: Path, made: Callable[[], str], checkpoints: str | None, *, force: bool
) -> None:  # fmt: skip
    """Write a page, which is made only where it may be written."""
    from hpsearch.checkpoints.places import owner

    whose = owner(ledger.database, ledger.studies(), checkpoints)
    with files.written(path, whose, force=force) as stream:
        stream.write(made())
    if str(path) != "-":
        echo(f"written to {path}: open it in a browser", err=True)
