"""hpsearch: hyperparameter search for PyTorch networks over one SQL database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch._version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.handover.predictor import Predictor

__all__ = ["__version__", "load"]


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
