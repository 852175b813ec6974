"""A network that was handed over as a model of MLflow: what `mlflow.pyfunc.load_model` calls.

The model's data are the folder that `hpsearch best --save` would write, below `network`, and, where
the network is of a study's own code, that code below `code`. MLflow is not needed to predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.handover.predictor import Predictions, Predictor, load

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CODE", "NETWORK", "Model", "table"]

NETWORK, CODE = "network", "code"


class Model:
    """A network at work, by the face that MLflow asks for."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A row for each row of the input, a DataFrame or an array: see `table`."""
        return table(self._predictor.predict(model_input), self._predictor.classes)


def table(predictions: Predictions, classes: Sequence[object]) -> pd.DataFrame:
    """Predictions as a table: `prediction`, `p(CLASS)` for each class, and `score` of anomalies."""
    import pandas as pd

    columns: dict[str, Any] = {"prediction": list(predictions.values)}
    if predictions.probabilities is not None:
        shares = zip(classes, predictions.probabilities.T.tolist(), strict=True)
        columns |= {f"p({name})": of_class for name, of_class in shares}
    if predictions.scores is not None:
        columns["score"] = predictions.scores.tolist()
    return pd.DataFrame(columns)


def _load_pyfunc(path: str) -> Model:
    """MLflow calls this with the folder of the model's data. Code that lies there is run."""
    code = Path(path) / CODE
    return Model(load(Path(path) / NETWORK, code if code.is_dir() else None))
