"""A pipe or a device in the place of a file that is read is one line, at once; for every reader."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import hpsearch
from hpsearch.errors import HpsearchError
from hpsearch.handover.predictor import Predictor
from hpsearch.sources.csv import CsvSpec
from hpsearch.sources.csv.read import read as read_csv
from hpsearch.sources.imagefile import read_array, read_images
from hpsearch.sources.inputs import ImageInputs
from hpsearch.sources.readymade import _read_idx
from hpsearch.sources.table import cells
from hpsearch.sources.table.look import look
from hpsearch.sources.table.sample import sample
from hpsearch.sources.table.section import TableSpec
from hpsearch.spec import load
from tests.unit.test_handover import net, table

__all__ = ["net", "table"]

IMAGES = ImageInputs(shape=(1, 2, 2), mean=(0.0,), deviation=(1.0,), brightest=255)


READERS: list[Callable[[Path], object]] = [
    load,
    lambda path: look(TableSpec(source="table", path=str(path), target="y"), path.parent),
    lambda path: read_csv(CsvSpec(source="csv", path=str(path), target="y"), path.parent),
    cells.read,
    sample,
    lambda path: read_array(path.rename(path.with_suffix(".npy")), IMAGES),
    lambda path: read_images([path], IMAGES),
]


@pytest.fixture(params=["pipe", "device", "link to a pipe"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "odd"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    return path


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_file_is_one_line(odd: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(HpsearchError, match=r"a (pipe|device) and not a file"):
        read(odd)


def test_images_of_mnist(odd: Path) -> None:
    with pytest.raises(OSError, match=r"a (pipe|device) and not a file"):
        _read_idx(odd, 3)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_network_s_folder(net: Path, odd: Path, name: str) -> None:
    (net / name).unlink()
    (net / name).symlink_to(odd)
    with pytest.raises(HpsearchError, match=r"a (pipe|device) and not a file"):
        hpsearch.load(net)


def test_rows_to_predict(net: Path, odd: Path) -> None:
    predictor: Predictor = hpsearch.load(net)
    with pytest.raises(HpsearchError, match=r"a (pipe|device) and not a file"):
        predictor.predict_files([odd])


def test_rows_that_a_shell_hands_over(net: Path, tmp_path: Path) -> None:
    """As `zcat new.csv.gz | hpsearch predict DIR /dev/stdin` has them."""
    predictor: Predictor = hpsearch.load(net)
    text = "a,kind\n1,x\n"
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    assert len(predictor.predict_files([Path(f"/dev/fd/{reader}")]).values) == 1
    os.close(reader)
