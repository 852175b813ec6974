"""Which pictures there are, and which of them a study has: declarations, without PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hpsearch.spec.problem import Kind
    from hpsearch.spec.task import Target

__all__ = [
    "CURVES",
    "MOST_CLASSES",
    "PICTURES",
    "Facts",
    "Picture",
    "named",
    "of_study",
    "of_trial",
]

MOST_CLASSES = 8
"""Classes that a decision boundary can show: as many colours can be told apart by everybody."""


@dataclass(frozen=True)
class Facts:
    """What a study is, as far as it decides which pictures it has."""

    target: Target
    kind: Kind
    shape: tuple[int, ...]
    """Of one input, without the batch."""
    classes: int
    """0 where the target is a number."""
    convolves: bool = False
    """Whether the network has a convolution."""


@dataclass(frozen=True)
class Picture:
    """One kind of picture."""

    name: str
    """The part of the file's name that says what it is; its module in `hpsearch.pictures` too."""
    title: str
    doc: str
    """What it shows, and when there is one: a row of docs/guides/pictures.md."""
    applies: Callable[[Facts], bool]
    """Whether a trial has one."""
    of: Literal["trial", "study"] = "trial"
    network: bool = True
    """Whether it takes the network and the data; else what the database has is enough."""


def _always(_: Facts) -> bool:
    return True


def _has_classes(facts: Facts) -> bool:
    return facts.target == "classes"


def _is_number(facts: Facts) -> bool:
    return facts.target == "numbers"


def _is_supervised(facts: Facts) -> bool:
    return facts.target != "inputs"


def _is_anomaly(facts: Facts) -> bool:
    return facts.target == "inputs"


def _is_plane(facts: Facts) -> bool:
    plane = facts.kind == "rows" and facts.shape == (2,)
    return plane and _has_classes(facts) and facts.classes <= MOST_CLASSES


def _is_line(facts: Facts) -> bool:
    return _is_number(facts) and facts.kind == "rows" and facts.shape == (1,)


def _has_maps(facts: Facts) -> bool:
    # Convolutions over tokens go over the vectors of words, whose numbers mean nothing to a reader.
    return facts.convolves and facts.kind in ("images", "sequences")


CURVES = Picture(
    "curves", "Learning curves",
    "Loss in training and in validation, and the metric, after each epoch; the epoch that "
    "counts is marked. Every trial of two epochs or more.",
    _always, network=False,
)  # fmt: skip

PICTURES: tuple[Picture, ...] = (
    CURVES,
    Picture(
        "confusion", "Confusion matrix",
        "Which class is taken for which on the validation part: classification of up to 50 "
        "classes.",
        _has_classes, network=False,
    ),
    Picture(
        "errors", "Worst errors",
        "The rows that the network gets most wrong: images, curves, or a table. Classification and "
        "regression.",
        _is_supervised,
    ),
    Picture(
        "boundary", "Decision boundary",
        "Which class the network gives to each point of a plane: two inputs, up to 8 classes.",
        _is_plane,
    ),
    Picture(
        "fit", "Fit",
        "The function that the network has learnt among the points: regression of one input.",
        _is_line,
    ),
    Picture(
        "residuals", "Residuals",
        "Predictions beside true values, and how far they are off: regression.",
        _is_number,
    ),
    Picture(
        "filters", "Filters",
        "The weights of the first convolution: networks with convolutions, of images and "
        "sequences.",
        _has_maps,
    ),
    Picture(
        "maps", "Feature maps",
        "What the first two convolutions make of a few inputs: the same networks.",
        _has_maps,
    ),
    Picture(
        "reconstructions", "Reconstructions",
        "Inputs beside what the network makes of them: anomalies.",
        _is_anomaly,
    ),
    Picture(
        "scores", "Anomaly scores",
        "How the errors of normal and of strange rows are spread, and the threshold: anomalies.",
        _is_anomaly,
    ),
    Picture(
        "importance", "Importance",
        "How much each parameter and each group has mattered, beside the usual order of priority: "
        "a study with 10 completed trials.",
        _always, of="study", network=False,
    ),
)  # fmt: skip
"""All of them, in the order in which they are shown."""


def named(name: str) -> Picture:
    """The picture of that name; KeyError for others."""
    return {picture.name: picture for picture in PICTURES}[name]


def of_trial(facts: Facts) -> tuple[Picture, ...]:
    """The pictures that a trial of such a study has."""
    return tuple(p for p in PICTURES if p.of == "trial" and p.applies(facts))


def of_study() -> tuple[Picture, ...]:
    """The pictures that a study as a whole has."""
    return tuple(picture for picture in PICTURES if picture.of == "study")
