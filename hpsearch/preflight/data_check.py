"""Whether a study's data suits it, before there is a study that could not be worked on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DataError
from hpsearch.preflight.code_check import misnamed
from hpsearch.sources.opening import check_task, data_settings
from hpsearch.spec import versions
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.impossible import combinations, never
from hpsearch.spec.settings import GROUPS, TRAINING, Group
from hpsearch.spec.source import SOURCES
from hpsearch.spec.task import LOSS, TASKS, possible, usual
from hpsearch.spec.task_rules import LOSS_RULE
from hpsearch.stages.outline import remarks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.sources.look import Look
    from hpsearch.spec import StudySpec
    from hpsearch.spec.task import Target

__all__ = ["check_look", "check_measured", "check_settings", "check_table", "warnings"]

_NAMED = 3
"""Classes that a message names."""

_FEW_ROWS = 20
"""A class with fewer rows than this may have none in a part of the data."""

_MOST_BYTES = 64 << 20
"""Of a table that is read for this alone: some seconds. Of a larger one the workers say it."""


def check_look(spec: StudySpec, base: Path, seen: Look) -> None:
    """DataError where what a quick look at the data shows is none for this search.

    The first rows of a large table do not show all: where they raise a doubt, all are read.
    """
    if seen.classes is None:
        if _in_doubt(spec, seen):
            check_table(spec, base)
        return
    task = spec.task or usual("classes" if seen.classes else "numbers").name
    check_task(spec, task)
    check_settings(spec, task, len(seen.classes))
    if seen.rarest is not None and seen.rarest < _FEW_ROWS:
        check_table(spec, base)


def _in_doubt(spec: StudySpec, seen: Look) -> bool:
    """Whether the first rows show a target that nothing can learn, or of another task."""
    is_known = isinstance(seen.facts, dict) and "target" in seen.facts
    if spec.data is None or spec.data.target_name is None or not is_known:
        return False
    target = seen.facts["target"]
    if target is None:
        return True
    return TASKS[spec.task or usual(target["kind"]).name].metric(spec.metric) is None


def check_table(spec: StudySpec, base: Path) -> None:
    """Read a study's data, if that is a file here: DataError where it is none for this search.

    `base` is the folder of the study file.
    """
    if spec.data is None:
        return
    files = SOURCES[spec.data.source].files
    path = base / getattr(spec.data, files[0]) if files else base
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return
    from hpsearch.sources.normal import divide_kinds
    from hpsearch.sources.read import read
    from hpsearch.sources.split import facts

    settings = data_settings(spec, base)
    raw = read(settings)
    check_task(spec, raw.task)
    check_settings(spec, raw.task, len(raw.classes))
    with SOURCES.blamed(settings.section.source):
        parts, _ = divide_kinds(raw, settings)
        targets = facts(raw, parts)
    check_measured(spec, {"classes": raw.classes, **targets})


def check_settings(spec: StudySpec, task: str, classes: int) -> None:
    """DataError where values that are searched can never be trained on this target.

    In a study of version 1 each trial that has them fails by itself.
    """
    if spec.version == versions.FIRST:
        return
    for rule in spec.vocabulary.rules:
        if fault := never(spec.space, spec.family, rule, task, classes):
            target = spec.data and spec.data.target_name
            whose = f"by its target {target!r} " if target else ""
            raise DataError(
                f"{whose}the data of study {spec.name!r} is for {task}, where {fault.name} "
                f"{fault.values} can never be trained: {fault.why}; change {fault.name}"
            )


def check_measured(
    spec: StudySpec, record: Mapping[str, Any], parts: Sequence[str] | None = None
) -> None:
    """DataError where the study's metric cannot be measured on a part of its data.

    Args:
        spec: The study. One of version 1 goes by what it was begun with.
        record: Of its data: `classes`, and the `facts` of its split.
        parts: Which parts; None: those that the study looks at.
    """
    if spec.version == versions.FIRST:
        return
    metric, classes = spec.objective, record["classes"]
    parts = parts or ("validation", *(["test"] if spec.final else []))
    if spec.data is not None and spec.data.normal:
        _check_kinds(spec, record, parts)
        return
    for part in parts:
        if metric.varied and part in record.get("constant", ()):
            raise DataError(
                f"the target is the same in all rows of the {part} part, so {metric.name} cannot "
                f"be measured there: take {_undemanding(spec, 'numbers')}, a larger data.{part} or "
                "another data.seed"
            )
        rows = record.get("class_rows", {}).get(part, ())
        lacking = [name for name, count in zip(classes, rows, strict=False) if not count]
        alone = sum(map(bool, rows)) == 1
        if lacking and (alone or metric.varied):
            other = "" if alone else _undemanding(spec, "classes")
            raise DataError(_unmeasured(metric.name, part, classes, lacking, other))


def _check_kinds(spec: StudySpec, record: Mapping[str, Any], parts: Sequence[str]) -> None:
    """DataError where a part has no normal rows, or no strange ones for a metric of both."""
    names = spec.data.normal if spec.data is not None else ()
    for part in parts:
        rows = dict(zip(record["classes"], record["class_rows"][part], strict=True))
        normal = sum(rows[name] for name in names)
        for kind, count in (("normal", normal), ("strange", sum(rows.values()) - normal)):
            if not count and (kind == "normal" or spec.objective.varied):
                raise DataError(
                    f"the {part} part has no {kind} row, so {spec.metric} cannot be measured "
                    f"there: get more of them, or take a larger data.{part}"
                )


def _undemanding(spec: StudySpec, target: Target) -> str:
    """The metrics, other than the loss, that can be measured of any targets of that kind."""
    tasks = [task for task in possible(spec.task) if task.target == target]
    metrics = (metric for task in tasks for metric in task.metrics if not metric.varied)
    return " or ".join(metric.name for metric in metrics if metric.name != LOSS)


def _unmeasured(
    metric: str, part: str, classes: Sequence[str], lacking: Sequence[str], other: str
) -> str:
    names = ", ".join(lacking[:_NAMED]) + (f" and {len(lacking) - _NAMED} more"
                                          if len(lacking) > _NAMED else "")  # fmt: skip
    alone = len(classes) - len(lacking) == 1
    only = f", only of {next(c for c in classes if c not in lacking)}" if alone else ""
    noun = "class" if len(lacking) == 1 else "classes"
    ways_out = f", or take {other}" if other else ""
    return (
        f"the {part} part has no row of {noun} {names}{only}, so {metric} cannot be measured "
        f"there: get more rows of it, a larger data.{part} or another data.seed{ways_out}"
    )


def warnings(spec: StudySpec, code: Path | None = None) -> list[str]:
    """Combinations of searched values that can never be trained, each of which loses a trial;
    starting points that are not run; a `stop_after` that ends no trial; a staged search without
    groups; and names that the study's own code has otherwise.

    Args:
        spec: The study.
        code: The folder of its own code; None: it is not looked at.
    """
    rules = [rule for rule in spec.vocabulary.rules if rule is not LOSS_RULE]
    clashes = combinations(spec.space, spec.family, rules, spec.task, None)
    return [
        *map(str, clashes), *remarks(spec), *_idle_stop(spec), *_without_groups(spec),
        *(() if code is None else misnamed(spec, code)),
    ]  # fmt: skip


_ALSO: Mapping[str, Group] = {
    "wd": "regularization", "label_smoothing": "regularization", "betas": "optimizer",
    "eps": "optimizer",
}  # fmt: skip
"""Names that own training code has for settings that hpsearch calls otherwise, or has not."""


_FORMS: Mapping[str, Group] = {
    r".*(lr|learning_rate)": "learning_rate", r".*batch_size": "batch_size",
    r".*(weight_decay|dropout)": "regularization",
    r".*(momentum|optimizer)|optimizer.*|(.*_)?beta.*": "optimizer",
}  # fmt: skip
"""The same by what names look like, such as those of two networks: g_lr, d_lr."""


def _without_groups(spec: StudySpec) -> list[str]:
    """A staged search of own training code whose parameters are all in one group. They are put in
    none by their names: what `momentum` means there only its author knows, and a study file that
    came to mean something else would not continue its study."""
    names, search = spec.space.names, spec.search
    is_one = len({parameter.group for parameter in spec.space}) == 1
    if spec.train is None or search.strategy != "staged" or search.stages or not is_one:
        return []
    groups = {group: [name for name in names if _likely_group(name) == group] for group in GROUPS}
    likely = {group: named for group, named in groups.items() if named}
    if len(likely) < 2:
        return []
    shown = ", ".join(f"{group}: {{{', '.join(named)}}}" for group, named in likely.items())
    return ["search.strategy: staged has no stages between warm-up and polish, as all parameters "
            f"are in one group; in groups it has, perhaps parameters: {{{shown}}}"]  # fmt: skip


def _likely_group(name: str) -> str:
    """The group of hpsearch's own setting of that name or of one like it, else architecture."""
    if name in GROUPS:
        return name
    families = FAMILIES.all(installed=False).values()
    settings = [*(s for family in families for s in family.settings), *TRAINING]
    own: dict[str, Group] = {setting.name: setting.group for setting in settings}
    by_form = (group for form, group in _FORMS.items() if re.fullmatch(form, name))
    return {**own, **_ALSO}.get(name) or next(by_form, GROUPS[0])


def _idle_stop(spec: StudySpec) -> list[str]:
    most, stop = spec.budget.epochs, spec.budget.stop_after
    if stop is None or stop < most - 1:  # the first epoch is always better than none before
        return []
    noun = "epoch" if most == 1 else "epochs"
    return [f"budget.stop_after: {stop} ends no trial early, as none has more than {most} {noun} "
            "(budget.epochs)"]  # fmt: skip
