"""The page that puts several studies side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hpsearch.insight.words import number, span
from hpsearch.pictures.canvas import COLOURS, figure, inline, legend, short, whole_numbers
from hpsearch.reports.layout import laid_out
from hpsearch.spec.settings import FINAL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpsearch.reports.comparing import Comparison, Side

__all__ = ["html"]

_Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Race:
    """The best value so far of several studies of one metric, by the epochs trained until then."""

    metric: str
    studies: tuple[tuple[str, _Points], ...]


def html(compared: Comparison) -> str:
    """The page."""
    sides = compared.sides
    race = _race(sides)
    return laid_out("compare", compared.facts, {
        "names": [side.name for side in sides],
        "answers": [side.answer for side in sides],
        "metric": sides[0].snapshot.metric,
        "pairs": [pair.sentence(sides[0].snapshot.metric) for pair in compared.pairs],
        "notes": compared.notes,
        "aspects": _aspects(sides),
        "parameters": compared.parameters,
        "race": "" if race is None else inline(_draw, race),
        "written": f"{datetime.now():%Y-%m-%d %H:%M}",
    })  # fmt: skip


def _aspects(sides: Sequence[Side]) -> list[tuple[str, ...]]:
    """Rows: an aspect, then each study's."""
    rows: dict[str, list[str]] = {}
    for side in sides:
        snapshot, spent = side.snapshot, side.spent
        search = snapshot.spec.search
        winner = snapshot.network
        cells = {
            "state": snapshot.study.state,
            "metric": f"{snapshot.metric}, to {snapshot.direction}",
            "best of the search": side.best_words,
            "test part": side.test_words,
            "trials": f"{spent.ended:,} of {spent.tickets:,}",
            "completed, pruned, failed": ", ".join(
                f"{snapshot.count(state):,}" for state in ("COMPLETE", "PRUNED", "FAIL")),
            "epochs trained": f"{spent.epochs:,}",
            "saved by pruning": f"{100 * spent.pruned_share:.0f} %" if spent.pruned else "-",
            "work": span(spent.work_s),
            "search": f"{search.strategy}, {'-'.join(dict.fromkeys(search.sampler.values()))}, "
                      f"pruner {search.pruner.name}",
            "network": snapshot.spec.family,
            "its parameters": "-" if winner is None or winner.parameters is None
                               else f"{winner.parameters:,}",
            "data": "-" if side.data is None else f"{side.data[0][:12]}, split {side.data[1][:12]}",
        }  # fmt: skip
        for aspect, cell in cells.items():
            rows.setdefault(aspect, []).append(cell)
    return [(aspect, *cells) for aspect, cells in rows.items()]


def _race(sides: Sequence[Side]) -> _Race | None:
    """None where they are of different metrics or data, or none has a completed trial."""
    if len({(side.aim, side.data) for side in sides}) > 1:
        return None
    studies = tuple((side.name, _so_far(side)) for side in sides)
    drawn = tuple((name, points) for name, points in studies if points)
    return _Race(sides[0].snapshot.metric, drawn[: len(COLOURS)]) if drawn else None


def _so_far(side: Side) -> _Points:
    sign = 1 if side.snapshot.direction == "maximize" else -1
    epochs, points = 0, list[tuple[float, float]]()
    for trial in side.snapshot.trials:
        if trial.stage == FINAL:
            continue
        epochs += trial.epoch
        ahead = not points or sign * (trial.value or 0.0) > sign * points[-1][1]
        if trial.state == "COMPLETE" and trial.value is not None and ahead:
            points.append((epochs, trial.value))
    return (*points, (epochs, points[-1][1])) if points else ()


def _draw(content: _Race) -> Figure:
    made, (axes,) = figure("", 9.6, 3.2)
    for at, (name, points) in enumerate(content.studies):
        axes.step(*zip(*points, strict=True), where="post", color=COLOURS[at], linewidth=1.6,
                  label=f"{short(name, 30)}: {number(points[-1][1])}")  # fmt: skip
    axes.set(xlabel="epochs trained, in the order in which trials began",
             ylabel=f"best {short(content.metric, 24)} so far")  # fmt: skip
    whole_numbers(axes.xaxis)
    legend(axes, 3)
    return made
