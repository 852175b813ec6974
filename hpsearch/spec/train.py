"""Own training code: the sections of a study file that say what trains in place of hpsearch."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
import contextlib
import re
from typing import Annotated, get_args

from pydantic import Field, PlainValidator, Strict
from pydantic_core import PydanticCustomError

from hpsearch.spec.keys import Positive, Reference, Section, Text, one_of
from hpsearch.spec.settings import Direction
from hpsearch.spec.sizes import size_of

__all__ = ["JSON", "OwnMetric", "ResourcesSpec", "TrainSpec"]

JSON = "json"
"""The kind of metrics that are lines of JSON."""


def _memory(value: object) -> str:
    try:
        size_of(str(value))
    except ValueError:
        expected = "a size such as 8 GB"
        raise PydanticCustomError("expected", "a size", {"expected": expected}) from None
    return str(value)


def _metrics(value: object) -> str:
    """`json`, or a regular expression with names."""
    with contextlib.suppress(re.error):
        if isinstance(value, str) and (value == JSON or re.compile(value).groupindex):
            return value
    expected = "json, or a regular expression with named groups such as acc=(?P<accuracy>[0-9.]+)"
    raise PydanticCustomError("expected", "metrics", {"expected": expected})


class OwnMetric(Section):
    """What own training code reports and the search improves."""

    name: Text
    """As the code reports it: `run.report(accuracy=0.93)`."""
    direction: Annotated[str, one_of(get_args(Direction))]
    """Whether it is to grow or to shrink."""


Command = Annotated[tuple[Text, ...], Strict(False), Field(min_length=1)]


class TrainSpec(Section):
    """What trains in place of hpsearch: a function of your own, or any command
    (docs/guides/own-loop.md)."""

    function: Reference | None = None
    """`FILE.py:FUNCTION`, which is called with one argument, the run."""
    command: Command | None = None
    """A command line, a list of its words, such as `[python, train.py, --lr, "{lr}"]`: a name in
    braces stands for a parameter, or for `seed`, `device`, `checkpoint`, the folder of its
    checkpoints, or `folder`, an empty one that is removed after the trial. No shell reads it."""
    metrics: Annotated[str, PlainValidator(_metrics, json_schema_input_type=str)] = JSON
    """How a command reports: `json`, by lines such as `{"epoch": 3, "accuracy": 0.93}`, or a
    regular expression with a named group for each number, such as `acc=(?P<accuracy>[0-9.]+)`."""
    evaluate: Command | None = None
    """A command that tests in a finish what the command has trained, with its checkpoints as they
    were after the epoch that counts in `HPSEARCH_CHECKPOINT_DIR`: its last report has the metric. A
    function has `evaluate(run, part)` in its file instead."""
    fresh: bool = False
    """Whether each trial has a process of its own; by default one process trains one after
    another."""


class ResourcesSpec(Section):
    """What a trial of your own training code may use."""

    cpus: Positive | None = None
    """Threads that PyTorch uses in it, `OMP_NUM_THREADS` of a command; by default a function has as
    many of the worker's as its networks pay for, and a command all of them."""
    memory: Annotated[str, PlainValidator(_memory, json_schema_input_type=str)] | None = None
    """Memory of its processes, such as `8 GB`: a trial that takes more fails."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Minutes that a trial may take on a worker: one that takes longer fails."""
    per_gpu: Annotated[int, Field(ge=1, le=64)] = 1
    """Trials that a worker runs at once on its GPU; on a CPU it is one."""

    @property
    def memory_bytes(self) -> int | None:
        """The most memory in bytes; None: no limit."""
        return None if self.memory is None else size_of(self.memory)
