"""What networks that read text are worth, beside what one would take without them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import DataSettings, load
from hpsearch.sources.read import read
from hpsearch.sources.split import divide
from hpsearch.spec.family import FAMILIES
from hpsearch.training.array import Array
from tests.unit.training.packing import DEVICE

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


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_default_network_is_no_worse_than_logistic_regression(
    tmp_path: Path, seed: int
) -> None:
    texts, is_spam = messages(seed)
    with (tmp_path / "sms.csv").open("w", newline="") as file:
        rows = zip(texts, ("spam" if spam else "ham" for spam in is_spam), strict=True)
        csv.writer(file).writerows([("text", "kind"), *rows])
    settings = DataSettings.of(
        "table", tmp_path, every_class=True, path="sms.csv", target="kind", text="text"
    )
    split, _ = divide(read(settings), settings)
    train, validation = ([texts[row] for row in part] for part in (split.train, split.validation))
    truth = np.array(is_spam)[split.validation]
    tfidf = TfidfVectorizer()
    baseline = LogisticRegression().fit(
        tfidf.fit_transform(train), np.array(is_spam)[split.train]
    ).predict(tfidf.transform(validation))  # fmt: skip

    dataset = load(settings, DEVICE)
    array = Array(dataset, "accuracy", DEVICE)
    defaults = FAMILIES["text"].vocabulary().defaults
    array.add(Candidate(0, "text", {**defaults, "epochs": EPOCHS}, seed))
    for _ in range(EPOCHS):
        (report,) = array.reports()
    metrics = report.last.metrics
    assert metrics["accuracy"] >= max(0.96, accuracy_score(truth, baseline))
    f1 = f1_score(truth, baseline, average="macro")
    assert metrics["f1"] >= max(0.93, f1)  # 0.88 of spam alone, the mean over both is higher
