"""The recipe for training a network: first learn the training rows by heart, then keep the network
from learning what is chance, then fine-tune. Pure functions of the study file and of its trials.

Each step searches what belongs to it beside the winner of the step before. That one batch is learnt
by heart comes before all of them, and takes no trial (`preflight.one_batch`). The recipe is old
advice: Karpathy, "A recipe for training neural networks" (2019); Goodfellow, Bengio and Courville,
"Deep learning" (2016), chapter 11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from hpsearch.spec import StudySpec
from hpsearch.spec.settings import HEART, REGULARISE, TUNE, Value
from hpsearch.spec.space import Assignment, Choices, Parameter
from hpsearch.spec.task import Target
from hpsearch.stages.results import Done, around, centres, default_point, distinct, ranked
from hpsearch.stages.stage import PlannedStage, Stage

__all__ = ["by_heart", "drawn", "is_learnt", "off", "outlined", "stage", "without"]

_SHARES: Mapping[str, float] = MappingProxyType({HEART: 0.3, REGULARISE: 0.4, TUNE: 0.3})
"""Of the tickets, for each step that has anything to search."""

_WIDTH = 0.15
"""How far the fine-tuning reaches to each side of the winner, as a share of the whole range."""

_ZERO, _FALL = 0.05, 0.95
"""Shares of the loss of guessing below which the training rows are learnt by heart. The second is
for networks that give their inputs again: their code is smaller and cannot hold all of them."""


def outlined(spec: StudySpec) -> tuple[PlannedStage, ...]:
    """The steps that have anything to search, in their order."""
    return tuple(
        PlannedStage(name, share) for name, share in _SHARES.items() if drawn(spec, name)
    )  # fmt: skip


def drawn(spec: StudySpec, step: str) -> tuple[Parameter, ...]:
    """What a step searches."""
    return tuple(p for p in spec.space if step in _steps(spec, p))


def _steps(spec: StudySpec, parameter: Parameter) -> tuple[str, ...]:
    """The steps that search a parameter."""
    if parameter.group == "regularization" or parameter.name in spec.vocabulary.plain:
        return (REGULARISE,)
    if parameter.group == "learning_rate":
        return HEART, TUNE
    if parameter.group != "architecture":
        return (TUNE,)
    more = spec.vocabulary.settings[parameter.name].more
    return (HEART, REGULARISE) if more == "capacity" else (HEART,)


def off(spec: StudySpec) -> dict[str, Value]:
    """The settings of regularisation that a study searches, or has at a value that does something,
    each at the value that does nothing."""
    constants, searched = spec.space.constants, spec.space.names
    return {
        name: value for name, value in spec.vocabulary.plain.items()
        if name in searched or constants.get(name, value) != value
    }  # fmt: skip


def without(spec: StudySpec, values: Assignment) -> Assignment:
    """The same configuration with no regularisation."""
    return {**values, **off(spec)}


def by_heart(done: Sequence[Done]) -> Done | None:
    """The trial that knows the training rows best: of the least training loss, of equals the older
    one; None where none of those trained without regularisation is complete."""
    learnt = [d for d in done if d.value is not None and d.train_loss is not None]
    return min(learnt, key=lambda d: (d.train_loss, d.ticket), default=None)


def is_learnt(target: Target, loss: float, guess: float) -> bool:
    """Whether rows are learnt by heart.

    Args:
        target: What the task learns.
        loss: The training loss.
        guess: That of a network that has learnt nothing.
    """
    return loss < (_FALL if target == "inputs" else _ZERO) * guess


def stage(
    spec: StudySpec, name: str, done: Sequence[Done], first: int, points: Sequence[Assignment],
    *, begins: bool,
) -> Stage:  # fmt: skip
    """A step of the recipe, without its tickets and samplers.

    Args:
        spec: The study.
        name: The step.
        done: The trials that have ended.
        first: The draw index of its first ticket.
        points: The starting points and the default configuration.
        begins: Whether it is the study's first: then it runs the points.
    """
    own = tuple(points) if begins else ()
    if name == HEART:
        start = [without(spec, point) for point in own]
        base = without(spec, default_point(spec))
        free = drawn(spec, name)
        return Stage(HEART, first, 0, free, points=distinct(start, len(start)), bases=(base,))
    if name == REGULARISE:
        return _regularised(spec, done, first, points, begins=begins)
    best = [d.values for d in ranked(done, spec.direction)] or [default_point(spec)]
    searched = drawn(spec, name)
    narrow = tuple(around(p, centres(p, searched, best), _WIDTH) for p in searched)
    return Stage(name, first, 0, narrow, points=own, bases=(best[0],))


def _regularised(
    spec: StudySpec, done: Sequence[Done], first: int, points: Sequence[Assignment], *, begins: bool
) -> Stage:
    """Regularisation, and networks no larger than the winner's, beside what that has otherwise. It
    begins with the regularisation of the starting points and of the default configuration."""
    best = by_heart(done)
    searched, plain = drawn(spec, REGULARISE), off(spec)
    base = {k: v for k, v in (best.values if best else default_point(spec)).items()
            if k not in plain or best is None}  # fmt: skip
    narrow = [_no_larger(p, base) if p.group == "architecture" else p for p in searched]
    free = tuple(p for p in narrow if p.domain.size != 1)
    around_it = [{**base, **{k: v for k, v in p.items() if k in plain}} for p in points]
    own = tuple(points) if begins else distinct(around_it, len(around_it))
    return Stage(REGULARISE, first, 0, free, points=own, bases=(base,))


def _no_larger(parameter: Parameter, winner: Assignment) -> Parameter:
    """A parameter of a network's size, up to the winner's."""
    value, domain = winner.get(parameter.name), parameter.domain
    if value is None:
        return parameter
    if isinstance(domain, Choices):
        values = tuple(v for v in domain.values if v == value or _size(v) < _size(value))
        return replace(parameter, domain=Choices(values))
    assert isinstance(value, (int, float))
    if domain.integer or domain.step:
        return replace(parameter, domain=domain.between(0, domain.steps_to(value)))
    return replace(parameter, domain=replace(domain, high=min(float(value), domain.high)))


def _size(value: Value) -> float:
    """How large one choice of a network's size is beside others; lists by all their units."""
    if isinstance(value, tuple):
        return float(sum(value))
    return float(value) if isinstance(value, (int, float)) else float("inf")
