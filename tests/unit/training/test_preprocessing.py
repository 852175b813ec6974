from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from hpsearch.sources.inputs import Preprocessing, fit_images, fit_table

RNG = np.random.default_rng(0)


def read_again(found: Preprocessing) -> Preprocessing:
    text = json.dumps(asdict(found))
    return TypeAdapter(Preprocessing).validate_json(text, strict=True)


def table(rows: int) -> dict[str, np.ndarray]:
    gaps = np.where(RNG.random(rows) < 0.2, np.nan, RNG.normal(3, 1e4, rows))
    texts = np.array(RNG.choice(["", "b", "a", "c c"], rows), dtype=object)
    return {
        "text": texts, "gaps": gaps, "constant": np.full(rows, 1 / 3),
        "near": 1e9 + RNG.random(rows) * 1e-9, "none": np.full(rows, np.nan),
        "empty": np.full(rows, "", dtype=object),
    }  # fmt: skip


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 50, 1000])
def test_a_table_becomes_what_scikit_learn_makes_of_it(rows: int) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train, later = table(rows), table(20)
    train["text"][0] = "a"  # scikit-learn wants a text at least
    later["text"][0] = "not seen"
    fitted = fit_table(train, ["text", "empty"])
    assert fitted.names == ("gaps", "constant", "near", "none", "text", "empty")
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    texts = make_pipeline(
        SimpleImputer(missing_values="", strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    reference = ColumnTransformer([("n", numbers, [0, 1, 2, 3]), ("t", texts, [4])])
    old, new = (
        np.stack([t[name].astype(object) for name in fitted.names[:5]], axis=1)
        for t in (train, later)
    )
    expected = reference.fit(old).transform(new).astype(np.float32)
    found = fitted(later)
    assert found.shape[1:] == fitted.shape
    assert np.allclose(found[:, :-1], expected, rtol=1e-6, atol=1e-12)
    assert (found[:, -1] == 1).all(), "a column without any text is one constant input"


def test_read_from_json_it_gives_the_same_to_the_last_bit() -> None:
    train, later = table(50), table(20)
    fitted = fit_table(train, ["text", "empty"])
    again = read_again(fitted)
    assert again == fitted
    assert np.array_equal(again(later), fitted(later))
    pixels = RNG.integers(0, 256, (40, 3, 5, 4)).astype(np.uint8)
    pixels[:, 1] = 7
    images: Any = fit_images(pixels, 255)
    assert images.shape == (3, 5, 4)
    images_again: Any = read_again(images)
    assert images_again == images
    found = images_again(pixels)
    assert np.array_equal(found, images(pixels))
    assert np.abs(found.mean(axis=(0, 2, 3))).max() < 1e-4
    assert np.allclose(found.std(axis=(0, 2, 3)), [1, 0, 1], atol=1e-4)
