"""How many parameters the networks of a search have.

PyTorch is imported only for a family that does not declare how it counts them: its networks are
built, without memory for them.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpsearch.spec import conflicts
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.problem import Problem
from hpsearch.spec.restricted import involved, restricted
from hpsearch.spec.space import Choices, Grid
from hpsearch.spec.task import TASKS, usual
from hpsearch.stages.results import default_point

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec import StudySpec
    from hpsearch.spec.settings import Value
    from hpsearch.spec.space import Parameter, Space

__all__ = ["ParameterCount", "parameter_count"]

_MOST, _LONGEST_S = 256, 2.0
"""Networks that are built to find the smallest and the largest, and how long that may take."""


@dataclass(frozen=True)
class ParameterCount:
    """Trained parameters of the networks of a search."""

    default: int
    """Of the default configuration."""
    ends: tuple[int, int] | None
    """The fewest and the most, where each number that is searched is at an end of its range; None
    where there are too many such networks to build them all. What can never be trained counts for
    nothing."""


def parameter_count(
    spec: StudySpec, kind: str, shape: tuple[int, ...], classes: tuple[str, ...]
) -> ParameterCount:
    """The counts of a study whose inputs are of that kind and shape. Raises what building the
    default network raises.

    Args:
        spec: The study, whose family is no module of its own.
        kind: Of one input.
        shape: The same.
        classes: The names of the target's; none where it is a number.
    """
    task = TASKS[spec.task] if spec.task else usual("classes" if classes else "numbers")
    problem = Problem(task.name, kind, shape, 0, classes)  # type: ignore[arg-type]
    chosen = spec.settings(default_point(spec))
    default = _count(spec, problem, chosen)  # which imports what the family needs
    grid, began = Grid(_ends(spec)), time.process_time()
    _count(spec, problem, chosen)
    each_s = time.process_time() - began
    if grid.size > _MOST or grid.size * each_s > _LONGEST_S:
        return ParameterCount(default, None)
    counts = [default]
    for number in range(grid.size):
        with suppress(SettingsError):  # no network for this problem: such a trial fails
            counts.append(_count(spec, problem, spec.settings(grid.cell(number))))
    return ParameterCount(default, (min(counts), max(counts)))


def _ends(spec: StudySpec) -> Space:
    """What is searched of the network, each number at the ends of its range."""
    settings = FAMILIES[spec.family].settings
    names = {setting.name for setting in settings if not setting.per_slot}
    only = involved(spec.space, names)
    values = {p.name: _values(spec.space, p) for p in spec.space if p.name in only}
    return restricted(spec.space, values, only=only)


def _values(space: Space, parameter: Parameter) -> tuple[Value, ...]:
    domain = parameter.domain
    if isinstance(domain, Choices):
        return domain.values
    asked = [v for p in space for c in p.when if c.parameter == parameter.name for v in c.values]
    return tuple(dict.fromkeys((domain.low, domain.last, *asked)))


def _count(spec: StudySpec, problem: Problem, settings: Mapping[str, Value]) -> int:
    """Of one network. Raises SettingsError where there is none by these settings."""
    family, task = FAMILIES[spec.family], TASKS[problem.task]
    conflicts.check(settings, spec.vocabulary.rules, problem.task, len(problem.classes))
    loss = task.chosen_loss(_text(settings["loss"]), len(problem.classes))
    problem = replace(problem, outputs=task.outputs(loss, problem))
    if (count := family.counted(problem, settings)) is not None:
        return count
    from hpsearch.training.networks import bare

    weights = bare(spec.family, problem, settings).parameters()
    return sum(weight.numel() for weight in weights if weight.requires_grad)


def _text(value: Value) -> str | None:
    return None if value is None else str(value)
