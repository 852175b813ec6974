"""Trained networks without what they were trained with: what they tell, and how well."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from hpsearch.code import contained, explained
from hpsearch.errors import CheckpointError, CodeError
from hpsearch.spec.family import FAMILIES, module_of
from hpsearch.spec.task import TASKS
from hpsearch.training.evaluation import in_parts, measure, plain
from hpsearch.training.networks import bare, build
from hpsearch.training.tuning import SharedBackbone, Tuning, backbone_key, head_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from hpsearch.sources.dataset import Part, Prepared
    from hpsearch.sources.room import Cache

__all__ = ["Trained"]


class Trained:
    """A trained network, and what it was trained for."""

    def __init__(
        self,
        family: str,
        settings: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        problem: Prepared,
    ) -> None:
        """
        Args:
            family: The name of its family.
            settings: All of the candidate that was trained.
            weights: The network's state by PyTorch's names, on the CPU; taken, not copied.
            problem: What it was trained for.

        Raises CheckpointError where they are the weights of another network, and ValueError for
        settings that make none.
        """
        self.problem = problem
        self._family, self._settings, self._tuning = family, settings, Tuning.of(settings)
        self._plain = plain(problem.task, settings)
        self.loss = TASKS[problem.task].chosen_loss(settings["loss"], len(problem.classes))
        self._is_own = module_of(family) is not None
        self.network: nn.Module = self._built(family, settings, weights)
        self.network.eval()

    def _built(
        self, family: str, settings: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> nn.Module:
        """The network with its weights, built without first ones where it can be: own code, and
        some models of other libraries, keep numbers beside their weights.
        """
        problem = self.problem.problem(self.loss)
        if not self._is_own:
            network = _with(bare(family, problem, settings), weights)
            if not any(buffer.is_meta for buffer in network.buffers()):
                return network
        with torch.random.fork_rng(devices=[]):
            return _with(build(family, problem, settings), weights)

    def outputs_of(self, part: Part, cache: Cache) -> Tensor:
        """`outputs` of a part, of which networks of one backbone at rest, whose heads alone were
        trained, compute the features once: they are kept there for the next."""
        if part.device.type == "mps" or self._tuning.backbone is not None:
            return self.outputs(part)
        problem = self.problem.problem(self.loss)
        key = ("float64", backbone_key(FAMILIES[self._family], problem, self._settings))
        backbone = cache.get(key, partial(self._backbone, part))
        if backbone is None or not backbone.is_of(self.network):
            return self.outputs(part)
        features = cache.get((key, id(part)), partial(backbone.features, part))
        if features is None:
            return self.outputs(part)
        head = copy.deepcopy(head_of(self.network)).to(part.device, torch.float64)
        with torch.inference_mode():
            outputs: Tensor = head(features.inputs)
        return outputs

    def _backbone(self, part: Part) -> SharedBackbone:
        return SharedBackbone(copy.deepcopy(self.network).double(), part, "float32")

    @torch.inference_mode()
    def outputs(self, rows: Tensor | Part) -> Tensor:
        """What the network makes of inputs, or of those of a part, float64 (N, outputs).

        In double precision: the order of sums, another on each device and with other rows beside,
        does not show in metrics that are rounded to single. Own code may name single precision
        itself; such a network is run in that.

        Raises CodeError where it is of own code, and that fails.
        """
        device = rows.device
        if device.type == "mps":  # which has no double precision
            device = torch.device("cpu")
        if not self._is_own:
            return self._run(rows, device, torch.float64)
        with contained():
            try:
                return self._run(rows, device, torch.float64)
            except Exception:
                try:
                    return self._run(rows, device, torch.float32).double()
                except Exception as error:
                    raise CodeError(explained(error)) from error

    def _run(self, rows: Tensor | Part, device: torch.device, dtype: torch.dtype) -> Tensor:
        network = copy.deepcopy(self.network).to(device, dtype)
        pieces = in_parts(rows, 1, grows=self.problem.kind != "rows")
        return torch.cat([network(_in(dtype, inputs.to(device))) for inputs in pieces])

    def score(self, outputs_NC: Tensor, targets: Tensor, metric: str) -> dict[str, float]:
        """The loss and the metrics of outputs, by the targets of a `Part`.

        `metric` is measured in any case, the one that steers the search: it may take long.
        """
        targets = targets.to(outputs_NC.device)
        if targets.is_floating_point():
            targets = targets.double()
        (results,) = measure(
            outputs_NC.unsqueeze(0), targets, self.problem, self.loss, [self._plain], metric
        )
        return dict(results.metrics)


def _with(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    _check(network.state_dict(), weights)
    network.load_state_dict(weights, assign=True)
    return network


def _in(dtype: torch.dtype, inputs: Tensor) -> Tensor:
    return inputs.to(dtype) if inputs.is_floating_point() else inputs  # tokens stay what they are


def _check(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    for name in dict.fromkeys((*expected, *weights)):
        actual, wanted = _described(weights.get(name)), _described(expected.get(name))
        if actual != wanted:
            raise CheckpointError(
                f"the weights do not fit the network: {name} is {actual}, and by the settings it "
                f"is {wanted}"
            )


def _described(tensor: Tensor | None) -> str:
    if tensor is None:
        return "not there"
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
