"""How much each parameter and each group has mattered, beside the usual order of priority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.pictures.canvas import COLOURS, figure, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpsearch.insight.importance import Importance as Measured
    from hpsearch.insight.importance import Share

__all__ = ["Importance", "content_of", "draw"]

_MOST = 14
"""Parameters that are shown; the others are summed up."""
_Row = tuple[str, float | None, float | None]
"""A name and its share by PED-ANOVA and by fANOVA; None: not judged."""


@dataclass(frozen=True)
class Importance:
    """What is drawn."""

    title: str
    trials: int
    """Those that counted."""
    groups: tuple[_Row, ...]
    """In the order in which they are thought to matter."""
    parameters: tuple[_Row, ...]
    """The most important first."""


def content_of(title: str, measured: Measured) -> Importance:
    """What is drawn of a study's importance."""
    rows = [_row(share) for share in measured.parameters]
    if len(rows) > _MOST:
        rest = rows[_MOST - 1 :]
        more: _Row = (f"{len(rest)} others", _sum([r[1] for r in rest]), _sum([r[2] for r in rest]))
        rows = [*rows[: _MOST - 1], more]
    return Importance(title, measured.compared, tuple(map(_row, measured.groups)), tuple(rows))


def _row(share: Share) -> _Row:
    return share.name, share.ped_anova, share.fanova


def _sum(shares: list[float | None]) -> float | None:
    numbers = [share for share in shares if share is not None]
    return sum(numbers) if numbers else None


def draw(content: Importance) -> Figure:
    """Bars of the groups in the usual order, where there are any, and of the parameters in the
    order found."""
    lines = max(len(content.groups), len(content.parameters))
    made, axes = figure(
        f"Importance: {content.title}, {content.trials:,} trials", 7.6,
        0.34 * lines + 1.4, columns=2 if content.groups else 1,
    )  # fmt: skip
    if content.groups:
        _draw_groups(axes[0], content.groups)
    right = axes[-1]
    words = ["not judged" if (ped, fanova) == (None, None) else "" for _, ped, fanova in
             content.parameters]  # fmt: skip
    _bars(right, [short(name, 22) for name, *_ in content.parameters], content.parameters, words)
    right.set_title("parameters, as found")
    made.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    for one in axes:  # bars of one height, however few there are
        one.set_ylim(lines - 0.5, -0.5)
    return made


def _draw_groups(axes: Axes, groups: tuple[_Row, ...]) -> None:
    ranks = _ranks([row[1] for row in groups])
    names = [f"{at}. {name.replace('_', ' ')}" for at, (name, *_) in enumerate(groups, 1)]
    ends = [f"rank {rank} here" if rank else "not judged" for rank in ranks]
    _bars(axes, names, groups, ends)
    axes.set_title("groups, in the usual order of priority")


def _ranks(shares: list[float | None]) -> list[int | None]:
    """The place of each by its share, from 1; None for one that is not judged."""
    order = sorted((s for s in shares if s is not None), reverse=True)
    return [None if share is None else order.index(share) + 1 for share in shares]


def _bars(axes: Axes, names: list[str], rows: tuple[_Row, ...], ends: list[str]) -> None:
    places = range(len(rows))
    kinds = (("PED-ANOVA", 1, -0.2, COLOURS[0], ""), ("fANOVA", 2, 0.2, COLOURS[4], "///"))
    for label, column, shift, colour, hatch in kinds:
        widths = [float(row[column] or 0.0) for row in rows]
        axes.barh([at + shift for at in places], widths, 0.36, color=colour, label=label,
                  hatch=hatch, edgecolor="white", linewidth=0.3)  # fmt: skip
    for at, words in enumerate(ends):
        longest = max(float(share or 0.0) for share in rows[at][1:])
        axes.text(longest + 0.008, at, words, va="center", fontsize=8)
    axes.set_yticks(list(places), names)
    axes.invert_yaxis()
    axes.set_xlabel("share")
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.25)
