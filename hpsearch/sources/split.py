"""Which rows are for training, which for validation, and which for the test.

The split depends on the data and on the seed alone, so every worker of a study has the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError
from hpsearch.spec.source import SOURCES, DataSpec
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.sources.raw import Raw, Rows
    from hpsearch.spec.task import Baseline

__all__ = [
    "DataSettings", "Split", "baselines", "divide", "facts", "latest", "stratified", "whole_groups",
]  # fmt: skip

_NAMED = 3
"""Classes that a note names; of more it says how many."""


@dataclass(frozen=True)
class DataSettings:
    """Which data, and how it is split: the part of a study that `load` needs."""

    section: DataSpec
    """The data section of the study."""
    base: Path = Path()
    """The folder of the study file."""
    every_class: bool = False
    """Whether each class that has a row for each part gets one there. Studies of version 1, and
    networks that they handed over, are split without."""

    @classmethod
    def of(
        cls, source: str, base: Path = Path(), *, every_class: bool = False, **keys: Any
    ) -> DataSettings:
        """Those of a source, with the keys of its section.

        Raises PluginError where the source is not here, and pydantic.ValidationError for keys that
        it does not have.
        """
        values = {key: str(v) if isinstance(v, Path) else v for key, v in keys.items()}
        section = SOURCES[source].section.model_validate({"source": source, **values})
        return cls(section, base, every_class)

    @property
    def name(self) -> str:
        """What to call the data in an error: its first file, or its source."""
        files = SOURCES[self.section.source].files
        return str(self.base / getattr(self.section, files[0])) if files else self.section.source


@dataclass(frozen=True)
class Split:
    """Disjoint row numbers, rising."""

    train: Rows
    validation: Rows
    test: Rows

    @property
    def digest(self) -> str:
        """SHA-256 of the row numbers."""
        parts = (part.astype("<i8").tobytes() for part in (self.train, self.validation, self.test))
        return hashlib.sha256(b"|".join(parts)).hexdigest()


def divide(raw: Raw, settings: DataSettings) -> tuple[Split, list[str]]:
    """The three parts, and notes on classes that a part lacks and on what the limit leaves out.

    Raises DataError where there are too few rows.
    """
    section = settings.section
    rows: Rows = np.arange(len(raw.targets), dtype=np.int64)
    are_classes = bool(raw.classes)
    classes = raw.targets if are_classes else np.zeros_like(rows)
    # Its numbers are the same in every version of NumPy, which a Generator's need not be.
    bits = np.random.PCG64(section.seed)
    notes: list[str] = []

    def draw(rows: Rows, count: int) -> tuple[Rows, Rows]:
        """Rows in two: the rest, and `count` drawn by the seed, classes in equal shares."""
        chosen = stratified(classes[rows], count, bits)
        return rows[~chosen], rows[chosen]

    def cut(rows: Rows, count: int) -> tuple[Rows, Rows]:
        """The same; the second part is the latest rows, or whole groups, where the data says so."""
        if raw.order is not None:
            chosen = latest(raw.order[rows], count)
        elif raw.groups is not None:
            chosen = whole_groups(raw.groups[rows], count, bits)
        else:
            return draw(rows, count)
        return rows[~chosen], rows[chosen][raw.gap :]

    rest, own_validation, test = _own_parts(raw, section, rows)
    wanted = section.validation_share * len(rest)
    if not raw.own_test:
        wanted = section.validation_share * len(rows)
        rest, test = cut(rest, round(section.test_share * len(rows)))
    unused = rows[:0]
    if section.limit is not None and section.limit < len(rest):
        notes.append(f"limit: {section.limit} of {len(rest)} training and validation rows used")
        wanted *= section.limit / len(rest)
        unused, rest = draw(rest, section.limit)
    if len(own_validation):
        parts = Split(rest, own_validation, test)
        _check_sizes(parts)
        return parts, [*_lacking(raw, classes, parts), *notes]
    count = round(wanted)
    if count < 2 or len(rest) - count < 2:
        raise DataError(
            f"{len(rest)} rows for training and validation, {count} of them for validation: each "
            f"needs 2 or more. Change data.validation, data.test or data.limit, or get more rows"
        )
    train, validation = cut(rest, count)
    if len(train) < 2 or len(validation) < 2:
        what = "groups" if raw.groups is not None else "different values to put rows in order by"
        way_out = "leave data.split out, or split by another column"
        if raw.gap:
            what = f"rows behind the {raw.gap} at the start of each part that are in none"
            way_out = "predict fewer rows ahead, raise data.validation, or get more rows"
        raise DataError(
            f"{len(train)} rows for training and {len(validation)} for validation: too few {what}; "
            f"{way_out}"
        )
    at_random = raw.order is None and raw.groups is None
    if settings.every_class and are_classes and at_random:
        own = [test] if len(test) and not raw.own_test else []
        train, validation, *own = _spread(classes, [train, validation, *own], unused, bits)
        test = own[0] if own else test
    parts = Split(train, validation, test)
    return parts, [*_lacking(raw, classes, parts), *notes]


def _check_sizes(parts: Split) -> None:
    train, validation = len(parts.train), len(parts.validation)
    if train < 2 or validation < 2:
        raise DataError(
            f"{train} rows for training and {validation} for validation: each needs 2 or more"
        )


def _own_parts(raw: Raw, section: DataSpec, rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Training rows, and the data's own validation and test part, which may be empty.

    Raises DataError where the search is to be measured on a test part that the data does not have.
    """
    rest, test = np.split(rows, [len(rows) - raw.own_test])
    rest, validation = np.split(rest, [len(rest) - raw.own_validation])
    if not section.measured_on_test:
        return rest, validation, test
    if not len(test):
        raise DataError("data.validation is test, and the data has no test part of its own")
    return np.concatenate([rest, validation]), test, test[:0]


def _lacking(raw: Raw, classes: Rows, parts: Split) -> Iterator[str]:
    """A note on each part that has no row of some class."""
    named = {"training": parts.train, "validation": parts.validation, "test": parts.test}
    for name, part in named.items():
        lacking = np.setdiff1d(classes, classes[part])
        if len(lacking) and len(part):
            names = f": {', '.join(raw.classes[n] for n in lacking)}"
            yield (
                f"{name} part: no row of {len(lacking)} of {len(raw.classes)} classes"
                f"{names if len(lacking) <= _NAMED else ''}"
            )


def _spread(
    classes: NDArray[Any], parts: Sequence[Rows], unused: Rows, bits: np.random.BitGenerator
) -> list[Rows]:
    """The parts, each with a row of each class that has as many rows as there are parts.

    A row that a part lacks is exchanged for one of the part's most frequent class, so that sizes
    stay, but where it has no class of two rows. Parts that lack nothing stay as they are.
    """
    pools = [*parts, unused]
    place = np.full(len(classes), -1)
    for number, rows in enumerate(pools):
        place[rows] = number
    counts = np.stack([np.bincount(classes[rows], minlength=classes.max() + 1) for rows in pools])

    def move(kind: int, start: int, end: int) -> None:
        """One row of a class, drawn by the seed."""
        rows = np.flatnonzero((classes == kind) & (place == start))
        place[rows[int(bits.random_raw()) % len(rows)]] = end
        counts[start, kind] -= 1
        counts[end, kind] += 1

    for kind in range(counts.shape[1]):
        if counts[:, kind].sum() < len(parts):
            continue
        for part in np.flatnonzero(counts[:-1, kind] == 0).tolist():
            donor = len(parts) if counts[-1, kind] else int(counts[:-1, kind].argmax())
            other = int(counts[part].argmax())
            move(kind, donor, part)
            if counts[part, other] > 1:
                move(other, part, donor)
    return [np.flatnonzero(place == number) for number in range(len(parts))]


def facts(raw: Raw, parts: Split) -> dict[str, Any]:
    """What the targets of the parts tell about metrics, as plain values.

    `class_rows`, rows of each class by part; for numbers `constant`, the parts in which all are the
    same; and the `baseline`, what a constant answer gives on the validation part, but where that
    takes the inputs. Other simple answers of the source are its `baselines`.
    """
    targets = {name: raw.targets[rows] for name, rows in vars(parts).items()}
    values: dict[str, Any] = {}
    simple = [asdict(baseline) for baseline in baselines(raw, parts.train, parts.validation)]
    if TASKS[raw.task].baseline is not None:
        values["baseline"] = simple.pop(0)
    if simple:
        values["baselines"] = simple
    if raw.classes:
        rows = {
            name: np.bincount(part, minlength=len(raw.classes)).tolist()
            for name, part in targets.items()
        }
        return {"class_rows": rows, **values}
    same = [name for name, part in targets.items() if len(part) and (part == part[0]).all()]
    return {"constant": same, **values}


def baselines(raw: Raw, train: Rows, part: Rows) -> Sequence[Baseline]:
    """What simple answers that the training rows give are worth on a part: the task's constant one,
    but where that takes the inputs, and then those of the source."""
    others = raw.baselines(train, part)
    constant = TASKS[raw.task].baseline
    if constant is None:
        return others
    with TASKS.blamed(raw.task):
        return [constant(raw.targets[train], raw.targets[part], raw.classes), *others]


def stratified(
    classes: NDArray[Any], count: int, bits: np.random.BitGenerator
) -> NDArray[np.bool_]:
    """Which rows are drawn: systematic sampling of the rows of one class after the other, each in
    random order. So a class has its share, to a row, and no row is likelier than another.

    Args:
        classes: (N,), of each row.
        count: How many, at most N.
        bits: Is advanced.

    scikit-learn's `train_test_split` is slow to load, and refuses classes of one row.
    """
    order = np.lexsort((bits.random_raw(len(classes)), classes))
    start = int(bits.random_raw()) % len(order)
    passed = (np.arange(len(order) + 1, dtype=np.int64) * count + start) // len(order)
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order] = np.diff(passed) > 0
    return chosen


def latest(order: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Which rows are the latest `count`, and those of the same moment as the first of them.

    Args:
        order: (N,), where each row stands.
        count: How many, at most N.
    """
    if not count:
        return np.zeros(len(order), dtype=bool)
    late: NDArray[np.bool_] = order >= np.sort(order)[-count]
    return late


def whole_groups(
    groups: NDArray[np.int64], count: int, bits: np.random.BitGenerator
) -> NDArray[np.bool_]:
    """Which rows are drawn: whole groups in random order, until `count` rows are nearest.

    Args:
        groups: (N,), the group of each row.
        count: How many, at most N.
        bits: Is advanced.
    """
    names, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    drawn, taken = np.zeros(len(names), dtype=bool), 0
    for place in np.argsort(bits.random_raw(len(names)), kind="stable"):
        if abs(taken + sizes[place] - count) < abs(taken - count):
            drawn[place], taken = True, taken + int(sizes[place])
    chosen: NDArray[np.bool_] = drawn[places]
    return chosen
