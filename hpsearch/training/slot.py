"""One candidate in training: its network, optimizer and learning curve.

Everything random in it is a pure function of the candidate's seed and the epoch, so that neither
its neighbours on the device nor an interruption between two epochs change its result.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from hpsearch.catalog import METRICS
from hpsearch.errors import CheckpointError
from hpsearch.training import devices, losses, optim
from hpsearch.training.candidate import derived_seed
from hpsearch.training.metrics import classification_metrics, regression_metrics
from hpsearch.training.networks import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from hpsearch.training.candidate import Candidate
    from hpsearch.training.data import Dataset, Part

__all__ = ["DivergedError", "Slot", "batch_sizes"]

_EVALUATION_ROWS = 1024
"""Rows in one pass without gradients; the result does not depend on it."""


class DivergedError(ArithmeticError):
    """A loss or a metric is not a finite number."""


class Slot:
    """Trains one candidate, an epoch a call. ValueError for settings that make no sense."""

    def __init__(
        self, candidate: Candidate, dataset: Dataset, metric: str, device: torch.device
    ) -> None:
        settings: Mapping[str, Any] = candidate.settings
        self.candidate = candidate
        self.epoch = 0
        """Epochs finished."""
        self.curve: list[dict[str, Any]] = []
        """One entry an epoch: epoch, value, metrics, seconds."""
        self._settings = settings
        self._dataset = dataset
        self._metric = metric
        self._device = device
        loss = losses.loss_name(settings["loss"], dataset.task, len(dataset.classes))
        self._loss = losses.loss_of(loss, settings["label_smoothing"])
        self._plain_loss = losses.loss_of(loss)
        self._batches = batch_sizes(
            len(dataset.train.inputs), settings["batch_size"], whole=settings["batch_norm"]
        )
        outputs = losses.outputs_of(loss, len(dataset.classes))
        # On the CPU whatever the device, so that every device starts from the same weights.
        with devices.seeded(torch.device("cpu"), derived_seed(candidate.seed, "init")):
            network = build(candidate.family, settings, dataset.input_shape, outputs)
        self._network, self._half = _on_device(network, candidate.family, device)
        self._optimizer = optim.optimizer(self._network.parameters(), settings)
        self._schedule = optim.schedule(settings)
        self._plateau = optim.Plateau()

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done."""
        return self.epoch >= int(self._settings["epochs"])

    def train(self, interrupted: Callable[[], bool]) -> Tensor | None:
        """One epoch over the training part: the mean loss, still on the device.

        None where `interrupted` said so between two batches; the slot is spoilt then.
        """
        settings, network, optimizer = self._settings, self._network, self._optimizer
        inputs, targets = self._dataset.train.inputs, self._dataset.train.targets
        parameters = list(network.parameters())
        lr, clip, batches = settings["lr"] * self._plateau.factor, settings["clip"], self._batches
        network.train()
        total = torch.zeros((), device=self._device)
        with devices.seeded(self._device, derived_seed(self.candidate.seed, "epoch", self.epoch)):
            order = torch.randperm(len(inputs)).to(self._device)
            for index, rows in enumerate(torch.split(order, batches)):
                if interrupted():
                    return None
                # The rate of a step is the schedule's in the middle of that step: never 0.
                progress = self.epoch + (index + 0.5) / len(batches)
                optimizer.param_groups[0]["lr"] = lr * self._schedule(progress)
                for parameter in parameters:  # optimizer.zero_grad() takes longer
                    parameter.grad = None
                outputs = self._forward(inputs.index_select(0, rows))
                loss = self._loss(outputs, targets.index_select(0, rows))
                loss.backward()  # type: ignore[no-untyped-call]
                if clip is not None:
                    torch.nn.utils.clip_grad_norm_(parameters, clip)
                optimizer.step()
                total += loss.detach() * batches[index]  # .item() would wait for the device
        return total / len(inputs)

    def finish_epoch(self, train_loss: Tensor) -> tuple[float, dict[str, float]]:
        """Evaluate, and move on: the study's metric, and all of them.

        DivergedError where one is not finite.
        """
        metrics = self._measure(train_loss)
        value = metrics[self._metric]
        direction = METRICS[self._metric].direction
        if self._settings["schedule"] == "plateau":
            self._plateau = self._plateau.after(value, direction, self._settings)
        self.epoch += 1
        return value, metrics

    def state(self) -> dict[str, Any]:
        """All it takes to go on from here: plain types and tensors, copied to the CPU."""
        return {
            "digest": self.candidate.digest,
            "epoch": self.epoch,
            "model": _copied(self._network.state_dict()),
            "optimizer": _copied(self._optimizer.state_dict()["state"]),
            "plateau": asdict(self._plateau),
            "curve": [dict(entry) for entry in self.curve],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`. CheckpointError where it does not fit."""
        try:
            self._network.load_state_dict(state["model"])
            # The groups are this slot's own: a fused kernel of another device may not exist here.
            groups = self._optimizer.state_dict()["param_groups"]
            self._optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
            self._plateau = optim.Plateau(**state["plateau"])
            self.epoch, self.curve = int(state["epoch"]), [dict(e) for e in state["curve"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if devices.is_out_of_memory(error):
                raise
            raise CheckpointError(
                f"the checkpoint does not fit candidate {self.candidate.key}: {error}. "
                f"Remove it to start over"
            ) from error

    def _forward(self, inputs: Tensor) -> Tensor:
        if not self._half:
            outputs: Tensor = self._network(inputs)
            return outputs
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            outputs = self._network(inputs)
        return outputs.float()  # losses and metrics need the digits

    def _measure(self, train_loss: Tensor) -> dict[str, float]:
        part, dataset = self._dataset.validation, self._dataset
        with torch.inference_mode():
            outputs = self._evaluate(part)
            loss = self._plain_loss(outputs, part.targets)
            # Before the metrics: torchmetrics does not say what it makes of nan.
            self._check(_fetched({"train_loss": train_loss, "loss": loss}))
            if dataset.task == "classification":
                measured = classification_metrics(
                    outputs, part.targets, auroc=self._metric == "auroc"
                )
            else:
                measured = regression_metrics(
                    *(x * dataset.target_std + dataset.target_mean for x in (outputs, part.targets))
                )
            return self._check(_fetched({"train_loss": train_loss, "loss": loss, **measured}))

    def _check(self, metrics: dict[str, float]) -> dict[str, float]:
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise DivergedError(f"{name} became {value} in epoch {self.epoch + 1}")
        return metrics

    def _evaluate(self, part: Part) -> Tensor:
        self._network.eval()
        chunks = [self._forward(inputs) for inputs in torch.split(part.inputs, _EVALUATION_ROWS)]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)


def batch_sizes(rows: int, batch_size: int, *, whole: bool) -> list[int]:
    """Sizes of the batches of one epoch, `batch_size` each and the rest at the end.

    With `whole` a last batch of a single row joins the one before: BatchNorm has no variance of
    one row. ValueError where every batch would be one.
    """
    if whole and min(batch_size, rows) == 1:
        raise ValueError("batch_norm needs batches of 2 rows or more, and batch_size is 1")
    full, rest = divmod(rows, batch_size)
    sizes = [batch_size] * full
    if rest == 1 and whole:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def _on_device(network: nn.Module, family: str, device: torch.device) -> tuple[nn.Module, bool]:
    """The network there, and whether it computes in bfloat16 with the channels last."""
    half = family == "cnn" and devices.half_precision(device)
    if half:
        return network.to(device, memory_format=torch.channels_last), True  # type: ignore[call-overload]
    return network.to(device), False


def _fetched(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """The numbers, with one wait for the device."""
    values = torch.stack([tensor.float() for tensor in tensors.values()]).tolist()
    return dict(zip(tensors, values, strict=True))


def _copied(value: Any) -> Any:
    """`value` with its tensors copied to the CPU: training goes on while it is written."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value
