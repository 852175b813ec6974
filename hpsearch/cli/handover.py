"""predict: put a network to use that `best --save` has handed over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from hpsearch.cli.options import Code, Force, Json, check_free, owner_of, print_json
from hpsearch.errors import HpsearchError
from hpsearch.files import written
from hpsearch.insight.words import counted, number
from hpsearch.terminal import echo, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write.",
                     show_default="standard output"),
    ] = None,
    force: Force = False,
    code: Code = None,
    json_: Json = False,
) -> None:  # fmt: skip
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
    if test and output is not None:
        raise typer.BadParameter("--output is for predictions, which --test makes none of")
    if output is not None:
        check_free(output, force=force)
    predictor = load(folder, code)
    if test:
        _test(predictor, files[0] if files else None, json_=json_)
        return
    predictions = predictor.predict_files(files)
    rows = _rows(predictor, predictions)
    with written(output, _owner(predictor, folder, files, output), force=force) as stream:
        _write(stream, rows, json_=json_)
    if output is not None:
        show.note(f"{counted(len(rows), 'prediction')} written to {output}")
    for remark in _remarks(predictor, predictions):
        show.note(remark)


def _remarks(predictor: Predictor, predictions: Predictions) -> Iterator[str]:
    """What to know of the predictions beside them, a line each."""
    yield from predictions.notes
    if predictions.scores is not None:
        yield _strange(predictor, predictions)
    if predictions.score is not None:
        metric, rows = predictor.config["metrics"]["metric"], counted(predictions.scored, "row")
        yield f"{metric} {number(predictions.score[metric])} of {rows}"


def _strange(predictor: Predictor, predictions: Predictions) -> str:
    """How many rows are strange, and from which score on."""
    threshold = predictor.config["problem"]["threshold"]
    count = (
        sum(score > threshold for score in predictions.scores.tolist())
        if predictions.scores is not None
        else 0
    )
    return (
        f"{count} of {counted(len(predictions.values), 'row')} strange: "
        f"score above {threshold:.4g}, which 5 % of the training rows have"
    )


def _test(predictor: Predictor, moved: Path | None, *, json_: bool) -> None:
    from hpsearch.cli import show

    measured = predictor.test(moved)
    if json_:
        print_json(measured)
    else:
        width = max(map(len, measured))
        for name, value in measured.items():
            echo(f"{name:<{width}}  {number(value)}")
    show.note(
        "of the network in the folder; `hpsearch best` has the mean over the finish's trainings"
    )
    reported = predictor.config["metrics"]["test"]
    if any(str(value) != str(reported.get(name)) for name, value in measured.items()):
        metric = predictor.config["metrics"]["metric"]
        raise HpsearchError(
            f"the finish reported other figures: {metric} {reported[metric]}, and now it is "
            f"{measured[metric]}; versions then: {predictor.config['provenance']['versions']}"
        )


def _owner(
    predictor: Predictor, folder: Path, inputs: Sequence[Path], output: Path | None
) -> Callable[[Path], str | None]:
    """Whose a file is that predictions never replace."""
    if output is None:
        return lambda _: None
    own = {
        folder: "in the folder of the network",
        **dict.fromkeys(inputs, "what is to be predicted"),
        **dict.fromkeys(predictor.data_files, "the data of the network's study"),
    }
    return owner_of(output, None, own)


def _rows(predictor: Predictor, predictions: Predictions) -> list[dict[str, Any]]:
    """A row for each prediction, of a file of its own with its name; of anomalies the strangest
    first."""
    names: list[str] = predictor.config["problem"]["classes"]
    of_class = dict(zip(predictor.classes, names, strict=True))
    rows: list[dict[str, Any]] = [
        {"prediction": of_class.get(value, value)} for value in predictions.values
    ]
    if predictions.probabilities is not None:
        for row, shares in zip(rows, predictions.probabilities.tolist(), strict=True):
            row["probabilities"] = dict(zip(names, shares, strict=True))
    named, called = predictions.named, predictions.names
    if called:
        rows = [{named: name, **row} for name, row in zip(called, rows, strict=True)]
    if predictions.scores is not None:
        rows = _strangest_first(rows, predictions.scores.tolist())
    return rows


def _write(stream: TextIO, rows: Sequence[Mapping[str, Any]], *, json_: bool) -> None:
    if json_:
        print_json(rows, stream)
        return
    flat = [_flat(row) for row in rows]
    write_csv(stream, list(flat[0]), flat)


def _strangest_first(rows: list[dict[str, Any]], scores: list[float]) -> list[dict[str, Any]]:
    """The rows with their scores by the largest; each has the number that it had in the file."""
    numbered = [
        {**({} if "file" in row else {"row": number}), **row, "score": score}
        for number, (row, score) in enumerate(zip(rows, scores, strict=True), start=1)
    ]
    return sorted(numbered, key=lambda row: -row["score"])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One level: probabilities as `p(CLASS)`."""
    shares = row.get("probabilities", {})
    plain = {key: value for key, value in row.items() if key != "probabilities"}
    return plain | {f"p({name})": share for name, share in shares.items()}
