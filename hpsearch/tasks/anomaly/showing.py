"""What is shown of anomalies beyond metrics: what the threshold finds, and whether it is of use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.tasks import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.tasks import Result

__all__ = ["NORMAL", "STRANGE", "remark", "summary", "tables"]

NORMAL, STRANGE = "normal", "strange"
"""What a row is predicted to be."""

_CHANCE = 0.5
_LEAST = 0.6
"""An area under the ROC curve below this helps nobody: 2 of 5 strange rows have a smaller error
than a normal one."""


def tables(result: Result) -> Sequence[Table]:
    """Rows of each class above the threshold, and the confusion matrix; nothing where they are not
    counted."""
    if "threshold" not in result.details:
        return ()
    by_class = [
        (name, row)
        for name, row in zip(result.classes or ("all",), _counts(result), strict=True)
        if row[0]
    ]
    title = f"above the threshold of {result.details['threshold']:.4g}"
    heads = ("class", "is", "rows", "called strange", "share")
    listed = Table(title, heads, tuple(
        (name, NORMAL if normal else STRANGE, f"{rows:,}", f"{above:,}", f"{above / rows:.2f}")
        for name, (rows, above, normal) in by_class
    ))  # fmt: skip
    if not result.classes:
        return (listed,)
    cells = tuple(
        (kind, f"{rows - above:,}", f"{above:,}") for kind, (rows, above) in _of_kinds(result)
    )
    matrix = Table(
        "confusion matrix", ("true", NORMAL, STRANGE), cells, crossed=True,
        note="a line a true kind, a column what the threshold says",
    )  # fmt: skip
    return listed, matrix


def summary(result: Result) -> str:
    """How many rows of each kind the threshold calls strange; "" where they are not counted."""
    if "threshold" not in result.details:
        return ""
    counts = [f"{above:,} of {rows:,} {kind}" for kind, (rows, above) in _of_kinds(result) if rows]
    return f"calls {' and '.join(counts)} validation rows strange"


def _counts(result: Result) -> list[tuple[int, int, bool]]:
    """Of each class its rows, those above the threshold, and whether it is normal."""
    columns = (result.details[name] for name in ("rows", "strange", "normal"))
    return [(int(rows), int(above), bool(is_normal))
            for rows, above, is_normal in zip(*columns, strict=True)]  # fmt: skip


def _of_kinds(result: Result) -> list[tuple[str, tuple[int, int]]]:
    """Of normal and of strange rows how many there are, and how many are above the threshold."""
    kinds = []
    for kind, wanted in ((NORMAL, True), (STRANGE, False)):
        own = [row for row in _counts(result) if row[2] is wanted]
        kinds.append((kind, (sum(row[0] for row in own), sum(row[1] for row in own))))
    return kinds


def remark(result: Result) -> str:
    """That a network does not find strange rows, or no better than the mean row does; "" where it
    does, or where nobody knows."""
    area, mean = result.metrics.get("auroc"), result.baseline.get("auroc")
    if area is None:
        return ""
    if mean is not None and area <= mean:
        return (
            f"is of no use: auroc {area:.3g} is no better than the distance to the mean row "
            f"({mean:.3g})"
        )
    if area < _LEAST:
        return (
            f"is of no use: auroc {area:.3g} is hardly better than chance ({_CHANCE}), so these "
            "rows cannot be recognised by how well a network reproduces them"
        )
    return ""
