"""lr: which learning rates suit a study's default configuration, before anything is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.api.ranging import Rates, rates
from hpsearch.cli.groups import Overrides, flat
from hpsearch.cli.options import (
    Code,
    FileArgument,
    Json,
    limit_threads,
    print_json,
    runs_code,
)
from hpsearch.terminal import echo

if TYPE_CHECKING:
    from hpsearch.preflight.lr_range import RangeTest

__all__ = ["lr"]

_ROWS = 10
"""Rates that are shown, beside the suggested and the largest one."""


@flat
def lr(
    file: FileArgument,
    *,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda:0, mps.", show_default="the first of this machine")
    ] = None,
    overrides: Overrides,
    code: Code = None,
    json_: Json = False,
) -> None:
    """Try learning rates on the default configuration: a range test of a few seconds."""
    from hpsearch.sources.opening import look

    spec = overrides.load(file, code)
    look(spec, file.parent)
    runs_code(spec, file.parent, code)
    limit_threads(None)
    measured = rates(spec, file.parent, device)
    test, searched = measured.test, measured.searched
    if json_:
        points = zip(test.rates, test.losses, test.smooth, strict=True)
        print_json({
            "name": spec.name, "suggested": measured.suggested, "largest": measured.largest,
            "range": {"min": searched[0], "max": searched[-1]} if searched else None,
            "in_range": measured.is_inside,
            "points": [{"lr": rate, "loss": loss, "smooth": mean} for rate, loss, mean in points],
        })  # fmt: skip
        return
    _show(spec.name, test)
    echo(_advice(measured))


def _show(name: str, test: RangeTest) -> None:
    """Some of the rates, evenly spaced, with the suggested and the largest one."""
    from hpsearch.cli import show
    from hpsearch.insight.words import number

    show.out.print(f"{name}, the default configuration: the loss at rising learning rates")
    table, last = show.columns("lr", "loss", "", right=("lr", "loss")), len(test.rates) - 1
    notes = {test.largest: "largest: from here on it rises (Smith 2017)",
             test.steepest: "suggested: it falls fastest (Gugger 2018)"}  # fmt: skip
    rows = {round(last * i / (_ROWS - 1)) for i in range(_ROWS)}
    for at in sorted(rows | {test.rates.index(rate) for rate in notes if rate}):
        rate = test.rates[at]
        table.add_row(f"{rate:.1e}", number(test.smooth[at]), notes.get(rate, ""))
    show.out.print(table)


def _advice(measured: Rates) -> str:
    """What to do with the suggested rate."""
    rate, searched = measured.suggested, measured.searched
    if rate is None:
        return "the loss does not fall at any of these rates, but for chance"
    if not searched:
        return f"to make it the default, write in the study file: lr: {rate:g}"
    extent = f"the study's range, {searched[0]:g} to {searched[-1]:g}"
    if measured.nearest is None:
        return f"the suggested rate is outside {extent}: move that"
    return f"inside {extent}; to make it the default, add to lr: default: {measured.nearest:g}"
