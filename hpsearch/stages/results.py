"""What a stage is made of: the trials so far, the best of them, and ranges around those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hpsearch.spec import StudySpec
from hpsearch.spec.ranges import narrowed, spanned
from hpsearch.spec.settings import Direction, Value
from hpsearch.spec.space import Assignment, Choices, Parameter
from hpsearch.spec.task import LOSS, usual_among

__all__ = ["Done", "around", "centres", "default_point", "distinct", "ranked"]


@dataclass(frozen=True)
class Done:
    """A trial that has ended, as a plan sees it."""

    ticket: int
    values: Assignment
    value: float | None
    """The metric of one that is complete; None of any other."""
    train_loss: float | None = None
    """The training loss after the last epoch, of a trial that learnt by heart; None of any other.
    """


def default_point(spec: StudySpec) -> Assignment:
    """The default configuration: each parameter's default, the setting's own where it has none and
    that lies in the range, of losses the task's usual one, else the middle."""
    defaults = spec.vocabulary.defaults
    values: dict[str, Value] = {}
    for parameter in spec.space:
        if parameter.active({**spec.space.constants, **values}):
            values[parameter.name] = _default(parameter, defaults.get(parameter.name), spec)
    return values


def _default(parameter: Parameter, default: Value, spec: StudySpec) -> Value:
    domain = parameter.domain
    if parameter.default is not None:
        return parameter.default
    if domain.contains(default):
        return default
    if parameter.name == LOSS and spec.data and isinstance(domain, Choices) and spec.version > 2:
        return usual_among(domain.values, spec.task) or domain.at(0.5)
    return domain.at(0.5)


def ranked(done: Sequence[Done], direction: Direction) -> list[Done]:
    """The trials that are complete, the best first; of equals the older one."""
    sign = -1 if direction == "maximize" else 1
    complete = [d for d in done if d.value is not None]
    return sorted(complete, key=lambda d: (sign * (d.value or 0.0), d.ticket))


def distinct(best: Sequence[Assignment], most: int) -> tuple[Assignment, ...]:
    """The first few configurations that differ."""
    points: list[Assignment] = []
    for values in best:
        if values not in points:
            points.append(values)
        if len(points) == most:
            break
    return tuple(points)


def centres(
    parameter: Parameter, own: Sequence[Parameter], best: Sequence[Assignment]
) -> Sequence[Assignment]:
    """The configurations around which a parameter is searched again; none: in its whole range."""
    optimizer = next((p for p in own if p.name == "optimizer"), None)
    if parameter.name != "lr" or optimizer is None or not isinstance(optimizer.domain, Choices):
        return best[:1]
    firsts = {kind: next((v for v in best if v.get("optimizer") == kind), None)
              for kind in optimizer.domain.values}  # fmt: skip
    points = [values for values in firsts.values() if values is not None]
    return points if len(points) == len(firsts) else ()


def around(parameter: Parameter, centres: Sequence[Assignment], width: float) -> Parameter:
    """The parameter in a range that spans the narrow ranges around the centres."""
    values = [v[parameter.name] for v in centres if parameter.name in v]
    if not values:
        return parameter
    parts = [narrowed(parameter.domain, value, width) for value in values]
    return replace(parameter, domain=spanned(parameter.domain, parts))
