"""The live view of a study on a terminal: a `View` in as many lines and columns as there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from hpsearch.forecast.pace import Span
from hpsearch.insight.words import about, counted, number, params, span
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.insight.view import Leader, Row, View

__all__ = ["Picture"]

_BAR, _CURVE = 20, 24
"""Columns of the bar, and of a small curve."""
_LEVELS, _PLAIN_LEVELS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
"""Heights of a small curve, and where a terminal shows nothing but ASCII."""
_FEWEST = 3
"""Lines of running trials for which the small curves make room."""
_COLOURS = {"paused": "yellow", "stopped": "red"}


class Picture:
    """A study as it is now, drawn for the size that the console has at that moment."""

    def __init__(self, view: View, passed_s: float, steps: Sequence[str] = ()) -> None:
        """`passed_s` is for how long it has been followed, `steps` what those of its recipe have
        reached, a line each."""
        self._view, self._passed_s, self._steps = view, passed_s, steps

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.size.height - 1
        for line in self._lines(width, height, plain=options.ascii_only):
            line.truncate(width, overflow="ellipsis")
            yield line

    def _lines(self, width: int, height: int, *, plain: bool) -> Sequence[Text]:
        view = self._view
        head = [self._title(width), self._bar(plain=plain), self._counts()]
        steps = [Text(step) for step in self._steps]
        best, curves = _best(view), _curves(view, plain=plain)
        room = height - len(head) - len(best)
        if room - len(steps) - len(curves) - 2 < min(len(view.rows), _FEWEST):
            steps, curves = steps[-1:], []
        lines = [*head, *steps, *best, *curves]
        if view.rows and height - len(lines) > len(view.rows) + 2:
            lines.append(Text())
        lines += _rows(view, width, height - len(lines))
        return lines[:height]

    def _title(self, width: int) -> Text:
        view, passed = self._view, span(self._passed_s)
        title = Text(visible(view.study, lines=False)[:24], "bold", end="")
        if view.state != "open":
            title.append(f"  {view.state}", _COLOURS.get(view.state, "green"))
        if view.stage is not None:
            stage = view.stage
            place = f"stage {stage.number} of {stage.of}: {stage.name}" if stage.of > 1 else ""
            words = ", ".join(filter(None, [place, stage.sampler and f"sampler {stage.sampler}"]))
            title.append(f"  {words}", "not bold")
        title.truncate(width - len(passed) - 2, overflow="ellipsis")
        return Text.assemble(title, " " * (width - len(title) - len(passed)), passed)

    def _bar(self, *, plain: bool) -> Text:
        view = self._view
        full = round(_BAR * min(view.ended / max(view.trials, 1), 1.0))
        on, off = ("#", "-") if plain else ("━", "─")
        bar = Text.assemble((on * full, "green"), (off * (_BAR - full), "dim"))
        bar.append(f" {view.ended:,} of {counted(view.trials, 'trial')}", "default")
        if view.left_s is not None:
            bar.append(f", {about(_whole(view.left_s))} left")
        elif view.state == "open" and view.workers:
            bar.append(", time left not known yet", "dim")
        return bar

    def _counts(self) -> Text:
        view = self._view
        counts = (
            (view.complete, "complete", "green"), (view.pruned, "pruned", "yellow"),
            (view.running, "running", "cyan"), (view.failed, "failed", "red"),
        )  # fmt: skip
        line = Text()
        for count, word, colour in counts:
            line.append(f"{count:,} {word}", colour if count else "dim").append("  ")
        if view.workers:
            line.append(counted(view.workers, "worker"))
            return line.append(f" {view.closing}" if view.closing else "")
        return line.append("waiting for a worker" if view.state == "open" else "no worker")


def _whole(left_s: Span) -> Span:
    """Whole seconds, one at least, where there are few: nobody reads milliseconds that run out."""
    return Span(*(max(round(s), 1) if s < 120 else s for s in astuple(left_s)))


def _best(view: View) -> list[Text]:
    best = view.best
    if best is None:
        return [Text("no trial has a value yet", "dim")]
    line = Text.assemble("best ", view.metric, " ", (number(best.value), "bold"))
    line.append(f"  trial {best.number}, epoch {best.epoch}{_of(best)}")
    return [line, Text(f"  {params(best.params)}")] if best.params else [line]


def _of(best: Leader) -> str:
    if best.is_running:
        return ", still training"
    return f" of {best.epochs}" if best.epoch != best.epochs else ""


def _curves(view: View, *, plain: bool) -> list[Text]:
    """The best value by trial, and the best trial by epoch, side by side."""
    line, rises = Text("  "), len(set(view.rise)) > 1
    if rises:
        line.append(_curve(view.rise, plain=plain), "green")
        line.append(f" completed, {number(view.rise[0])} to {number(view.rise[-1])}", "dim")
    if view.best is not None and len(view.best.curve) > 1:
        line.append("   " if rises else "")
        line.append(_curve(view.best.curve, plain=plain), "cyan")
        line.append(" its epochs", "dim")
    return [line] if line.plain.strip() else []


def _curve(values: Sequence[float], *, plain: bool) -> str:
    """A value a column, of many values the last of each share."""
    count = min(len(values), _CURVE)
    chosen = [values[(at + 1) * len(values) // count - 1] for at in range(count)]
    low, high = min(chosen), max(chosen)
    levels = _PLAIN_LEVELS if plain else _LEVELS
    scale = (len(levels) - 1) / (high - low) if high > low else 0.0
    return "".join(levels[round((value - low) * scale)] for value in chosen)


def _rows(view: View, width: int, room: int) -> list[Text]:
    """Trials under way, and why the last one that failed did, in at most so many lines."""
    last = []
    if view.failure is not None and room > 1:
        last = [Text(f"{view.failed} failed; {visible(view.failure, lines=False)}", "red")]
        room -= 1
    if not view.rows or room < 2:
        return last
    room -= 1  # for the names of the columns
    shown = view.rows if len(view.rows) <= room else view.rows[: max(room - 1, 0)]
    lines = list(_table(view, shown, width))
    if len(shown) < len(view.rows):
        lines.append(Text(f"  and {len(view.rows) - len(shown):,} more", "dim"))
    return lines + last


def _table(view: View, rows: Sequence[Row], width: int) -> Iterator[Text]:
    """The columns of trial, epoch, metric and parameters, the last as wide as there is room."""
    staged = any(row.stage for row in rows) and width >= 60
    heads = ("trial", "epoch", view.metric, *(["stage"] if staged else []))
    cells = [
        (str(row.number), f"{row.epoch}/{row.epochs}", number(row.value),
         *([row.stage] if staged else []))
        for row in rows
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    yield Text(_line([*heads, "parameters"], widths), "bold")
    for row, texts in zip(rows, cells, strict=True):
        yield Text(_line([*texts, params(row.params)], widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells in their columns, numbers to the right; the last one as it is."""
    padded = [
        cell.rjust(wide) if at < 3 else cell.ljust(wide)
        for at, (cell, wide) in enumerate(zip(cells, widths, strict=False))
    ]
    return "  ".join([*padded, visible(cells[-1], lines=False)])
