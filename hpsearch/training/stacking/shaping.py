"""Which candidates can be trained as one.

Candidates of one shape may differ in nothing but the settings of a slot. Of a study's own module
nobody knows what an argument does. Most are part of the shape; a number may be no more than the
share of a layer of dropout, or what first weights are drawn by. So networks are built, and where
those of two numbers have one structure the number is no part of their shape.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.spec.augmentation import augments
from hpsearch.spec.family import FAMILIES
from hpsearch.training.stacking.structure import structure
from hpsearch.training.trial_progress import TrialProgress
from hpsearch.training.tuning import Tuning

if TYPE_CHECKING:
    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset
    from hpsearch.spec.settings import Value

__all__ = ["Shapes", "sibling"]

_SLOW_S = 0.1
"""A network that takes longer to be built and looked at has a shape by all of its settings: others
of its kind are trained alone rather than built once more each."""


class Shapes:
    """The shapes of candidates that are trained on one data set."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._structures: dict[Hashable, str | None] = {}
        """By all settings that are not of a slot; None where they alone are the shape."""
        self._slow: set[str] = set()
        """Families whose networks take long to be built."""

    def __call__(self, candidate: Candidate, epoch: int = 0) -> Hashable:
        """Candidates of one shape can be trained as one stack, from the end of this epoch on."""
        settings = _settings(candidate, epoch)
        numbers = _numbers(candidate)
        whole = candidate.family, _sorted(settings)
        built = self._structure(candidate, whole) if numbers else None
        if built is None:
            return whole
        rest = {name: value for name, value in settings.items() if name not in numbers}
        return candidate.family, _sorted(rest), built

    def by(self, example: Candidate, names: Iterable[str]) -> frozenset[str]:
        """Those of the settings by which shapes differ, as far as a candidate shows it."""
        shaping = set(names) - example.vocabulary.per_slot
        return frozenset(
            shaping - {n for n in _numbers(example) & shaping if self._is_free(example, n)}
        )

    def _is_free(self, example: Candidate, name: str) -> bool:
        """Whether networks have one structure at two values of a number. Its default is neither:
        a share of 0 may be no layer at all."""
        one = _moved(example, name)
        other = one and _moved(one, name)
        return one is not None and other is not None and self(one) == self(other)

    def _structure(self, candidate: Candidate, whole: Hashable) -> str | None:
        if whole not in self._structures:
            began = time.thread_time()
            slow = candidate.family in self._slow
            self._structures[whole] = None if slow else _structure(candidate, self._dataset)
            if time.thread_time() - began > _SLOW_S:
                self._slow.add(candidate.family)
        return self._structures[whole]


def sibling(candidate: Candidate, dataset: Dataset) -> Candidate:
    """A candidate of the same shape that differs in each number of an own module in which it may;
    itself where there is none."""
    changed, own = candidate, None
    for name in sorted(_numbers(candidate)):
        own = own or _structure(candidate, dataset)
        other = own and _moved(changed, name)
        if other and _structure(other, dataset) == own:
            changed = other
    return changed


def _settings(candidate: Candidate, epoch: int) -> dict[str, Value]:
    per_slot = candidate.vocabulary.per_slot
    settings = {n: v for n, v in candidate.settings.items() if n not in per_slot}
    if settings["optimizer"] != "sgd":
        del settings["nesterov"]
    if settings.get("tune") in ("head", "head_then_all"):
        rests = Tuning.of(candidate.settings).rests(epoch)
        settings["tune"] = "head" if rests else "all"
        if rests and augments(candidate.settings, candidate.vocabulary.settings):
            settings["tune"] = "head, on changed images"  # whose features cannot be kept
    return settings


def _sorted(settings: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(settings.items()))


def _numbers(candidate: Candidate) -> set[str]:
    """The arguments of an own module that are numbers, and not whole ones."""
    family = FAMILIES[candidate.family]
    if not family.is_own:
        return set()
    own = (setting for setting in family.settings if setting.kind == "float")
    return {s.name for s in own if isinstance(candidate.settings[s.name], (int, float))}


def _moved(candidate: Candidate, name: str) -> Candidate | None:
    """The same with another value of a number, not 0; None where it is no share."""
    value = candidate.settings[name]
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        return None
    other = value + 0.25 if value < 0.5 else value - 0.375
    return replace(candidate, settings={**candidate.settings, name: other})


def _structure(candidate: Candidate, dataset: Dataset) -> str | None:
    try:
        return structure(TrialProgress(candidate, dataset).network())
    except Exception:  # the candidate's first epoch meets it again, where it is reported
        return None
