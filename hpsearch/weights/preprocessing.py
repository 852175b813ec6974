"""Whether a study prepares its images as those were that a folder's network was trained on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hpsearch import files
from hpsearch.errors import DataError, line

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.sources.dataset import Dataset
    from hpsearch.spec import StudySpec

__all__ = ["check_preprocessing"]

_CONFIG = "config.json"


def check_preprocessing(spec: StudySpec, base: Path, dataset: Dataset) -> None:
    """Raise DataError where the weights are those of a folder that `hpsearch best --save` made, and
    the study's images have another size, other channels or another normalisation.

    Args:
        spec: The study.
        base: The study file's folder.
        dataset: Its data.
    """
    folder = base / spec.weights.named
    if not (folder / _CONFIG).is_file():
        return
    try:
        config = json.loads(files.content(folder / _CONFIG))
        shape = tuple(config["problem"]["input_shape"])
        normalize = config["data"]["settings"].get("normalize", "standard")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / _CONFIG} cannot be read: {line(error)}") from error
    ours = getattr(spec.data, "normalize", "standard")
    own = dataset.problem().shape
    if dataset.kind != "images" or len(shape) != len(own):
        return
    if shape != own:
        raise DataError(
            f"the network in {folder} is for images of {_words(shape)}, and the study's are of "
            f"{_words(own)}: set data.size and data.color, where the source has them"
        )
    if normalize != ours:
        raise DataError(
            f"the network in {folder} was trained with data.normalize {normalize}, and the study "
            f"has {ours}: set it to {normalize}"
        )


def _words(shape: Any) -> str:
    channels, height, width = shape
    return f"{height} x {width} with {channels} channel{'s' if channels > 1 else ''}"
