"""From plain values to a `StudySpec`: each section by itself, then what they have to agree on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hpsearch.spec import versions
from hpsearch.spec.augmentation import unsuited
from hpsearch.spec.conditions import space_of, starts
from hpsearch.spec.data import data_section
from hpsearch.spec.document import admit
from hpsearch.spec.family import COMMAND, FAMILIES, families_for
from hpsearch.spec.faults import Faults, listed, nearest, printable, show
from hpsearch.spec.foreign import note_foreign
from hpsearch.spec.impossible import never
from hpsearch.spec.keys import Section
from hpsearch.spec.measures import check_labelled, check_loss, check_metric, check_scales
from hpsearch.spec.models import (
    BudgetSpec,
    FinalSpec,
    MetricSpec,
    NetworkSection,
    RetrySpec,
    SearchSpec,
    StudySections,
    TrackSpec,
)
from hpsearch.spec.network import network_section
from hpsearch.spec.own import check_own_data, check_own_losses, check_required
from hpsearch.spec.own_training import OwnTraining, names_in, own_training
from hpsearch.spec.parameters import Entry, drafts, entries
from hpsearch.spec.place import check_folder, check_place, check_tracking
from hpsearch.spec.registry import PluginError
from hpsearch.spec.search import (
    check_pruner,
    check_recipe,
    check_samplers,
    check_stages,
    check_start,
    check_trials,
    plainest,
    samplers,
    usual_sampler,
)
from hpsearch.spec.sections import section
from hpsearch.spec.settings import GROUPS, JOINT
from hpsearch.spec.source import SOURCES, DataSpec
from hpsearch.spec.space import Range
from hpsearch.spec.study import StudySpec
from hpsearch.spec.task import LOSS, TASKS, beside, possible, training
from hpsearch.spec.task_rules import LOSS_RULE
from hpsearch.spec.weights import DRAWN, Weights, check_tuned

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hpsearch.spec.family import Family
    from hpsearch.spec.faults import Path
    from hpsearch.spec.parameters import Draft
    from hpsearch.spec.space import Assignment, Space

__all__ = ["check", "check_document"]

_S = TypeVar("_S", bound=Section)


class _Sections(NamedTuple):
    """The sections with fixed keys; None where one has faults."""

    head: StudySections | None
    data: DataSpec | None
    network: NetworkSection | None
    search: SearchSpec | None
    budget: BudgetSpec | None
    retry: RetrySpec | None
    final: FinalSpec | None
    track: TrackSpec | None


def check(
    content: object,
    faults: Faults,
    source: str,
    items: Iterable[Entry] | None = None,
    version: int = versions.CURRENT,
    code: pathlib.Path | None = None,
) -> StudySpec:
    """The study that `content` describes; StudyFaultsError, with all faults, where it has any.

    Args:
        content: What the file says.
        faults: What has been noted so far.
        source: What to call the file.
        items: Its parameters, where `content` does not hold them as a file does.
        version: The one whose rules it goes by.
        code: The folder of the study's own code; None: it is not there, and the study is known.
    """
    if not isinstance(content, dict):
        faults.add((), "a mapping of keys to values (hpsearch init DATA writes one)", show(content))
        faults.stop(source)
    if items is None:
        content = copy.deepcopy(content)  # in which other programs' words become ours
        note_foreign(content, faults, source)
    explicit = versions.explicit(content)
    content = dict(versions.completed(content, version))
    items = None if items is None else list(items)
    own = _own_training(content, items, faults, code)
    named = _named_metric(content, faults)
    network_, constants = (
        network_section(content["network"], faults, code) if "network" in content else (None, [])
    )
    sections = _fitting(_sections(content, network_, faults), faults)
    head, data, network, search, budget, retry, final, track = sections
    for key in ("data", "network") if own is None else ():
        if key not in content:  # once misspelt keys are noted, which is then no fault of its own
            faults.add((key,), "a value", "nothing")
    if own:
        items = (
            entries(content.get("parameters", {}), own.settings, faults) if items is None else items
        )
        drafted = drafts(items, own.settings, "train", faults)
    else:
        drafted = _drafts(content, items, constants, data, network, faults)
    space = space_of(drafted, faults)
    start = starts(content.get("start", []), drafted, space, faults)
    _check_agreement(sections, content, named, drafted, faults)
    if network:
        check_required(network.family, drafted, faults)
    if code is not None:
        check_own_losses(drafted, code, faults)
        if data:
            check_own_data(data, code, faults)
    if items is None:  # what studies of before may have stays readable
        check_scales(data, content, drafted, faults)
        _check_trainable(data, network, space, start, drafted, faults)
        _check_folders(head, data, faults)  # the database's may be another machine's
    sampler = _check_search(sections, content, drafted, space, faults, stored=items is not None)
    check_start(start, sampler, faults)
    _check_places(head, track, faults)
    if len(faults) or not (head and search and budget and retry):
        faults.stop(source)
    proposed = {"sampler": sampler, "pruner": plainest(search.pruner)}
    subject = _subject(own, head, data, network)
    if subject is None:
        faults.stop(source)
    return StudySpec(
        name=head.name,
        **subject,
        space=space,
        start=start,
        search=search.model_copy(update=proposed),
        budget=budget,
        retry=retry,
        final=final,
        checkpoints=head.checkpoints,
        track=track,
        keep=head.keep,
        version=version,
        weights=Weights(network.weights, getattr(network, "hashes", {})) if network else DRAWN,
        explicit=explicit,
    )


def _own_training(
    content: dict[str, Any],
    items: Sequence[Entry] | None,
    faults: Faults,
    code: pathlib.Path | None,
) -> OwnTraining | None:
    """What the file says of own training code; None where hpsearch trains networks itself."""
    if "train" in content:
        names = names_in(content.get("parameters"), faults)
        names = [entry.name for entry in items] if items is not None else names
        return own_training(content, names, faults, code, stored=items is not None)
    if "resources" in content:
        expected = "no resources: they are for own training code, which train names"
        faults.add(("resources",), expected, "some")
    return None


def _subject(
    own: OwnTraining | None,
    head: StudySections,
    data: DataSpec | None,
    network: NetworkSection | None,
) -> dict[str, Any] | None:
    """What a study searches, as fields of `StudySpec`; None where something of it is missing."""
    if own is not None:
        if own.train is None or own.metric is None or own.resources is None:
            return None
        return {
            "data": None, "family": own.train.function or COMMAND, "metric": own.metric.name,
            "train": own.train, "resources": own.resources, "better": own.metric.direction,
        }  # fmt: skip
    if data is None or network is None:
        return None
    metric = head.metric or _usual_metric(data)
    return {"data": data, "family": network.family, "metric": metric}


def check_document(document: object) -> StudySpec:
    """The study of a document, which is trusted no more than a file. Raises PluginError where a
    family, a source or a task of it is of a package that is not installed here."""
    faults = Faults()
    content = admit(document, (), faults)
    if not isinstance(content, dict):
        return check(content, faults, "the study in the database")
    source = f"study {show(content.get('name'))} in the database"
    version = content.pop("version", versions.FIRST)
    if type(version) is not int or not versions.FIRST <= version <= versions.CURRENT:
        supported = f"{versions.FIRST} to {versions.CURRENT}, which this hpsearch knows"
        faults.add(("version",), supported, show(version))
        faults.stop(source)  # what else is wrong by the rules of another version says nothing
    _check_installed(content)
    items = [*_listed_entries(content.pop("parameters", None), faults)]
    items += _constants(content.pop("constants", {}), faults)
    return check({**content, "parameters": {}}, faults, source, items, version)


def _check_installed(content: Mapping[str, Any]) -> None:
    """Raise PluginError where what the study is made of is not here. Which of its settings are
    right cannot be told then, and none of them is to blame."""
    sections = {key: content.get(key) for key in ("network", "data")}
    for key, name, registry in (
        ("network", "family", FAMILIES), ("data", "source", SOURCES), ("data", "task", TASKS),
    ):  # fmt: skip
        section = sections[key]
        declared = section.get(name) if isinstance(section, dict) else None
        if not isinstance(declared, str):
            continue
        try:
            registry[declared]
        except PluginError as error:
            study = printable(str(content.get("name")))
            raise PluginError(f"study {study}: {error}") from None


def _listed_entries(parameters: object, faults: Faults) -> Iterator[Entry]:
    """The parameters of a document; their order is that of the list."""
    top: Path = ("parameters",)
    if not isinstance(parameters, list):
        faults.add(top, "a list of parameters", show(parameters))
        return
    for index, raw in enumerate(parameters):
        if not isinstance(raw, dict) or not {"group", "name"} <= raw.keys():
            faults.add((*top, index), "a parameter with group and name", show(raw))
            continue
        group, name = str(raw.pop("group")), str(raw.pop("name"))
        if group not in GROUPS:
            faults.add((*top, index, "group"), listed(GROUPS), show(group))
        yield Entry(group, name, raw, (*top, index))


def _constants(constants: object, faults: Faults) -> Iterator[Entry]:
    if not isinstance(constants, dict):
        faults.add(("constants",), "values by name", show(constants))
        return
    for name, value in constants.items():
        yield Entry("", name, value, ("constants", name))


def _sections(content: dict[str, Any], network: NetworkSection | None, faults: Faults) -> _Sections:
    raw = content.get("search", {})
    if isinstance(raw, dict):  # the sampler is checked with the groups that it is for
        raw = {key: value for key, value in raw.items() if key != "sampler"}
    return _Sections(
        section(StudySections, content, (), faults),
        data_section(content["data"], faults) if "data" in content else None,
        network,
        section(SearchSpec, raw, ("search",), faults),
        section(BudgetSpec, content.get("budget", {}), ("budget",), faults),
        section(RetrySpec, content.get("retry", {}), ("retry",), faults),
        _optional(FinalSpec, content, "final", faults),
        _optional(TrackSpec, content, "track", faults),
    )


def _optional(model: type[_S], content: dict[str, Any], key: str, faults: Faults) -> _S | None:
    """The section of that key; None where the file has none, or it has faults."""
    return None if content.get(key) is None else section(model, content[key], (key,), faults)


def _fitting(sections: _Sections, faults: Faults) -> _Sections:
    """The sections without a task whose settings mean something else to the family."""
    data, network = sections.data, sections.network
    if data is None or network is None:
        return sections
    try:
        FAMILIES[network.family].vocabulary(data.task)
    except PluginError as error:
        faults.add(("data", "task"), f"a task that goes with the family ({error})", data.task or "")
        return sections._replace(data=None)
    return sections


def _named_metric(content: dict[str, Any], faults: Faults) -> MetricSpec | None:
    """The metric where it is given with a direction; `content` gets its name alone."""
    raw = content.get("metric")
    if not isinstance(raw, dict):
        return None
    named = section(MetricSpec, raw, ("metric",), faults)
    content["metric"] = named.name if named else LOSS  # which every task has: one fault is enough
    return named


def _drafts(
    content: dict[str, Any],
    items: Iterable[Entry] | None,
    constants: Sequence[Entry],
    data: DataSpec | None,
    network: NetworkSection | None,
    faults: Faults,
) -> dict[str, Draft]:
    family = FAMILIES[network.family] if network else _meant(content.get("network"))
    if family and data and _misfit(family, data):  # which is a fault by itself
        family = None
    task = data.task if data else None
    settings = {
        s.name: s
        for s in (family.vocabulary(task).settings.values() if family else training(beside(task)))
    }
    if items is None:
        items = entries(content.get("parameters", {}), settings, faults)
    # Where the family is none, which is a fault, what is a setting of it is not known.
    judged = family.name if family and network else None
    return drafts([*items, *constants], settings, judged, faults)


def _meant(network: object) -> Family | None:
    """The family that a name which is none is most likely a slip of."""
    families = FAMILIES.all()
    name = network.get("family") if isinstance(network, dict) else None
    return families.get(nearest(name, families) or "")


def _check_agreement(
    sections: _Sections,
    content: Mapping[str, object],
    named: MetricSpec | None,
    drafted: Mapping[str, Draft],
    faults: Faults,
) -> None:
    """Note what is right by itself and wrong together."""
    data, network, budget = sections.data, sections.network, sections.budget
    if data:
        check_metric(data, content.get("metric"), named, faults)
        check_labelled(data, content.get("metric"), faults)
        check_loss(data, drafted, faults)
        if network:
            _check_takes(network.family, data, faults)
            _check_images(network.family, data, drafted, faults)
        if sections.final and data.measured_on_test:
            expected = "no finish, as data.validation is test: no rows are left to judge by"
            faults.add(("final",), expected, "a finish", beside=[("data", "validation")])
        elif sections.final and data.test == 0:
            expected = "a share above 0, as the finish uses the test part"
            faults.add(("data", "test"), expected, "0", beside=[("final",)])
    if budget:
        _check_epochs(budget.epochs, drafted.get("epochs"), faults)
    if network:
        _check_either(network.family, drafted, faults)
        check_tuned(network.weights, drafted, faults)


def _misfit(family: Family, data: DataSpec) -> bool:
    """Whether a family cannot be given what the data has, or cannot learn the task."""
    kind = SOURCES[data.source].kind_of(data)
    targets = {task.target for task in possible(data.task)}
    return not targets & family.targets or (kind is not None and kind not in family.takes)


def _check_takes(family: str, data: DataSpec, faults: Faults) -> None:
    """Note a family that cannot be given what the data has, or cannot learn the task."""
    kind, own = SOURCES[data.source].kind_of(data), FAMILIES[family]
    targets = {task.target for task in possible(data.task)}
    names = listed(families_for(data.task, kind))
    if not targets & own.targets:
        task = f"data.task is {data.task}" if data.task else "data.task names no other task"
        expected = f"{names or 'another source'}, as {task}"
        faults.add(("network", "family"), expected, show(family), beside=[("data", "task")])
    elif kind is not None and kind not in own.takes:
        takes = " or ".join(sorted(own.takes))
        expected = (
            f"{names or 'another source'}, as the data has {kind}, and {family} takes {takes}"
        )
        faults.add(("network", "family"), expected, show(family), beside=[("data", "source")])


def _check_images(
    family: str, data: DataSpec, drafted: Mapping[str, Draft], faults: Faults
) -> None:
    """Note settings of augmentation where the data has no images."""
    kind = SOURCES[data.source].kind_of(data)
    settings = FAMILIES[family].vocabulary(data.task).settings
    for name in unsuited([s for name, s in settings.items() if name in drafted], kind):
        expected = f"no {name}, which is for images: the data has {kind}"
        got = show(drafted[name].entry.raw)
        faults.add(drafted[name].path, expected, got, beside=[("data", "source")])


def _usual_metric(data: DataSpec) -> str:
    """The metric where the file names none."""
    task = possible(data.task)[0]
    return task.usual_metric(labelled=task.target != "inputs" or bool(data.normal)).name


def _check_either(family: str, drafted: Mapping[str, Draft], faults: Faults) -> None:
    """Note settings that say the same twice. A constant null says nothing."""
    either = FAMILIES[family].either
    named = [
        [
            n
            for n in names
            if n in drafted and (not drafted[n].constant or drafted[n].entry.raw is not None)
        ]
        for names in either
    ]
    first, *others = [names for names in named if names] or [[]]
    if others:
        expected = "either " + ", or ".join(" and ".join(names) for names in either)
        got = " and ".join(name for names in named for name in names)
        beside = [drafted[name].path for names in others for name in names]
        faults.add(drafted[first[0]].path, expected, got, beside=beside)


def _check_places(head: StudySections | None, track: TrackSpec | None, faults: Faults) -> None:
    if head and head.checkpoints:
        check_place(head.checkpoints, faults)
    if track:
        check_tracking(track.mlflow, faults)


def _check_folders(head: StudySections | None, data: DataSpec | None, faults: Faults) -> None:
    if head and head.checkpoints:
        check_folder(("checkpoints",), head.checkpoints, faults)
    root = getattr(data, "root", None)  # of the sources that have files somewhere
    if root:
        check_folder(("data", "root"), root, faults)


def _check_trainable(
    data: DataSpec | None,
    network: NetworkSection | None,
    space: Space,
    start: Sequence[Assignment],
    drafted: Mapping[str, Draft],
    faults: Faults,
) -> None:
    """Note values and starting points that can never be trained beside the others.

    What depends on the target is looked at again once a table's is known (`suitability`).
    """
    faulty = {name for name, draft in drafted.items() if draft.domain is None}
    if data is None or network is None:
        return
    known_settings = FAMILIES[network.family].vocabulary(data.task)
    for rule in known_settings.rules:
        if rule is LOSS_RULE or faulty & rule.wanted.keys():  # the loss is looked at by itself
            continue
        if fault := never(space, network.family, rule, data.task, None):
            beside = [drafted[name].path for name in rule.wanted if name in drafted]
            faults.add(drafted[fault.name].path, fault.wanted, fault.values, beside=beside)
            continue
        settings = {**known_settings.defaults, **space.constants}
        for number, point in enumerate(start):
            drawn = {name for name in rule.wanted if name in space.names and name not in point}
            if not drawn and (why := rule.breach({**settings, **point}, data.task, None)):
                faults.add(("start", number), "settings that can be trained", why)


def _check_epochs(most: int, draft: Draft | None, faults: Faults) -> None:
    if draft is None or draft.domain is None:
        return
    ranged = isinstance(draft.domain, Range)
    values = [draft.domain.high] if isinstance(draft.domain, Range) else draft.domain.values
    path = (*draft.path, "max") if ranged else draft.path
    over = [value for value in values if isinstance(value, (int, float)) and value > most]
    if over:
        expected = f"at most budget.epochs ({most})"
        faults.add(path, expected, ", ".join(map(show, over)), beside=[("budget", "epochs")])


def _check_search(
    sections: _Sections,
    content: Mapping[str, Any],
    drafted: Mapping[str, Draft],
    space: Space,
    faults: Faults,
    *,
    stored: bool,
) -> dict[str, str]:
    """The sampler of each group; what sampler, pruner and budget cannot do is noted."""
    groups: dict[str, bool] = {}
    for draft in drafted.values():
        group = draft.entry.group
        groups[group] = groups.get(group, False) or not draft.constant
    raw = content.get("search")
    usual = usual_sampler(sections.search.strategy if sections.search else "")
    given = raw.get("sampler", usual) if isinstance(raw, dict) else usual
    # Without parameters, any group will do: their own fault is enough.
    chosen = samplers(given, groups or dict.fromkeys(GROUPS, False), faults)
    check_samplers(chosen, space, drafted, faults)
    staged = sections.search is not None and sections.search.strategy != JOINT
    if sections.search:
        epochs = sections.budget.epochs if sections.budget else None
        pruner = sections.search.pruner
        check_pruner(pruner, ("search", "pruner"), epochs, faults, stored=stored)
        searched = [group for group in groups if groups[group]]
        check_stages(sections.search, searched, space, faults)
        check_recipe(sections.search, sections.budget, drafted, faults)
    if sections.budget:
        check_trials(sections.budget, chosen, space, faults, staged=staged)
    return chosen
