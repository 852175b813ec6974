from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.errors import DataError
from hpsearch.training.imagefile import images_of, read_array, read_images
from hpsearch.training.preprocessing import ImageInputs

GREY = ImageInputs((1, 4, 6), 16, (0.0,), (1.0,))
COLOUR = ImageInputs((3, 4, 6), 255, (0.0,) * 3, (1.0,) * 3)
PIXELS = np.arange(5 * 3 * 4 * 6).reshape(5, 3, 4, 6) % 17


def test_the_usual_orders_of_axes_are_understood() -> None:
    grey = PIXELS[:, :1]
    for array in (grey, grey[:, 0], grey.transpose(0, 2, 3, 1), grey.astype(float)):
        assert np.array_equal(images_of("it", array, GREY), grey)
    for array in (PIXELS, PIXELS.transpose(0, 2, 3, 1)):
        assert np.array_equal(images_of("it", array, COLOUR), PIXELS)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (PIXELS, r"shape \(5, 3, 4, 6\); the network takes images \(N, 1, 4, 6\)"),
        (PIXELS[0, 0], "shape"),
        (PIXELS[:0, 0], "shape"),
        (np.float64(3), "shape"),
        (PIXELS[:, 0] * 20, r"pixels from 0 to 320; .* from 0, black, to 16"),
        (PIXELS[:, 0] - 1, "pixels from -1"),
        (PIXELS[:, 0] / 16, "pixels from 0 to 1;"),
        (np.full((2, 4, 6), np.nan), "finite numbers"),
        (np.full((2, 4, 6), "x"), "finite numbers"),
    ],
)
def test_other_shapes_and_ranges_are_refused(array: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=f"^it has .*{words}"):
        images_of("it", array, GREY)


def test_files(tmp_path: Path) -> None:
    pixels = PIXELS[0].astype(np.uint8).transpose(1, 2, 0) * 15
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    read = read_images([path, path], COLOUR)
    assert np.array_equal(read, np.stack([pixels.transpose(2, 0, 1)] * 2))
    grey = np.asarray(Image.open(path).convert("L"), float)
    assert np.allclose(read_images([path], GREY)[0, 0], grey * 16 / 255)
    np.save(tmp_path / "a.npy", PIXELS)
    np.savez(tmp_path / "one.npz", PIXELS)
    np.savez(tmp_path / "two.npz", a=PIXELS, b=PIXELS)
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    for name in ("a.npy", "one.npz"):
        assert np.array_equal(read_array(tmp_path / name), PIXELS)
    for name, words in (("two.npz", "arrays: a, b"), ("gone.npy", "No such file"),
                        ("pickle.npy", "allow_pickle")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            read_array(tmp_path / name)
    Image.new("RGB", (9, 4)).save(path)
    with pytest.raises(DataError, match="is of 9 x 4 pixels; the network takes 6 x 4"):
        read_images([path], COLOUR)
    path.write_text("no image")
    with pytest.raises(DataError, match="cannot read the image"):
        read_images([path], COLOUR)
