from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
from pydantic import TypeAdapter

from hpsearch.sources.inputs import ImageInputs, fit_images

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
