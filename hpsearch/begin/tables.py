"""The first study file of a table: its target, its metric, the columns that are left out."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.begin import families
from hpsearch.begin.draft import Draft, listed, metric_of, relative
from hpsearch.errors import DataError, StudyFileError
from hpsearch.sources.table.column import CellError, Column, number_of, quoted, shown
from hpsearch.sources.table.columns import Decision, decide
from hpsearch.sources.table.kinds import is_named_id
from hpsearch.sources.table.rules import (
    FEW_VALUES,
    MOST_MISSING,
    MOST_ODD_TEXTS,
    WHOLE_BYTES,
    Override,
    Overrides,
)
from hpsearch.sources.table.sample import sample
from hpsearch.sources.table.targets import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.sources.table.reading import Table
    from hpsearch.sources.table.targets import Target

__all__ = ["ENDINGS", "draft"]

ENDINGS = frozenset({
    ".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq", ".feather", ".arrow", ".jsonl", ".ndjson",
    ".xlsx", ".csv.gz", ".tsv.gz",
})  # fmt: skip
"""How the names of tables end."""

_TARGETS = re.compile(
    r"(?:target|label|class(?:es)?|y|outcome|response|churn(?:ed)?|survived|species|diagnosis|"
    r"default(?:ed)?|fraud|is_fraud|price|sale_?price|medv|quality|income|salary|category|kind)",
    re.IGNORECASE,
)
"""What the column is often called that is to be predicted."""
_MOST_CLASSES = 50


def draft(path: Path, folder: Path, target: str | None = None) -> Draft:
    """A study of a table.

    Args:
        path: The table.
        folder: That of the study file.
        target: The column to predict; None: the one that looks like it, or the last one.

    Raises DataError for a table that cannot be read or learnt from, StudyFileError where no column
    looks like a target.
    """
    table, header = _read(path)
    goal, why = (target, "") if target else _guessed(table.names)
    if len(table.names) == 1:
        raise DataError(f"{path} has one column, {shown(table.names[0])}: nothing to predict it by")
    try:
        decision, missing, faults = _decided(path, table, goal)
    except DataError as error:
        other = "" if target or not table.rows else "; --target names another column"
        raise DataError(f"{error}{other}") from None
    if decision.target is None:
        raise StudyFileError(
            f"{path}: what `{goal}` is is not clear from its first rows; name another column "
            "with --target"
        )
    _check_target(path, decision.target, decision, table.names, guessed=not target)
    drafted = _Table(path, folder, table, decision, missing, faults, why).draft()
    if not header:
        drafted.content["data"]["header"] = False
        drafted.note(("data", "header"), "the first line is a row, so the columns have no names")
    return drafted


def _read(path: Path) -> tuple[Table, bool]:
    """The whole of a table, or the beginning of a large one; and whether it names its columns."""
    from hpsearch.sources.table import cells
    from hpsearch.sources.table.reading import ReadOptions

    read = sample if path.stat().st_size > WHOLE_BYTES else cells.read
    try:
        return read(path, ReadOptions()), True
    except DataError as error:
        if "data.header: false" not in str(error):
            raise
        return read(path, ReadOptions(header=False)), False


def _guessed(names: Sequence[str]) -> tuple[str, str]:
    """The column that is most likely the target, and why."""
    if not names:
        raise DataError("the table has no columns")
    named = [name for name in names if _TARGETS.fullmatch(name.strip())]
    if named:
        return named[-1], "its name says so"
    return names[-1], "the last column"


def _decided(
    path: Path, table: Table, goal: str
) -> tuple[Decision, dict[str, list[str]], dict[str, str]]:
    """What each column is; the texts that are taken for missing values among numbers or dates; and
    the columns of which only a person can say what they are, with the question.

    Of the target, whose rows are then left out, a few such texts are taken, of an input more: two
    cells of a thousand are no reason to do without it.
    """
    missing: dict[str, list[str]] = {}
    faults: dict[str, str] = {}
    while True:
        own = {name: Override(missing=tuple(texts)) for name, texts in missing.items()}
        try:
            return decide(table, goal, Overrides(own, ignore=tuple(faults)), None), missing, faults
        except CellError as error:
            fault = (error.several or (error,))[0]
            is_goal, texts = fault.column == goal, missing.pop(fault.column, [])
            most = MOST_ODD_TEXTS if is_goal else MOST_MISSING
            if fault.missing and len(texts) + len(fault.missing) <= most:
                missing[fault.column] = [*texts, *fault.missing]
            elif is_goal:
                raise DataError(f"{path}: {fault}") from None
            else:
                faults[fault.column] = str(fault)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None


def _check_target(
    path: Path, goal: Target, decision: Decision, names: Sequence[str], *, guessed: bool
) -> None:
    """StudyFileError where a guessed target names rows more than it sorts them, DataError where it
    is the same number in each row."""
    if goal.least is not None and goal.least == goal.largest and decision.complete:
        raise DataError(
            f"{path}: the target {shown(goal.column.name)} is {goal.least:.6g} in each row: "
            f"nothing to predict{'; --target names another column' if guessed else ''}"
        )
    many = len(goal.classes) > max(_MOST_CLASSES, 0.2 * decision.rows)
    if guessed and many:
        raise StudyFileError(
            f"{path}: no column looks like what is to be predicted; name it with --target, one of "
            f"{listed(names, 20)}"
        )


class _Table:
    """A table that has been looked at."""

    def __init__(
        self, path: Path, folder: Path, table: Table, decision: Decision,
        missing: dict[str, list[str]], faults: dict[str, str], why: str,
    ) -> None:  # fmt: skip
        assert decision.target is not None
        self._path, self._folder, self._why = path, folder, why
        self._table, self._decision = table, decision
        self._missing, self._faults = missing, faults
        self._goal: Target = decision.target

    def draft(self) -> Draft:
        """The study, with the reasons."""
        data, ids = self._data()
        classes = self._goal.classes
        counts = self._counts() if classes else []
        metric, why = metric_of(classes, counts) if classes else ("rmse", self._rmse())
        rare = metric in ("auroc", "f1")
        count = self._decision.rows
        is_text = "text" in data
        family = families.text(count, imbalanced=rare) if is_text else families.rows(
            count, imbalanced=rare)  # fmt: skip
        content = {
            "data": data, "network": {"family": "text" if is_text else "mlp"}, "metric": metric,
            "parameters": family,
        }  # fmt: skip
        draft = Draft(content, [self._title(ids), *self._remarks(is_text)])
        draft.note(("data", "target"), self._target())
        if ids or self._faults:
            draft.note(("data", "ignore"), *self._ignored(ids))
        if "columns" in data:
            draft.note(("data", "columns"), "these texts are taken for missing values; "
                       "{kind: category} instead makes the column one of codes")  # fmt: skip
        draft.note(("data",), *self._left_out(is_text))
        draft.note(("metric",), why)
        if rare:
            draft.note(("parameters", "class_weight"), "rare classes may count more in training")
        return draft

    def _data(self) -> tuple[dict[str, Any], list[str]]:
        """The section, and the columns of identifiers that are left out by name."""
        columns = self._decision.columns
        ids = [c.name for c in columns if c.kind == "number" and is_named_id(c.name)
               and c.distinct == c.cells > 1 and not c.missing]  # fmt: skip
        data: dict[str, Any] = {
            "source": "table", "path": relative(self._path, self._folder),
            "target": self._goal.column.name,
        }  # fmt: skip
        used = [c for c in self._decision.used if c.name not in ids]
        texts = [c for c in columns if c.kind == "text"]
        if not used and texts:
            data["text"] = texts[0].name
            return data, []
        if not used:
            raise DataError(
                f"{self._path}: no column but `{self._goal.column.name}` says anything of a row: "
                f"{'; '.join(self._reasons([*columns]))}"
            )
        ignore = [*ids, *self._faults]
        if ignore:
            data["ignore"] = ignore
        if self._missing:
            data["columns"] = {name: {"missing": words} for name, words in self._missing.items()}
        return data, ids

    def _remarks(self, is_text: bool) -> list[str]:
        """What a reader should know before the first run: what was guessed, and may be wrong."""
        if is_text:
            return []
        by_texts: dict[tuple[str, ...], list[str]] = {}
        for name, texts in self._missing.items():
            by_texts.setdefault(tuple(map(quoted, texts)), []).append(shown(name))
        remarks = [
            f"{', '.join(texts)} in {listed(names)} "
            f"{'is taken for a missing value' if len(texts) == 1 else 'are taken for missing'}"
            ": see data.columns"
            for texts, names in by_texts.items()
        ]
        if self._goal.column.name in self._missing:
            rows = number_of(self._goal.column.missing, "row")
            remarks.append(f"{rows} without a number as target left out")
        if self._faults:
            names = ", ".join(map(shown, self._faults))
            remarks.append(f"left out, as only you can say how to read them: {names}; the study "
                           "file has the question at data.ignore")  # fmt: skip
        warnings = [w for w in self._decision.warnings if "data.split" not in w]
        return remarks + [f"warning: {one}" for one in warnings]

    def _title(self, ids: Sequence[str]) -> str:
        used = [c for c in self._decision.used if c.name not in ids]
        inputs = sum(c.inputs for c in used)
        first = "" if self._decision.complete else "its first "
        if not used:
            return f"{self._path.name}: {first}{self._decision.rows:,} rows of sentences."
        # Which values are frequent is decided by the training rows.
        about = (
            "about " if any(c.distinct > FEW_VALUES and c.kind == "category" for c in used) else ""
        )
        return (
            f"{self._path.name}: {first}{self._decision.rows:,} rows; {len(used)} of "
            f"{len(self._decision.columns)} columns are inputs, {about}{inputs:,} numbers a row."
        )

    def _target(self) -> str:
        goal = self._goal
        why = f"{self._why}; --target names another" if self._why else ""
        if goal.kind == "numbers":
            what = f"a number from {goal.least:.6g} to {goal.largest:.6g}"
        else:
            what = f"{len(goal.classes)} classes, {listed(goal.classes)}"
        return f"{what}{f' ({why})' if why else ''}"

    def _counts(self) -> list[int]:
        """Rows of each class."""
        cells = self._table.column(self._goal.column.name)
        texts = cells if isinstance(cells, tuple) else cells.to_pylist()
        counts = Counter(label(_text(cell), self._goal) for cell in texts if cell not in ("", None))
        return [counts.get(name, 0) for name in self._goal.classes]

    def _rmse(self) -> str:
        return (
            f"rmse, as {self._goal.column.name} is a number: an error in its own unit; mae counts "
            "large errors less, r2 is the share of the variance explained"
        )

    def _ignored(self, ids: Sequence[str]) -> list[str]:
        remarks = [f"{listed(ids)}: a different number in each row, which says nothing of others"
                ] if ids else []  # fmt: skip
        return remarks + [
            f"{name}: {text.partition(': ')[2]}" for name, text in self._faults.items()
        ]

    def _left_out(self, is_text: bool) -> list[str]:
        """The columns that become no input, and why; and what to know of the order of rows."""
        named = {*self._faults}
        columns = [c for c in self._decision.columns if not c.inputs and c.name not in named]
        remarks = []
        if is_text:
            remarks.append("the sentences are read word by word; no other column says anything")
        elif columns:
            remarks.append(f"hpsearch leaves out: {'; '.join(self._reasons(columns))}")
        texts = [c.name for c in columns if c.kind == "text"]
        if texts and not is_text:
            remarks.append(
                f"networks of the family text read {texts[0]} and nothing else: data: {{text: "
                f"{texts[0]}}}, network: {{family: text}}"
            )
        ordered = [w for w in self._decision.warnings if "data.split" in w]
        return remarks + [re.sub(r"^column `(.*?)`: ", r"\1: ", one) for one in ordered[:2]]

    def _reasons(self, columns: Sequence[Column]) -> list[str]:
        def why(column: Column) -> str:
            return column.reason.removeprefix("left out: ")

        groups = groupby(sorted(columns, key=why), key=why)
        return [f"{listed([c.name for c in group])} ({reason})" for reason, group in groups]


def _text(cell: object) -> str:
    """A cell as its class is called."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(cell)
