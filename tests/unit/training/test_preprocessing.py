from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from hpsearch.sources.dataset import inputs_of
from hpsearch.sources.inputs import ImageInputs, fit_images

RNG = np.random.default_rng(0)


def test_read_from_json_images_become_the_same_to_the_last_bit() -> None:
    pixels = RNG.integers(0, 256, (40, 3, 5, 4)).astype(np.uint8)
    pixels[:, 1] = 7
    images = fit_images(pixels, 255)
    assert images.shape == (3, 5, 4)
    again = inputs_of(json.loads(json.dumps(asdict(images))))
    assert isinstance(again, ImageInputs)
    assert again == images
    inputs = again(pixels)
    assert np.array_equal(inputs, images(pixels))
    assert np.abs(inputs.mean(axis=(0, 2, 3))).max() < 1e-4
    assert np.allclose(inputs.std(axis=(0, 2, 3)), [1, 0, 1], atol=1e-4)
