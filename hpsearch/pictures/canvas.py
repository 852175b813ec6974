"""How figures are made and written: the only module that imports matplotlib.

Figures are made by its object-oriented interface, on the Agg and SVG canvases: nothing here touches
pyplot, a display, or for longer than a picture the settings of this process.
"""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "GREY", "MARKERS", "Format", "figure", "grid", "head", "logarithmic", "rendered",
    "short", "shown", "whole_numbers",
]  # fmt: skip

Format = Literal["png", "svg"]

COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442",
)  # fmt: skip
"""Eight that people with any kind of colour blindness tell apart (Okabe and Ito, "Color Universal
Design", 2008), those that are hard to see on white last."""
MARKERS = "osD^vPX*"
"""The shapes that go with them: colour alone never says what a point is."""
GREY = "#767676"

_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.framealpha": 0.8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "figure.titlesize": 10,
    "figure.facecolor": "white",
    "savefig.dpi": 100,
    # A dollar sign in the name of a class begins no formula.
    "text.parse_math": False,
    "text.usetex": False,
    # The same content gives the same bytes.
    "svg.hashsalt": "hpsearch",
}
_MORE_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "Microsoft YaHei",
    "Hiragino Sans", "Arial Unicode MS",
)  # fmt: skip
"""For letters that DejaVu Sans, which matplotlib brings, does not have; those of them that are
installed."""


def rendered(draw: Callable[[Any], Figure], content: Any, format_: Format = "png") -> bytes:
    """The file of the figure that `draw` makes of `content`."""
    with _styled():
        made = draw(content)
        buffer = io.BytesIO()
        about = {"Software": None} if format_ == "png" else {"Date": None, "Creator": "hpsearch"}
        made.savefig(buffer, format=format_, metadata=about)
    return buffer.getvalue()


@contextmanager
def _styled() -> Iterator[None]:
    """Inside, matplotlib has our settings, and keeps to itself which fonts it looks for."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of a letter that no font has
            import matplotlib as mpl
            from matplotlib import font_manager

            known = {font.name for font in font_manager.fontManager.ttflist}
            fonts = ["DejaVu Sans", *(name for name in _MORE_FONTS if name in known)]
            ours: dict[Any, Any] = {k: v for k, v in mpl.rcParamsDefault.items() if k != "backend"}
            ours |= {**_STYLE, "font.family": fonts}
            with mpl.rc_context(ours):
                yield
    finally:
        log.setLevel(level)


def figure(
    title: str, width: float = 6.4, height: float = 3.6, rows: int = 1, columns: int = 1,
    **how: Any,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A new figure of so many inches with its axes, row by row."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    made.suptitle(short(title, int(14 * width)), x=0.01, ha="left")
    found = made.subplots(rows, columns, squeeze=False, **how)
    return made, list(found.ravel())


def grid(
    title: str, rows: int, columns: int, cell: float = 0.9, least: float = 4.0, beside: float = 0.0
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of images: axes without scales, of about `cell` inches each, in rows.

    `beside` is the room at the left, in inches, for what the rows are called.
    """
    width = max(columns * cell + beside, least)
    made, flat = figure(title, width, rows * cell + 0.5, rows, columns)
    for axes in flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    return made, [flat[at * columns : (at + 1) * columns] for at in range(rows)]


def head(axes: Axes, lines: Sequence[str], size: float = 7, most: int = 18) -> None:
    """Small words above an image, of at most so many letters a line."""
    words = "\n".join(short(line, most) for line in lines)
    axes.set_title(words, fontsize=size, loc="center", pad=2)


def logarithmic(axis: Axis) -> None:
    """Plain numbers at an axis of a logarithmic scale: matplotlib writes them as formulas."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_numbers(axis: Axis) -> None:
    """Put marks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def short(text: str, most: int) -> str:
    """A name with its middle left out where it is long, and control characters made visible."""
    text = visible(text, lines=False)
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def shown(axes: Axes, image: np.ndarray[Any, Any], **how: Any) -> None:
    """Put an image (H, W) or (H, W, 3) into axes, its pixels as they are."""
    axes.imshow(image, interpolation="nearest", aspect="equal", **how)
