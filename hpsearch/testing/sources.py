"""The promises of a source.

Shapes: `N` rows.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from hpsearch.errors import DataError
from hpsearch.sources.inputs import Given, TokenInputs
from hpsearch.sources.look import Look
from hpsearch.sources.normal import divide_kinds
from hpsearch.sources.raw import Raw
from hpsearch.sources.split import DataSettings
from hpsearch.spec.registry import named
from hpsearch.spec.source import SOURCES
from hpsearch.spec.task import TASKS
from hpsearch.testing.promise import check_imports, promise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.sources.inputs import Inputs
    from hpsearch.sources.raw import Rows
    from hpsearch.spec.source import DataSpec, Source

__all__ = ["check_source"]

_COMPARED = 100
"""Most rows of a part that are compared with those of another read."""


def check_source(source: Source, base: Path | None = None, **keys: Any) -> None:
    """Raise AssertionError, which says what is wrong, where a source breaks a promise.

    - its declaration imports no PyTorch;
    - it and each key of its section are described, its section is the same when read again, and has
      no `disagreements`;
    - read twice, and again by what was decided, it gives the same rows, targets, classes and
      fingerprint, which is a text;
    - `take` fails for a number beyond the last target, as there are as many targets as rows;
    - targets are numbers of classes, or finite numbers, as its task has them;
    - its rows can be split into parts that are not empty;
    - inputs are finite and float32, or int64 tokens below their vocabulary, have the shape that
      they say, are those of each row alone, and are the same to the last bit when saved and read
      again;
    - `of_rows` gives the inputs of what `take` gives, or DataError where it takes rows of another
      form, and `of_files` DataError for a file that does not exist;
    - `look`, if it is declared, gives a Look whose classes, kind and shape are those of the data.

    Whether a package with it is installed makes no difference.

    Args:
        source: The declaration.
        base: The folder that relative paths of the section begin at; None: the current one.
        keys: Of its section: data of some dozens of rows, so that the check is quick.
    """
    with SOURCES.holding(source.name, source):
        section = source.section.model_validate({"source": source.name, **keys})
        _check_declaration(source, section)
        check_imports(source, source.read)
        _check_read(source, section, base or Path())


def _check_read(source: Source, section: DataSpec, base: Path) -> None:
    read = named(source.read)
    raw = read(section, base, None)
    promise(isinstance(raw, Raw), f"read gives a {type(raw).__name__}, not a Raw")
    _check_rows(source, raw)
    decided = None if raw.decided is None else json.loads(json.dumps(raw.decided))
    promise(decided == raw.decided, "decided needs to be JSON: lists, and no tuples")
    split, _ = divide_kinds(raw, DataSettings(section, every_class=True))
    promise(len(split.train) > 1 < len(split.validation), "parts are too small; give more rows")
    inputs, _ = raw.fit(split.train)
    for other in (read(section, base, None), read(section, base, decided)):
        _check_same(raw, other)
        for part in filter(len, (split.train, split.validation, split.test)):
            rows = part[:: len(part) // _COMPARED + 1]  # those of one part, as training takes them
            same = np.array_equal(inputs(other.take(rows)), inputs(raw.take(rows)))
            promise(same, "read again, it has other rows")
    _check_inputs(source, section, inputs, raw.take(split.validation))
    _check_alone(raw, inputs, split.validation)
    _check_predicted(inputs, raw.take(split.validation), base)
    _check_look(source, section, base, raw, inputs)


def _check_declaration(source: Source, section: DataSpec) -> None:
    promise(bool(source.doc.strip()), "it needs a doc, a few words")
    for name, field in type(section).model_fields.items():
        promise(bool(field.description), f"{name} needs a docstring: what it means")
    again = source.section.model_validate_json(section.model_dump_json())
    promise(again == section, "the section is another one when it is read again from JSON")
    for keys, expected, got in section.disagreements():
        promise(
            False, f"its keys disagree: {'.'.join(map(str, keys))}: expected {expected}; got {got}"
        )
    for path in (source.read, source.inputs, source.look, source.describe):
        if path is not None:
            named(path)


def _check_rows(source: Source, raw: Raw) -> None:
    task = TASKS[raw.task]
    promise(source.target in (None, task.target), f"its targets are {source.target}, and the task "
            f"{raw.task} has {task.target}")  # fmt: skip
    if task.target == "classes":
        inside = raw.targets.dtype.kind in "ui" and len(raw.classes) > 1
        inside = inside and raw.targets.min() >= 0 and raw.targets.max() < len(raw.classes)
        promise(bool(inside), "targets have to be whole numbers of two or more classes")
    else:
        promise(bool(np.isfinite(raw.targets).all()), "targets have to be finite numbers")
        promise(not raw.classes, f"there are no classes, as the task {raw.task} has numbers")
    for name in ("order", "groups"):
        values = getattr(raw, name)
        promise(values is None or len(values) == len(raw.targets), f"{name} needs a value a row")
    promise(isinstance(raw.fingerprint, str) and bool(raw.fingerprint), "fingerprint needs to be a "
            f"hash of the data, a text; got {raw.fingerprint!r}")  # fmt: skip


def _check_same(raw: Raw, other: Raw) -> None:
    same = raw.fingerprint == other.fingerprint and raw.decided == other.decided
    promise(same, "read again, the data has another fingerprint or other decisions")
    promise(np.array_equal(raw.targets, other.targets), "read again, it has other targets")
    promise(raw.classes == other.classes, "read again, it has other classes")


def _check_inputs(source: Source, section: DataSpec, inputs: Inputs, taken: Any) -> None:
    kind = source.kind_of(section)
    promise(kind in (None, inputs.kind), f"kind is {kind}, and of its inputs {inputs.kind}")
    promise(inputs.fault() is None, f"its own inputs have a fault: {inputs.fault()}")
    values_N = inputs(taken)
    shape = (len(values_N), *inputs.shape)
    promise(values_N.shape == shape, f"inputs have the shape {values_N.shape}, expected {shape}")
    dtype = np.int64 if inputs.kind == "tokens" else np.float32
    promise(values_N.dtype == dtype, f"inputs are {values_N.dtype}, expected {dtype.__name__}")
    promise(bool(np.isfinite(values_N).all()), "inputs are not all finite")
    if inputs.kind == "tokens":
        assert isinstance(inputs, TokenInputs)
        inside = values_N.min() >= 0 and values_N.max() < inputs.vocabulary
        promise(bool(inside), "tokens have to be from 0 to one below the vocabulary")
    again = _read_again(source, inputs)
    promise(np.array_equal(again(taken), values_N), "inputs that are saved and read again differ")


def _check_alone(raw: Raw, inputs: Inputs, rows: Rows) -> None:
    values_N = inputs(raw.take(rows))
    promise(len(values_N) == len(rows), f"take gives {len(values_N)} rows of {len(rows)}")
    for at in (0, len(rows) - 1):
        alone = inputs(raw.take(rows[at : at + 1]))
        promise(np.array_equal(alone[0], values_N[at]), "a row alone has other inputs than with "
                "others beside it")  # fmt: skip
    count = len(raw.targets)
    beyond = 0
    with contextlib.suppress(Exception):
        beyond = len(inputs(raw.take(np.array([count]))))
    promise(not beyond, f"take gives a row {count}, counted from 0, for {count} targets: give a "
            "target for each row, or IndexError beyond the last")  # fmt: skip


def _check_predicted(inputs: Inputs, taken: Any, base: Path) -> None:
    """What inputs make of rows that somebody wants predictions of."""
    missing = base / "a file that does not exist"
    for name, rows in (("of_rows", taken), ("of_files", [missing])):
        try:
            given = getattr(inputs, name)(rows)
        except DataError:
            continue
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise AssertionError(f"{name} fails where it needs to give DataError: {why}") from error
        promise(isinstance(given, Given), f"{name} gives a {type(given).__name__}, not a Given")
        promise(name == "of_rows", "of_files gives inputs of a file that does not exist")
        same = np.array_equal(given.inputs, inputs(taken))
        promise(same, "of_rows gives other inputs than training has of these rows")


def _check_look(source: Source, section: DataSpec, base: Path, raw: Raw, inputs: Inputs) -> None:
    lines = source.described(raw.decided)
    promise(all(isinstance(line, str) for line in lines), f"describe gives {lines!r}, not texts")
    if source.look is None:
        return
    look = named(source.look)(section, base)
    promise(isinstance(look, Look), f"look gives a {type(look).__name__}, not a Look")
    for name, seen, own in (
        ("classes", look.classes, raw.classes),
        ("kind", look.kind, inputs.kind),
        ("shape", look.shape, inputs.shape),
    ):
        promise(seen in (None, own), f"look says {name} {seen}, and the data has {own}")


def _read_again(source: Source, inputs: Inputs) -> Inputs:
    plain: Mapping[str, Any] = asdict(inputs)  # type: ignore[call-overload]
    adapter: TypeAdapter[Inputs] = TypeAdapter(named(source.inputs))
    return adapter.validate_json(json.dumps(plain, default=sorted), strict=True)
