"""What is shown of classes beyond metrics: a constant answer, and who is taken for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.tasks import Baseline, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.tasks import Result

__all__ = ["baseline", "remark", "tables"]

_BALANCED = "under parameters, as --set parameters.regularization.class_weight=balanced"


def baseline(
    train: NDArray[np.int64], validation: NDArray[np.int64], classes: Sequence[str]
) -> Baseline:
    """The most frequent class of the training rows as the answer for every validation row, and for
    the loss the shares of the classes."""
    import numpy as np

    rows, asked = (np.bincount(part, minlength=len(classes)) for part in (train, validation))
    answer, total = int(rows.argmax()), int(asked.sum())
    right = int(asked[answer])
    # As the metrics are counted: classes that are in neither targets nor answers do not count.
    counted = int((asked > 0).sum()) + (right == 0)
    values = {
        "accuracy": right / total,
        "precision": right / total / counted,
        "recall": (right > 0) / counted,
        "f1": 2 * right / (right + total) / counted,
        "auroc": 0.5,
    }
    is_present = asked > 0
    if rows[is_present].all():
        shares = rows[is_present] / rows.sum()
        values["loss"] = float(-(asked[is_present] / total * np.log(shares)).sum())
    return Baseline(f"majority class {classes[answer]}", values)


def tables(result: Result) -> Sequence[Table]:
    """Precision, recall and rows of each class, and the confusion matrix; nothing where that is
    not kept."""
    confusion = result.details.get("confusion")
    if confusion is None or not result.classes:
        return ()
    answered = [sum(column) for column in zip(*confusion, strict=True)]
    rows = []
    for at, (name, row) in enumerate(zip(result.classes, confusion, strict=True)):
        shares = (_share(row[at], whole) for whole in (answered[at], sum(row)))
        rows.append((name, *shares, str(sum(row))))
    by_class = Table("by class", ("class", "precision", "recall", "rows"), tuple(rows))
    matrix = Table(
        "confusion matrix",
        ("true", *result.classes),
        tuple((name, *map(str, row)) for name, row in zip(result.classes, confusion, strict=True)),
        crossed=True,
        note="a line a true class, a column a predicted one",
    )
    return by_class, matrix


def remark(result: Result) -> str:
    """That a network answers one class for every row, and what to try; "" where it does not."""
    answer = _only_answer(result.details.get("confusion"), result.classes)
    if answer is None:
        return ""
    named = result.settings.get("class_weight") == "balanced"
    weighted = named or "class_weight" in result.searched
    advice = [] if weighted else [f"class_weight: balanced ({_BALANCED})"]
    advice += ["metric: f1"] if result.metric == "accuracy" else []
    to_try = f"; try {' or '.join(advice)}, under another name (--set name=...)" if advice else ""
    why = "; auroc only compares the order of rows" if result.metric == "auroc" else ""
    return f"predicts {answer} for every validation row{why}{to_try}"


def _only_answer(confusion: Any, classes: Sequence[str]) -> str | None:
    if confusion is None or not classes:
        return None
    given = [at for at, column in enumerate(zip(*confusion, strict=True)) if any(column)]
    return classes[given[0]] if len(given) == 1 else None


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"
