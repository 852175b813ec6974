"""The parameters of a study file: constants, ranges and choices, in groups or not -> drafts.

A draft is one entry of the file. What is wrong with it is noted at once and leaves its domain
empty, so that what refers to it (a condition, a starting point) is not blamed as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from hpsearch.spec.family import FAMILIES
from hpsearch.spec.faults import listed, show
from hpsearch.spec.settings import GROUPS, Setting, Value
from hpsearch.spec.space import Choices, Range
from hpsearch.spec.weights import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hpsearch.spec.faults import Faults, Path

__all__ = ["AUTO", "Draft", "Entry", "drafts", "entries", "fit"]

_RANGE_KEYS = ("min", "max", "step", "log", "count")
_ROUNDING = 1e-9
"""0.9 less 0.8 is less than 0.1."""

_TOP: Path = ("parameters",)
KEYS = (*_RANGE_KEYS, "values", "default", "when", "cap")
AUTO = "batch_size"
"""The setting of which `max` may be `auto`."""
MOST_VALUES = 1_000
"""Values that a file can list for one parameter."""
MOST_STEPS = 1_000_000
"""Values that a range can have through `step` or `count`."""


@dataclass(frozen=True)
class Entry:
    """One parameter as the file has it, not yet checked."""

    group: str
    name: str
    raw: object
    path: Path


@dataclass
class Draft:
    """One parameter on its way into the space."""

    entry: Entry
    domain: Range | Choices | None = None
    """None where the entry has faults."""
    constant: bool = False
    default: Value = None
    known: bool = True
    """Whether there is such a setting."""

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.entry.name

    @property
    def path(self) -> Path:
        """Where the parameter stands in the file."""
        return self.entry.path

    @property
    def cap(self) -> str | None:
        """Where the upper end of what a device has room for comes from."""
        raw = self.entry.raw
        cap = raw.get("cap") if isinstance(raw, dict) else None
        return cap if isinstance(cap, str) else None

    @property
    def when(self) -> object:
        """The conditions as the file has them; None if there are none."""
        raw = self.entry.raw
        return raw.get("when") if isinstance(raw, dict) and not self.constant else None


def entries(content: object, settings: Mapping[str, Setting], faults: Faults) -> Iterator[Entry]:
    """The entries in the order of the file: those of its groups, or those that stand directly under
    `parameters`, each in the group of its setting and by the order of the groups.
    """
    if not isinstance(content, dict):
        faults.add(_TOP, "parameters by name, or groups of them", show(content))
        return
    groups = {name: raw for name, raw in content.items() if _is_group(name, raw, settings)}
    single = {name: raw for name, raw in content.items() if name not in groups}
    _check_form([n for n in groups if n in GROUPS], [n for n in single if n in settings], faults)
    for group, parameters in groups.items():
        path = (*_TOP, group)
        if group not in GROUPS:
            faults.add_unknown(path, GROUPS)
            faults.quiet(path)
        if not isinstance(parameters, dict):
            faults.add(path, "parameters by name", show(parameters))
            continue
        for name, raw in parameters.items():
            yield Entry(group, name, raw, (*path, name))
    for group in GROUPS:
        for name, raw in single.items():
            if (settings[name].group if name in settings else GROUPS[0]) == group:
                yield Entry(group, name, raw, (*_TOP, name))


def _is_group(name: str, raw: object, settings: Mapping[str, Setting]) -> bool:
    """Whether a key is a group; `batch_size` and `optimizer` are settings too."""
    if name in GROUPS and name not in settings:
        return True
    return (name in GROUPS or name not in settings) and (
        isinstance(raw, dict) and not raw.keys() & {*KEYS}
    )


def _check_form(groups: Sequence[str], single: Sequence[str], faults: Faults) -> None:
    """Note a file that has both forms; an option may have either."""
    groups, single = (
        [name for name in names if not isinstance(faults.place((*_TOP, name)), str)]
        for names in (groups, single)
    )
    if groups and single:
        expected = "all parameters in groups, or none"
        faults.add((*_TOP, single[0]), expected, f"{single[0]} beside the group {groups[0]}")


def drafts(
    items: Iterable[Entry], settings: Mapping[str, Setting], family: str | None, faults: Faults
) -> dict[str, Draft]:
    """The drafts of all entries by name; a second entry of a name is a fault. Where the family is
    unknown, its own fault is enough, and no other setting is judged.
    """
    by_name: dict[str, Draft] = {}
    strange: list[Entry] = []
    for entry in items:
        if entry.name in by_name:
            first = by_name[entry.name].entry.group
            faults.add(entry.path, "each parameter in one group", f"it again after {first}")
        elif settings.get(entry.name) is WEIGHTS:
            expected = "nothing, as it is no parameter: network: {weights: ...} says it"
            faults.add(entry.path, expected, show(entry.raw))
            by_name[entry.name] = Draft(entry, known=False)
        elif entry.name not in settings:
            if family is not None:
                strange.append(entry)
            by_name[entry.name] = Draft(entry, known=False)
        else:
            by_name[entry.name] = _draft(entry, settings[entry.name], faults)
    if family is not None:
        _note_strange(strange, settings, family, faults)
    return by_name


def _note_strange(
    strange: Sequence[Entry], settings: Mapping[str, Setting], family: str, faults: Faults
) -> None:
    """Note what is no setting of the family: those that another one has as one fault."""
    expected = f"a setting of {family} or of its training"
    others = FAMILIES.all(installed=False).values()
    owners = {
        entry.name: [f.name for f in others if any(s.name == entry.name for s in f.settings)]
        for entry in strange
    }
    theirs = [entry for entry in strange if owners[entry.name]]
    both = [name for name in owners[theirs[0].name]
            if all(name in owners[entry.name] for entry in theirs)] if theirs else []  # fmt: skip
    for entry in strange:
        if not both or entry not in theirs:
            faults.add_unknown(entry.path, settings, expected)
    if both:
        names = " and ".join(show(entry.name) for entry in theirs)
        has = "has" if len(both) == 1 else "have"
        whose = f"{names}, which {' and '.join(both[:3])} {has}"
        near = (theirs[0].name, settings) if len(theirs) == 1 else None
        faults.add(theirs[0].path, expected, whose, near=near)


def _draft(entry: Entry, setting: Setting, faults: Faults) -> Draft:
    raw = entry.raw
    if not isinstance(raw, dict):
        if not setting.accepts(raw):
            expected = setting.expected
            if isinstance(raw, list) and all(map(setting.accepts, raw)):
                expected += f", or {{values: {show(raw)}}} to search these"
            faults.add(entry.path, expected, show(raw), near=(raw, setting.choices))
            return Draft(entry, constant=True)
        return Draft(entry, Choices((_taken(setting, raw),)), constant=True)
    before = len(faults)
    for key in raw:
        if key not in KEYS:
            faults.add_unknown((*entry.path, key), KEYS)
    if "cap" in raw and (setting.name != AUTO or "max" not in raw):
        faults.add((*entry.path, "cap"), f"nothing: it is for the max of {AUTO}", show(raw["cap"]))
    elif not isinstance(raw.get("cap", ""), str):
        faults.add((*entry.path, "cap"), "a text", show(raw["cap"]))
    draft = Draft(entry, _domain(raw, entry.path, setting, faults))
    if "default" in raw and draft.domain:
        try:
            draft.default = fit(draft.domain, raw["default"])
        except ValueError as error:
            faults.add((*entry.path, "default"), str(error), show(raw["default"]))
    if len(faults) > before:
        draft.domain = None
    return draft


def _domain(raw: dict[str, object], path: Path, setting: Setting, faults: Faults) -> (
    Range | Choices | None
):  # fmt: skip
    ranged = [key for key in _RANGE_KEYS if key in raw]
    if "values" in raw:
        if ranged:
            faults.add(path, "either values, or min and max", f"values and {', '.join(ranged)}")
        return _choices(raw["values"], (*path, "values"), setting, faults)
    if setting.kind in ("choice", "bool", "text", "sizes"):
        faults.add(path, f"values, each {setting.expected}", ", ".join(ranged) or show(raw))
        return None
    missing = [key for key in ("min", "max") if key not in raw]
    if len(missing) == 2:
        faults.add(path, "min and max, or values", show(raw))
        return None
    if missing:
        faults.add((*path, missing[0]), "a value", "nothing")
    return _Bounds(raw, path, setting, faults).range()


def _choices(raw: object, path: Path, setting: Setting, faults: Faults) -> Choices | None:
    if not isinstance(raw, list):
        faults.add(path, f"a list, such as [{show(raw)}]", show(raw))
        return None
    if not 1 <= len(raw) <= MOST_VALUES:
        faults.add(path, f"1 to {MOST_VALUES:,} values", str(len(raw)))
        return None
    first: dict[Value, int] = {}
    for index, item in enumerate(raw):
        if not setting.accepts(item):
            near = (item, setting.choices)
            faults.add((*path, index), setting.expected, show(item), near=near)
            continue
        value = _taken(setting, item)
        if value in first:
            faults.add((*path, index), "each value once", f"{show(item)} again")
        first.setdefault(value, index)
    return Choices(tuple(first)) if first else None


class _Bounds:
    """Reads one range, noting every fault in it."""

    def __init__(
        self, raw: dict[str, object], path: Path, setting: Setting, faults: Faults
    ) -> None:
        self._raw = raw
        self._path = path
        self._setting = setting
        self._faults = faults

    def range(self) -> Range | None:
        """The range, or None where it has faults."""
        before = len(self._faults)
        auto = self._raw.get("max") == "auto" and _is_rows(self._setting)
        low = self._bound("min")
        high = int(self._setting.high or 0) if auto else self._bound("max")
        log = self._log()
        step, count = self._number("step"), self._number("count")
        if low is None or high is None:
            return None
        integer = isinstance(low, int) and isinstance(high, int)
        if high < low:
            self._add("max", f"a number of at least min ({low:.15g})", beside="min")
        elif step is not None:
            self._check_step(step, low, high, integer)
        if log and low <= 0:
            self._add("min", "a number above 0, as log is true", beside="log")
        if log and step is not None:
            self._add("step", "no step, as log is true", beside="log")
        if count is not None:
            self._check_count(count, step, integer)
        if len(self._faults) > before:
            return None
        if integer:
            return Range(low, high, step, log, integer=True, auto=auto)
        low, high = float(low), float(high)
        return Range(low, high, step and float(step), log, count=cast("int | None", count))

    def _bound(self, key: str) -> float | None:
        value = self._number(key)
        if value is None or self._setting.accepts(value):
            return value
        expected = self._setting.expected.partition(",")[0]  # of an int_or_sizes: no list here
        self._add(key, expected)
        return None

    def _number(self, key: str) -> float | None:
        value = self._raw.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        if key in self._raw:
            self._add(key, "a number")
        return None

    def _log(self) -> bool:
        log = self._raw.get("log", False)
        if not isinstance(log, bool):
            self._add("log", "true or false")
        return log is True

    def _check_step(self, step: float, low: float, high: float, integer: bool) -> None:
        if integer and not isinstance(step, int):
            self._add("step", "a whole number, as min and max are", beside="min")
        elif not 0 < step <= (high - low) * (1 + _ROUNDING):
            expected = f"a number above 0 and at most max - min ({high - low:.15g})"
            self._add("step", expected, beside="max")
        elif (high - low) / step > MOST_STEPS:
            self._add("step", f"a step that leaves at most {MOST_STEPS:,} values", beside="max")

    def _check_count(self, count: float, step: float | None, integer: bool) -> None:
        if integer or step is not None:
            reason = "it has a step" if step is not None else "whole numbers have an end"
            self._add("count", f"no count, as {reason}", beside="step")
        elif not isinstance(count, int) or not 1 <= count <= MOST_STEPS:
            self._add("count", f"a whole number from 1 to {MOST_STEPS:,}")

    def _add(self, key: str, expected: str, beside: str | None = None) -> None:
        others = [(*self._path, beside)] if beside in self._raw else []
        self._faults.add((*self._path, key), expected, show(self._raw[key]), beside=others)


def _is_rows(setting: Setting) -> bool:
    """Whether it is hpsearch's own batch size, whose largest value a device can decide."""
    return setting.name == AUTO and setting.kind != "any"


def _taken(setting: Setting, value: object) -> Value:
    """An accepted value in the one form that hpsearch keeps it in."""
    if isinstance(value, list):
        return tuple(value)
    if setting.kind == "float" and value is not None:
        return float(cast("float", value))
    return cast("Value", value)


def fit(domain: Range | Choices, value: object) -> Value:
    """`value` as `domain` has it; a ValueError says what was expected where it does not."""
    if isinstance(domain, Range):
        if domain.contains(cast("Value", value)):
            return (int if domain.integer else float)(cast("float", value))
        noun = "a whole number" if domain.integer else "a number"
        steps = f" in steps of {domain.step:.15g}" if domain.step else ""
        raise ValueError(f"{noun} from {domain.low:.15g} to {domain.high:.15g}{steps}")
    value = tuple(value) if isinstance(value, list) else value
    for own in domain.values:
        # In Python 1 is True; here it is not.
        if own == value and isinstance(own, bool) == isinstance(value, bool):
            return own
    raise ValueError(listed(show(own) for own in domain.values))
