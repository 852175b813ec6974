"""Own training code in a study file: what trains, and what it is given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.code import SignatureError
from hpsearch.code.signature import TAKEN, named, positional
from hpsearch.spec.faults import show
from hpsearch.spec.parameters import KEYS
from hpsearch.spec.sections import section
from hpsearch.spec.settings import EPOCHS, GROUPS, Setting
from hpsearch.spec.train import OwnMetric, ResourcesSpec, TrainSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from hpsearch.spec.faults import Faults

__all__ = [
    "EVALUATE", "GIVEN", "LEFT_OPEN", "PLACEHOLDER", "SESSION", "OwnTraining", "evaluation_of",
    "names_in", "own_training", "settings_of", "untested",
]  # fmt: skip

PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")
"""Stands for a parameter in a word of a command: `{lr}`."""

GIVEN = ("checkpoint", "device", "folder", "seed")
"""What a command can be given beside its parameters."""

LEFT_OPEN = "TODO"
"""The name in braces of a word that `hpsearch init` cannot know."""

SESSION = "session.py"
"""What stands for the file of a function that is in none, as of a notebook's cell."""

EVALUATE = "evaluate"
"""The function that tests, in the file of the one that trains."""
_GIVEN_TO_IT = ("run", "part")
"""Its arguments, by which it is known from a helper of that name."""

_LEFT_TO_IT = ("data", "network")
"""Sections of networks that hpsearch trains itself."""


@dataclass(frozen=True)
class OwnTraining:
    """What a study file says of its own training code; None of what has faults."""

    train: TrainSpec | None
    resources: ResourcesSpec | None
    metric: OwnMetric | None
    settings: Mapping[str, Setting]
    """The parameters that it names, of any kind, and `epochs`."""


def own_training(
    content: dict[str, Any], names: Sequence[str], faults: Faults, code: Path | None, *,
    stored: bool = False,
) -> OwnTraining:  # fmt: skip
    """The sections of own training code.

    Args:
        content: What the file says; the metric and the sections that are read here are taken out.
        names: Its parameters.
        faults: What is wrong is noted there.
        code: The folder of the code, in which the function is looked for; None: it is not there.
        stored: Whether it is the document of a study, which leaves out what is at its default.
    """
    left = [key for key in _LEFT_TO_IT if content.pop(key, None) is not None]
    if left:
        expected = f"no {' and no '.join(left)}, as train says what trains"
        faults.add((left[0],), expected, " and ".join(left), beside=[("train",)])
    train = section(TrainSpec, content.pop("train"), ("train",), faults)
    resources = section(ResourcesSpec, content.pop("resources", {}), ("resources",), faults)
    metric = _metric(content.pop("metric", None), faults)
    if train is not None:
        _check_what(train, names, faults, code)
    search = content.get("search")
    if isinstance(search, dict) and search.get("strategy") == "recipe":
        expected = "joint or staged, as the recipe is for networks that hpsearch trains"
        faults.add(("search", "strategy"), expected, "recipe", beside=[("train",)])
    budget = content.get("budget")
    if not stored and (not isinstance(budget, dict) or "epochs" not in budget):
        faults.add(("budget", "epochs"), "the most epochs that train may report", "nothing")
    return OwnTraining(train, resources, metric, settings_of(names))


def _check_what(train: TrainSpec, names: Sequence[str], faults: Faults, code: Path | None) -> None:
    """Note a section that names neither a function nor a command, or both, or one that is none."""
    if (train.function is None) is (train.command is None):
        got = "neither" if train.function is None else "both"
        faults.add(("train",), "a function, FILE.py:FUNCTION, or a command", got)
    elif train.function is not None and code is not None:
        try:
            positional(code, train.function, "run", 1)
        except SignatureError as error:
            faults.add(("train", "function"), error.expected, error.got)
    for key, words in (("command", train.command), ("evaluate", train.evaluate)):
        for number, word in enumerate(words or ()):
            for name in PLACEHOLDER.findall(word):
                placeholders = (*names, EPOCHS.name, *GIVEN)
                if name not in placeholders:
                    expected = f"a parameter, or one of {', '.join(GIVEN)}, in braces"
                    if name == LEFT_OPEN:
                        expected = "a value here, which the script requires and init could not know"
                    faults.add(
                        ("train", key, number), expected, f"{{{name}}}", near=(name, placeholders)
                    )
    if train.function is not None and train.evaluate is not None:
        expected = f"no command, as {EVALUATE}(run, part) in the function's file tests"
        faults.add(("train", "evaluate"), expected, "one", beside=[("train", "function")])


def evaluation_of(train: TrainSpec, code: Path) -> str | tuple[str, ...] | None:
    """What tests in a finish what was trained: the function `evaluate(run, part)` of the same file,
    or the command that the study file names; None: nothing does.

    Args:
        train: The section.
        code: The folder of the code, of which nothing is run.
    """
    if train.function is None:
        return train.evaluate
    reference = f"{train.function.partition(':')[0]}:{EVALUATE}"
    return reference if named(code, reference) == _GIVEN_TO_IT else None


def untested(train: TrainSpec) -> str:
    """Why nothing tests what was trained, where `evaluation_of` finds nothing."""
    if train.function is None:
        return "the study file has no train.evaluate"
    return f"{train.function.partition(':')[0]} has no {EVALUATE}(run, part)"


def settings_of(names: Iterable[str]) -> dict[str, Setting]:
    """The settings of own training code by name: any value, but for `epochs`."""
    doc = "A parameter of the study's own training code."
    own = {name: Setting(name, "any", None, doc) for name in names}
    return {**own, EPOCHS.name: EPOCHS}


def names_in(parameters: object, faults: Faults) -> list[str]:
    """The names of all parameters of a file, in groups or not; those that mean something else to a
    run are noted."""
    if not isinstance(parameters, dict):
        return []
    paths: list[tuple[str, ...]] = []
    for key, raw in parameters.items():
        if key in GROUPS and isinstance(raw, dict) and not raw.keys() & {*KEYS}:
            paths += [(key, name) for name in raw]
        else:
            paths.append((key,))
    for path in paths:
        if not path[-1].isidentifier():
            expected = "a name that Python can have, such as hidden_size"
            faults.add(("parameters", *path), expected, show(path[-1]))
        elif path[-1] in TAKEN:
            expected = f"another name, as run.{path[-1]} means something else"
            faults.add(("parameters", *path), expected, show(path[-1]))
    return [path[-1] for path in paths]


def _metric(raw: object, faults: Faults) -> OwnMetric | None:
    if isinstance(raw, dict):
        return section(OwnMetric, raw, ("metric",), faults)
    expected = "name and direction, such as {name: accuracy, direction: maximize}"
    faults.add(("metric",), expected, "nothing" if raw is None else show(raw))
    return None
