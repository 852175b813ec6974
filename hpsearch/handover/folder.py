"""A trained network in a folder of its own, ready to use: plain JSON and safetensors.

DIR/config.json           what the network is, what it takes, how good it is, where it comes from
DIR/model.safetensors     its weights by PyTorch's names

Nothing in the folder is executed, and nothing outside it is needed to use the network.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import PlainValidator, ValidationError

from hpsearch import files
from hpsearch.errors import CheckpointError, line
from hpsearch.handover.labels import Labels, labels_of_names
from hpsearch.handover.replace import Kind, put
from hpsearch.sources.csv.inputs import TableInputs1
from hpsearch.sources.dataset import DataSettings, Prepared
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.registry import PluginError, named
from hpsearch.spec.settings import Value
from hpsearch.spec.source import SOURCES, DataSpec
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.spec.family import Vocabulary

__all__ = [
    "CONFIG",
    "NETWORK",
    "WEIGHTS",
    "Config",
    "Data",
    "Metrics",
    "Network",
    "Provenance",
    "read",
    "write",
]

CONFIG, WEIGHTS = "config.json", "model.safetensors"

_MOST_CONFIG = 1 << 28
"""Bytes of config.json that are read: it lists every value of a table's columns."""

_FORMAT, _VERSION = "hpsearch network", 1


def _settings(values: Any) -> DataSettings:
    """The settings of the data by plain values: the keys of its section, and the other fields of
    `DataSettings`. ValueError for others."""
    if not isinstance(values, dict):
        raise ValueError("expected keys with values")
    keys = {k: v for k, v in values.items() if v is not None and v != [] and k not in _FIELDS}
    source, base = keys.pop("source", ""), Path(str(values.get("base", "")))
    every_class = bool(values.get("every_class", False))
    try:
        return DataSettings.of(str(source), base, every_class=every_class, **keys)
    except PluginError as error:
        raise ValueError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


_FIELDS = {"base", "every_class"}


@dataclass(frozen=True)
class Network:
    """Enough to build it again."""

    family: str
    settings: dict[str, Value]
    """All of the candidate, those of its training too."""


@dataclass(frozen=True)
class Metrics:
    """How good it is."""

    metric: str
    """The one that steered the search."""
    validation: dict[str, float]
    """All of them after the epoch that is kept, the best one or the last."""
    test: dict[str, float] | None
    """What this network gave on the test part; None where no finish has used it."""
    finish: dict[str, Any] | None
    """What the finish found of the winner's configuration, the fields of `final.Verdict`."""


@dataclass(frozen=True)
class Data:
    """What it was trained on."""

    settings: Annotated[DataSettings, PlainValidator(_settings)]
    fingerprint: str
    """Hexadecimal hash of the data as found."""
    split: str
    """Hexadecimal hash of the row numbers of the three parts."""
    rows: dict[str, int]
    """Of each part."""
    decided: dict[str, Any] | None = None
    """What the source decided of the data when the study began, as JSON."""
    labels: Labels | None = None
    """What the classes are in the data; None: texts."""


@dataclass(frozen=True)
class Provenance:
    """Where it comes from."""

    study: str
    uid: str
    digest: str
    """SHA-256 of the study's document."""
    trial: int
    ticket: int
    seed: int
    """Of first weights and order of the data."""
    versions: dict[str, str]
    """Of hpsearch, torch and python, where it was written to this folder."""
    commit: str | None
    """The commit checked out in the study file's folder by then, `-dirty` where files differ."""
    date: str
    """When it was written to this folder, ISO 8601."""


@dataclass(frozen=True)
class Config:
    """What config.json says."""

    network: Network
    problem: Prepared
    metrics: Metrics
    data: Data
    provenance: Provenance
    weights_sha256: str = ""
    """Of model.safetensors; `write` fills it in."""
    code: dict[str, str] | None = None
    """Path and SHA-256 of each file of the study's own code; None: it needs none."""
    format: Literal["hpsearch network"] = _FORMAT  # type: ignore[assignment]
    version: int = _VERSION

    def as_json(self) -> dict[str, Any]:
        """Plain values; paths as text."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=_plain))
        settings = plain["data"]["settings"]
        plain["data"]["settings"] = {**settings.pop("section"), **settings}
        keys = ("format", "version", "network", "problem", "metrics", "data", "provenance")
        code = () if self.code is None else ("code",)
        return {key: plain[key] for key in (*keys, *code, "weights_sha256")}


def _plain(value: object) -> Any:
    """A section as its keys, paths as texts."""
    return value.model_dump(mode="json") if isinstance(value, DataSpec) else str(value)


def write(
    folder: Path, config: Config, weights: Mapping[str, Tensor], *, force: bool = False
) -> None:
    """Put the network in `folder`: all of it or nothing; with `force` in the place of one there.

    Raises ConflictError where something else is there, CheckpointError where it cannot be written.
    """
    from safetensors.torch import save

    content = save({name: tensor.contiguous() for name, tensor in weights.items()})
    document = {**config.as_json(), "weights_sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def fill(new: Path) -> None:
        (new / WEIGHTS).write_bytes(content)
        (new / CONFIG).write_text(text, encoding="utf-8")

    put(folder, NETWORK, fill, force=force)


def read(folder: Path) -> tuple[Config, dict[str, Tensor]]:
    """What `write` has put there; CheckpointError where it is not that any more."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    config = _config(folder)
    path = folder / WEIGHTS
    try:
        content = files.content(path)
        weights: dict[str, Tensor] = load(content)
    except OSError as error:
        raise CheckpointError(f"cannot read the weights {path}: {line(error)}") from error
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged: {line(error)}; save the network again"
        ) from error
    if hashlib.sha256(content).hexdigest() != config.weights_sha256:
        raise CheckpointError(
            f"{path} is not the file that {CONFIG} names: its hash differs; save it again"
        )
    return config, weights


def _parsed(folder: Path) -> Any:
    path = folder / CONFIG
    try:
        return json.loads(files.content(path, at_most=_MOST_CONFIG))
    except FileNotFoundError:
        if not folder.exists():
            raise CheckpointError(
                f"no folder {folder}: hpsearch best STUDY --save {folder} makes one of a study's "
                "best network"
            ) from None
        from hpsearch.handover import own

        if (way := own.way_in(folder)) is not None:
            raise CheckpointError(
                f"{folder} has what own training code saved, and no network that hpsearch could "
                f"build and predict with: {way}"
            ) from None
        raise CheckpointError(
            f"{folder} has no {CONFIG}: it is no network that hpsearch best STUDY --save DIR has "
            "made"
        ) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no JSON: {line(error)}; save the network again"
        ) from error


def _are_files(folder: Path) -> bool:
    """Whether both names are regular files: a folder or a link of that name is somebody else's."""
    return all(stat.S_ISREG((folder / name).lstat().st_mode) for name in (CONFIG, WEIGHTS))


def _is_ours(config: Any) -> bool:
    return isinstance(config, dict) and config.get("format") == _FORMAT


def _is_network(folder: Path) -> bool:
    """Whether a folder has what `write` has put there and nothing else."""
    names = {path.name for path in folder.iterdir()}
    return names == {CONFIG, WEIGHTS} and _are_files(folder) and _is_ours(_parsed(folder))


NETWORK = Kind("network", _is_network)


def _config(folder: Path) -> Config:
    from pydantic import TypeAdapter

    content, path = _parsed(folder), folder / CONFIG
    if not _is_ours(content):
        raise CheckpointError(f"{path} is of another program: its format is not {_FORMAT!r}")
    if content.get("version") != _VERSION:
        raise CheckpointError(
            f"{path} is of version {content.get('version')}, this program reads version "
            f"{_VERSION}; save the network again"
        )
    try:
        TASKS[str(content["problem"]["task"])]
        source = SOURCES[str(content["data"]["settings"]["source"])]
        context = {"inputs": named(source.inputs)}
        inputs = content["problem"]["preprocessing"]
        if isinstance(inputs, dict) and inputs.get("kind") == "table":  # by hpsearch 0.1
            inputs["kind"] = "rows"
    except (KeyError, TypeError):  # which is found below
        context = None
    except PluginError as error:
        raise CheckpointError(f"{path}: {error}") from error
    try:
        config = TypeAdapter(Config).validate_json(
            json.dumps(content), strict=True, context=context
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{path}: {where}: {first['msg']}; save the network again") from error
    try:
        vocabulary = FAMILIES[config.network.family].vocabulary(config.problem.task)
    except PluginError as error:
        raise CheckpointError(f"{path}: {error}") from error
    # A network that was saved by an earlier hpsearch does not name them.
    settings = {**vocabulary.later, **config.network.settings}
    config = replace(config, network=replace(config.network, settings=settings))
    inputs = config.problem.preprocessing
    if isinstance(inputs, TableInputs1):  # 0.1 did not save what predictions are scored by
        target, classes = config.data.settings.section.target_name, config.problem.classes
        inputs = replace(inputs, target=target, classes=classes)
        config = replace(config, problem=replace(config.problem, preprocessing=inputs))
    if fault := _fault(config, vocabulary):
        raise CheckpointError(f"{path}: {fault}; save the network again")
    return config


def _fault(config: Config, vocabulary: Vocabulary) -> str | None:
    """Why no network can be made of it, or why it cannot be used as it says."""
    return (
        _fault_of_network(config.network, vocabulary)
        or _fault_of_problem(config.problem)
        or _fault_of_inputs(config.problem, config.data.settings.section.source)
        or _fault_of_metrics(config.metrics, config.problem.task)
        or _fault_of_data(config.data, config.problem)
    )


def _fault_of_network(network: Network, vocabulary: Vocabulary) -> str | None:
    settings = vocabulary.settings
    if odd := set(settings) ^ set(network.settings):
        return f"network.settings: {', '.join(sorted(odd))} is missing or unknown"
    for name, setting in settings.items():
        if not setting.accepts(network.settings[name]):
            return f"network.settings.{name}: expected {setting.expected}"
    return None


def _fault_of_problem(problem: Prepared) -> str | None:
    if (twice := _twice(problem.classes)) is not None:
        return f"problem.classes: {twice!r} is there twice"
    target = TASKS[problem.task].target
    if target != "inputs" and (target == "classes") != (len(problem.classes) > 1):
        return f"problem.classes: expected two or more if {problem.task} is of classes, else none"
    if {*problem.normal} - {*problem.classes}:
        return "problem.normal: expected some of problem.classes"
    if (target == "inputs") != (problem.threshold is not None):
        return f"problem.threshold: expected a number if {problem.task} is of anomalies, else null"
    if problem.input_shape != problem.preprocessing.shape:
        return f"problem.input_shape: expected {list(problem.preprocessing.shape)}"
    return None


def _fault_of_inputs(problem: Prepared, source: str) -> str | None:
    with SOURCES.blamed(source):
        why = problem.preprocessing.fault()
    return why and f"problem.preprocessing: {why}"


def _fault_of_metrics(metrics: Metrics, task: str) -> str | None:
    if TASKS[task].metric(metrics.metric) is None:
        return f"there is no metric {metrics.metric!r} for {task}"
    if metrics.test is not None and metrics.metric not in metrics.test:
        return f"metrics.test: expected {metrics.metric}"
    return None


def _fault_of_data(data: Data, problem: Prepared) -> str | None:
    if data.labels not in (None, labels_of_names(problem.classes)):
        return f"data.labels: the classes are not {data.labels}"
    section = data.settings.section
    if section.validation_share + section.test_share >= 1:
        return "data.settings: expected shares of validation and test below 1 in all"
    return None


def _twice(names: Sequence[str]) -> str | None:
    """The first that has been there before."""
    return next((name for at, name in enumerate(names) if name in names[:at]), None)
