from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from hpsearch.sources.arrays.inputs import Layout, Selection, fit, fit_sequences
from hpsearch.sources.inputs import ImageInputs, fit_images, fit_rows

RNG = np.random.default_rng(0)


def test_read_from_json_images_become_the_same_to_the_last_bit() -> None:
    pixels = RNG.integers(0, 256, (40, 3, 5, 4)).astype(np.uint8)
    pixels[:, 1] = 7
    images = fit_images(pixels, 255)
    assert images.shape == (3, 5, 4)
    again = TypeAdapter(ImageInputs).validate_json(json.dumps(asdict(images)), strict=True)
    assert again == images
    inputs = again(pixels)
    assert np.array_equal(inputs, images(pixels))
    assert np.abs(inputs.mean(axis=(0, 2, 3))).max() < 1e-4
    assert np.allclose(inputs.std(axis=(0, 2, 3)), [1, 0, 1], atol=1e-4)


@pytest.mark.parametrize("number", [0.1, 1e9 + 0.1, -1e-9])
@pytest.mark.parametrize(
    "fitted",
    [
        fit_rows,
        lambda rows: fit(Layout("rows", rows.shape[1:]), Selection.whole(rows)),
        lambda rows: fit_sequences(rows.reshape(5, 2, 2)),
    ],
    ids=["module", "arrays", "sequences"],
)
def test_a_column_of_one_number_keeps_its_unit(fitted: Any, number: float) -> None:
    rows = np.column_stack([np.full(10, number), np.arange(10.0)])
    inputs = fitted(rows)
    assert inputs.mean == pytest.approx((number, 4.5))
    assert inputs.deviation == (1.0, np.arange(10.0).std())
