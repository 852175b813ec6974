"""A source of data: its section of the study file, what it has, how it is read; and which there
are."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, Strict
from pydantic_core import PydanticCustomError

from hpsearch.spec.faults import Path
from hpsearch.spec.keys import Positive, Section, Text, declared
from hpsearch.spec.problem import KINDS, Kind
from hpsearch.spec.registry import Registry, named
from hpsearch.spec.sizes import AUTO, size_of
from hpsearch.spec.task import TASKS, Target

__all__ = [
    "MEASURED_ON_TEST", "ON_TEST", "SOURCES", "TEST_SHARE", "DataSpec", "Disagreement", "Source",
]  # fmt: skip

TEST_SHARE = 0.15
"""Share of the rows that become the test part, where the file names none."""


def _name(value: object) -> object:
    """A class that is a whole number may stand in a study file without quotes."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole else value


ClassName = Annotated[Text, BeforeValidator(_name, json_schema_input_type=str | int)]
Classes = Annotated[tuple[ClassName, ...], Strict(False)]

MEASURED_ON_TEST = "test"
"""What `validation` is where the search is measured on the data's own test part."""

ON_TEST = (
    "measured on the test part (data.validation is test): the network is chosen by these rows, so "
    "its figures are better than on rows that nobody has seen"
)
"""What every report of such a study says."""

Disagreement = tuple[Path, str, str]
"""The keys that lead to a value below the section, what was expected there, and what came."""


def _source(value: object) -> object:
    return declared(value, SOURCES, "source")


def _task(value: object) -> object:
    return declared(value, TASKS, "task")


def _memory(value: object) -> object:
    """A size in words, or `auto`."""
    try:
        if isinstance(value, str) and (value == AUTO or size_of(value) >= 0):
            return value
    except ValueError:
        pass
    raise PydanticCustomError("expected", "a size", {"expected": "auto, or a size such as 2 GB"})


def _share(value: object) -> object:
    """A share of the rows, or `test`."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value == MEASURED_ON_TEST or (is_number and 0 < value < 1):  # type: ignore[operator]
        return value
    expected = f"a number above 0 and below 1, or {MEASURED_ON_TEST}"
    raise PydanticCustomError("expected", "a share", {"expected": expected})


Share = Annotated[
    float | Literal["test"],
    PlainValidator(_share, json_schema_input_type=float | Literal["test"]),
]


class DataSpec(Section):
    """The data, and how its rows are split: the keys that every source has."""

    source: Annotated[str, PlainValidator(_source, json_schema_input_type=str)]
    """Where the data comes from."""
    task: Annotated[str, PlainValidator(_task, json_schema_input_type=str)] | None = None
    """The task to learn, by name. By default it follows from the target."""
    normal: Classes = ()
    """Classes whose rows are normal, for the task anomaly. Networks are trained on these rows only;
    all others are in the validation and the test part. By default all rows are normal."""
    strange: Classes = ()
    """Classes that are strange, for the task anomaly; by default all that are not normal."""
    validation: Share = 0.15
    """Share of the rows that metrics are measured on during the search. `test` uses the data's own
    test part; then no rows are left that the network was not chosen on."""
    test: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the rows that the search never sees: 0.15 by default. Unused if the data has a test
    part of its own."""
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    """Seed of the split. Every candidate sees the same one."""
    limit: Positive | None = None
    """Most training and validation rows that are used; by default all."""
    memory: Annotated[str, PlainValidator(_memory, json_schema_input_type=str)] = AUTO
    """Memory of a worker's device that the rows may use, such as `2 GB`, on top of what a worker
    takes without data (about half a gigabyte, most of it PyTorch); `auto` is a quarter of what is
    free, or half of a GPU's. Larger data is streamed."""

    shuffle: bool = True
    """Whether each epoch takes the training rows in a new order, or else in the order of the
    data."""

    @property
    def measured_on_test(self) -> bool:
        """Whether the search is measured on the data's own test part."""
        return self.validation == MEASURED_ON_TEST

    @property
    def validation_share(self) -> float:
        """Share of the rows that become the validation part; 0 where the data's own test part is
        that."""
        return 0.0 if isinstance(self.validation, str) else self.validation

    @property
    def own_test(self) -> str:
        """Where the data has a test part of its own, why: `mnist brings its own test part`."""
        return ""

    @property
    def test_share(self) -> float:
        """Share of the rows that become the test part."""
        if self.own_test or self.measured_on_test:
            return 0.0
        return TEST_SHARE if self.test is None else self.test

    @property
    def target_name(self) -> str | None:
        """What the target is called; None where it has no name."""
        return None

    def disagreements(self) -> Iterator[Disagreement]:
        """What is right by itself and wrong together."""
        return iter(())


@dataclass(frozen=True)
class Source:
    """A kind of data, declared without importing PyTorch.

    Raises ValueError where the declaration contradicts itself.
    """

    name: str
    """What a study file calls it: `data: {source: NAME}`."""
    doc: str
    """What data it has, in a phrase."""
    section: type[DataSpec]
    """The keys of its section: a class derived from `DataSpec`, or that class itself."""
    read: str
    """Dotted path, `package.module:function`, of `read(section, base, decided) -> Raw`: all rows.
    `base` is the folder of the study file; `decided` is None, or what an earlier `Raw` had under
    that name. DataError says that the data is missing or not as it should be."""
    inputs: str
    """Dotted path of the class of its inputs (`sources.inputs.Inputs`), which are saved with a
    network and read again."""
    kind: Kind | Callable[[Any], Kind | None] | None
    """What one input is, or a function that says so of a section; None: only the data shows it."""
    target: Target | None
    """What the target of a row is; None: that depends on the data."""
    look: str | None = None
    """Dotted path of `look(section, base) -> Look`, for `hpsearch check`: quick, and without
    PyTorch."""
    describe: str | None = None
    """Dotted path of `describe(decided) -> tuple[str, ...]`, for `hpsearch status`: lines that say
    what was decided of the data."""
    files: tuple[str, ...] = ()
    """Keys of the section that name files, relative to the study file. The first one is what
    `hpsearch predict --test FILE` replaces."""
    code: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys of the section that name a function of the study's own code, and with what each is
    called, such as `{"module": ("part", "seed")}`. One of them alone names the source."""
    classes: tuple[str, ...] = ()
    """The names of its classes, where they are the same in all its data."""
    shape: tuple[int, ...] | None = None
    """Of one input, without the batch, where it is the same in all its data."""
    folder: str = ""
    """The folder below `data.root` that its files lie in, where it has that key."""

    def __post_init__(self) -> None:
        if not callable(self.kind) and self.kind not in (None, *KINDS):
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}")
        if unknown := {*self.files} - {*self.section.model_fields}:
            raise ValueError(f"files: the section has no key {', '.join(sorted(unknown))}")
        for name, path in (("read", self.read), ("inputs", self.inputs)):
            if path.count(":") != 1:
                raise ValueError(f"{name}: expected package.module:name; got {path!r}")

    @property
    def has_columns(self) -> bool:
        """Whether a study can leave columns of it out, by `data.ignore`."""
        return "ignore" in self.section.model_fields

    def kind_of(self, section: DataSpec) -> Kind | None:
        """What one input of a section's data is; None where only the data shows it."""
        return self.kind(section) if callable(self.kind) else self.kind

    def described(self, decided: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Lines that say what was decided of the data; none where there is nothing to say."""
        if self.describe is None or decided is None:
            return ()
        with SOURCES.blamed(self.name):
            lines: tuple[str, ...] = named(self.describe)(decided)
        return lines


SOURCES: Registry[Source] = Registry(Source, "hpsearch.sources")
"""Those that hpsearch comes with, `hpsearch/sources/NAME`, and those of installed packages."""
