"""predict: put a network to use that `best --save` has handed over."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import Code, Json, print_json
from hpsearch.errors import HpsearchError
from hpsearch.insight.words import counted, number
from hpsearch.terminal import echo, write_csv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.handover.predictor import Predictions, Predictor

__all__ = ["predict"]


def predict(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder that hpsearch best STUDY --save DIR has written."
        ),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="A table like the study's; a .npy, .npz or .safetensors file of arrays; image "
            "files, or folders of them.",
        ),
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Measure the test part of the study's data again, as its finish did; FILE names "
            "the data if it has moved.",
        ),
    ] = False,
    code: Code = None,
    json_: Json = False,
) -> None:
    """Predict with a saved network: CSV with a line for each row, and probabilities of classes.

    For anomalies a line has the row's number in the file, from 1, whether it is normal or strange,
    and its error; the strangest come first. If a table has the target's column, it is scored too,
    on standard error. For a series each line is a forecast; the last ones lie beyond its end.

    Images are (N, C, H, W), (N, H, W, C) or (N, H, W), with pixels in the range of the study's
    data. Image files are resized and cropped as in training; for a ready-made data set they must
    have its size.
    """
    from hpsearch.cli import show
    from hpsearch.handover.predictor import load

    files = files or []
    if len(files) > 1 if test else not files:
        raise typer.BadParameter("give a FILE to predict, or --test and at most one FILE")
    predictor = load(folder, code)
    if test:
        _test(predictor, files[0] if files else None, json_=json_)
        return
    found = predictor.predict_files(files)
    alone = len(found.values) == 1 and found.named == "file"
    names = () if alone else found.names
    _print(predictor, found, names, json_=json_)
    for note in found.notes:
        show.note(note)
    metric = predictor.config["metrics"]["metric"]
    if found.scores is not None:
        show.note(_strange(predictor, found))
    if found.score is not None:
        show.note(f"{metric} {number(found.score[metric])} of {counted(found.scored, 'row')}")


def _strange(predictor: Predictor, found: Predictions) -> str:
    """How many rows are strange, and from which score on."""
    threshold = predictor.config["problem"]["threshold"]
    count = (
        sum(score > threshold for score in found.scores.tolist()) if found.scores is not None else 0
    )
    return (
        f"{count} of {counted(len(found.values), 'row')} strange: score above {threshold:.4g}, "
        "which 5 % of the training rows have"
    )


def _test(predictor: Predictor, moved: Path | None, *, json_: bool) -> None:
    from hpsearch.cli import show

    found = predictor.test(moved)
    if json_:
        print_json(found)
    else:
        width = max(map(len, found))
        for name, value in found.items():
            echo(f"{name:<{width}}  {number(value)}")
    show.note(
        "of the network in the folder; `hpsearch best` has the mean over the finish's trainings"
    )
    said = predictor.config["metrics"]["test"]
    if any(str(value) != str(said.get(name)) for name, value in found.items()):
        metric = predictor.config["metrics"]["metric"]
        raise HpsearchError(
            f"the finish reported other figures: {metric} {said[metric]}, and now it is "
            f"{found[metric]}; versions then: {predictor.config['provenance']['versions']}"
        )


def _print(predictor: Predictor, found: Predictions, names: Sequence[str], *, json_: bool) -> None:
    rows: list[dict[str, Any]] = [{"prediction": value} for value in found.values]
    if found.probabilities is not None:
        for row, shares in zip(rows, found.probabilities.tolist(), strict=True):
            row["probabilities"] = dict(zip(predictor.classes, shares, strict=True))
    if names:
        rows = [{found.named: name, **row} for name, row in zip(names, rows, strict=True)]
    if found.scores is not None:
        rows = _strangest_first(rows, found.scores.tolist())
    if json_:
        print_json(rows)
        return
    flat = [_flat(row) for row in rows]
    write_csv(sys.stdout, list(flat[0]), flat)


def _strangest_first(rows: list[dict[str, Any]], scores: list[float]) -> list[dict[str, Any]]:
    """The rows with their scores by the largest; each has the number that it had in the file."""
    numbered = [
        {**({} if "file" in row else {"row": number}), **row, "score": score}
        for number, (row, score) in enumerate(zip(rows, scores, strict=True), start=1)
    ]
    return sorted(numbered, key=lambda row: -row["score"])


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """One level: probabilities as `p(CLASS)`."""
    shares = row.get("probabilities", {})
    plain = {key: value for key, value in row.items() if key != "probabilities"}
    return plain | {f"p({name})": share for name, share in shares.items()}
