"""Looking at the test part: what trained networks give on rows that no search has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hpsearch.training.course import Course
from hpsearch.training.evaluation import EVALUATION_ROWS, measure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.training.candidate import Candidate
    from hpsearch.training.data import Dataset, Part

__all__ = ["score"]


@torch.inference_mode()
def score(
    candidate: Candidate, state: Mapping[str, Any], dataset: Dataset, part: Part, metric: str
) -> dict[str, float]:
    """The loss and the metrics of a candidate's trained network on a part.

    Args:
        candidate: What was trained.
        state: Its checkpoint.
        dataset: What it was trained on.
        part: The rows to look at, on any device.
        metric: The one that steers the search, which may be one that takes long.
    """
    course = Course(candidate, dataset)
    network = course.network()
    network.load_state_dict(state["model"])
    network.to(part.inputs.device).eval()
    chunks = [network(inputs) for inputs in torch.split(part.inputs, EVALUATION_ROWS)]
    outputs_1NC = torch.cat(chunks).float().unsqueeze(0)
    unknown = torch.zeros(1, device=part.inputs.device)
    (found,) = measure(outputs_1NC, part, dataset, course.loss, unknown, metric)
    del found["train_loss"]
    return found
