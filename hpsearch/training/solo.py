"""One candidate trained by itself: PyTorch's own modules and optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hpsearch.runner import Saved
from hpsearch.runner.candidate import derived_seed
from hpsearch.training import devices, optim
from hpsearch.training.evaluation import in_parts, trained_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from hpsearch.sources.dataset import Dataset, Part
    from hpsearch.training.trial_progress import TrialProgress

__all__ = ["Solo"]


class Solo:
    """A trainer of one slot; `stack.Stack` is the one of many, with the same face."""

    def __init__(
        self,
        course: TrialProgress,
        dataset: Dataset,
        device: torch.device,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes the candidate from its start, or from a state that `course` was restored from."""
        self.members = [course]
        self._dataset, self._device = dataset, device
        self._network = course.network().to(device)
        self._images = any(weight.dim() == 4 for weight in self._network.parameters())
        if self._images:  # with the channels last convolutions take two thirds of the time
            self._network.to(memory_format=torch.channels_last)
        self._parameters = list(self._network.parameters())
        self._optimizer = optim.optimizer(self._parameters, course.settings)
        self._loss = trained_loss(dataset, course.loss, [course.settings])
        if state is not None:
            self._restore(state)
        self._best: Mapping[str, Tensor] | None = None
        """The network after its best epoch, where that is kept: its memory is taken here, where
        running out of it is this candidate's failure alone."""
        if course.keeping.best:
            best = Saved(state).network if state is not None else self._network.state_dict()
            self._best = {name: t.detach().to(device, copy=True) for name, t in best.items()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._network.load_state_dict(state["model"])
        # The groups are this slot's own: a fused kernel of another device may not exist here.
        groups = self._optimizer.state_dict()["param_groups"]
        like = self._parameters
        kept = {
            number: {name: _laid_out(value, like[number]) for name, value in values.items()}
            for number, values in state["optimizer"].items()
        }
        self._optimizer.load_state_dict({"state": kept, "param_groups": groups})

    def train(self, interrupted: Callable[[], bool]) -> Tensor | None:
        """One epoch over the training part: the mean loss, (1,), still on the device.

        None where `interrupted` said so between two batches; the slot is spoilt then.
        """
        course, rates = self.members[0], self.members[0].rates()
        self._network.train()
        total = torch.zeros(1, device=self._device)
        order = course.order().to(self._device)
        with devices.seeded(
            self._device, derived_seed(course.candidate.seed, "dropout", course.epoch)
        ):
            batches = self._dataset.train.batches(torch.split(order, course.batches))
            for rate, (inputs, targets) in zip(rates, batches, strict=True):
                if interrupted():
                    return None
                total += self._step(inputs, targets, rate) * len(targets)
        return total / len(order)

    def step(self, rows: Tensor, rate: float) -> Tensor:
        """One step of the optimizer by these training rows, int64 (B,), at a learning rate.

        The loss before it, (1,), still on the device: .item() would wait for it.
        """
        return self._step(*self._dataset.train.batch(rows), rate)

    def _step(self, inputs: Tensor, targets: Tensor, rate: float) -> Tensor:
        clip = self.members[0].settings["clip"]
        self._optimizer.param_groups[0]["lr"] = rate
        for parameter in self._parameters:  # optimizer.zero_grad() takes longer
            parameter.grad = None
        outputs = self._forward(inputs)
        loss = self._loss(outputs.unsqueeze(0), targets.unsqueeze(0))
        loss.sum().backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, clip)
        self._optimizer.step()
        return loss.detach()

    @torch.inference_mode()
    def outputs(self, part: Part) -> Tensor:
        """What the network makes of a part, (1, N, outputs)."""
        self._network.eval()
        parts = in_parts(part, 1, images=self._images)
        return torch.cat([self._forward(inputs) for inputs in parts]).unsqueeze(0)

    def keep(self) -> None:
        """Keep the network where its last epoch was its best one."""
        if self.members[0].keeping.best and self.members[0].improved:
            assert self._best is not None
            for name, tensor in self._network.state_dict().items():
                self._best[name].copy_(tensor)

    def state(self, slot: int) -> dict[str, Any]:
        """All it takes to go on from here: plain types and tensors, copied to the CPU."""
        course = self.members[slot]
        state = {
            **course.state(),
            "model": _copied(self._network.state_dict()),
            "optimizer": _copied(self._optimizer.state_dict()["state"]),
        }
        if self._best is not None and course.best_epoch != course.epoch:
            state["best"] = _copied(self._best)
        return state

    def _forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor
        if not self._images:
            outputs = self._network(inputs)
            return outputs
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with devices.half(self._device):
            outputs = self._network(inputs)
        return outputs.float()  # losses and metrics need the digits


def _laid_out(value: Any, parameter: Tensor) -> Any:
    """A moment in its parameter's layout: fused kernels walk through both as they lie in memory,
    and one that comes from a stack does not have the channels last."""
    if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
        return torch.empty_like(parameter).copy_(value)
    return value


def _copied(value: Any) -> Any:
    """`value` with its tensors copied to the CPU: training goes on while it is written."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value
