"""The first study file of arrays: .npz, .npy and .safetensors files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.begin import families
from hpsearch.begin.draft import Draft, listed, metric_of, relative
from hpsearch.errors import DataError, StudyFileError
from hpsearch.sources.arrays import ArraysSpec
from hpsearch.sources.arrays.files import names_in, opened
from hpsearch.sources.arrays.read import look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.sources.look import Look

__all__ = ["ENDINGS", "draft"]

ENDINGS = frozenset({".npz", ".npy", ".safetensors"})

_INPUTS = ("X", "x", "inputs", "input", "data", "features", "images", "x_train", "X_train",
           "train_images", "train_data", "train_x", "arr_0")  # fmt: skip
_TARGETS = ("y", "Y", "targets", "target", "labels", "label", "classes", "y_train", "Y_train",
            "train_labels", "train_y", "arr_1")  # fmt: skip
_TESTS = (("X_test", "y_test"), ("x_test", "y_test"), ("test_images", "test_labels"),
          ("test_data", "test_labels"), ("test_x", "test_y"))  # fmt: skip


def draft(path: Path, folder: Path, target: str | None = None) -> Draft:
    """A study of arrays.

    Args:
        path: A file, or a folder of .npy files.
        folder: That of the study file.
        target: The array of targets; None: the one that is called like it.

    Raises DataError for what cannot be read, StudyFileError where inputs or targets are not found.
    """
    data = _section(path, folder, target)
    seen = look(ArraysSpec(**{**data, "path": str(path.absolute())}), path)
    rows, kind = int(seen.facts["rows"]), str(seen.kind)
    classes = seen.classes or ()
    counts = _counts(path, str(data.get("y", "y")), classes)
    metric, why = metric_of(classes, counts) if classes else (
        "rmse", "rmse, as the targets are numbers: an error in their own unit")  # fmt: skip
    family, parameters = _family(kind, rows, seen, imbalanced=metric in ("auroc", "f1"))
    content = {"data": data, "network": {"family": family}, "metric": metric,
               "parameters": parameters}  # fmt: skip
    shape = " x ".join(map(str, seen.shape or ()))
    draft = Draft(content, [f"{path.name}: {rows:,} rows; each input is {kind} of {shape}."])
    draft.note(("data",), *seen.lines[2:], *seen.notes[:3])
    about = f"{len(classes)} classes, {listed(classes)}" if classes else "numbers"
    draft.note(("network",), f"for {kind}; the targets are {about}")
    draft.note(("metric",), why)
    if family == "cnn":
        draft.note(("parameters", "flip"), "what may be done to training images: leave out what "
                   "changes the class of yours, such as mirrored letters")  # fmt: skip
    return draft


def _section(path: Path, folder: Path, target: str | None) -> dict[str, Any]:
    names = names_in(path)
    if not names:
        raise StudyFileError(
            f"{path} is one array: put inputs and targets beside each other, X.npy and y.npy in a "
            "folder, or np.savez('data.npz', X=..., y=...)"
        )
    inputs = next((name for name in _INPUTS if name in names), None)
    goal = target or next((name for name in _TARGETS if name in names), None)
    if inputs is None or goal not in names:
        lacking = "inputs" if inputs is None else "targets"
        raise StudyFileError(
            f"{path}: which of its arrays has the {lacking} is not clear from their names "
            f"({listed(names, 10)}); call them X and y, or name the targets with --target"
        )
    data = {"source": "arrays", "path": relative(path, folder)}
    data |= {"X": inputs} if inputs != "X" else {}
    data |= {"y": goal} if goal != "y" else {}
    test = next((pair for pair in _TESTS if {*pair} <= {*names}), None)
    if test and test != ("X_test", "y_test"):
        data |= {"X_test": test[0], "y_test": test[1]}
    return data


def _counts(path: Path, name: str, classes: Sequence[str]) -> list[int]:
    """Rows of each class."""
    import numpy as np

    if not classes:
        return []
    labels, counts = np.unique(np.asarray(opened(path, name)).ravel(), return_counts=True)
    rows = dict(zip(map(_text, labels.tolist()), counts.tolist(), strict=True))
    return [int(rows.get(one, 0)) for one in classes]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _family(
    kind: str, rows: int, seen: Look, *, imbalanced: bool
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    if kind == "images":
        side = min((seen.shape or (64, 64))[-2:])
        return "cnn", families.images(rows, side, imbalanced=imbalanced)
    if kind == "sequences":
        return "rnn", families.sequences(rows)
    if kind == "rows":
        return "mlp", families.rows(rows, imbalanced=imbalanced)
    raise DataError(f"arrays of {kind} are of no family that begins by itself")
