from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.errors import DataError
from hpsearch.sources import imagefile
from hpsearch.sources.imagefile import images_of, read_array, read_images
from hpsearch.sources.inputs import ImageInputs

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
    read, notes = read_images([path, path], COLOUR)
    assert notes == ()
    assert np.array_equal(read, np.stack([pixels.transpose(2, 0, 1)] * 2))
    grey = np.asarray(Image.open(path).convert("L"), float)
    assert np.allclose(read_images([path], GREY)[0][0, 0], grey * 16 / 255)
    np.save(tmp_path / "a.npy", PIXELS)
    np.savez(tmp_path / "one.npz", PIXELS)
    np.savez(tmp_path / "two.npz", a=PIXELS, b=PIXELS)
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    for name in ("a.npy", "one.npz"):
        assert np.array_equal(read_array(tmp_path / name, COLOUR), PIXELS)
    for name, words in (("two.npz", "arrays: a, b"), ("gone.npy", "No such file"),
                        ("pickle.npy", "Python objects")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            read_array(tmp_path / name, COLOUR)
    Image.new("RGB", (9, 4)).save(path)
    with pytest.raises(DataError, match="is of 9 x 4 pixels; the network takes 6 x 4"):
        read_images([path], COLOUR)
    path.write_text("no image")
    with pytest.raises(DataError, match="cannot read the image"):
        read_images([path], COLOUR)


# --- files that claim more than they hold, or hold more than is wanted ----------------------------


def header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """What a .npy file begins with."""
    stream = io.BytesIO()
    entry = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, entry)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((10**9, 4, 6)), r"says that it holds 192,000,000,000 bytes"),
        (header((10**15, 4, 6)), r"says that it holds"),
        (header((10**9, 8, 8)), r"has the shape \(1000000000, 8, 8\); the network takes"),
        (header((2**62, 2**62)), r"has the shape"),
        (header((2, 4, 6)) + b"x" * 9, r"says that it holds 384 bytes of numbers, and has 9;"),
        (header((2, 4, 6))[:40], "cannot read the array"),
        (header((2, 4, 6), "|O"), "Python objects"),
        (header((2, 4, 6), "<U9") + b"\0" * 2000, "finite numbers"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "cannot read the array"),
        (b"", "cannot read the array"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["npy", "npz"])
def test_an_array_is_judged_by_its_header(
    tmp_path: Path, content: bytes, words: str, *, packed: bool
) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    if packed:
        words = words.replace("says that it holds", "").partition(" bytes")[0].strip()
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", content)
        words = words if "finite" in words or "shape" in words else "a.npz"
    with pytest.raises(DataError, match=words):
        images_of(str(path), read_array(path, GREY), GREY)


def test_a_small_archive_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, images = tmp_path / "bomb.npz", 100_000
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header((images, 4, 6), "|u1") + bytes(images * 24))
    assert path.stat().st_size < 5_000
    assert len(read_array(path, GREY)) == images
    monkeypatch.setattr(imagefile, "_MOST_BYTES", 1 << 20)
    with pytest.raises(DataError, match=r"unpacks to 2,400,128 bytes, and at most 1,048,576"):
        read_array(path, GREY)


def png(width: int, height: int, rows: int) -> bytes:
    """A grey PNG of that size, of which so many rows are there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (png(20_000, 20_000, 1), "is of 20000 x 20000 pixels; the network takes 6 x 4"),
        (png(10_000, 10_000, 10_000), "is of 10000 x 10000 pixels"),
        (png(2**31 - 1, 2**31 - 1, 0), "is of 2147483647 x 2147483647 pixels"),
        (png(6, 4, 4)[:45], "cannot read the image"),
        (b"GIF89a\xff\xff\xff\xff" + bytes(3), "is of 65535 x 65535 pixels|cannot read"),
        (b"BM" + bytes(52), "cannot read the image"),
    ],
)  # fmt: skip
def test_an_image_is_judged_by_its_header(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_images([path], GREY)
    assert Image.MAX_IMAGE_PIXELS is not None


def test_text_in_an_image_that_unpacks_to_megabytes_is_no_traceback(tmp_path: Path) -> None:
    content = png(6, 4, 4)
    text = b"k\0\0" + zlib.compress(bytes(80_000_000))
    bomb = struct.pack(">I", len(text)) + b"zTXt" + text
    bomb += struct.pack(">I", zlib.crc32(b"zTXt" + text))
    path = tmp_path / "a.png"
    path.write_bytes(content[:33] + bomb + content[33:])
    with pytest.raises(DataError, match="cannot read the image"):
        read_images([path], GREY)


# --- images that are not plain grey or RGB --------------------------------------------------------


ALPHA = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10  # drawn in the alpha channel alone
LAID = "transparent pixels are laid on white"


def drawn(mode: str) -> Image.Image:
    """Black of a rising opacity."""
    alpha = Image.fromarray(ALPHA)
    if mode == "P":
        image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6), "P")
        image.putpalette([0] * 768)
        image.info["transparency"] = bytes(ALPHA.ravel()) + bytes([255]) * 232
        return image
    image = Image.new(mode, (6, 4))
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("wanted", [GREY, COLOUR])
def test_what_is_drawn_in_the_alpha_channel_is_seen(
    tmp_path: Path, mode: str, wanted: ImageInputs
) -> None:
    path = tmp_path / "a.png"
    drawn(mode).save(path)
    pixels, notes = read_images([path], wanted)
    expected = (255.0 - ALPHA) * wanted.brightest / 255
    assert np.allclose(pixels[0], expected, atol=wanted.brightest / 255)
    assert notes == (f"{path}: {LAID}",)


def test_a_colour_that_counts_as_transparent_is_laid_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (6, 4)).save(path, transparency=(0, 0, 0))
    pixels, notes = read_images([path], COLOUR)
    assert (pixels == 255).all()
    assert LAID in notes[0]


def test_an_alpha_channel_that_hides_nothing_is_no_news(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGBA", (6, 4), (9, 9, 9, 255)).save(path)
    pixels, notes = read_images([path], COLOUR)
    assert (pixels == 9).all()
    assert notes == ()


def test_of_many_images_it_is_counted(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, make in zip(paths, (Image.new("L", (6, 4)), drawn("LA"), drawn("RGBA")), strict=True):
        make.save(path)
    assert read_images(paths, GREY)[1] == (f"2 of 3 images, such as {paths[1]}: {LAID}",)


def deep(path: Path) -> None:
    Image.fromarray(np.arange(24, dtype=np.uint16).reshape(4, 6) * 2600).save(path)


def ink(path: Path) -> None:
    Image.new("CMYK", (6, 4), (0, 0, 0, 255)).save(path.with_suffix(".tif"), "TIFF")
    path.with_suffix(".tif").rename(path)


def bits(path: Path) -> None:
    Image.fromarray(ALPHA > 100).save(path)


@pytest.mark.parametrize(
    ("save", "expected"),
    [(deep, np.arange(24).reshape(4, 6) * 2600 / 257), (ink, np.zeros((4, 6))),
     (bits, (ALPHA > 100) * 255.0)],
)  # fmt: skip
@pytest.mark.parametrize("wanted", [GREY, COLOUR])
def test_sixteen_bits_ink_and_single_bits_are_read_as_they_look(
    tmp_path: Path, save: Callable[[Path], None], expected: np.ndarray, wanted: ImageInputs
) -> None:
    path = tmp_path / "a.png"
    save(path)
    pixels, notes = read_images([path], wanted)
    assert np.allclose(pixels[0], expected * wanted.brightest / 255, atol=0.02)
    assert notes == ()


def test_a_turned_photo_is_upright(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # was held so that the left is the top
    turned = Image.fromarray(ALPHA).transpose(Image.Transpose.ROTATE_90)
    turned.save(path, exif=exif)
    pixels, notes = read_images([path], COLOUR)
    assert (pixels == ALPHA).all()
    assert notes == ()
    turned.save(path)
    with pytest.raises(DataError, match="is of 4 x 6 pixels; the network takes 6 x 4"):
        read_images([path], COLOUR)
    exif[0x0112] = 3
    Image.fromarray(ALPHA[::-1, ::-1]).save(path, exif=exif)
    assert (read_images([path], COLOUR)[0] == ALPHA).all()
    exif[0x0112] = 6
    Image.fromarray(ALPHA).save(path, exif=exif)
    with pytest.raises(DataError, match="is of 4 x 6 pixels; the network takes 6 x 4"):
        read_images([path], COLOUR)


def test_of_several_frames_the_first_is_taken_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.new("L", (6, 4), value) for value in (30, 60)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    pixels, notes = read_images([path], COLOUR)
    assert (pixels == 30).all()
    assert "several frames, of which the first is taken" in notes[0]


@pytest.mark.parametrize(("kind", "words"), [("float32", "floating-point"), ("int32", "16 bits")])
def test_pixels_of_no_known_range_are_refused(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((4, 6), 100_000, kind)).save(path)
    with pytest.raises(DataError, match=rf"a\.tif: it has .*{words}"):
        read_images([path], GREY)
