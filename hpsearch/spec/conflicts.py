"""Settings that can never be trained together, whatever rows the data has.

One form of rules for all who look at settings: study files, workers, and training itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hpsearch.spec.settings import Value

__all__ = ["Rule", "SettingsError", "check"]

Settings = Mapping[str, Value]


class SettingsError(ValueError):
    """Settings that can never be trained; the message says why."""


@dataclass(frozen=True)
class Rule:
    """Something that settings must agree on."""

    wanted: Mapping[str, str]
    """What each of the settings should be instead, the one most likely to be changed first."""
    breach: Callable[[Settings, str | None, int | None], str]
    """(all settings of a candidate, the task, the number of classes) -> why it can never be
    trained, or nothing. What is not known yet is None, and no reason."""


def check(settings: Settings, rules: Iterable[Rule], task: str | None, classes: int | None) -> None:
    """SettingsError where a candidate of these settings breaks a rule: it can never be trained."""
    for rule in rules:
        if why := rule.breach(settings, task, classes):
            raise SettingsError(why)
