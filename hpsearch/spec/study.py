"""`StudySpec`: a study file that was checked, and the document that the database keeps of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hpsearch.code import is_reference
from hpsearch.errors import StudyFileError
from hpsearch.spec import versions
from hpsearch.spec.family import FAMILIES, module_of
from hpsearch.spec.keys import Section
from hpsearch.spec.models import StudySections
from hpsearch.spec.network import network_document
from hpsearch.spec.own_training import settings_of
from hpsearch.spec.settings import GROUPS, Direction, Value
from hpsearch.spec.source import SOURCES
from hpsearch.spec.space import Choices, Parameter, Range
from hpsearch.spec.task import LOSS, TASKS, Metric, Task, metric_of
from hpsearch.spec.train import ResourcesSpec
from hpsearch.spec.weights import DRAWN, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpsearch.spec.family import Vocabulary
    from hpsearch.spec.models import BudgetSpec, FinalSpec, RetrySpec, SearchSpec, TrackSpec
    from hpsearch.spec.source import DataSpec
    from hpsearch.spec.space import Assignment, Space
    from hpsearch.spec.train import TrainSpec
    from hpsearch.spec.weights import Weights

__all__ = ["StudySpec", "differences"]


@dataclass(frozen=True)
class StudySpec:
    """A study: all that its file says, checked, with defaults filled in."""

    name: str
    data: DataSpec | None
    """None: its own training code has its own."""
    family: str
    """Of its networks; of own training code the function, `FILE.py:FUNCTION`."""
    metric: str
    space: Space
    start: tuple[dict[str, Value], ...]
    search: SearchSpec
    budget: BudgetSpec
    retry: RetrySpec
    final: FinalSpec | None = None
    checkpoints: str | None = None
    track: TrackSpec | None = None
    train: TrainSpec | None = None
    """Its own training code; None: hpsearch trains networks."""
    resources: ResourcesSpec = field(default_factory=ResourcesSpec)
    better: Direction | None = None
    """Of a metric that own training code reports; None: the task says it."""
    keep: str = "best"
    """Which epoch of a trial counts: `best` or `last`."""
    version: int = versions.CURRENT
    """Of its document, and so of the rules that it goes by; see `versions`."""
    weights: Weights = DRAWN
    """What its networks begin with; their hashes are known once `hpsearch.weights.weighed` has
    looked at the files."""
    explicit: Mapping[tuple[str, ...], Any] = field(default_factory=dict, compare=False)
    """What its file says of keys that version 1 does not have; none of its meaning."""

    @property
    def direction(self) -> Direction:
        """Whether the metric is to grow or to shrink."""
        return self.objective.direction

    @property
    def objective(self) -> Metric:
        """The metric that the search improves."""
        if self.better is not None:
            return Metric(self.metric, self.better, f"What {self.family} reports.")
        return metric_of(self.metric, self.task)

    @property
    def task(self) -> str | None:
        """The task that it names; None: a table's may be known later, or it trains by own code."""
        return None if self.data is None else self.data.task

    def has_baselines(self, task: Task) -> bool:
        """Whether simple answers can be compared with its networks by its metric: not by a loss
        that is measured in another way than the task's usual one."""
        return self.metric != LOSS or all(map(task.is_usual_scale, self._losses))

    @property
    def _losses(self) -> Sequence[str | None]:
        """The losses that trials may have; None: the task's usual one."""
        searched = next((p.domain for p in self.space if p.name == LOSS), None)
        if isinstance(searched, Choices):
            return [None if loss is None else str(loss) for loss in searched.values]
        loss = self.space.constants.get(LOSS)
        return [None if loss is None else str(loss)]

    @property
    def on_test(self) -> bool:
        """Whether the metric is measured on the test part of the data, as guides do."""
        return self.data is not None and self.data.measured_on_test

    @property
    def vocabulary(self) -> Vocabulary:
        """The settings of its candidates, and what these must agree on."""
        vocabulary = FAMILIES[self.family].vocabulary(self.task)
        if self.train is None:
            return vocabulary
        names = (*self.space.names, *self.space.constants)
        return replace(vocabulary, settings=settings_of(names))

    @property
    def code(self) -> tuple[str, ...]:
        """The functions of its own code that it names, each `FILE.py:FUNCTION`."""
        own = module_of(self.family)
        losses = [self.space.constants.get("loss")]
        losses += [
            v for p in self.space if p.name == "loss" for v in getattr(p.domain, "values", ())
        ]
        if self.data is not None:
            losses += [getattr(self.data, key) for key in SOURCES[self.data.source].code]
        named = [
            self.train.function if self.train is not None else own[0] if own else None,
            *losses,
        ]
        return tuple(dict.fromkeys(str(name) for name in named if is_reference(name)))

    @property
    def packages(self) -> tuple[str, ...]:
        """What it has of installed packages, as messages name it: `family toy of toy-family 1.0`.
        The task that a table turns out to be for is always hpsearch's own."""
        if self.data is None:
            return ()
        source = SOURCES.brought(self.data.source)
        task = "" if self.task is None else TASKS.brought(self.task)
        return tuple(filter(None, (FAMILIES.brought(self.family), source, task)))

    @property
    def needs_code(self) -> bool:
        """Whether a worker needs the folder of its own code: a command runs there too."""
        return bool(self.code) or self.train is not None

    @property
    def is_grouped(self) -> bool:
        """Whether its parameters are in groups that mean something. Those of own training code that
        its file has in none are all in the first one."""
        groups = {parameter.group for parameter in self.space}
        return self.train is None or not groups <= {GROUPS[0]}

    def with_final(self, final: Mapping[str, Any] | None) -> StudySpec:
        """The same study with that finish, which lies beside its document: any study that has ended
        can get one, or another one.

        Raises StudyFileError for what is no finish.
        """
        from hpsearch.spec.models import FinalSpec

        try:
            return replace(self, final=None if final is None else FinalSpec(**final))
        except (TypeError, ValueError) as error:
            raise StudyFileError(f"the finish of study {self.name} is damaged: {error}") from None

    def settings(self, assignment: Assignment) -> dict[str, Value]:
        """All settings of a candidate: defaults, then constants, then its own values."""
        settings = {**self.vocabulary.defaults, **self.space.constants, **assignment}
        if WEIGHTS.name in settings and module_of(self.family) is None:
            settings[WEIGHTS.name] = self.weights.of(settings.get("model"))
        if settings["epochs"] is None:
            settings["epochs"] = self.budget.epochs
        return settings

    @cached_property
    def document(self) -> dict[str, Any]:
        """The study as the database keeps it, written by the rules of its version.

        Parameters are a list, as their order counts and databases do not keep the order of keys.
        """
        if self.version == versions.FIRST:
            return dict(versions.reduced(self.filled, self.version))
        usual = _usual()
        written = self._written(lean=True)
        named = {key: value for key, value in written.items() if value != usual.get(key, self)}
        named["parameters"] = [
            {key: value for key, value in parameter.items() if (key, value) != ("log", False)}
            for parameter in written["parameters"]
        ]
        return {"version": self.version, **named}

    @cached_property
    def filled(self) -> dict[str, Any]:
        """The study as JSON with nothing left to defaults, the same for all versions."""
        return self._written()

    def _written(self, lean: bool = False) -> dict[str, Any]:
        def dumped(section: Section) -> dict[str, Any]:
            return section.model_dump(mode="json", exclude_defaults=lean)

        return {
            "name": self.name,
            **self._subject(dumped),
            "keep": self.keep,
            "parameters": [_written(parameter) for parameter in self.space],
            "constants": {name: _plain(v) for name, v in self.space.constants.items()},
            "start": [{name: _plain(v) for name, v in point.items()} for point in self.start],
            "search": dumped(self.search),
            "budget": dumped(self.budget),
            "retry": dumped(self.retry),
            "final": self.final and dumped(self.final),
            "checkpoints": self.checkpoints,
            "track": self.track and dumped(self.track),
        }

    def _subject(self, dumped: Callable[[Section], dict[str, Any]]) -> dict[str, Any]:
        if self.data is None:
            assert self.train is not None
            return {
                "train": dumped(self.train), "resources": dumped(self.resources),
                "metric": {"name": self.metric, "direction": self.better},
            }  # fmt: skip
        return {
            "data": dumped(self.data), "network": network_document(self.family, self.weights),
            "metric": self.metric,
        }  # fmt: skip

    def under(self, version: int) -> StudySpec:
        """The study that the same file is by the rules of another version.

        Keys that it leaves out get what that version means by it; those that it names keep their
        value, even where the version does not have them.
        """
        if version == self.version:
            return self
        document = versions.overlaid(self.document, self.explicit)
        try:
            spec = StudySpec.from_document({**document, "version": version})
        except StudyFileError:
            if version != versions.FIRST:
                raise
            return self  # with keys of tables that the version lacks it is another study
        return replace(spec, explicit=self.explicit)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the document: the same for files that mean the same."""
        text = json.dumps(self.document, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_document(cls, document: object) -> StudySpec:
        """The study of a document.

        Raises StudyFileError where it has faults, as a file would, and PluginError where what it is
        made of is not installed here.
        """
        from hpsearch.spec.checks import check_document

        return check_document(document)


def _usual() -> dict[str, Any]:
    """What stands for the keys of a document that are at their default and need not be written."""
    usual: dict[str, Any] = {"constants": {}}
    for key, info in StudySections.model_fields.items():
        if isinstance(info.default, Section):
            usual[key] = info.default.model_dump(mode="json", exclude_defaults=True)
        elif not info.is_required():
            usual[key] = list(info.default) if info.default == () else info.default
    return usual


def _written(parameter: Parameter) -> dict[str, Any]:
    domain = parameter.domain
    written: dict[str, Any] = {"group": parameter.group, "name": parameter.name}
    if isinstance(domain, Range):
        high = "auto" if domain.auto else domain.high
        written |= {"min": domain.low, "max": high, "log": domain.log}
        written |= {"step": domain.step} if domain.step is not None else {}
        written |= {"count": domain.count} if domain.count is not None else {}
    else:
        written["values"] = [_plain(value) for value in domain.values]
    if parameter.default is not None:
        written["default"] = _plain(parameter.default)
    if parameter.cap is not None:
        written["cap"] = parameter.cap
    if parameter.when:
        written["when"] = {c.parameter: [_plain(v) for v in c.values] for c in parameter.when}
    return written


def _plain(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def differences(old: StudySpec, new: StudySpec) -> list[str]:
    """What differs between two studies, a line each; `old` is the one in the database."""
    lines: list[str] = []
    grouped = old.is_grouped or new.is_grouped
    _compare(_by_name(old.filled, grouped), _by_name(new.filled, grouped), (), lines)
    orders = [[parameter.name for parameter in spec.space] for spec in (old, new)]
    if sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]:
        lines.append(_line("order of parameters", *orders))
    return lines


def _by_name(document: Mapping[str, Any], grouped: bool) -> dict[str, Any]:
    """`document` with parameters by path, so that one more is not a difference in all below."""
    named = {
        f"{p['group']}.{p['name']}" if grouped else p["name"]: _without_names(p)
        for p in document["parameters"]
    }
    others = {key: value for key, value in document.items() if key != "constants"}
    return {**others, "parameters": {**named, **document["constants"]}}


def _without_names(parameter: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameter.items() if key not in ("group", "name")}


def _compare(old: Any, new: Any, path: tuple[str, ...], lines: list[str]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            _compare(old.get(key), new.get(key), (*path, key), lines)
    elif json.dumps(old) != json.dumps(new):
        lines.append(_line(".".join(path), old, new))


def _line(what: str, old: object, new: object) -> str:
    texts = ["nothing" if v is None else json.dumps(v, ensure_ascii=False) for v in (old, new)]
    return f"{what}: {texts[0]} in the database, {texts[1]} in the file"
