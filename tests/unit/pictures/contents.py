"""A small content for each picture, without a network or a study."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpsearch.pictures.boundary import Boundary
from hpsearch.pictures.confusion import Confusion
from hpsearch.pictures.curves import Curves
from hpsearch.pictures.errors import Errors, Wrong
from hpsearch.pictures.filters import Filters
from hpsearch.pictures.fit import Fit
from hpsearch.pictures.importance import Importance
from hpsearch.pictures.maps import Maps, Row
from hpsearch.pictures.reconstructions import Rebuilt, Reconstructions
from hpsearch.pictures.residuals import Residuals
from hpsearch.pictures.scores import Scores

RANDOM = np.random.default_rng(0)
TITLE = "a study, trial 8"


def confusion(classes: int, name: str = "class {}") -> Confusion:
    counts = RANDOM.poisson(1, (classes, classes)) + 20 * np.eye(classes, dtype=int)
    names = tuple(name.format(at) for at in range(classes))
    return Confusion(TITLE, names, tuple(tuple(map(int, row)) for row in counts))


def _image() -> Any:
    return RANDOM.random((8, 8))


def _rebuilt(kind: str, *shape: int) -> Rebuilt:
    given, made = RANDOM.random(shape), RANDOM.random(shape)
    return Rebuilt(kind, 0.25, given, made, (given - made) ** 2)


def _boundary() -> Boundary:
    points = RANDOM.normal(size=(60, 2))
    across = np.linspace(-3, 3, 160)
    radius = np.hypot(across[None, :], across[:, None])
    sure = 1 / (1 + np.exp(-4 * np.abs(radius - 1.2)))
    inside = np.hypot(*points.T) < 1.2
    return Boundary(
        TITLE,
        ("ring", "disc"),
        ("length", "width"),
        (-3, 3, -3, 3),
        (radius < 1.2).astype(np.int64),
        sure,
        points,
        inside.astype(np.int64),
    )


def _curves(epochs: int = 9) -> Curves:
    steps = np.arange(1, epochs + 1)
    falling = tuple((2.0 * 0.6**steps).tolist())
    held = tuple((2.0 * 0.6**steps + 0.02 * steps).tolist())
    rising = tuple((1 - 0.5**steps).tolist())
    return Curves(
        TITLE,
        "accuracy",
        tuple(steps.tolist()),
        (("training", falling), ("validation", held)),
        (("validation", rising),),
        7,
    )


def _fit() -> Fit:
    points = np.sort(RANDOM.random(40))
    line = np.linspace(0, 1, 50)
    return Fit(
        TITLE,
        "test part",
        "x",
        (tuple(points[:30]), tuple(0.7 * points[:30] + 0.3)),
        (tuple(points[30:]), tuple(0.7 * points[30:] + 0.3)),
        (tuple(line), tuple(0.68 * line + 0.31)),
    )


CONTENTS: dict[str, tuple[str, Any]] = {
    "curves": ("curves", _curves()),
    "curves of the metric alone": (
        "curves",
        Curves(TITLE, "rmse", (1, 2, 3), (), (("validation", (3.0, 2.0, 1.0)),), 3),
    ),
    "confusion": ("confusion", confusion(3)),
    "errors, images": (
        "errors",
        Errors(
            TITLE,
            tuple(Wrong(at, "4", "9", "0.51", image=_image()) for at in range(11)),
            "its probability",
        ),
    ),
    "errors, rows": (
        "errors",
        Errors(
            TITLE,
            tuple(
                Wrong(at * 111, "12.5", "8.25", "-4.25", cells=("1.25", "0", "-3.4"))
                for at in range(6)
            ),
            "off by",
            ("length", "colour = red", "an input with a long name"),
        ),
    ),
    "errors, words": (
        "errors",
        Errors(
            TITLE,
            (
                Wrong(1, "spam", "ham", "0.93", cells=("you have won a _ of the _ in " * 4,)),
                Wrong(17, "ham", "spam", "0.61", cells=("see you",)),
            ),
            "its probability",
            ("words",),
        ),
    ),
    "errors, series": (
        "errors",
        Errors(
            TITLE,
            tuple(
                Wrong(
                    at, "12.5", "8.25", "-4.25", series=RANDOM.normal(size=(28, 3)).cumsum(axis=0)
                )
                for at in range(5)
            ),
            "off by",
            ("load", "temperature", "weekday"),
        ),
    ),
    "boundary": ("boundary", _boundary()),
    "fit": ("fit", _fit()),
    "residuals": (
        "residuals",
        Residuals(TITLE, tuple(RANDOM.normal(size=90)), tuple(RANDOM.normal(size=90))),
    ),
    "filters": (
        "filters",
        Filters(TITLE, "body.0", 40, RANDOM.normal(size=(32, 3, 3)), "mean over 3 channels"),
    ),
    "filters, colour": ("filters", Filters(TITLE, "0", 6, RANDOM.normal(size=(6, 5, 5, 3)))),
    "filters, series": ("filters", Filters(TITLE, "body.0", 8, RANDOM.normal(size=(8, 3, 5)))),
    "maps": (
        "maps",
        Maps(
            TITLE,
            tuple(
                Row(_image(), "sneaker", f"body.{at}", (8, 6, 6), RANDOM.random((8, 6, 6)))
                for at in (0, 4)
            ),
        ),
    ),
    "maps, series": (
        "maps",
        Maps(
            TITLE,
            tuple(
                Row(
                    RANDOM.random((3, 28)),
                    "12.5",
                    f"body.{at}",
                    (16, 26),
                    RANDOM.random((1, 16, 26)),
                )
                for at in (0, 4)
            ),
        ),
    ),
    "reconstructions": (
        "reconstructions",
        Reconstructions(
            TITLE, tuple(_rebuilt(kind, 8, 8) for kind in ("normal",) * 4 + ("strange",) * 4), True
        ),
    ),
    "reconstructions, rows": (
        "reconstructions",
        Reconstructions(
            TITLE, tuple(_rebuilt(kind, 12) for kind in ("normal",) * 4 + ("strange",) * 4), False
        ),
    ),
    "scores": (
        "scores",
        Scores(TITLE, tuple(RANDOM.gamma(2, 0.1, 200)), tuple(RANDOM.gamma(8, 0.1, 60)), 0.55),
    ),
    "importance": (
        "importance",
        Importance(
            "a study",
            40,
            (
                ("architecture", 0.4, 0.5),
                ("learning_rate", 0.3, 0.2),
                ("batch_size", None, 0.1),
                ("regularization", 0.2, 0.1),
                ("optimizer", 0.1, None),
            ),
            (
                ("width", 0.4, 0.5),
                ("lr", 0.3, 0.2),
                ("dropout", 0.3, 0.2),
                ("momentum", None, None),
            ),
        ),
    ),
}
"""What is drawn, under which picture's name."""
