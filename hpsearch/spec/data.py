"""The data section: the keys of its source, and what they have to agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.spec.faults import listed, show
from hpsearch.spec.registry import PluginError
from hpsearch.spec.sections import section
from hpsearch.spec.source import SOURCES, DataSpec
from hpsearch.spec.task import TASKS, reconstructing, usual

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.spec.faults import Faults, Path
    from hpsearch.spec.source import Source
    from hpsearch.spec.task import Target

__all__ = ["data_section"]


def data_section(raw: object, faults: Faults) -> DataSpec | None:
    """The section by the keys of its source, with the defaults that depend on that; None where it
    has faults, which are noted."""
    if isinstance(raw, dict) and "source" not in raw:
        raw = {**_implied(raw), **raw}
    name = raw.get("source") if isinstance(raw, dict) else None
    try:
        source = SOURCES.find(name) if isinstance(name, str) else None
    except PluginError:  # which is a fault of the key below
        source = None
    if source is None and isinstance(raw, dict):  # which keys there are is not known
        raw = {key: value for key, value in raw.items() if key == "source"}
    data = section(source.section if source else DataSpec, raw, ("data",), faults)
    return _completed(data, faults) if data else None


def _implied(raw: Mapping[str, object]) -> dict[str, str]:
    """The source that a section means which names a function of own code and no source."""
    own = SOURCES.all(installed=False).values()
    names = [source.name for source in own if raw.keys() & source.code.keys()]
    return {"source": names[0]} if names else {}


def _completed(data: DataSpec, faults: Faults) -> DataSpec:
    """`data` with the defaults that depend on its source; what does not agree is noted."""
    source = SOURCES[data.source]
    with SOURCES.blamed(data.source):
        disagreements = tuple(data.disagreements())
    for path, expected, got in disagreements:
        faults.add(("data", *path), expected, got)
    target = TASKS[data.task].target if data.task else None
    if source.target and target not in (None, "inputs", source.target):
        fitting = (task.name for task in TASKS.all().values() if task.target in
                   (source.target, "inputs"))  # fmt: skip
        expected = f"{listed(fitting)}, as the source is {data.source}"
        faults.add(("data", "task"), expected, show(data.task), beside=[("data", "source")])
    _check_kinds(data, source, target, faults)
    if data.measured_on_test and target == "inputs":  # strange rows have parts of their own
        expected = f"a share, as data.task is {data.task}"
        faults.add(
            ("data", "validation"), expected, show(data.validation), beside=[("data", "task")]
        )
    test = data.test
    if data.measured_on_test and test:
        expected = "no test share, as validation is test"
        faults.add(("data", "test"), expected, show(test), beside=[("data", "validation")])
        test = None
    if data.own_test and test is not None:
        expected = f"no test share, as {data.own_test}"
        faults.add(("data", "test"), expected, show(test), beside=[("data", "source")])
        test = None
    elif not data.own_test:
        test = data.test_share
    if data.validation_share + data.test_share >= 1:
        expected = f"shares below 1 in all, with validation at {data.validation_share:g}"
        key = "test" if data.test is not None else "validation"
        faults.add(
            ("data", key),
            expected,
            f"{data.test_share:g} for test",
            beside=[("data", "validation")],
        )
    task = data.task or (usual(source.target).name if source.target else None)
    return data.model_copy(update={"test": test, "task": task})


def _check_kinds(
    data: DataSpec, source: Source, target: Target | None, faults: Faults
) -> None:  # fmt: skip
    """Note classes that are called normal or strange where that means nothing."""
    for key in ("normal", "strange"):
        names = getattr(data, key)
        if names and target != "inputs":
            tasks = listed(task.name for task in reconstructing())
            faults.add(("data", key), f"no {key}, as data.task is not {tasks}", show(list(names)))
        elif names and source.target == "numbers":
            expected = f"no {key}, as the target of {source.name} is a number"
            faults.add(("data", key), expected, show(list(names)))
        elif source.classes:
            _check_named(names, source.classes, ("data", key), faults)
    if target == "inputs" and data.strange and not data.normal:
        expected = "the classes whose rows are normal, as data.strange names others"
        faults.add(("data", "normal"), expected, "nothing", beside=[("data", "strange")])
    for at, name in enumerate(data.strange):
        if name in data.normal:
            expected = "classes beside those of data.normal"
            faults.add(("data", "strange", at), expected, show(name), beside=[("data", "normal")])


def _check_named(
    names: Sequence[str], classes: Sequence[str], path: Path, faults: Faults
) -> None:  # fmt: skip
    """Note the names that are none of `classes`, and names of all of them."""
    for at, name in enumerate(names):
        if name not in classes:
            faults.add((*path, at), listed(classes), show(name), near=(name, classes))
    if {*classes} <= {*names}:
        faults.add(path, "some of the classes", "every class")
