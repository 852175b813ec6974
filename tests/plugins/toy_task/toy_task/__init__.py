"""A task that hpsearch knows nothing of: classes in an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.tasks import Baseline, Loss, Metric, Result, Setting, Table, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["TASK"]


def baseline(train: NDArray[Any], validation: NDArray[Any], classes: Sequence[str]) -> Baseline:
    """The most frequent grade."""
    grade = max(range(len(classes)), key=lambda at: int((train == at).sum()))
    off = abs(validation - grade)
    values = {"distance": float(off.mean()), "near": float((off <= 1).mean())}
    return Baseline(f"always grade {classes[grade]}", values)


def tables(result: Result) -> Sequence[Table]:
    """How many rows are off by how much."""
    counts = result.details.get("off", [])
    rows = tuple((f"by {at}", str(count)) for at, count in enumerate(counts))
    return [Table("how far off", ("grades", "rows"), rows)] if counts else []


TASK = Task(
    name="grades",
    doc="To tell the class of a row, where classes have an order.",
    target="classes",
    losses=(
        Loss("steps", "of each step to a higher class whether it is taken",
             outputs=lambda classes: classes - 1),
    ),
    metrics=(
        Metric("distance", "minimize", "classes that a row is off, mean over rows", 0),
        Metric("near", "maximize", "share of rows that are off by one class at most", 0, 1),
        Metric("loss", "minimize", "the training loss, without pull", 0),
    ),
    learning="toy_task.learning",
    baseline=baseline,
    settings=(
        Setting("pull", "float", 0.0, "Pull of the outputs towards 0.", low=0, high=1,
                group="regularization", per_slot=True, more="regularization"),
    ),
    tables=tables,
)  # fmt: skip
