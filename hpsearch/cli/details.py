"""What a network is like beyond its metrics, in tables of its task that fit the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hpsearch.cli.console import call, out
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.spec.task import Table as TaskTable

__all__ = ["details"]


def details(snapshot: Snapshot, trial: Trial) -> None:
    """What a trial's network is like beyond its metrics, in tables of its task."""
    for shown in snapshot.tables(trial):
        table = _table(shown)
        if table is None:
            command = call(f"best {snapshot.study.name} --json")
            out.print(f"the {shown.title} is too wide for this console: {command}", soft_wrap=True)
            continue
        rows = "test" if snapshot.spec.on_test else "validation"
        note = shown.note or f"trial {trial.number} on the {rows} rows"
        out.print(f"{shown.title}, {note}:")
        out.print(table)


_LABEL = 20
"""Columns for the name of a row before its figures."""
_HEADS = range(12, 2, -1)
"""Columns for the name of a row above its figures, as many as there is room for."""


def _table(shown: TaskTable) -> Table | None:
    """A task's table. Where its heads are the names of its rows they are shortened, or given by
    number where they would then be the same; None where it is wider than the console all the
    same."""
    first, *heads = (visible(head, lines=False) for head in shown.heads)
    names = [visible(row[0], lines=False) for row in shown.rows]
    figures = [row[1:] for row in shown.rows]
    if not shown.crossed:
        return _figures(first, heads, names, figures)
    numbered = [f"{at} {name}" for at, name in enumerate(names)]
    for labels, tops in (
        *((names, [_short(name, most) for name in heads]) for most in _HEADS),
        (numbered, [Text(str(at)) for at in range(len(names))]),
    ):
        table = _figures(first, tops, labels, figures)
        distinct = len({top.plain for top in tops}) == len(tops)
        if distinct and Measurement.get(out, _unbounded(), table).maximum <= out.width:
            return table
    return None


def _unbounded() -> ConsoleOptions:
    """A console on which everything has room, to measure by."""
    return out.options.update(width=100_000)


def _figures(
    first: str,
    heads: Sequence[str | Text],
    labels: Sequence[str],
    figures: Sequence[Sequence[str]],
) -> Table:
    """A table of a name and figures, none of which is ever broken over two lines."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for at, head in enumerate((first, *heads)):
        table.add_column(head, justify="right" if at else "left", no_wrap=True)
    for label, row in zip(labels, figures, strict=True):
        table.add_row(_short(label, _LABEL), *row)
    return table


def _short(name: str, most: int) -> Text:
    """A name, its end an ellipsis where it is too long."""
    text = Text(name)
    text.truncate(most, overflow="ellipsis")
    return text
