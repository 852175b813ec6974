"""A file of another program -> the text of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hpsearch.convert import katib, wandb
from hpsearch.convert.parts import Converted
from hpsearch.errors import StudyFileError, line
from hpsearch.files import content as bytes_of
from hpsearch.spec import SCHEMA_LINE, checked, write
from hpsearch.spec.document import MOST_LEVELS, MOST_NODES
from hpsearch.terminal import visible

__all__ = ["Converted", "converted", "read_foreign", "study_text"]

_MOST_BYTES = 1_000_000


def read_foreign(path: Path) -> Mapping[str, Any]:
    """A W&B sweep or a Katib experiment, as plain values; StudyFileError for any other file."""
    try:
        text = bytes_of(path, at_most=_MOST_BYTES).decode("utf-8-sig")
        documents = [*YAML(typ="safe", pure=True).load_all(text)]
    except OSError as error:
        raise StudyFileError(f"{path} cannot be read: {line(error)}") from None
    except (YAMLError, ValueError, AssertionError, RecursionError) as error:
        raise StudyFileError(f"{path} is no YAML: {line(error)}") from None
    if not _is_bounded(documents):
        raise StudyFileError(
            f"{path}: expected at most {MOST_NODES:,} values with aliases written out, in "
            f"{MOST_LEVELS} levels; got more, or an alias inside its own value"
        )
    mappings = [one for one in documents if isinstance(one, Mapping)]
    mappings += [one["sweep"] for one in mappings if isinstance(one.get("sweep"), Mapping)]
    for one in mappings:
        if katib.is_experiment(one) or wandb.is_sweep(one):
            return one
    raise StudyFileError(
        f"{path} is neither a W&B sweep (method, parameters) nor a Katib experiment (apiVersion: "
        "kubeflow.org/..., kind: Experiment)"
    )


def _is_bounded(documents: list[Any]) -> bool:
    """Whether what a file comes to stays small: a line of aliases can stand for a billion values,
    and a value that holds itself for any number."""
    waiting, count = [(one, 1) for one in documents], 0
    while waiting:
        value, level = waiting.pop()
        count += 1
        if count > MOST_NODES or level > MOST_LEVELS:
            return False
        if isinstance(value, Mapping):
            waiting += [(one, level + 1) for one in value.values()]
        elif isinstance(value, (list, set, tuple)):
            waiting += [(one, level + 1) for one in value]
    return True


def converted(content: Mapping[str, Any], stem: str) -> Converted:
    """The study of a file; StudyFileError for one that has no counterpart at all.

    Args:
        content: The file as plain values.
        stem: Its name, for a study that has none.
    """
    if katib.is_experiment(content):
        return katib.convert(content, stem)
    return wandb.convert(content, stem)


def study_text(study: Converted, source: str, folder: Path) -> str:
    """The study file; StudyFaultsError where something that a study needs is missing.

    Args:
        study: The study.
        source: The name of the file that it comes from.
        folder: Where its code is.
    """
    spec = checked(study.content, source, folder)
    metric = study.content["metric"]["name"]
    head = [SCHEMA_LINE, f"From {source}, {study.program}.", ""]
    if spec.train is not None and spec.train.metrics == "json":
        head += [
            "The command reports by a line of JSON an epoch on its standard output, such as",
            f'    {{"epoch": 1, "{metric}": 0.5}}',
            f"or by hpsearch tell {metric}=0.5 --epoch 1.", "",
        ]  # fmt: skip
    if study.lost:
        head += ["What has no counterpart:", *(f"- {one}" for one in study.lost), ""]
    return write(spec, "\n".join(visible(one, lines=False) for one in head).rstrip())
