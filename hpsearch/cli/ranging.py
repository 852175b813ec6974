"""lr: which learning rates suit a study's default configuration, before anything is searched."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    from collections.abc import Sequence

    from hpsearch.preflight.lr_range import RangeTest
    from hpsearch.spec import StudySpec

__all__ = ["lr"]

_LOW, _HIGH = 1e-6, 10.0
"""The rates that are tried where the study does not search the learning rate."""
_BEYOND = 10.0
"""So many times below and above the study's range: whether that lies well is the question."""
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
    from hpsearch.weights import weighed

    spec = overrides.load(file, code)
    look(spec, file.parent)
    runs_code(spec, file, code)
    limit_threads(None)
    searched = _searched(spec)
    low, high = (searched[0] / _BEYOND, searched[-1] * _BEYOND) if searched else (_LOW, _HIGH)
    test = _tested(weighed(spec, file.parent), file.parent, device, max(low, _LOW / _BEYOND), high)
    suggested, largest = (r and float(f"{r:.1e}") for r in (test.steepest, test.largest))
    is_inside = searched[0] <= suggested <= searched[-1] if searched and suggested else None
    if json_:
        points = zip(test.rates, test.losses, test.smooth, strict=True)
        print_json({
            "name": spec.name, "suggested": suggested, "largest": largest,
            "range": {"min": searched[0], "max": searched[-1]} if searched else None,
            "in_range": is_inside,
            "points": [{"lr": rate, "loss": loss, "smooth": mean} for rate, loss, mean in points],
        })  # fmt: skip
        return
    _show(spec.name, test)
    echo(_advice(spec, searched, suggested))


def _searched(spec: StudySpec) -> list[float]:
    """The ends of the study's own range, or its values in order; none: it does not search lr."""
    domains = [parameter.domain for parameter in spec.space if parameter.name == "lr"]
    values = [v for domain in domains for v in getattr(domain, "values", domain.ends)]
    return sorted(v for v in values if isinstance(v, (int, float)))


def _tested(
    spec: StudySpec, base: Path, device: str | None, low: float, high: float
) -> RangeTest:  # fmt: skip
    from hpsearch.errors import HpsearchError, line
    from hpsearch.preflight.lr_range import range_test
    from hpsearch.sources.opening import open_data
    from hpsearch.stages.candidates import example_of
    from hpsearch.stages.results import default_point
    from hpsearch.training import devices

    chosen = devices.device(device or devices.local()[0])
    devices.prepare(chosen, None)
    dataset = open_data(spec, base, chosen)
    candidate = example_of(spec, default_point(spec), "range test")
    try:
        return range_test(candidate, dataset, chosen, low, high)
    except (ArithmeticError, ValueError) as error:
        raise HpsearchError(f"the default configuration cannot be trained: {line(error)}") from None


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


def _advice(spec: StudySpec, searched: Sequence[float], rate: float | None) -> str:
    """What to do with the suggested rate."""
    if rate is None:
        return "the loss does not fall at any of these rates, but for chance"
    if not searched:
        return f"to make it the default, write in the study file: lr: {rate:g}"
    extent = f"the study's range, {searched[0]:g} to {searched[-1]:g}"
    if not searched[0] <= rate <= searched[-1]:
        return f"the suggested rate is outside {extent}: move that"
    if not any(p.name == "lr" and p.domain.contains(rate) for p in spec.space):  # a list of values
        logarithm = math.log(rate)
        rate = min(searched, key=lambda value: abs(math.log(value) - logarithm))
    return f"inside {extent}; to make it the default, add to lr: default: {rate:g}"
