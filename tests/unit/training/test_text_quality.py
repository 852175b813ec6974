"""What networks that read text are worth, beside what one would take without them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import DataSettings, load
from hpsearch.sources.read import read
from hpsearch.sources.split import Split, divide
from hpsearch.spec.family import FAMILIES
from hpsearch.training.array import Array
from tests.later import Later
from tests.unit.training.packing import DEVICE

linear_model = Later("sklearn.linear_model")
scores = Later("sklearn.metrics")
vectorizers = Later("sklearn.feature_extraction.text")

ROWS, WORDS, SPAM = 5600, 4000, 0.13
"""The sizes of the SMS Spam Collection (Almeida, Gomez Hidalgo and Yamakami, 2011)."""
LIFT = 1.8
"""How much the words of one kind differ from those of the other."""
EPOCHS = 10


def messages(seed: int) -> tuple[list[str], list[bool]]:
    """Messages of words by Zipf's law; in spam most are more or less common than elsewhere."""
    random = np.random.default_rng(seed)
    usual = 1 / np.arange(1, WORDS + 1)
    lift = np.exp(LIFT * random.normal(size=WORDS))
    lift[:20] = 1  # what every sentence is made of
    shares = [share / share.sum() for share in (usual, usual * lift)]
    is_spam = random.random(ROWS) < SPAM
    lengths = random.gamma(4, np.where(is_spam, 5.0, 3.5)).astype(int) + 1
    texts = [
        " ".join(f"w{word}" for word in random.choice(WORDS, length, p=shares[spam]))
        for spam, length in zip(is_spam.astype(int), lengths, strict=True)
    ]
    return texts, is_spam.tolist()


def topics(seed: int) -> tuple[list[str], list[str]]:
    """A thousand short texts of five topics, each of which has forty words of its own: two or three
    of them are among common words, and in a third of the texts one of another topic."""
    random = np.random.default_rng(seed)
    usual, own = 1 / np.arange(1, 401), np.arange(1, 41) ** -0.7

    def words(mark: str, count: int, shares: np.ndarray) -> list[str]:
        numbers = random.choice(len(shares), count, p=shares / shares.sum())
        return [f"{mark}{number}" for number in numbers]

    kinds = random.integers(0, 5, 1000)
    texts = []
    for kind in kinds:
        text = words("c", int(random.integers(4, 13)), usual)
        text += words(f"t{kind}x", int(random.integers(2, 4)), own)
        text += words(f"t{random.integers(5)}x", int(random.random() < 1 / 3), own)
        texts.append(" ".join(random.permutation(text)))
    return texts, [f"k{kind}" for kind in kinds]


def split_of(
    folder: Path, texts: Sequence[str], kinds: Sequence[str]
) -> tuple[DataSettings, Split]:
    """A table of texts, and which of its rows are in which part."""
    with (folder / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "kind"), *zip(texts, kinds, strict=True)])
    settings = DataSettings.of(
        "table", folder, every_class=True, path="texts.csv", target="kind", text="text"
    )
    return settings, divide(read(settings), settings)[0]


def metrics_of_default(
    settings: DataSettings, seed: int, family: str = "text", **own: str
) -> Mapping[str, float]:
    """Of a network with the defaults of the family, but for its own settings, after the last
    epoch."""
    array = Array(load(settings, DEVICE), "accuracy", DEVICE)
    defaults = FAMILIES[family].vocabulary().defaults
    array.add(Candidate(0, family, {**defaults, **own, "epochs": EPOCHS}, seed))
    for _ in range(EPOCHS):
        (report,) = array.reports()
    return report.last.metrics


@pytest.mark.nightly
@pytest.mark.parametrize("family", ["text", "transformer"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_default_network_is_no_worse_than_logistic_regression(
    tmp_path: Path, seed: int, family: str
) -> None:
    texts, is_spam = messages(seed)
    settings, split = split_of(tmp_path, texts, ["spam" if spam else "ham" for spam in is_spam])
    train, validation = ([texts[row] for row in part] for part in (split.train, split.validation))
    truth = np.array(is_spam)[split.validation]
    tfidf = vectorizers.TfidfVectorizer()
    baseline = linear_model.LogisticRegression().fit(
        tfidf.fit_transform(train), np.array(is_spam)[split.train]
    ).predict(tfidf.transform(validation))  # fmt: skip
    metrics = metrics_of_default(settings, seed, family)
    assert metrics["accuracy"] >= max(0.96, scores.accuracy_score(truth, baseline))
    f1 = scores.f1_score(truth, baseline, average="macro")
    assert metrics["f1"] >= max(0.93, f1)  # 0.88 of spam alone, the mean over both is higher


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("family", "own", "least"),
    [
        ("text", {"body": "mean"}, 0.92),
        ("text", {"body": "rnn"}, 0.85),
        ("text", {"body": "conv1d"}, 0.85),
        ("transformer", {}, 0.92),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_defaults_learn_from_a_thousand_short_texts(
    tmp_path: Path, family: str, own: dict[str, str], least: float, seed: int
) -> None:
    settings, _ = split_of(tmp_path, *topics(seed))
    assert metrics_of_default(settings, seed, family, **own)["accuracy"] >= least
