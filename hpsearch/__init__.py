"""hpsearch: hyperparameter search for PyTorch networks over one SQL database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch._version import __version__
from hpsearch.api.parameters import choice, log, range
from hpsearch.children.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optuna.storages import BaseStorage

    from hpsearch.api.study import Study
    from hpsearch.children.standalone import Result
    from hpsearch.errors import HpsearchError
    from hpsearch.handover.predictor import Predictor

__all__ = [
    "HpsearchError", "Run", "Study", "__version__", "choice", "load", "log", "range", "standalone",
    "storage",
]  # fmt: skip

_LATER = {"HpsearchError": "hpsearch.errors", "Study": "hpsearch.api.study"}
"""Names that are loaded when they are asked for: `import hpsearch` waits for neither PyTorch nor
Optuna."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")
    import warnings
    from importlib import import_module

    with warnings.catch_warnings():
        # Optuna's bar of progress, in a notebook without ipywidgets: nobody has asked for it.
        warnings.filterwarnings("ignore", message="IProgress not found")
        return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def load(folder: Path | str, code: Path | str | None = None) -> Predictor:
    """The network that `hpsearch best STUDY --save` has put in a folder, ready to predict.

    Args:
        folder: Where it lies.
        code: The folder of the study's own code, where it has some: a network that this built needs
            it, and it is run.

    Raises errors.CheckpointError where there is none, or where it is damaged; errors.CodeError
    where it needs other code.
    """
    from hpsearch.handover import predictor  # here: `import hpsearch` does not wait for PyTorch

    return predictor.load(folder, code)


def standalone(
    train: Callable[[Run], Any], *, epochs: int = 10, seed: int = 0, device: str | None = None,
    folder: Path | str | None = None, **params: Any,
) -> Result:  # fmt: skip
    """Call a training function as a study would, in this process, to try it or to debug it:
    `hpsearch.standalone(train, epochs=3, lr=1e-3)`; see `children.standalone`."""
    from hpsearch.children import standalone as by_itself

    return by_itself.standalone(
        train, epochs=epochs, seed=seed, device=device, folder=folder, **params
    )


def storage(url: str | None = None) -> BaseStorage:
    """A database as a storage of Optuna, for a script of one's own: faster than Optuna's own.

        optuna.create_study(storage=hpsearch.storage("postgresql://user@host/name"))

    Any process may open the same database, with this storage or with Optuna's. What comes to a
    trial that runs here is written within a second, and all of it with the trial's end.

    Args:
        url: `sqlite:///FILE`, `postgresql://...` or `mysql://...`; None: HPSEARCH_STORAGE, else
            `hpsearch.db` in this folder. Its tables are made where there are none.

    Raises errors.StorageError where the URL makes no sense or the database cannot be used.
    """
    from hpsearch.store import storage as batched  # here: nor for Optuna

    return batched.at(url)
