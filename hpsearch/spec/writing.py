"""`StudySpec` -> the YAML of a study file, with comments: what `load` reads back as the same study.

What is as hpsearch would have it anyway is left out, but for the budget. Where conditions reach
from group to group the order of the parameters may come to be another one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

from hpsearch.spec.search import usual_sampler
from hpsearch.spec.source import SOURCES, TEST_SHARE
from hpsearch.spec.task import usual

if TYPE_CHECKING:
    from hpsearch.spec.family import Vocabulary
    from hpsearch.spec.faults import Path
    from hpsearch.spec.study import StudySpec

__all__ = ["write"]

_TOP: Path = ("parameters",)
_WIDE = 90
"""Letters of a section `train`, or of a command, that is written over lines where it has more."""


class _Representer(RoundTripRepresenter):
    """Writes null as a word: an empty place reads as if it had been forgotten."""


_Representer.add_representer(
    type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
)


def write(spec: StudySpec, head: str = "", notes: Mapping[Path, str] | None = None) -> str:
    """The file's text: parameters by name, in groups only where the file itself moved one into
    another group.

    Args:
        spec: The study.
        head: What stands above it, as a comment.
        notes: Comments by the path of the key that each stands above, such as ("budget", "epochs")
            or, in a group or not, ("parameters", "lr").
    """
    notes = notes or {}
    content = _content(spec)
    groups = content["parameters"]
    headings: set[Path] = set()
    if (plain := _ungrouped(groups, spec.vocabulary)) is not None:
        content["parameters"] = plain
    else:
        place = {(*_TOP, name): (*_TOP, group, name) for group in groups for name in groups[group]}
        notes = {place.get(path, path): note for path, note in notes.items()}
        headings = {(*_TOP, group) for group in groups}
    blocks = {(), _TOP, *headings, *(path[:-1] for path in notes)}
    root = _laid_out(content, (), blocks, notes)
    if head:
        root.yaml_set_start_comment(head)
    return _dumped(root)


def _dumped(root: CommentedMap) -> str:
    yaml = YAML()
    yaml.Representer, yaml.width = _Representer, 10_000  # a broken line reads badly
    stream = io.StringIO()
    yaml.dump(root, stream)
    return stream.getvalue().rstrip("\n") + "\n"


def _content(spec: StudySpec) -> dict[str, Any]:
    """The file as plain values, without what is left to defaults."""
    document = spec.filled
    content = {
        "name": spec.name,
        **_subject(spec, document),
        "keep": None if spec.keep == "best" else spec.keep,
        "parameters": _parameters(document, spec.vocabulary),
        "start": document["start"],
        "search": spec.search.model_dump(mode="json", exclude_defaults=True),
        "budget": spec.budget.model_dump(mode="json", exclude_none=True),
        "retry": spec.retry.model_dump(mode="json", exclude_defaults=True),
        "final": document["final"],
        "checkpoints": spec.checkpoints,
        "track": document["track"],
    }
    _shorten(content["search"], spec.search.strategy)
    return {key: value for key, value in content.items() if value or key == "parameters"}


def _subject(spec: StudySpec, document: Mapping[str, Any]) -> dict[str, Any]:
    """What is searched: own training code, or data and networks."""
    if spec.data is None:
        assert spec.train is not None
        resources = spec.resources.model_dump(mode="json", exclude_defaults=True)
        train = spec.train.model_dump(mode="json", exclude_defaults=True)
        return {"train": train, "resources": resources, "metric": document["metric"]}
    data = spec.data.model_dump(mode="json", exclude_defaults=True)
    if data.get("test") == TEST_SHARE:
        del data["test"]
    target = SOURCES[spec.data.source].target
    if target is not None and spec.data.task == usual(target).name:
        data.pop("task", None)
    network = {k: v for k, v in document["network"].items() if k not in ("signature", "hashes")}
    return {"data": data, "network": network, "metric": spec.metric}


def _shorten(search: dict[str, Any], strategy: str) -> None:
    """One sampler for all groups, and a pruner without options, are their names; the sampler that a
    strategy has anyway is left out."""
    named = set(search.get("sampler", {}).values())
    if len(named) == 1:
        search["sampler"] = named.pop()
    if search.get("sampler") == usual_sampler(strategy):
        del search["sampler"]
    if search.get("pruner", {}).keys() == {"name"}:
        search["pruner"] = search["pruner"]["name"]


def _parameters(document: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """The groups, in the order in which they are searched, and constants after what is searched."""
    groups: dict[str, dict[str, Any]] = {}
    for group, members in groupby(document["parameters"], key=lambda p: p["group"]):
        for parameter in members:
            groups.setdefault(group, {})[parameter["name"]] = _shown(parameter)
    for name, value in document["constants"].items():
        groups.setdefault(vocabulary.settings[name].group, {})[name] = value
    return groups


def _ungrouped(groups: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any] | None:
    """The parameters without their groups, which those of their settings are; None where one is in
    another group, or has the name of one."""
    names = [(group, name) for group, members in groups.items() for name in members]
    if any(vocabulary.settings[name].group != group for group, name in names):
        return None
    return {name: groups[group][name] for group, name in names}


def _shown(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter as its entry has it."""
    shown = {k: v for k, v in parameter.items() if k not in ("group", "name")}
    if not shown.get("log"):
        shown.pop("log", None)
    if "when" in shown:
        shown["when"] = {name: _wanted(values) for name, values in shown["when"].items()}
    return shown


def _wanted(values: list[Any]) -> Any:
    """The values of a condition; one alone needs no list, unless it is one itself."""
    return values[0] if len(values) == 1 and not isinstance(values[0], list) else values


def _laid_out(value: Any, path: Path, blocks: set[Path], notes: Mapping[Path, str]) -> Any:
    """In ruamel.yaml's own kinds, which carry comments and the choice of lines."""
    if isinstance(value, Mapping):
        mapping = CommentedMap()
        for key, item in value.items():
            here = (*path, key)
            mapping[key] = _laid_out(item, here, blocks, notes)
            if note := notes.get(here):
                mapping.yaml_set_comment_before_after_key(key, note, indent=2 * len(path))
        if path not in blocks and not (path == ("train",) and len(str(value)) > _WIDE):
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, (list, tuple)):
        listed = CommentedSeq(
            _laid_out(item, (*path, i), blocks, notes) for i, item in enumerate(value)
        )
        if path != ("start",) and not (path[:1] == ("train",) and len(str(value)) > _WIDE):
            listed.fa.set_flow_style()
        return listed
    return value
