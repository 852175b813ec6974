"""Image data: scikit-learn's digits, and what torchvision downloads."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import socket
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout
from platformdirs import user_data_path

from hpsearch import urls
from hpsearch.errors import DataError, line
from hpsearch.files import open_regular
from hpsearch.sources.inputs import ImageInputs, fit_images
from hpsearch.sources.normalize import fixed_scale
from hpsearch.sources.raw import Raw
from hpsearch.spec.source import SOURCES
from hpsearch.spec.task import usual

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hpsearch.sources.normalize import ImageSpec
    from hpsearch.sources.raw import Rows
    from hpsearch.sources.torchvision import TorchvisionSpec

__all__ = ["find", "locations", "read_digits", "read_images"]

_DATASETS = {"fashion_mnist": "FashionMNIST", "mnist": "MNIST", "cifar10": "CIFAR10"}
"""Source -> its class in torchvision.datasets."""
_IDX_FILES = tuple(
    f"{part}-{content}-ubyte"
    for part in ("train", "t10k")
    for content in ("images-idx3", "labels-idx1")
)
_FILES = {
    "fashion_mnist": "raw/train-images-idx3-ubyte", "mnist": "raw/train-images-idx3-ubyte",
    "cifar10": "data_batch_1",
}  # fmt: skip
"""One file of each source, in its folder, by which its presence is known."""
_CONNECT_TIMEOUT_S = 10.0
_LOCK_TIMEOUT_S = 900.0


def locations(source: str, root: Path | None) -> list[Path]:
    """Folders in which torchvision's data is looked for, in this order; downloads go to the first.

    They are `root`, the environment variable HPSEARCH_DATA, and the user's data folder.
    """
    if source not in _DATASETS:
        return []
    named = os.environ.get("HPSEARCH_DATA")
    folders = [root, named, user_data_path("hpsearch") / "data"]
    return list(dict.fromkeys(urls.local(str(folder)) for folder in folders if folder))


def find(source: str, root: Path | None = None) -> Path | None:
    """The first of `locations` that holds the source; None: it would have to be fetched."""
    return next((f for f in locations(source, root) if _is_in(f, source)), None)


def read_images(section: TorchvisionSpec, base: Path, decided: object = None) -> Raw:
    """All images of a source. DataError where they are neither here nor to be downloaded."""
    source = section.source
    folder = _found(source, base / urls.local(section.root) if section.root else None)
    try:
        train, test = (_read(source, folder, train=train) for train in (True, False))
        images_NCHW = np.concatenate([train[0], test[0]])
    except Exception as error:  # torchvision and pickle raise of everything for damaged files
        raise DataError(
            f"{source} in {folder / SOURCES[source].folder} cannot be read: {error}. "
            f"Remove that folder and get the data again"
        ) from error
    return _raw(
        images_NCHW, np.concatenate([train[1], test[1]]), train[2], section.normalize, len(test[0])
    )


def read_digits(section: ImageSpec, base: Path, decided: object = None) -> Raw:
    """Digits from scikit-learn's own file: `load_digits` gives the same, and is slow to load."""
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    try:
        rows = np.loadtxt(str(file), delimiter=",", dtype=np.int64)
    except OSError as error:
        raise DataError(f"digits, a part of scikit-learn, cannot be read: {error}") from error
    images_NCHW = rows[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8)
    return _raw(
        images_NCHW, rows[:, -1], SOURCES[section.source].classes, section.normalize, brightest=16
    )


def _raw(
    images_NCHW: NDArray[np.uint8],
    targets: NDArray[Any],
    classes: tuple[str, ...],
    normalize: str,
    own_test: int = 0,
    brightest: int = 255,
) -> Raw:
    fingerprint = hashlib.sha256(np.ascontiguousarray(images_NCHW).data)
    fingerprint.update(targets.astype("<i8").tobytes())

    def take(rows: Rows) -> NDArray[np.uint8]:
        return images_NCHW[rows]

    def fit(train: Rows) -> tuple[ImageInputs, tuple[str, ...]]:
        if normalize == "standard":
            return fit_images(images_NCHW[train], brightest), ()
        shape = images_NCHW.shape[1:]
        return ImageInputs(shape, brightest, *fixed_scale(normalize, shape[0], brightest)), ()

    targets = targets.astype(np.int64)
    return Raw(
        usual("classes").name, targets, classes, take, fit, fingerprint.hexdigest(), own_test
    )


def _read(
    source: str, folder: Path, *, train: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Images (N, C, H, W), targets (N,) and class names of one part."""
    if _FILES[source].startswith("raw/"):
        folder = folder / SOURCES[source].folder / "raw"
        files = _IDX_FILES[:2] if train else _IDX_FILES[2:]
        images, targets = (_read_idx(folder / f, n) for f, n in zip(files, (3, 1), strict=True))
        if len(images) != len(targets):
            raise ValueError(f"{len(images)} images in {files[0]}, {len(targets)} labels beside it")
        return images[:, None], targets.astype(np.int64), SOURCES[source].classes
    data = _torchvision(source)(folder, train=train, download=False)
    images = np.asarray(data.data).transpose(0, 3, 1, 2)
    return images, np.asarray(data.targets, dtype=np.int64), tuple(data.classes)


def _read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An array in the file format of MNIST: two zeros, 8 for bytes, dimensions, sizes, bytes.

    torchvision reads it too, and loads the compilers of PyTorch for that: 2 to 4 s in each worker.
    """
    with open_regular(path) as file:
        if file.read(4) != bytes([0, 0, 8, dimensions]):
            raise ValueError(f"{path.name} has no bytes in {dimensions} dimensions, as MNIST's has")
        sizes = np.fromfile(file, ">u4", dimensions)
        remaining = path.stat().st_size - file.tell()
        if len(sizes) != dimensions or remaining != math.prod(sizes.tolist()):
            raise ValueError(f"{path.name} is longer or shorter than it says")
        return np.fromfile(file, np.uint8).reshape(sizes)


def _torchvision(source: str) -> Any:
    from torchvision import datasets  # here, for it takes seconds to load

    return getattr(datasets, _DATASETS[source])


def _found(source: str, root: Path | None) -> Path:
    """A folder that holds the source; it is downloaded where none does."""
    folder = find(source, root)
    if folder is not None:
        return folder
    folders = locations(source, root)
    target = folders[0]
    try:
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(target / f".{source}.lock", timeout=_LOCK_TIMEOUT_S):
            if not _is_in(target, source):  # another worker may have been faster
                _fetch(source, target)
    except (OSError, RuntimeError, Timeout) as error:
        looked = "".join(f"\n  {folder / SOURCES[source].folder}" for folder in folders)
        raise DataError(
            f"no {source} data in{looked}\nand it cannot be downloaded now: {line(error)}\n"
            f"Put it, unpacked, in one of these folders, name another in data.root or in the "
            f"environment variable HPSEARCH_DATA, or connect to the network for a download"
        ) from error
    return target


def _is_in(folder: Path, source: str) -> bool:
    return (folder / SOURCES[source].folder / _FILES[source]).is_file()


def _fetch(source: str, target: Path) -> None:
    """Download into a folder beside, then move: no worker sees a half-written file."""
    with tempfile.TemporaryDirectory(prefix=f".{source}.", dir=target) as beside:
        _download(source, Path(beside))
        folder = Path(beside) / SOURCES[source].folder
        files = [path for path in folder.rglob("*") if path.is_file()]
        # The file by which the source is known to be there goes last.
        for path in sorted(files, key=lambda path: path.match(_FILES[source])):
            final = target / path.relative_to(beside)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)


def _download(source: str, folder: Path) -> None:
    """OSError or RuntimeError where that fails, soon where there is no network."""
    with _socket_timeout(_CONNECT_TIMEOUT_S):
        _torchvision(source)(folder, train=True, download=True)


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torchvision opens its connections without one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
