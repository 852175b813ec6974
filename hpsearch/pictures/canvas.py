"""How figures are made and written: the only module that imports matplotlib.

Figures are made by its object-oriented interface, on the Agg and SVG canvases: nothing here touches
pyplot, a display, or for longer than a picture the settings of this process.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "GREY", "MARKERS", "Format", "cut", "figure", "grid", "head", "inline", "legend",
    "logarithmic", "rendered", "short", "shown", "whole_numbers", "widen",
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
    "axes.formatter.useoffset": False,  # `1e-7+1` above an axis is read by nobody
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
_THEMED = {"ink": "#0b0c0d", "line": "#0b0c0e", "card": "#0b0c0f"}
"""Colours that nothing else has: they stand for the variables of the page around a picture."""
_IN_A_PAGE: dict[str, Any] = {
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color",
         "ytick.color", "legend.labelcolor"),
        _THEMED["ink"],
    ),
    "grid.color": _THEMED["line"],
    "legend.facecolor": _THEMED["card"],
    "legend.edgecolor": _THEMED["line"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # letters stay letters: small, and found by a search in the page
}  # fmt: skip
_LIGHTER = 4
"""Colours that are made for a white page and too dark for a black one."""
_LEFT_OUT = re.compile(
    r"\A.*?(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>"  # a style would be the whole page's
    r'| id="(?:[a-z0-9.]+_\d+|image\w+)"'  # nothing refers to it, and a page has several pictures
    r"|(?<=\n)\s+",
    re.DOTALL | re.IGNORECASE,
)
_FAMILY = re.compile(r"font-family: [^;\"]*")
_SIZE = re.compile(r'width="([\d.]+pt)" height="[\d.]+pt"')
_DECADES = 2
"""Powers of ten up to which a logarithmic scale has marks between them, too."""
_LEAST_SPAN = 1e-3
"""Of the values of an axis, as a share of them."""
_MORE_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "Microsoft YaHei",
    "Hiragino Sans", "Arial Unicode MS",
)  # fmt: skip
"""For letters that DejaVu Sans, which matplotlib brings, does not have; those of them that are
installed."""


def rendered(
    draw: Callable[[Any], Figure], content: Any, format_: Format = "png",
    settings: Mapping[str, Any] = {},
) -> bytes:  # fmt: skip
    """The file of the figure that `draw` makes of `content`, with more of matplotlib's settings."""
    with _styled(settings):
        made = draw(content)
        widen(made)
        buffer = io.BytesIO()
        about = {"Software": None} if format_ == "png" else {"Date": None, "Creator": "hpsearch"}
        made.savefig(buffer, format=format_, metadata=about)
    return buffer.getvalue()


def inline(draw: Callable[[Any], Figure], content: Any) -> str:
    """The `<svg>` of that figure, to stand in a page of HTML: its ink, lines and ground are the
    page's CSS variables `--ink`, `--line` and `--card`, so that it is right in the dark, too. The
    first colours may have lighter ones there, `--c0`, `--c1` ..."""
    svg = rendered(draw, content, "svg", _IN_A_PAGE).decode()
    svg = _FAMILY.sub("font-family: inherit", _LEFT_OUT.sub("", svg))
    svg = _SIZE.sub(r'class="chart" style="width: \1"', svg, count=1)
    for name, colour in _THEMED.items():
        svg = svg.replace(colour, f"var(--{name})")
    for at, colour in enumerate(COLOURS[:_LIGHTER]):
        svg = svg.replace(colour.lower(), f"var(--c{at}, {colour})")
    return svg


@contextmanager
def _styled(more: Mapping[str, Any]) -> Iterator[None]:
    """Inside, matplotlib has our settings, and keeps to itself which fonts it looks for."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of a letter that no font has
            import matplotlib as mpl
            from matplotlib import font_manager

            installed = {font.name for font in font_manager.fontManager.ttflist}
            fonts = ["DejaVu Sans", *(name for name in _MORE_FONTS if name in installed)]
            ours: dict[Any, Any] = {k: v for k, v in mpl.rcParamsDefault.items() if k != "backend"}
            ours |= {**_STYLE, **more, "font.family": fonts}
            with mpl.rc_context(ours):
                yield
    finally:
        log.setLevel(level)


def widen(made: Figure) -> None:
    """Give axes whose values differ by what single precision leaves of none a least span."""
    for axes in made.axes:
        low, high = axes.get_ylim()
        if axes.get_yscale() == "linear" and abs(high - low) < _LEAST_SPAN * abs(low):
            middle, spare = (low + high) / 2, _LEAST_SPAN * abs(low)
            axes.set_ylim(middle - spare, middle + spare)


def figure(
    title: str, width: float = 6.4, height: float = 3.6, rows: int = 1, columns: int = 1,
    **how: Any,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A new figure of so many inches with its axes, row by row."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    made.suptitle(short(title, int(14 * width)), x=0.01, ha="left")
    axes = made.subplots(rows, columns, squeeze=False, **how)
    return made, list(axes.ravel())


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


def legend(axes: Axes, columns: int = 4, **how: Any) -> None:
    """A legend above the picture, where it covers nothing of it."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False,
                borderaxespad=0.2, **how)  # fmt: skip


def logarithmic(axis: Axis) -> None:
    """Plain numbers at an axis of a logarithmic scale: matplotlib writes them as formulas."""
    from matplotlib.ticker import (
        FixedLocator,
        LogLocator,
        MaxNLocator,
        NullFormatter,
        StrMethodFormatter,
    )

    low, high = axis.get_view_interval()
    wide = low > 0 and high / low > 10**_DECADES
    subs = (1.0,) if wide else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    if 0 < high < 10 * low:  # one mark or none would be on it
        marks = MaxNLocator(4).tick_values(low, high)
        axis.set_major_locator(FixedLocator([mark for mark in marks if low <= mark <= high]))
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


def cut(text: str, most: int) -> str:
    """A value with its end left out where it is long: the beginning of a date or a number is what
    matters."""
    text = visible(text, lines=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown(axes: Axes, image: np.ndarray[Any, Any], **how: Any) -> None:
    """Put an image (H, W) or (H, W, 3) into axes, its pixels as they are."""
    axes.imshow(image, interpolation="nearest", aspect="equal", **how)
