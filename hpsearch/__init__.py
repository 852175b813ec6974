"""hpsearch: hyperparameter search for PyTorch networks over one SQL database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch._version import __version__
from hpsearch.api.door import through
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
    from hpsearch.reports.comparing import Comparison

__all__ = [
    "HpsearchError", "Run", "Study", "__version__", "choice", "compare", "load", "log", "range",
    "standalone", "storage", "studies",
]  # fmt: skip

_LATER = {"HpsearchError": "hpsearch.errors", "Study": "hpsearch.api.study"}
"""Names that are loaded when they are asked for: `import hpsearch` waits for neither PyTorch nor
Optuna."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")
    import sys
    import warnings
    from importlib import import_module

    if "IPython" in sys.modules:
        # Optuna's bar of progress, in a notebook without ipywidgets, warns as it is loaded, which
        # is later: nobody has asked for it.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="IProgress not found")
            import_module("tqdm.auto")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


@through
def compare(*names: str, storage: Path | str | None = None) -> Comparison:
    """Compare studies of a database: what each reached and cost, and whether the difference from
    the first one is real. `print(hpsearch.compare("one", "other"))`

    Args:
        names: Names of two studies or more.
        storage: The database, as for `Study`.

    Raises errors.NotFoundError if the database has no study of one of the names.
    """
    from hpsearch.api import several

    return several.compare(names, storage)


@through
def studies(storage: Path | str | None = None) -> list[Study]:
    """All studies of a database, in the order in which they were made.

    Args:
        storage: The database, as for `Study`.
    """
    from hpsearch.api import several

    return several.studies(storage)


@through
def load(folder: Path | str, code: Path | str | None = None) -> Predictor:
    """Load the network that `hpsearch best STUDY --save` has put into a folder, ready to predict.

    Args:
        folder: The folder.
        code: The folder of the study's own code. It is required, and the code is run, if that code
            built the network.

    Raises errors.CheckpointError if the folder has no network or a damaged one, as that of own
    training code, whose state is opened with `torch.load`; errors.CodeError if the network needs
    code that was not given or has changed.
    """
    from hpsearch.handover import predictor  # here: `import hpsearch` does not wait for PyTorch

    return predictor.load(folder, code)


def standalone(
    train: Callable[[Run], Any], *, epochs: int = 10, seed: int = 0, device: str | None = None,
    folder: Path | str | None = None, **params: Any,
) -> Result:  # fmt: skip
    """Call a training function as a study would, in this process, to try it or to debug it.

        hpsearch.standalone(train, epochs=3, lr=1e-3, width=64)

    Each report is printed, errors are raised as they are, and nothing is kept.

    Args:
        train: The function; it takes a `Run`.
        epochs: The most epochs that it may report.
        seed: `run.seed`.
        device: `run.device`; None: `cuda` if there is a GPU, else `cpu`.
        folder: `run.folder`; None: a folder that is removed afterwards.
        **params: The parameters by name.

    Returns: `value`, what the function returned, and `curve`, its reports, a mapping for each
    epoch.
    """
    from hpsearch.children import standalone as by_itself

    return by_itself.standalone(
        train, epochs=epochs, seed=seed, device=device, folder=folder, **params
    )


def storage(url: str | None = None) -> BaseStorage:
    """An Optuna storage for your own Optuna script, with fewer transactions than Optuna's.

        optuna.create_study(storage=hpsearch.storage("postgresql://user@host/name"))

    Any process may open the same database, with this storage or with Optuna's. Parameters and
    reports of a running trial are written within a second, and all of them when it ends.

    Args:
        url: `sqlite:///FILE`, `postgresql://...` or `mysql://...`; None: HPSEARCH_STORAGE, else
            `hpsearch.db` in the current folder. Missing tables are made.

    Raises errors.StorageError if the URL cannot be read or the database cannot be used.
    """
    from hpsearch.store import storage as batched  # here: nor for Optuna

    return batched.at(url)
