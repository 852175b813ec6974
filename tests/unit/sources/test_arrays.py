"""The source `arrays`: what files hold, what rows are by shape, and one line for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hpsearch.errors import DataError
from hpsearch.sources.arrays.files import opened
from hpsearch.sources.inputs import Given
from hpsearch.sources.raw import Raw
from hpsearch.sources.read import read
from hpsearch.sources.split import DataSettings
from hpsearch.spec.source import SOURCES
from hpsearch.testing import check_source

RNG = np.random.default_rng(0)
N = 60
CLASSES = np.arange(N) % 3
HEADER = b'{"X":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]}}'
BFLOAT16 = len(HEADER).to_bytes(8, "little") + HEADER + bytes(4)


def X(*shape: int, dtype: str = "f4") -> np.ndarray:
    return (RNG.random((N, *shape)) * 100).astype(dtype)


def raw(folder: Path, arrays: dict[str, Any], **keys: Any) -> Raw:
    np.savez(folder / "a.npz", **arrays)
    return read(DataSettings.of("arrays", folder, path="a.npz", **keys))


def inputs_of(data: Raw) -> np.ndarray:
    inputs, _ = data.fit(np.arange(N))
    return inputs(data.take(np.arange(N)))


@pytest.mark.parametrize(
    ("array", "keys", "kind", "shape"),
    [
        (X(5), {}, "rows", (5,)),
        (X(4, 5), {}, "sequences", (4, 5)),
        (X(4, 5, dtype="u1"), {}, "images", (1, 4, 5)),
        (X(4, 5, dtype="u1"), {"kind": "sequences"}, "sequences", (4, 5)),
        (X(4, 5), {"kind": "images"}, "images", (1, 4, 5)),
        (X(4, 5), {"kind": "rows"}, "rows", (20,)),
        (X(3, 8, 6), {}, "images", (3, 8, 6)),
        (X(8, 6, 3), {}, "images", (3, 8, 6)),
        (X(3, 8, 3), {"channels": "last"}, "images", (3, 3, 8)),
        (X(7, 8, 5), {"channels": "last"}, "images", (5, 7, 8)),
    ],
)
def test_rows_images_and_sequences_are_told_by_their_shape(
    tmp_path: Path, array: np.ndarray, keys: dict[str, str], kind: str, shape: tuple[int, ...]
) -> None:
    data = raw(tmp_path, {"X": array, "y": CLASSES}, **keys)
    inputs, _ = data.fit(np.arange(N))
    assert (inputs.kind, inputs.shape) == (kind, shape)
    made = inputs_of(data)
    assert made.shape == (N, *shape)
    axes = {"rows": (0,), "images": (0, 2, 3), "sequences": (0, 1)}[kind]
    assert made.mean(axis=axes) == pytest.approx(0, abs=1e-5)
    assert made.std(axis=axes) == pytest.approx(1, abs=1e-4)
    check_source(SOURCES["arrays"], tmp_path, path="a.npz", **keys)


def test_the_channels_of_an_image_stay_its_channels(tmp_path: Path) -> None:
    last = X(8, 6, 3)
    first = np.moveaxis(last, 3, 1)
    one, other = (inputs_of(raw(tmp_path, {"X": a, "y": CLASSES})) for a in (last, first))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("dtype", ["f2", "i1", "u1", "?", ">f8", ">i4", "<f4", "u8"])
def test_any_real_number_will_do(tmp_path: Path, dtype: str) -> None:
    array = X(5, dtype=dtype) if dtype != "?" else RNG.random((N, 5)) > 0.5
    plain = raw(tmp_path, {"X": array.astype("f8"), "y": CLASSES})
    wanted = inputs_of(plain)
    assert np.allclose(inputs_of(raw(tmp_path, {"X": array, "y": CLASSES})), wanted, atol=1e-6)


def test_large_numbers_keep_their_digits(tmp_path: Path) -> None:
    array = 1e9 + X(5, dtype="f8")
    assert inputs_of(raw(tmp_path, {"X": array, "y": CLASSES})).std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("y", "keys", "task", "classes"),
    [
        (CLASSES, {}, "classification", ("0", "1", "2")),
        (CLASSES.astype("u1")[:, None], {}, "classification", ("0", "1", "2")),
        (np.array(["b", "a"])[CLASSES % 2], {}, "classification", ("a", "b")),
        (np.array([b"b", b"a"])[CLASSES % 2], {}, "classification", ("a", "b")),
        (CLASSES > 0, {}, "classification", ("False", "True")),
        (CLASSES * 10.0, {}, "regression", ()),
        (CLASSES * 10.0, {"task": "classification"}, "classification", ("0", "10", "20")),
        (CLASSES, {"task": "regression"}, "regression", ()),
        (np.array([10, 9, -1])[CLASSES], {}, "classification", ("-1", "9", "10")),
    ],
)
def test_targets_are_classes_or_numbers(
    tmp_path: Path, y: np.ndarray, keys: dict[str, str], task: str, classes: tuple[str, ...]
) -> None:
    data = raw(tmp_path, {"X": X(5), "y": y}, **keys)
    assert (data.task, data.classes) == (task, classes)
    if classes:
        names = [text.decode() if isinstance(text, bytes) else text for text in y.ravel().tolist()]
        assert [data.classes[place] for place in data.targets] == [
            str(int(name)) if isinstance(name, float) else str(name) for name in names
        ]
    else:
        assert data.targets == pytest.approx(y.astype(float))


def test_folders_of_npy_and_safetensors_hold_the_same(tmp_path: Path) -> None:
    array, test = X(5), X(5)[:7]
    more = {"X_test": test, "y_test": CLASSES[:7]}
    packed = raw(tmp_path, {"X": array, "y": CLASSES, **more})
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in {"X": array, "labels": CLASSES, **more}.items():
        np.save(folder / f"{name}.npy", content)
    save_file({"X": array, "y": CLASSES, **more}, tmp_path / "a.safetensors")
    others = (
        DataSettings.of("arrays", tmp_path, path="data", y="labels"),
        DataSettings.of("arrays", folder, X="X.npy", y="labels.npy"),
        DataSettings.of("arrays", tmp_path, path="a.safetensors"),
    )
    for settings in others:
        data = read(settings)
        assert (data.fingerprint, data.own_test) == (packed.fingerprint, 7)
        inputs, _ = data.fit(np.arange(N))
        rows = inputs(data.take(np.arange(N, N + 7)))
        assert rows == pytest.approx((test - array.mean(axis=0)) / array.std(axis=0), abs=1e-4)


def test_a_npy_file_is_mapped_and_not_read_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", X(5))
    assert isinstance(opened(tmp_path, "X"), np.memmap)


def bad(**changes: Any) -> dict[str, Any]:
    return {"X": X(5), "y": CLASSES, **changes}


def spoilt(*places: tuple[int, int], value: float = np.nan) -> np.ndarray:
    array = X(5)
    for place in places:
        array[place] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "keys", "words"),
    [
        (bad(X=spoilt((7, 1), (7, 2), (9, 0))), {},
         "X of .*a.npz has 3 values that are NaN or infinite, the first in row 7"),
        (bad(X=spoilt((3, 1), value=np.inf)), {}, "1 value that is NaN or infinite"),
        (bad(y=np.where(CLASSES == 1, np.nan, 1.0)), {}, "y of .* has 20 values that are NaN"),
        (bad(X=np.array([{}] * N)), {}, "X of .* holds Python objects, which are never unpickled"),
        (bad(X=X(5).astype("c8")), {}, "complex64; expected real numbers"),
        (bad(X=X(5).astype("U5")), {}, "expected real numbers"),
        (bad(X=X(5)[:50]), {}, "X has 50 rows, and y has the shape \\(60,\\)"),
        (bad(X=X(5)[:0], y=CLASSES[:0]), {}, "it is empty"),
        (bad(X=X(0)), {}, "it is empty"),
        (bad(X=CLASSES), {}, "expected rows \\(N, D\\), sequences"),
        (bad(X=X(2, 2, 2, 2)), {}, "expected rows \\(N, D\\), sequences"),
        (bad(X=X(5)), {"kind": "images"}, "expected images"),
        (bad(X=X(3, 8, 8)), {"kind": "sequences"}, "expected sequences"),
        (bad(y=np.eye(3)[CLASSES]), {}, "y.argmax"),
        (bad(y=np.zeros(N, "i8")), {}, "y of .* is 0 in each row"),
        (bad(y=CLASSES + 0.5), {"task": "classification"}, "not whole, and the task has classes"),
        (bad(y=np.array(["a", "b"])[CLASSES % 2]), {"task": "regression"}, "has numbers for tar"),
        ({"X": X(5)}, {}, "has no array 'y'; it has: X"),
        (bad(X_test=X(5)), {}, "has no array 'y_test'"),
        (bad(X_test=X(6), y_test=CLASSES), {}, "differ in more than the number of rows"),
        (bad(X_test=X(5), y_test=CLASSES + 9), {}, "class '9', which is none of 0, 1, 2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    tmp_path: Path, arrays: dict[str, Any], keys: dict[str, str], words: str
) -> None:
    with pytest.raises(DataError, match=words) as error:
        raw(tmp_path, arrays, **keys)
    assert "\n" not in str(error.value)


def test_whole_numbers_that_all_differ_are_too_many_classes(tmp_path: Path) -> None:
    array, y = np.zeros((300, 2)), np.arange(300)
    with pytest.raises(DataError, match="too many for classes"):
        raw(tmp_path, {"X": array, "y": y})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.npz", None, "is missing"),
        ("text.npz", b"a,b\n", "none of .npy, .npz and .safetensors"),
        ("cut.npz", b"PK\x03\x04abc", "cannot read the array"),
        ("odd.safetensors", b"nothing", "cannot read the array"),
        ("half.safetensors", BFLOAT16, "X of .* is of BF16, which NumPy lacks; save it as float32"),
        ("none.safetensors", b"\2" + b"\0" * 7 + b"{}", "has no arrays"),
        ("none.npz", b"PK\5\6" + b"\0" * 18, "has no arrays"),
        ("odd.npz", b"PK", "none of .npy, .npz and .safetensors"),
        ("one.npy", "X", "is one array; put it into a folder"),
    ],
)
def test_what_is_no_array_is_one_line(
    tmp_path: Path, name: str, content: bytes | str | None, words: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content:
        np.save(tmp_path / name, X(5))
    with pytest.raises(DataError, match=words) as error:
        read(DataSettings.of("arrays", tmp_path, path=name))
    assert "\n" not in str(error.value)


def test_predictions_take_files_and_arrays_and_are_scored(tmp_path: Path) -> None:
    array = X(4, 5)
    inputs, _ = raw(tmp_path, {"X": array, "y": CLASSES}).fit(np.arange(N))
    np.save(tmp_path / "alone.npy", array)
    save_file({"X": array}, tmp_path / "b.safetensors")
    wanted = inputs.of_rows(array).inputs
    given = inputs.of_files([tmp_path / "a.npz"])
    assert given.known is not None
    assert np.array_equal(given.known.targets, CLASSES)
    for name in ("alone.npy", "b.safetensors"):
        other = inputs.of_files([tmp_path / name])
        assert np.array_equal(other.inputs, wanted)
        assert other.known is None
    np.savez(tmp_path / "c.npz", X=array, y=CLASSES + 1)
    assert "'3', which is none of" in inputs.of_files([tmp_path / "c.npz"]).unscored


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (X(5, 4), r"has the shape \(60, 5, 4\); the network takes \(N, 4, 5\)"),
        (X(4, 5) * np.nan, "NaN or infinite"),
        (X(4, 5)[:0], "it is empty"),
        ([[["a"] * 5] * 4], "expected real numbers"),
    ],
)
def test_predictions_refuse_other_arrays(tmp_path: Path, array: Any, words: str) -> None:
    inputs, _ = raw(tmp_path, {"X": X(4, 5), "y": CLASSES}).fit(np.arange(N))

    def refused(of: Given) -> None:
        raise AssertionError(of)

    with pytest.raises(DataError, match=words):
        refused(inputs.of_rows(array))
