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
    page = report(ledger, name, checkpoints, show.note)
    if json_:
        print_json(page.facts)
    if output is not None or not json_:
        path = output or Path(file_name(name))
        _write(ledger, path, lambda: page.html, checkpoints, force=force)
    page.snapshot.complain()


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

    ledger = open_ledger(storage)
    compared = comparison(ledger, names)
    if json_:
        print_json(compared.facts)
    else:
        _compared(compared)
    if output is not None:
        _write(ledger, output, lambda: html(compared), named_checkpoints(), force=force)


_MOST_BESIDE = 4
"""Studies whose winners fit beside each other in 80 columns."""


def _compared(compared: Comparison) -> None:
    from hpsearch.cli.show import columns, out
    from hpsearch.insight.words import span

    numbers = ("best", "trials", "epochs", "time")
    table = columns("study", "metric", "best", "test, 95 %", "trials", "epochs", "time",
                    right=numbers)  # fmt: skip
    for side in compared.sides:
        spent = side.spent
        took = f"{spent.ended}/{spent.tickets}", str(spent.epochs), span(spent.work_s)
        table.add_row(side.name, side.snapshot.metric, side.best_words, side.test_words, *took)
    out.print(table)
    if len(compared.sides) <= _MOST_BESIDE:
        _winners(compared)
    for sentence in compared.sentences:
        out.print(sentence)


def _winners(compared: Comparison) -> None:
    """What the winners have that more than one of the studies names, and who names the rest."""
    from hpsearch.cli.show import columns, out

    names = [side.name for side in compared.sides]
    beside, alone = columns("winner", *names), dict[str, list[str]]()
    for name, *values in compared.parameters:
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
