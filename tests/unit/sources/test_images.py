"""Image files as a data set: which there are, how each is decoded, and what is refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hpsearch.errors import DataError, StudyFileError
from hpsearch.sources import look as looks
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.sources.dataset import test_part as held_out
from hpsearch.sources.images.decode import Picture, Shape, size_of
from hpsearch.sources.images.read import look
from hpsearch.sources.rows import Resident
from hpsearch.sources.split import divide
from hpsearch.spec import load as load_study
from hpsearch.spec.source import SOURCES
from hpsearch.testing import check_source

CPU = torch.device("cpu")
SHAPE = Shape(3, 8, 8, "center")

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves an image: noise, so that no two are the same, or pixels."""
    noise = np.random.default_rng(0)

    def made(name: str, size: tuple[int, int] = (8, 8), pixels: Any = None, **kw: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if pixels is None:
            pixels = noise.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(path, **kw)
        return path

    return made


@pytest.fixture
def pets(save: Save, tmp_path: Path) -> Path:
    """Twenty cats and dogs of 8 x 8, and a file that is no image."""
    for n in range(20):
        save(f"pets/{('cat', 'dog')[n % 2]}/{n:02}.png")
    (tmp_path / "pets" / "cat" / "Thumbs.db").write_text("-")
    return tmp_path


def loaded(base: Path, **keys: Any) -> Dataset:
    return load(DataSettings.of("images", base, **{"path": "pets", **keys}), CPU)


def refused(base: Path, **keys: Any) -> str:
    with pytest.raises(DataError) as error:
        loaded(base, **keys)
    assert "\n" not in str(error.value)
    return str(error.value)


def read(path: Path, shape: Shape = SHAPE) -> Any:
    return Picture.of(path, shape).pixels_CHW


# --- which files, and of which class ----------------------------------------------------------


def test_a_folder_a_class_is_a_data_set(pets):
    dataset = loaded(pets)
    assert dataset.classes == ("cat", "dog")
    assert dataset.input_shape == (3, 8, 8)
    assert (len(dataset.train), len(dataset.validation)) == (14, 3)
    assert dataset.record["notes"] == ["pets: 1 file left out, as no images: cat/Thumbs.db"]
    check_source(SOURCES["images"], pets, path="pets", size=[6, 4], color=False)


def test_parts_of_their_own_stay_apart(save, tmp_path):
    for part, count in (("train", 6), ("val", 4), ("test", 2)):
        for n in range(count):
            save(f"pets/{part}/{'ab'[n % 2]}/{n}.png")
    settings = DataSettings.of("images", tmp_path, path="pets")
    dataset = load(settings, CPU)
    assert dataset.record["rows"] == {"train": 6, "validation": 4, "test": 2}
    looked, _ = held_out(settings, dataset, dataset.record, CPU)
    wanted = read(tmp_path / "pets/test/a/0.png")
    assert torch.equal(looked.inputs[0], torch.from_numpy(dataset.preprocessing(wanted[None]))[0])
    # A guide that measures on the test part has all other images to train on.
    dataset = loaded(tmp_path, validation="test")
    assert dataset.record["rows"] == {"train": 10, "validation": 2, "test": 0}
    assert torch.equal(dataset.validation.targets, torch.tensor([0, 1]))
    assert "measured on the test part" in dataset.record["warnings"][0]
    save("pets/test/c/0.png")
    assert "has the class c, which" in refused(tmp_path)


def test_classes_may_be_called_like_parts(save, tmp_path):
    for name in ("train", "bus"):
        for n in range(10):
            save(f"pets/{name}/{n}.png")
    assert loaded(tmp_path).classes == ("bus", "train")


def test_a_table_names_files_and_classes(pets):
    places = [(kind, n) for kind in (0, 1) for n in range(kind, 20, 2)]
    lines = [f"{('cat', 'dog')[kind]}/{n:02}.png,{kind + 1}" for kind, n in places]
    table = pets / "labels.csv"
    table.write_text("\n".join(["picture,kind", *lines]))
    keys = {"labels": "labels.csv", "file": "picture", "label": "kind"}
    dataset = loaded(pets, **keys)
    assert dataset.classes == ("1", "2")
    assert torch.equal(dataset.train.inputs, loaded(pets).train.inputs)
    assert "has no column file, but picture, kind" in refused(pets, labels="labels.csv")
    for line, why in (
        ("cat/99.png,1", "labels.csv, line 22: there is no image"),
        ("cat/00.png,1", "line 22: cat/00.png is listed twice, first in line 2"),
        (",1", "line 22: no picture"),
    ):
        table.write_text("\n".join(["picture,kind", *lines, line]))
        assert why in refused(pets, **keys)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda pets: (pets / "cat" / "00.png").write_bytes(b"\x89PNG"), "cat/00.png: cannot"),
        (lambda pets: (pets / "cat" / "00.png").write_text(""), "cat/00.png: cannot"),
        (lambda pets: (pets / "mouse").mkdir(), "class mouse, .*has no images"),
        (lambda pets: (pets / "cat").rename(pets / ".cat"), "images of one class, dog"),
        (lambda pets: [(pets / name).rename(pets / f".{name}") for name in ("cat", "dog")],
         "has no images in a folder for each class"),
        (lambda pets: pets.rename(pets.parent / "other"), "pets does not exist"),
    ],
)  # fmt: skip
def test_what_is_no_data_set_is_one_line(pets, harm, why):
    import re

    harm(pets / "pets")
    message = refused(pets).replace("cannot read the image ", "")
    assert re.search(why.replace(": cannot", ""), message)


@pytest.mark.parametrize("keys", [{}, {"size": 8}])
def test_damaged_images_are_named_at_once(pets, keys):
    good = (pets / "pets/cat/00.png").read_bytes()
    inputs = loaded(pets, size=8).preprocessing
    files = sorted((pets / "pets/cat").iterdir())[:5]
    files[0].write_bytes(b"no image")
    assert refused(pets, **keys).endswith("no image; remove it, or save it again")
    for file in files[1:4]:
        file.write_bytes(b"no image")
    said = refused(pets, **keys)
    assert "4 of 20 images cannot be used" in said
    assert said.endswith("; and 1 more; remove them, or save them again")
    with pytest.raises(DataError, match=r"^4 of 5 images cannot be used: "):
        inputs.of_files(files)
    for file in files[:4]:
        file.write_bytes(good[:-40])  # its header is whole
    assert "4 of 20 images cannot be used" in refused(pets, **keys)


def test_other_data_is_found_out(pets, save):
    settings = DataSettings.of("images", pets, path="pets", validation=0.2)
    dataset = load(settings, CPU)
    assert loaded(pets, validation=0.2).record["fingerprint"] == dataset.record["fingerprint"]
    save("pets/cat/00.png")
    with pytest.raises(DataError, match="its fingerprint differs"):
        held_out(settings, dataset, dataset.record, CPU)


def test_a_quick_look_counts_images(pets):
    seen = look(
        SOURCES["images"].section.model_validate({"source": "images", "path": "pets"}), pets
    )
    assert isinstance(seen, looks.Look)
    assert (seen.title, seen.classes, seen.rarest) == ("pets: 20 images", ("cat", "dog"), 10)
    assert seen.lines == ("2 classes: cat, dog",)


# --- how each is decoded ----------------------------------------------------------------------


def test_images_of_other_sizes_are_resized_and_it_is_noted(pets, save):
    save("pets/cat/00.png", (30, 20))
    save("pets/dog/01.png", (40, 40))
    dataset = loaded(pets)  # of no one size, so 64 x 64
    assert dataset.input_shape == (3, 64, 64)
    assert dataset.record["decided"] == {"size": [64, 64]}
    assert (
        "20 of 20 images of 8 to 40 x 8 to 40 pixels resized to 64 x 64"
        in (dataset.record["notes"])
    )
    assert any("2 of 20" in note for note in loaded(pets, size=8).record["notes"])


def test_crop_cuts_the_longer_side_and_none_stretches(save):
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 200
    path = save("a.png", pixels=wide)
    assert (read(path) == 200).all()
    assert 0 < read(path, Shape(3, 8, 8, "none")).mean() < 100


def test_grey_is_one_channel(save):
    path = save("a.png", pixels=np.full((8, 8), 77, np.uint8))
    assert (read(path) == 77).all()
    assert read(path, Shape(1, 8, 8, "center")).shape == (1, 8, 8)


def test_depth_colours_and_transparency_become_eight_bits_of_rgb(save):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    deep = save("deep.png", pixels=np.full((8, 8), 32_896, np.uint16))
    assert (read(deep) == 128).all()
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4] = (255, 0, 0, 255)
    picture = Picture.of(save("clear.png", pixels=clear), SHAPE)
    assert (picture.pixels_CHW[:, :4].transpose(1, 2, 0) == (255, 0, 0)).all()
    assert (picture.pixels_CHW[:, 4:] == 255).all()
    assert picture.remarks == ("transparent pixels are laid on white",)
    inks = save("inks.tif", pixels=Image.fromarray(red).convert("CMYK"))
    assert np.array_equal(read(inks).transpose(1, 2, 0), red)
    assert read(inks, Shape(1, 8, 8, "center")).shape == (1, 8, 8)
    few = save("few.gif", pixels=Image.fromarray(red).convert("P"))
    assert np.array_equal(read(few).transpose(1, 2, 0), red)


def test_a_turned_photo_is_upright(save):
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, :4] = 255  # white on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # was held so that the left is the top
    path = save("a.png", pixels=pixels, exif=exif)
    assert size_of(path) == (4, 8)
    picture = Picture.of(path, Shape(3, 8, 4, "center"))
    assert picture.size == (4, 8)
    assert (picture.pixels_CHW[:, :4] == 255).all()
    assert (picture.pixels_CHW[:, 4:] == 0).all()


def test_of_several_frames_the_first_is_taken(save):
    frames = [Image.new("RGB", (8, 8), color) for color in ("white", "black")]
    path = save("a.gif", pixels=frames[0], save_all=True, append_images=frames[1:])
    assert Picture.of(path, SHAPE).remarks == (
        "it has several frames, of which the first is taken",
    )
    assert (read(path) == 255).all()


def test_pixels_without_a_known_range_are_refused(save):
    path = save("a.tif", pixels=np.ones((8, 8), np.float32))
    with pytest.raises(DataError, match=r"a\.tif: it has floating-point pixels"):
        read(path)


# --- inputs -----------------------------------------------------------------------------------


def test_pixels_are_scaled_as_named(pets):
    standard = loaded(pets).train
    mean = standard.inputs.mean(dim=(0, 2, 3))
    deviation = standard.inputs.std(dim=(0, 2, 3))
    assert torch.allclose(mean, torch.zeros(3), atol=1e-5)
    assert torch.allclose(deviation, torch.ones(3), atol=1e-3)
    plain = loaded(pets, normalize="none").train.inputs
    assert (float(plain.min()), float(plain.max())) == (0.0, 1.0)
    imagenet = loaded(pets, normalize="imagenet").train.inputs
    own = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    assert torch.allclose(imagenet, (plain - own[0]) / own[1], atol=1e-5)


def test_streamed_images_are_the_same_to_the_last_digit(pets):
    resident, streamed = loaded(pets), loaded(pets, memory="1 kB")
    assert not streamed.train.resident
    rows = torch.tensor([5, 0, 5])
    assert torch.equal(resident.train.batch(rows)[0], streamed.train.batch(rows)[0])
    assert isinstance(resident.train, Resident)
    stored = resident.train.stored
    assert stored.dtype == torch.uint8  # a quarter of the memory of inputs
    assert torch.equal(resident.train.inputs, torch.from_numpy(resident.preprocessing(
        stored.numpy())))  # fmt: skip


_PEAK = """
import sys, psutil, torch
from pathlib import Path
import hpsearch.worker
from hpsearch.sources.dataset import DataSettings, load

def loaded(path, **keys):
    settings = DataSettings.of("images", Path(sys.argv[1]), path=path, **keys)
    return load(settings, torch.device("cpu"))

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

loaded("few")
idle = peak()
dataset = loaded("pets", memory=sys.argv[2])
parts = dataset.train, dataset.validation
assert all(sum(len(piece) for piece in part.pieces(64)) == len(part) for part in parts)
print(*(int(part.resident) for part in parts), peak() - idle, len(psutil.Process().children()))
"""
"""A process that reads images, few and many; what the many take of memory."""


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_images_take_no_more_memory_than_they_may(save, tmp_path):
    for n in range(8000):  # of 64 x 64, 98 MB in all
        kind = ("cat", "dog")[n % 2]
        first = tmp_path / f"few/{kind}/{n % 20:02}.png"
        if n < 20:
            save(f"few/{kind}/{n:02}.png", (64, 64))
        (tmp_path / "pets" / kind).mkdir(parents=True, exist_ok=True)
        os.link(first, tmp_path / "pets" / kind / f"{n}.png")
    program = [sys.executable, "-c", _PEAK, str(tmp_path), "70 MB"]
    done = subprocess.run(program, stdout=subprocess.PIPE, check=True, text=True)
    *lie, taken, processes = map(int, done.stdout.split())
    assert lie == [1, 0], "which parts are resident"
    assert taken < 125 * 10**6, "beside the rows names, what is decoded at once, and batches"
    assert processes == 0, "a reader takes hundreds of megabytes"


def test_predictions_see_what_training_saw(pets, save):
    dataset = loaded(pets, size=6)
    raw_first = read(pets / "pets/cat/00.png", Shape(3, 6, 6, "center"))
    given = dataset.preprocessing.of_files([pets / "pets" / "cat", pets / "pets/dog/01.png"])
    assert given.names[0] == str(pets / "pets/cat/00.png")
    assert len(given.names) == len(given.inputs) == 11
    assert np.array_equal(given.inputs[0], dataset.preprocessing(raw_first[None])[0])
    assert f"{pets / 'pets' / 'cat' / 'Thumbs.db'}: no image, left out" in given.notes
    assert "11 of 11 images of 8 x 8 pixels resized to 6 x 6" in given.notes
    (pets / "empty").mkdir()
    with pytest.raises(DataError, match="there is no image in"):
        dataset.preprocessing.of_files([pets / "empty"])
    content = io.BytesIO()
    np.save(content, np.zeros((2, 6, 6, 3), np.uint8))
    (pets / "two.npy").write_bytes(content.getvalue())
    assert dataset.preprocessing.of_files([pets / "two.npy"]).inputs.shape == (2, 3, 6, 6)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("normalize: imagenet, color: false", "none or standard, as color is false"),
        ("size: 0", "pixels a side, or [height, width]"),
        ("memory: much", "auto, or a size such as 2 GB"),
        ("validation: best", "a number above 0 and below 1, or test"),
        ("validation: test, test: 0.1", "no test share, as validation is test"),
    ],
)
def test_keys_that_do_not_agree_are_faults(tmp_path, keys, why):
    study = tmp_path / "study.yaml"
    study.write_text(
        f"name: a\ndata: {{source: images, path: pets, {keys}}}\nnetwork: {{family: mlp}}\n"
        "parameters: {lr: {values: [0.1]}}\nbudget: {trials: 1}\n"
    )
    with pytest.raises(StudyFileError) as error:
        load_study(study)
    assert why in str(error.value)


def test_a_search_on_the_test_part_needs_one(pets):
    settings = DataSettings.of("images", pets, path="pets", validation="test")
    from hpsearch.sources.read import read as read_rows

    with pytest.raises(DataError, match="the data has no test part of its own"):
        divide(read_rows(settings), settings)
