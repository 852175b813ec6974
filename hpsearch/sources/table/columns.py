"""What each column of a table is, decided once.

`decide` looks at the distinct texts of each column, with their counts over the rows that have a
target, and gives a `Decision`: plain values, which are frozen with the study and with a network
that is handed over, so that prediction decides nothing again. The first kind that fits is the
column's:

    empty, constant, row number    left out (a constant with gaps: whether there is a value)
    number                         a number, and whether it was missing
    boolean                        two texts: one input
    date                           days, month, weekday, hour
    text                           sentences
    identifier                     left out
    category                       an input a value

`rules` has the thresholds. Neither Arrow nor NumPy is imported for a plain list of texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DataError
from hpsearch.sources.table.column import CellError, Column, Notes, Undecided, lacking, shown
from hpsearch.sources.table.kinds import decide_column
from hpsearch.sources.table.leaks import leak
from hpsearch.sources.table.repeats import repeats
from hpsearch.sources.table.rules import Override, Overrides
from hpsearch.sources.table.targets import Target, TargetKind, decide_target

if TYPE_CHECKING:
    from hpsearch.sources.table.reading import Table

__all__ = ["Column", "Decision", "Override", "Overrides", "Target", "decide"]


@dataclass(frozen=True)
class Decision:
    """What the columns of a table are: plain values."""

    rows: int
    """Rows of the table, or of the sample that was looked at; those without a target included."""
    complete: bool
    """Whether all rows of the table were looked at."""
    target: Target | None
    """None also where the first rows of a table do not settle it."""
    columns: tuple[Column, ...]
    """All but the target, in the order of the table."""
    notes: tuple[str, ...] = ()
    """What was done that a reader should know, a sentence each."""
    warnings: tuple[str, ...] = ()
    """Choices that may hurt, and the key of the study file that changes each."""

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that become inputs."""
        return tuple(column for column in self.columns if column.inputs)

    def is_open(self, target: str | None) -> bool:
        """Whether the first rows leave open what a column is, or the target."""
        lacks = target is not None and self.target is None
        return lacks or any(column.kind == "open" for column in self.columns)

    @property
    def inputs(self) -> int:
        """Numbers that a row becomes."""
        return sum(column.inputs for column in self.columns)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Decision:
        """The decision that `as_json` gave; pydantic.ValidationError where it is none."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(values)


def decide(
    table: Table, target: str | None, overrides: Overrides, kind: TargetKind | None = None
) -> Decision:
    """What the columns of `table` are.

    Args:
        table: Its cells, or those of its first rows.
        target: The name of the target column; None where there is none.
        overrides: What the study file says of columns.
        kind: What the target has to be; None: what it looks like.

    Raises DataError for a cell that fits nothing: one line with its column, its line and the key of
    the study file that settles it. Of a table's first rows that is a warning, as the rows below may
    settle it.
    """
    wanted = [target, overrides.text, *overrides.columns, *overrides.ignore]
    if missing := lacking(table.names, dict.fromkeys(name for name in wanted if name is not None)):
        raise DataError(f"the table has no {missing}")
    if table.complete and not table.rows:
        raise DataError("the table has names of columns, and no rows")
    notes = Notes()
    goal, rows = None, None
    if target is not None:
        this = Undecided.of(table, target, None, overrides.of(target), notes)
        try:
            goal, rows = decide_target(this, kind)
        except DataError as error:
            _raise_or_doubt(error, table, notes)
    names = [name for name in table.names if name != target]
    columns = _columns(table, names, rows, overrides, notes)
    sentences, warnings = notes.sentences()
    used = [column for column in columns if column.inputs and column.kind != "text"]
    if goal is not None and len(used) > 1 and (leaking := leak(table, goal, used, rows)):
        warnings = (leaking, *warnings)
    if table.complete and (copies := repeats(table, columns)):
        warnings = (*warnings, copies)
    return Decision(table.rows, table.complete, goal, columns, sentences, warnings)


def _columns(
    table: Table, names: list[str], rows: Any, overrides: Overrides, notes: Notes
) -> tuple[Column, ...]:
    columns: dict[str, Column] = {}
    waiting: list[Undecided] = []
    decimals: set[str] = set()
    faults: list[CellError] = []

    def settle(this: Undecided) -> None:
        try:
            columns[this.name] = decide_column(this, frozenset(decimals))
        except CellError as error:
            faults.append(error)
            columns[this.name] = Column(this.name, "open", "decided by the whole file")

    for name in names:
        override = overrides.of(name)
        if override.kind == "ignore":
            columns[name] = Column(name, "ignore", "left out: the study file says so")
            if name in overrides.ignore and overrides.columns.get(name, Override()) != Override():
                notes.warn(name, "left out by data.ignore, so data.columns has no effect on it")
            continue
        if overrides.text not in (None, name):
            columns[name] = Column(name, "ignore", "left out: sentences are read alone")
            notes.note(name, f"left out, as data.text reads {shown(overrides.text or '')} alone")
            continue
        length = overrides.text_length if name == overrides.text else 0
        this = Undecided.of(table, name, rows, override, notes, length)
        if this.found.decimals and this.are_numbers:
            decimals |= {*this.found.decimals}
        if this.found.open:  # what other columns say may settle it
            waiting.append(this)
        else:
            settle(this)
    for this in waiting:
        settle(this)
    if faults and table.complete:
        raise _all_of(faults)
    for fault in faults:  # the rows below may clear it
        notes.doubt(fault)
    return tuple(columns[name] for name in names)


def _all_of(faults: list[CellError], most: int = 10) -> CellError:
    """One error that has the message of each, a line each."""
    if len(faults) == 1:
        return faults[0]
    listed = "".join(f"\n  {fault}" for fault in faults[:most])
    more = f"\n  and {len(faults) - most:,} more" if len(faults) > most else ""
    all_ = CellError(f"{len(faults):,} columns have cells that only you can read:{listed}{more}")
    all_.several = tuple(faults)
    return all_


def _raise_or_doubt(error: DataError, table: Table, notes: Notes) -> None:
    """Raise the fault of a whole table; the rows below may clear one of its first rows."""
    if table.complete:
        raise error
    notes.doubt(error)
