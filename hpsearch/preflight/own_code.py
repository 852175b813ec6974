"""Whether a study's own code, or that of an installed package, gives what it has to, by the default
configuration and a few rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hpsearch.code import contained, explained
from hpsearch.errors import CodeError
from hpsearch.handover.trained import Trained
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.task import TASKS
from hpsearch.tasks.learning import learning
from hpsearch.training import devices
from hpsearch.training.evaluation import measure, plain, trained_loss
from hpsearch.training.trial_progress import TrialProgress
from hpsearch.training.tuning import set_training

if TYPE_CHECKING:
    from torch import nn

    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset

__all__ = ["check_own_code"]

_ROWS = 8
_PIECE = 256


def check_own_code(candidate: Candidate, dataset: Dataset, device: torch.device) -> None:
    """Raise CodeError where the network or the loss of a candidate, of the study's own code or an
    installed package's, cannot be trained: no trial could be then.

    One forward and backward pass over a few rows, and one as in validation. What a device has no
    memory for, or settings that do not go together, are left to the trials.
    """
    progress = TrialProgress(candidate, dataset)
    packages = (FAMILIES.brought(candidate.family), TASKS.brought(dataset.task))
    name = " with ".join(filter(None, packages)) or FAMILIES[candidate.family].name
    try:
        network = progress.whole_network()
    except SettingsError:
        return
    except Exception as error:
        if devices.is_out_of_memory(error):
            return
        if isinstance(error, CodeError):
            raise
        raise CodeError(f"{name}: {explained(error)}") from error
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise CodeError(f"{name} gives a network without parameters: nothing can be learnt")
    try:
        _passes(name, network.to(device), progress, dataset)
    except CodeError:
        raise
    except Exception as error:
        if not devices.is_out_of_memory(error):
            raise CodeError(f"{name}: {explained(error)}") from error
    finally:
        devices.empty_cache(device)


@contained()
def _passes(name: str, network: nn.Module, progress: TrialProgress, dataset: Dataset) -> None:
    rows = torch.arange(min(_ROWS, len(dataset.train)), device=dataset.train.device)
    inputs, targets = dataset.train.batch(rows)
    set_training(network)
    outputs = network(inputs)
    if TASKS[dataset.task].around is None:
        _check_outputs(name, outputs, (len(inputs), dataset.problem(progress.loss).outputs))
    loss = trained_loss(dataset, progress.loss, [progress.settings])
    value = loss(outputs.unsqueeze(0), targets.unsqueeze(0)).sum()
    if not value.requires_grad:
        raise CodeError(f"the loss of {name} does not depend on its parameters: it has no gradient")
    value.backward()  # type: ignore[no-untyped-call]
    network.eval()
    with torch.inference_mode():
        first, again = network(inputs), network(inputs)
    _check_outputs(name, first, tuple(outputs.shape))
    if TASKS.brought(dataset.task):
        _check_measured(network, progress, dataset)
    if torch.equal(first, again):
        _check_handed_over(name, first, network, progress, dataset, inputs)


def _check_measured(network: nn.Module, progress: TrialProgress, dataset: Dataset) -> None:
    """What a task of a package measures of the validation part, and says of its rows, has to be
    what it declares."""
    part, task = dataset.validation, TASKS[dataset.task]
    with torch.inference_mode():
        outputs = torch.cat([network(inputs) for inputs in part.pieces(_PIECE)])
    settings = [plain(task.name, progress.settings)]
    metric = task.metrics[0].name
    task.guess(progress.loss, len(dataset.classes))
    measure(outputs.unsqueeze(0), part.targets, dataset, progress.loss, settings, metric)
    few = outputs[:_ROWS].double().cpu()
    learning(task.name).predictions(few, dataset.problem(progress.loss))


def _check_handed_over(
    name: str, outputs: Tensor, network: nn.Module, progress: TrialProgress, dataset: Dataset,
    inputs: Tensor,
) -> None:  # fmt: skip
    """Built again with its weights, as after the search, it has to give what it gave."""
    weights = {key: value.detach().cpu() for key, value in network.state_dict().items()}
    family, settings = progress.candidate.family, progress.settings
    trained = Trained(family, settings, weights, dataset)
    if not torch.allclose(
        trained.outputs(inputs).float().cpu(), outputs.cpu(), rtol=1e-2, atol=1e-3
    ):
        raise CodeError(
            f"{name}: built again, with the weights of its state_dict, the network gives other "
            "outputs: what it draws or learns beside them has to be a parameter or a buffer"
        )


def _check_outputs(name: str, outputs: Any, expected: tuple[int, ...]) -> None:
    if not isinstance(outputs, Tensor):
        raise CodeError(f"{name}: the network gives a {type(outputs).__name__}, and has to give a "
                        f"tensor (N, {expected[1]})")  # fmt: skip
    if outputs.shape != expected:
        raise CodeError(
            f"{name}: the network gives {tuple(outputs.shape)} for {expected[0]} rows, and has to "
            f"give {expected}: N rows of problem.outputs numbers"
        )
    if outputs.dtype != torch.float32:
        raise CodeError(f"{name}: the network gives {outputs.dtype}, and has to give torch.float32")
