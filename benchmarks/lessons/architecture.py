"""A guide on improving a model's architecture."""

from __future__ import annotations

from statistics import mean
from typing import Any

from benchmarks.lessons.lesson import (
    Figures,
    Goal,
    Hpsearch,
    Lesson,
    Told,
    gain,
    least,
    percent,
    points,
    run,
    share,
)  # fmt: skip

__all__ = ["LESSONS"]

_GUIDE = "improving a model's architecture"


def _overfit(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "overfit-underfit")
    trials = {
        "six": found.trial(depth=6),
        "two units": found.trial(depth=1),
        "linear": found.trial(depth=0),
    }
    return {name: {"word": trial["diagnosis"], "accuracy": trial["value"],
                   "train_loss": _last(trial)["train_loss"], "loss": _last(trial)["loss"]}
            for name, trial in trials.items()}  # fmt: skip


def _last(trial: Any) -> Any:
    return trial["last_metrics"] or trial["metrics"]


def _tell_overfit(f: Figures) -> Told:
    def losses(name: str) -> str:
        of = f[name]
        return f"{of['word'] or 'no word'}, {of['train_loss']:.2g} and {of['loss']:.2g}"

    return Told(
        "By the diagnosis, with the losses on training and validation rows: six layers "
        f"{losses('six')}; a layer of two units {losses('two units')}; one layer without hidden "
        f"ones {losses('linear')}",
        "It holds for six layers. One layer is no case of under-fitting on these images; one "
        "that is too narrow is. Whether a model is too small depends on its units as much as on "
        "its layers.",
    )


def _case(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "cnn-case")
    improved, basic = (found.again(batch_norm=norm) for norm in (True, False))
    return {"improved": improved, "basic": basic, "gain": gain(improved, basic)}


def _tell_case(f: Figures) -> Told:
    return Told(
        f"{percent(f['basic'])} and {percent(f['improved'])} of 1,000 validation images after the "
        f"last of five epochs, five seeds each: {points(f['gain'])}",
        "The direction holds, the size does not: about a point, not five, and five seeds are too "
        "few to be sure of it. A single pair can show anything between two points less and three "
        "and a half more.",
    )


def _sequence(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "sequence")
    conv = run(
        hpsearch, "sequence", "--set", "name=sequence-conv", "--set", "network.family=conv1d",
        "--set", "parameters={lr: 0.001}", "--set", "search.sampler=random", "--trials", 1,
        study="sequence-conv",
    )  # fmt: skip
    return {
        **{cell: found.trial(cell=cell)["value"] for cell in ("lstm", "gru")},
        "conv1d": conv.best["value"], "baseline": found.status["baseline"]["value"],
    }  # fmt: skip


def _tell_sequence(f: Figures) -> Told:
    return Told(
        f"From 5,000 images in 5 epochs: LSTM {percent(f['lstm'])}, GRU {percent(f['gru'])}, "
        f"convolution over the rows {percent(f['conv1d'])}; the commonest class has "
        f"{percent(f['baseline'])}",
        "Recurrent layers learn images row by row, but no better than what is made for images "
        "(see cnn-case). Take them where order is all there is: studies/series.yaml forecasts "
        "one.",
    )


def _text(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "text", "--set", "final={top: 1, seeds: 5}")
    return {**found.test, "classic": _classic(hpsearch.file("messages.csv"))}


def _classic(path: str) -> list[float]:
    """Accuracy of scikit-learn's usual baseline on fifths of the messages in turn."""
    import csv
    from pathlib import Path

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts, about = [row["text"] or "" for row in rows], [row["about"] for row in rows]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    return [float(v) for v in cross_val_score(pipeline, texts, about, cv=5)]


def _tell_text(f: Figures) -> Told:
    return Told(
        f"{percent(f['metrics']['accuracy'])} of the test messages and f1 {share(f['test'])}; "
        f"TF-IDF with logistic regression {percent(f['classic'])}",
        "A vector a word and their mean is enough for what short messages are about; no order of "
        "words is needed here.",
    )


def _own(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "own-module", "--set", "final={top: 1, seeds: 3}")
    return {**found.test, "trials": len(found.search)}


def _tell_own(f: Figures) -> Told:
    return Told(
        f"{share(f['test'])} of the test images after {f['trials']} trials, with "
        f"{f['winner']['blocks']} blocks of {f['winner']['width']} units",
        "An `nn.Module` of your own is searched as ours are: the arguments of the function that "
        "builds it are the settings.",
    )


LESSONS = (
    Lesson(
        "overfit-underfit",
        _GUIDE,
        "Six dense layers over-fit, with a good training and a bad validation loss; one layer "
        "under-fits, and both are bad.",
        _overfit,
        _tell_overfit,
        (
            Goal("six layers named over-fitting", lambda f: f["six"]["word"] == "over-fitting"),
            Goal(
                "the narrow layer named under-fitting",
                lambda f: f["two units"]["word"] == "under-fitting",
            ),
        ),
        images=True,
    ),
    Lesson(
        "cnn-case",
        _GUIDE,
        "BatchNorm, dropout of 0.5 and Adam at 5e-4 in place of 1e-3 raise the validation "
        "accuracy of a small convolutional network by 5 percent.",
        _case,
        _tell_case,
        (Goal("a mean gain above 0.003", lambda f: f["gain"]["mean"] > 0.003),),
        images=True,
    ),
    Lesson(
        "sequence",
        _GUIDE,
        "Recurrent layers are for sequences.",
        _sequence,
        _tell_sequence,
        (
            least("lstm", 0.68, "LSTM accuracy"),
            least("gru", 0.65, "GRU accuracy"),
            least("conv1d", 0.60, "Conv1d accuracy"),
        ),
        images=True,
    ),
    Lesson(
        "text",
        _GUIDE,
        "Words become vectors, and these a network's inputs.",
        _text,
        _tell_text,
        (
            Goal(
                "an accuracy no worse than that of TF-IDF with logistic regression",
                lambda f: f["metrics"]["accuracy"] > mean(f["classic"]) - 0.01,
            ),
            Goal("f1 of at least 0.88", lambda f: f["test"]["mean"] >= 0.88),
        ),
    ),
    Lesson(
        "own-module",
        _GUIDE,
        "Models are made of small parts that are used again.",
        _own,
        _tell_own,
        (Goal("94 % of the test images", lambda f: f["test"]["mean"] >= 0.94),),
    ),
)
