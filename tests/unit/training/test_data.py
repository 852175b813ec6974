from __future__ import annotations

import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from hpsearch.errors import DataError, StudyFileError
from hpsearch.sources import readymade as images
from hpsearch.sources.dataset import DataSettings, load
from hpsearch.sources.read import read
from hpsearch.sources.split import Split, divide, stratified
from tests.later import Later

datasets = Later("sklearn.datasets")

CPU = torch.device("cpu")


# Splits


def split_of(**settings) -> Split:
    raw = read(DataSettings.of("digits"))
    return divide(raw, DataSettings.of("digits", **settings))[0]


def test_digits() -> None:
    digits = load(DataSettings.of("digits"), CPU)
    assert digits.train.inputs.shape == (1257, 1, 8, 8)
    assert digits.validation.inputs.shape == (270, 1, 8, 8)
    assert digits.input_shape == (1, 8, 8)
    assert digits.classes == tuple("0123456789")
    assert digits.record["rows"] == {"train": 1257, "validation": 270, "test": 270}
    assert (digits.train.inputs.dtype, digits.train.targets.dtype) == (torch.float32, torch.int64)
    assert abs(float(digits.train.inputs.mean())) < 1e-5
    assert abs(float(digits.train.inputs.std()) - 1) < 1e-3
    assert abs(float(digits.validation.inputs.mean())) > 1e-5  # scaled by the training rows


def test_digits_are_those_of_scikit_learn() -> None:
    known, raw = datasets.load_digits(), read(DataSettings.of("digits"))
    assert np.array_equal(raw.take(np.arange(1797))[:, 0], known.images)
    assert np.array_equal(raw.targets, known.target)


def test_the_parts_are_disjoint_and_complete() -> None:
    split = split_of()
    rows = np.concatenate([split.train, split.validation, split.test])
    assert sorted(rows) == list(range(1797))


def test_the_split_is_a_function_of_the_seed() -> None:
    records = [
        load(DataSettings.of("digits", seed=seed), CPU).record for seed in (0, 0, 1, 2**32 - 1)
    ]
    assert records[0] == records[1]
    assert len({record["split"] for record in records}) == 3
    assert len({record["fingerprint"] for record in records}) == 1


def test_classes_have_equal_shares_in_every_part() -> None:
    targets = read(DataSettings.of("digits")).targets
    split = split_of(limit=600)
    for part in (split.train, split.validation, split.test):
        counts = np.bincount(targets[part])
        assert counts.max() <= counts.min() * 1.2 + 1


@pytest.mark.parametrize("seed", range(20))
def test_a_class_has_its_share_to_a_row(seed: int) -> None:
    classes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [1, 5, 94, 400]))
    chosen = stratified(classes, 75, np.random.PCG64(seed))
    assert chosen.sum() == 75
    share = np.array([1, 5, 94, 400]) * 75 / 500
    assert (abs(np.bincount(classes[chosen], minlength=4) - share) < 1).all()


def test_every_row_is_drawn_as_often_as_any_other() -> None:
    classes = np.repeat([0, 1, 2], [1, 3, 16])
    drawn = sum(stratified(classes, 5, np.random.PCG64(n)) for n in range(4000))
    assert np.allclose(np.asarray(drawn) / 4000, 5 / 20, atol=0.03)


def test_a_split_is_the_same_for_ever() -> None:
    """Whatever versions of Python and NumPy: workers differ in them, and saved networks remain."""
    chosen = stratified(np.repeat([0, 1], [4, 8]), 6, np.random.PCG64(7))
    assert np.flatnonzero(chosen).tolist() == [0, 1, 5, 8, 10, 11]


def test_a_part_that_lacks_classes_says_so_and_a_limit_does_not() -> None:
    digits = DataSettings.of("digits", limit=1520)
    assert len(load(digits, CPU).record["notes"]) == 1
    notes = load(DataSettings.of("digits", validation=0.003), CPU).record["notes"]
    assert notes == ["validation part: no row of 5 of 10 classes"]


def test_a_search_loads_neither_scikit_learn_nor_scipy(tmp_path: Path) -> None:
    """They take half as long to load as PyTorch does."""
    table = tmp_path / "t.csv"
    table.write_text("a,b,y\n" + "".join(f"{n},{'uv'[n % 2]},{n % 3}\n" for n in range(60)))
    code = f"""if True:
        import sys, torch
        from pathlib import Path
        import hpsearch.worker
        from hpsearch.sources.dataset import DataSettings, load
        load(DataSettings.of("digits"), torch.device("cpu"))
        load(DataSettings.of("table", path={str(table)!r}, target="y"), torch.device("cpu"))
        print(sorted({{"sklearn", "scipy"}} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_limit_takes_from_training_and_validation_only() -> None:
    whole, limited = split_of(), split_of(limit=510)
    assert np.array_equal(whole.test, limited.test)
    assert (len(limited.train), len(limited.validation)) == (420, 90)
    assert {*limited.train, *limited.validation} <= {*whole.train, *whole.validation}
    record = load(DataSettings.of("digits", limit=510), CPU).record
    assert record["notes"] == ["limit: 510 of 1527 training and validation rows used"]
    assert load(DataSettings.of("digits", limit=10_000), CPU).record["notes"] == []


def test_no_test_part() -> None:
    split = split_of(test=0.0)
    assert (len(split.train), len(split.validation), len(split.test)) == (1527, 270, 0)


def test_too_few_rows_to_validate() -> None:
    with pytest.raises(DataError, match=r"10 rows .*1 of them for validation.*data\.validation"):
        load(DataSettings.of("digits", limit=10, validation=0.1), CPU)


# Images on disk


def idx(path: Path, values: np.ndarray) -> None:
    """The file format of MNIST: zero, type 8 (bytes), number of dimensions, sizes, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def fashion(folder: Path, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for part, rows in (("train", 200), ("t10k", 30)):
        labels = rng.permutation(rows) % 10
        pixels = rng.integers(0, 256, (rows, 28, 28))
        idx(folder / f"{part}-images-idx3-ubyte", pixels)
        idx(folder / f"{part}-labels-idx1-ubyte", labels)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No data in the usual folders and no network; the sources that were to be downloaded."""
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    monkeypatch.setattr(images, "user_data_path", lambda name: tmp_path / "home" / name)
    tried: list[str] = []

    def download(source: str, folder: Path) -> None:
        tried.append(source)
        raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr(images, "_download", download)
    return tried


def test_own_test_part(nowhere: list[str], tmp_path: Path) -> None:
    fashion(tmp_path / "FashionMNIST" / "raw")
    loaded = load(DataSettings.of("fashion_mnist", root=tmp_path, validation=0.25), CPU)
    assert loaded.record["rows"] == {"train": 150, "validation": 50, "test": 30}
    assert loaded.input_shape == (1, 28, 28)
    assert loaded.classes[9] == "Ankle boot"
    assert not nowhere


def test_a_home_folder_that_is_nobody_s_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(StudyFileError, match="no home folder ~nobody-of-that-name"):
        images.locations("mnist", Path("~nobody-of-that-name/x"))
    monkeypatch.setenv("HPSEARCH_DATA", "~nobody-of-that-name")
    with pytest.raises(StudyFileError, match="no home folder ~nobody-of-that-name"):
        images.locations("mnist", None)


def test_places_are_tried_in_order(
    nowhere: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path / "env"))
    settings = DataSettings.of("fashion_mnist", root=tmp_path / "root")
    assert images.locations("fashion_mnist", tmp_path / "root") == [
        tmp_path / "root", tmp_path / "env", tmp_path / "home" / "hpsearch" / "data",
    ]  # fmt: skip
    assert images.locations("digits", None) == []
    prints = []
    for number, folder in enumerate(reversed(images.locations("fashion_mnist", tmp_path / "root"))):
        fashion(folder / "FashionMNIST" / "raw", seed=number)
        prints.append(load(settings, CPU).record["fingerprint"])
    assert len(set(prints)) == 3


def test_many_workers_download_once(
    nowhere: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def download(source: str, folder: Path) -> None:
        calls.append(source)
        fashion(folder / "FashionMNIST" / "raw")
        time.sleep(0.2)

    monkeypatch.setattr(images, "_download", download)
    with ThreadPoolExecutor(4) as pool:
        records = list(pool.map(
            lambda _: load(DataSettings.of("fashion_mnist", root=tmp_path), CPU).record, range(4)
        ))  # fmt: skip
    assert len(calls) == 1
    assert all(record == records[0] for record in records)
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".lock"} == {"FashionMNIST"}


def test_missing_data_says_where_it_was_looked_for(nowhere: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load(DataSettings.of("cifar10", root=tmp_path / "root"), CPU)
    text = str(error.value)
    for place in (tmp_path / "root", tmp_path / "home" / "hpsearch" / "data"):
        assert str(place / "cifar-10-batches-py") in text
    assert "Name or service not known" in text
    assert "HPSEARCH_DATA" in text
    assert nowhere == ["cifar10"]


def test_a_folder_that_cannot_be_written(nowhere: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"no mnist data in(.|\n)*File exists"):
        load(DataSettings.of("mnist", root=tmp_path / "file"), CPU)


def test_a_download_is_moved_in_whole(
    nowhere: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, rglob, moved = Path.replace, Path.rglob, []

    def download(source: str, folder: Path) -> None:
        fashion(folder / "MNIST" / "raw")
        assert not (tmp_path / "MNIST").exists()

    def spied(self: Path, target: Path) -> Path:
        moved.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(images, "_download", download)
    monkeypatch.setattr(Path, "replace", spied)
    monkeypatch.setattr(Path, "rglob", lambda *args: sorted(rglob(*args)))
    assert load(DataSettings.of("mnist", root=tmp_path), CPU).record["rows"]["test"] == 30
    assert sorted(moved) == sorted(images._IDX_FILES)
    assert moved[-1] == "train-images-idx3-ubyte"  # by which others know that all is there


def test_damaged_data(nowhere: list[str], tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    fashion(raw)
    file = raw / "t10k-images-idx3-ubyte"
    fine = file.read_bytes()
    labels = (raw / "t10k-labels-idx1-ubyte").read_bytes()
    other_size = fine[:11] + bytes([14]) + fine[12:15] + bytes([56]) + fine[16:]
    fewer = fine[:7] + bytes([29]) + fine[8 : -28 * 28]
    for damaged in (
        b"", b"\0\0\x08", b"\0\0\x08\x03rubbish", b"\0\0\x09" + fine[3:], fine[:-1], fine + b"0",
        labels, other_size, fewer,
    ):  # fmt: skip
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"mnist in .*MNIST cannot be read.*Remove that folder"):
            load(DataSettings.of("mnist", root=tmp_path), CPU)


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist"])
def test_torchvision_reads_the_same(nowhere: list[str], tmp_path: Path, source: str) -> None:
    from torchvision import datasets

    theirs = getattr(datasets, images._DATASETS[source])
    fashion(tmp_path / theirs.__name__ / "raw")
    for train in (True, False):
        pixels_NCHW, targets, classes = images._read(source, tmp_path, train=train)
        expected = theirs(tmp_path, train=train, download=False)
        np.testing.assert_array_equal(pixels_NCHW[:, 0], expected.data.numpy())
        np.testing.assert_array_equal(targets, expected.targets.numpy())
        assert classes == tuple(expected.classes)


def test_the_real_images_are_read(fashion_mnist: Path) -> None:
    loaded = load(DataSettings.of("fashion_mnist", root=fashion_mnist, limit=1000), CPU)
    assert loaded.record["rows"] == {"train": 850, "validation": 150, "test": 10_000}


def test_numbers_too_large_to_compute_with_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i}e307,{'xy'[i % 2]}\n" for i in range(1, 10)) * 5)
    with pytest.raises(
        DataError,
        match=r"column `a`, line 2: `1e307` is no number that can be computed with \(one of",
    ):
        load(DataSettings.of("table", path=path, target="y"), CPU)


@pytest.mark.parametrize("columns", [600, pytest.param(6000, marks=pytest.mark.nightly)])
def test_a_wide_table_is_read(tmp_path: Path, columns: int) -> None:
    """Its first line is longer than what is looked at to see how the file is written."""
    path = tmp_path / "t.csv"
    names = [f"{'a_rather_long_name_of_column_' * (6000 // columns)}{i}" for i in range(columns)]
    rows = "".join(",".join(["1", "2"][i % 2] for _ in names) + f",{i % 2}\n" for i in range(40))
    path.write_text(",".join([*names, "y"]) + "\n" + rows)
    assert load(DataSettings.of("table", path=path, target="y"), CPU).task == "classification"
