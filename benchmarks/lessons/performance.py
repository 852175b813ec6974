"""A guide on optimizing performance."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
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
from benchmarks.turns import SkippedError
from hpsearch.spec.task import TASKS, Result
from hpsearch.stages.finish import estimate

__all__ = ["LESSONS"]

_GUIDE = "optimizing performance"
_GROUPS = ("architecture", "learning_rate", "batch_size", "regularization", "optimizer")
"""In the guide's order."""
_SEEDS = 3


def _importance(hpsearch: Hpsearch) -> dict[str, Any]:
    runs = []
    for seed in range(_SEEDS):
        name = f"importance-{seed}"
        run(
            hpsearch,
            "importance",
            "--set",
            f"name={name}",
            "--set",
            f"search.seed={seed}",
            study=name,
        )
        runs.append(json.loads(hpsearch.run("importance", name, "--json")))
    return {"runs": runs}


def _tell_importance(f: Figures) -> Told:
    runs = f["runs"]
    firsts = [max(of["parameters"], key=lambda p: p["fanova"])["name"] for of in runs]
    shares = ", ".join(
        f"{group.replace('_', ' ')} {mean(_group(of, group, 'ped_anova') for of in runs):.0%} and "
        f"{mean(_group(of, group, 'fanova') for of in runs):.0%}"
        for group in _GROUPS
    )
    return Told(
        f"In {len(runs)} searches of {runs[0]['trials']} trials the order held in "
        f"{', '.join(str(of['held']) for of in runs)} of {runs[0]['pairs']} pairs of groups (5 is "
        "chance). By PED-ANOVA (what the best trials have in common) and fANOVA (the whole "
        f"range): {shares}. First of single parameters by fANOVA: {', '.join(firsts)}",
        "Roughly, on these images. The architecture is ahead as the sum of three parameters. The "
        "optimizer matters over the whole range and hardly among the best. Look with `hpsearch "
        "importance` before you believe it of your data.",
    )


def _group(of: Mapping[str, Any], group: str, measure: str) -> float:
    value: float = next(g[measure] for g in of["groups"] if g["name"] == group)
    return value


def _batch(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "batch-size")
    trials = [(trial["params"]["batch_size"], trial["value"]) for trial in found.search]
    small = [value for size, value in trials if size < 100]
    large = [value for size, value in trials if size >= 600]
    return {**found.test, "small": small, "large": large}


def _tell_batch(f: Figures) -> Told:
    small, large = (estimate(f[name], 0.0, 1.0) for name in ("small", "large"))
    return Told(
        f"{len(f['small'])} trials with fewer than 100 rows a batch: {share(small)}, the best "
        f"{percent(max(f['small']))}; {len(f['large'])} with 600 or more: {share(large)}, the "
        f"best {percent(max(f['large']))}. On the test part the winner has {share(f['test'])}, "
        f"the default of 64 rows {share(f['default'])}",
        "Not for its accuracy: the largest batch is the fastest an epoch on a GPU, but makes few "
        "steps. With 1,257 rows of which all fit it makes one an epoch. Search the size, and the "
        "learning rate with it.",
    )


_POINTS: Mapping[str, Mapping[str, Any]] = {
    "AlexNet-like": {"kernel": 5},
    "VGG-like": {"convs": 2, "skip": False},
    "ResNet-like": {"skip": True, "squeeze_excite": False},
    "with squeeze-and-excitation": {"squeeze_excite": True},
}


def _architectures(hpsearch: Hpsearch) -> dict[str, Any]:
    small = run(hpsearch, "architectures")
    residual = run(hpsearch, "resnet", "--trials", 1)
    vit = run(hpsearch, "vit")
    trials = {
        **{name: small.trial(**point) for name, point in _POINTS.items()},
        "ResNet-8": residual.best, "vision transformer": vit.best,
    }  # fmt: skip
    return {
        name: {"accuracy": trial["value"], "parameters": trial["parameters"]}
        for name, trial in trials.items()
    }


def _tell_architectures(f: Figures) -> Told:
    each = ", ".join(
        f"{name} {percent(of['accuracy'])} ({of['parameters']:,} parameters)"
        for name, of in f.items()
    )
    return Told(
        "From 5,000 images in five epochs, of 1,000 validation images, one training each (two "
        f"points either way are chance): {each}",
        "On small images and few of them the simple ones are as good, and a vision transformer "
        "is behind. The mean of each map in place of a flat layer saves most of the parameters.",
    )


_SCHEDULES = ("constant", "step", "exponential", "cosine", "one_cycle", "plateau")


def _schedules(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "schedules")
    values = {name: found.again(schedule=name) for name in _SCHEDULES}
    gains = {name: gain(values[name], values["constant"]) for name in _SCHEDULES[1:]}
    return {"values": values, "gains": gains}


def _tell_schedules(f: Figures) -> Told:
    gains = ", ".join(f"{name} {points(gain)}" for name, gain in f["gains"].items())
    return Told(
        "After the last of ten epochs, five seeds each: constant "
        f"{percent(f['values']['constant'])} of 1,000 validation images; {gains}",
        "It holds for those that end near zero. `plateau` waits for three epochs without a "
        "better value, which ten epochs hardly have. Who keeps the best epoch (the default) "
        "gains less.",
    )


_PAIRS = {
    "bags, then boots": ("Bag", "Ankle boot"),
    "shoes, then bags": ("Sandal, Sneaker, Ankle boot", "Bag"),
    "five kinds of clothes, then shirts": ("T-shirt/top, Trouser, Pullover, Dress, Coat", "Shirt"),
}
_FOUND = tuple(_PAIRS)[:2]
_USELESS = tuple(_PAIRS)[2]


def _autoencoder(hpsearch: Hpsearch) -> dict[str, Any]:
    return {
        pair: _anomalies(hpsearch, f"autoencoder-{number}", *classes)
        for number, (pair, classes) in enumerate(_PAIRS.items())
    }


def _anomalies(hpsearch: Hpsearch, name: str, normal: str, strange: str) -> dict[str, Any]:
    found = run(
        hpsearch, "autoencoder", "--set", f"name={name}", "--set", f"data.normal=[{normal}]",
        "--set", f"data.strange=[{strange}]", study=name,
    )  # fmt: skip
    return {**found.test, "mean image": found.status["baseline"]["value"]}


def _is_useless(f: Figures) -> bool:
    """Whether the report says so of the network that is handed over."""
    pair = f[_USELESS]
    of = Result({}, (), "auroc", {}, pair["network"], {"auroc": pair["mean image"]})
    return "is of no use" in TASKS["anomaly"].remark(of)


def _tell_autoencoder(f: Figures) -> Told:
    each = "; ".join(
        f"{pair} {of['test']['mean']:.3f} ({of['test']['low']:.3f} to {of['test']['high']:.3f}), "
        f"the mean image {of['mean image']:.2f}"
        for pair, of in f.items()
    )
    return Told(
        f"Area under the ROC curve on the test part, trained on the first only: {each}",
        "It holds where strange images are of another kind. A shirt is made of what the other "
        "clothes are made of: hardly any is found, and the result says that the network is of no "
        "use.",
    )


_OPERATIONS = ("flip", "rotate")
"""What is combined with and without RandAugment."""


def _augmentation(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "augmentation")
    by_magnitude: dict[int, list[dict[str, Any]]] = {0: [], 9: []}
    for trial in sorted(found.search, key=lambda t: [t["params"][name] for name in _OPERATIONS]):
        last = trial["last_metrics"] or trial["metrics"]
        by_magnitude[trial["params"]["randaugment"]].append({
            "accuracy": trial["value"], "word": trial["diagnosis"],
            "train_loss": last["train_loss"], "loss": last["loss"],
        })  # fmt: skip
    return {"without": by_magnitude[0], "with": by_magnitude[9]}


def _losses(trials: list[dict[str, Any]]) -> str:
    train, held_out = (mean(of[name] for of in trials) for name in ("train_loss", "loss"))
    return f"{train:.2f} and {held_out:.2f}"


def _tell_augmentation(f: Figures) -> Told:
    without, with_ = f["without"], f["with"]
    gained = gain(*([of["accuracy"] for of in trials] for trials in (with_, without)))
    words = (sum(of["word"] == "over-fitting" for of in trials) for trials in (without, with_))
    return Told(
        "With mirrored and turned images and without, training and validation loss after 20 "
        f"epochs: without RandAugment {_losses(without)}, with it {_losses(with_)}; called "
        f"over-fitting {' and '.join(map(str, words))} of {len(without)}. Accuracy with it, of 200 "
        f"validation images: {points(gained)}",
        "It stops over-fitting. Accuracy is another matter: the validation images are as upright "
        "and as centred as the training images. It pays where new images are not.",
    )


_TUNES = ("head", "head_then_all", "all", "scratch")


def _transfer(hpsearch: Hpsearch) -> dict[str, Any]:
    try:
        from benchmarks.efficientnet_lite0 import write
    except ModuleNotFoundError as missing:
        raise SkippedError(f"{missing.name} is not installed") from missing
    with tempfile.TemporaryDirectory(prefix="hpsearch-weights-") as folder:
        try:
            weights = write(Path(folder))
        except ModuleNotFoundError as missing:
            raise SkippedError(f"{missing.name} is not installed") from missing
        found = run(hpsearch, "transfer", "--set", f"network.weights={weights}")
    trials = {tune: found.trial(tune=tune) for tune in _TUNES}
    return {
        **{tune: trial["value"] for tune, trial in trials.items()},
        "best": found.best["params"]["tune"],
    }


def _tell_transfer(f: Figures) -> Told:
    each = ", ".join(f"{tune} {percent(f[tune])}" for tune in _TUNES)
    return Told(
        "EfficientNet-Lite0 with weights of ImageNet, 200 images of clothes at 96 x 96, ten "
        f"epochs, of 400 validation images (four points either way are chance): {each}",
        "It holds: weights of photographs help with grey images of clothes. The last layer alone "
        "gets most of it, in seconds.",
    )


LESSONS = (
    Lesson(
        "augmentation",
        _GUIDE,
        "Change training images at random, such as by RandAugment, and the network over-fits less.",
        _augmentation,
        _tell_augmentation,
        (
            Goal(
                "a smaller distance from training to validation loss with RandAugment",
                lambda f: all(
                    of["loss"] - of["train_loss"] < other["loss"] - other["train_loss"]
                    for of, other in zip(f["with"], f["without"], strict=True)
                ),
            ),
        ),
        images=True,
    ),
    Lesson(
        "transfer",
        _GUIDE,
        "Train the last layer alone on few images that are like those the weights were learnt "
        "from; first that layer and then the rest on more or others; from scratch on very many.",
        _transfer,
        _tell_transfer,
        (
            least("head", 0.7, "accuracy of the last layer alone"),
            Goal("0.15 above from scratch", lambda f: f["head"] - f["scratch"] >= 0.15),
            Goal("a pretrained form as the best", lambda f: f["best"] != "scratch"),
        ),
        images=True,
    ),
    Lesson(
        "importance",
        _GUIDE,
        "Architecture first, then the learning rate, the batch size, regularisation, and the "
        "optimizer last.",
        _importance,
        _tell_importance,
        (
            Goal(
                "the order in more pairs than by chance",
                lambda f: mean(of["held"] for of in f["runs"]) > 5,
            ),
        ),
    ),
    Lesson(
        "architectures",
        _GUIDE,
        "AlexNet, VGG, ResNet, squeeze-and-excitation and vision transformers are the "
        "architectures to know; global average pooling in place of flatten makes any input size "
        "work.",
        _architectures,
        _tell_architectures,
        (
            Goal(
                "82 % for the small convolutional networks",
                lambda f: min(f[name]["accuracy"] for name in ("AlexNet-like", "VGG-like")) >= 0.82,
            ),
            Goal("65 % for ResNet-8", lambda f: f["ResNet-8"]["accuracy"] >= 0.65),
            Goal(
                "65 % for the vision transformer",
                lambda f: f["vision transformer"]["accuracy"] >= 0.65,
            ),
        ),
        command="hpsearch run studies/architectures.yaml`, `hpsearch run studies/vit.yaml",
        images=True,
    ),
    Lesson(
        "batch-size",
        _GUIDE,
        "With BatchNorm take the largest batch that fits, then vary it.",
        _batch,
        _tell_batch,
        (
            Goal(
                "small batches ahead of the largest ones",
                lambda f: max(f["small"]) > max(f["large"]),
            ),
        ),
    ),
    Lesson(
        "schedules",
        _GUIDE,
        "Learning-rate schedules improve the result.",
        _schedules,
        _tell_schedules,
        (Goal("cosine ahead of a constant rate", lambda f: f["gains"]["cosine"]["low"] > 0),),
        images=True,
    ),
    Lesson(
        "autoencoder",
        _GUIDE,
        "The inputs that an autoencoder rebuilds worst are the anomalies.",
        _autoencoder,
        _tell_autoencoder,
        (
            Goal("0.93 on both pairs", lambda f: all(f[p]["test"]["mean"] >= 0.93 for p in _FOUND)),
            Goal(
                "0.05 above the mean image on both",
                lambda f: all(f[p]["test"]["mean"] > f[p]["mean image"] + 0.05 for p in _FOUND),
            ),
            Goal("clothes against shirts warned as of no use", _is_useless),
        ),
        images=True,
    ),
)
