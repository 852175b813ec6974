"""The network that a study hands over as a model of MLflow, with its signature."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch._version import __version__
from hpsearch.errors import CodeError
from hpsearch.handover import save
from hpsearch.handover.predictor import load
from hpsearch.sources.inputs import ArrayRows, ColumnInputs
from hpsearch.tracking import pyfunc

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from hpsearch.handover.folder import Config
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.store.ledger import Ledger

__all__ = ["write"]


def write(
    ledger: Ledger, snapshot: Snapshot, folder: Path, checkpoints: str | None, code: Path | None
) -> Path:
    """Put the network of a study that has one below `folder`, as MLflow keeps models; where.

    Args:
        ledger: Where the study is kept.
        snapshot: The study.
        folder: A folder for this.
        checkpoints: Where its checkpoints lie, if an option or the environment says so.
        code: The folder of the study's own code, which is copied; None: none is named.

    Raises what `save.save` does.
    """
    from mlflow import pyfunc as flavour

    assert snapshot.network is not None
    data = folder / "data"
    place = data / pyfunc.NETWORK
    config = save.save(ledger, snapshot, snapshot.network, place, checkpoints, code=code)
    if config.code is not None:
        _copy(config.code, code, data / pyfunc.CODE)
    model = folder / "model"
    with warnings.catch_warnings():
        # That there is no example of the inputs: the signature is known without one.
        warnings.simplefilter("ignore", UserWarning)
        flavour.save_model(
            path=str(model), loader_module=pyfunc.__name__, data_path=str(data),
            signature=_signature(place, config, code), pip_requirements=_requirements(config),
        )  # fmt: skip
    return model


def _copy(files: dict[str, str], code: Path | None, to: Path) -> None:
    """Copy a study's own code, whose hashes `save` has compared."""
    if code is None:
        raise CodeError("the network needs the code that it was trained with: name its folder")
    for path in files:
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(code / path, to / path)


def _requirements(config: Config) -> list[str]:
    torch = config.provenance.versions["torch"].partition("+")[0]
    return [f"hpsearch=={__version__}", f"torch=={torch}", "pandas"]


def _signature(folder: Path, config: Config, code: Path | None) -> ModelSignature:
    """What the model takes and gives.

    The cells of a column may be of any type: a DataFrame counts as the file that it would be
    written to, and MLflow takes no whole numbers for a column of `double`. An array is of float64.
    """
    import numpy as np
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types.schema import AnyType, ColSpec, Schema, TensorSpec

    inputs = config.problem.preprocessing
    if isinstance(inputs, ColumnInputs):
        taken = Schema([ColSpec(AnyType(), name) for name in inputs.columns])
    else:
        shape = inputs.given if isinstance(inputs, ArrayRows) else inputs.shape
        taken = Schema([TensorSpec(np.dtype(np.float64), (-1, *shape))])
    predictor = load(folder, code)
    given = infer_signature(model_output=pyfunc.table(predictor.sample(), predictor.classes))
    return ModelSignature(taken, given.outputs)
