"""What ties parameters together: `when`, the order that follows from it, and starting points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.spec.faults import listed, show
from hpsearch.spec.parameters import MOST_VALUES, fit
from hpsearch.spec.space import Condition, Parameter, Space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.faults import Faults, Path
    from hpsearch.spec.parameters import Draft
    from hpsearch.spec.settings import Value

__all__ = ["space_of", "starts"]


def space_of(drafts: Mapping[str, Draft], faults: Faults) -> Space:
    """The space of all drafts without faults, those first that others depend on."""
    when = {name: _conditions(draft, drafts, faults) for name, draft in drafts.items()}
    parameters = []
    for name in _ordered(drafts, when, faults):
        draft = drafts[name]
        if draft.domain and not draft.constant:
            group = draft.entry.group
            parameters.append(
                Parameter(name, group, draft.domain, draft.default, when[name], draft.cap)
            )
    # The domain of a constant is its one value.
    constants = {
        name: draft.domain.at(0.0)
        for name, draft in drafts.items()
        if draft.domain and draft.constant
    }
    return Space(tuple(parameters), constants)


def _conditions(draft: Draft, drafts: Mapping[str, Draft], faults: Faults) -> tuple[Condition, ...]:
    """The conditions of one parameter, in the order of their names."""
    raw, path = draft.when, (*draft.path, "when")
    if isinstance(raw, dict) and raw:
        conditions = []
        for name, wanted in sorted(raw.items()):
            others = {other: d for other, d in drafts.items() if other != draft.name}
            condition = _condition(wanted, (*path, name), others, faults)
            conditions += [condition] if condition else []
        return tuple(conditions)
    if "when" in (draft.entry.raw if isinstance(draft.entry.raw, dict) else ()):
        faults.add(path, "another parameter and its values, such as {optimizer: sgd}", show(raw))
    return ()


def _condition(
    wanted: object, path: Path, others: Mapping[str, Draft], faults: Faults
) -> Condition | None:
    name = str(path[-1])
    if name not in others:
        expected = "another parameter of this study"
        faults.add(path, expected, show(name), near=(name, others))
        return None
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if not 1 <= len(wanted) <= MOST_VALUES:
        faults.add(path, f"1 to {MOST_VALUES:,} values", str(len(wanted)))
        return None
    domain = others[name].domain
    values: dict[Value, None] = {}
    for value in wanted if domain else ():
        try:
            values[fit(domain, value)] = None  # type: ignore[arg-type]
        except ValueError as error:
            expected = f"a value that {name} can have: {error}"
            faults.add(path, expected, show(value), beside=[others[name].path])
    return Condition(name, tuple(values))


def _ordered(
    drafts: Mapping[str, Draft], when: Mapping[str, tuple[Condition, ...]], faults: Faults
) -> list[str]:
    """All names: those that others depend on just before them, the rest as in the file."""
    done: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            circle = " -> ".join((*above[above.index(name) :], name))
            faults.add((*drafts[name].path, "when"), "conditions without a circle", circle)
        elif name not in done and drafts[name].known:
            for condition in when[name]:
                visit(condition.parameter, (*above, name))
            done[name] = None

    for name in drafts:
        visit(name, ())
    return list(done)


def starts(
    raw: object, drafts: Mapping[str, Draft], space: Space, faults: Faults
) -> tuple[dict[str, Value], ...]:
    """The starting points, each with the values that it gives, in the order of the space."""
    if not isinstance(raw, (list, tuple)) or len(raw) > MOST_VALUES:
        expected = f"a list of up to {MOST_VALUES:,} points, such as [{{lr: 0.001}}]"
        faults.add(("start",), expected, show(raw) if not isinstance(raw, list) else str(len(raw)))
        return ()
    return tuple(
        _point(point, ("start", index), drafts, space, faults) for index, point in enumerate(raw)
    )


def _point(
    raw: object, path: Path, drafts: Mapping[str, Draft], space: Space, faults: Faults
) -> dict[str, Value]:
    if not isinstance(raw, dict):
        faults.add(path, "values by parameter, such as {lr: 0.001}", show(raw))
        return {}
    values: dict[str, Value] = {}
    searched = [name for name, draft in drafts.items() if not draft.constant]
    for name, value in raw.items():
        draft = drafts.get(name)
        if draft is None or draft.constant:
            what = "" if draft is None else ", which is a constant"
            got = f"{show(name)}{what}"
            faults.add((*path, name), "a searched parameter", got, near=(name, searched))
        elif draft.domain:
            try:
                values[name] = fit(draft.domain, value)
            except ValueError as error:
                faults.add((*path, name), str(error), show(value), beside=[draft.path])
    # Where a value has a fault of its own, nothing that depends on it is judged.
    unsure = {name for name in raw if name not in values}
    unsure |= {name for name, draft in drafts.items() if draft.domain is None}
    _check_active(values, unsure, path, space, faults)
    return {p.name: values[p.name] for p in space if p.name in values}


def _check_active(
    values: Mapping[str, Value], unsure: set[str], path: Path, space: Space, faults: Faults
) -> None:
    """Note each value that is given although its condition does not hold in this point."""
    constants = dict(space.constants)
    for parameter in space:
        if any(c.parameter in unsure or not c.values for c in parameter.when):
            unsure.add(parameter.name)
        elif parameter.active(constants):
            value = values.get(parameter.name, parameter.default)
            if parameter.name in values or value is not None:
                constants[parameter.name] = value
        elif parameter.name in values:
            wanted = " and ".join(
                f"{c.parameter} {listed(map(show, c.values))}" for c in parameter.when
            )
            got = ", ".join(
                f"{c.parameter} {show(constants[c.parameter])}" if c.parameter in constants
                else f"no {c.parameter}"
                for c in parameter.when
            )  # fmt: skip
            faults.add((*path, parameter.name), f"it only with {wanted}", got)
