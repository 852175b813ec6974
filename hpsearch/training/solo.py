"""One candidate trained by itself: its own modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hpsearch.code import contained
from hpsearch.runner import Saved
from hpsearch.runner.candidate import derived_seed
from hpsearch.spec.conflicts import SettingsError
from hpsearch.training import devices
from hpsearch.training.augmentation.batches import Augmentation, mixing
from hpsearch.training.evaluation import in_parts, trained_loss
from hpsearch.training.stacking.fused import Fused, apart
from hpsearch.training.stacking.optimizers import MOMENTS, counters
from hpsearch.training.step_threads import StepThreads
from hpsearch.training.tuning import set_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from hpsearch.sources.dataset import Part
    from hpsearch.training.augmentation.batches import Batch
    from hpsearch.training.trial_progress import TrialProgress
    from hpsearch.training.tuning import Group

__all__ = ["Solo"]


class Solo:
    """A trainer of one slot; `stack.Stack` is the one of many, with the same face."""

    def __init__(
        self,
        course: TrialProgress,
        device: torch.device,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes the candidate from its start, or from a state that `course` was restored from."""
        self.members = [course]
        self._dataset, self._device = course.dataset, device
        self._network = course.network().to(device)
        self._threads = StepThreads(self._network, course, device)
        self._images = any(weight.dim() == 4 for weight in self._network.parameters())
        self._grows = self._images or self._dataset.kind in ("sequences", "tokens")
        self._precision = course.settings["precision"]
        self._half = devices.computes_in_half(device, self._precision, maps=self._images)
        if self._images:  # with the channels last convolutions take two thirds of the time
            self._network.to(memory_format=torch.channels_last)
        named = enumerate(self._network.named_parameters())
        trained = {i: own for i, own in named if own[1].requires_grad}
        self._parameters = {i: weight for i, (_, weight) in trained.items()}
        """Those that are trained, by their places among all."""
        if not self._parameters:
            raise SettingsError("the network has no parameters to train")
        self._moments = {
            name: [torch.zeros_like(weight) for weight in self._weights]
            for name in MOMENTS[course.settings["optimizer"]]
        }
        self._rules = [
            _Rule(course, group, self._weights, self._moments, device)
            for group in course.groups(name for name, _ in trained.values())
        ]
        self._loss = mixing(trained_loss(self._dataset, course.loss, [course.settings]))
        self._augmentation = Augmentation([course], self._dataset)
        if state is not None:
            state = course.scope.within(state)
            self._restore(state)
        self._best: Mapping[str, Tensor] | None = None
        """The network after its best epoch, where that is kept: its memory is taken here, where
        running out of it is this candidate's failure alone."""
        if course.keeping.best:
            best = Saved(state).network if state is not None else self._network.state_dict()
            self._best = {name: t.detach().to(device, copy=True) for name, t in best.items()}

    @property
    def parameters(self) -> int:
        """Trained parameters of the candidate."""
        return sum(weight.numel() for weight in self._weights)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._network.load_state_dict(state["model"])
        for name, tensors in self._moments.items():
            for i, tensor in zip(self._parameters, tensors, strict=True):
                value = state["optimizer"].get(i, {}).get(name)
                if value is not None:
                    tensor.copy_(value)
        for rule in self._rules:
            rule.begin(self.members[0])

    @property
    def _weights(self) -> list[Tensor]:
        return list(self._parameters.values())

    @contained()
    def train(self, interrupted: Callable[[], bool]) -> Tensor | None:
        """One epoch over the training part: the mean loss, (1,), still on the device.

        None where `interrupted` said so between two batches; the slot is spoilt then.
        """
        course, rates = self.members[0], self.members[0].rates()
        set_training(self._network)
        total = torch.zeros(1, device=self._device)
        order = course.order()
        seed = derived_seed(course.candidate.seed, "dropout", course.epoch)
        with (
            devices.seeded(self._device, seed),
            devices.all_digits(self._device, self._precision),
            self._threads.few(),
        ):
            for rate, batch in zip(rates, self._batches(order), strict=True):
                if interrupted():
                    return None
                total += self._step(batch, rate) * len(batch[0])
        return total / len(order)

    def _batches(self, order: Tensor) -> Iterator[Batch]:
        """The training batches of an epoch, by the order of its rows on the CPU."""
        sizes = self.members[0].batches
        given = self._dataset.train.batches(torch.split(order.to(self._device), sizes))
        return self._augmentation.batches(given, torch.split(order.unsqueeze(0), sizes, dim=1))

    @contained()
    def step(self, rows: Tensor, rate: float) -> Tensor:
        """One step of the optimizer by these training rows, int64 (B,), at a learning rate.

        The loss before it, (1,), still on the device: .item() would wait for it.
        """
        given = self._dataset.train.batch(rows)
        batch = self._augmentation(*given, rows.cpu().unsqueeze(0))
        with self._threads.few():
            return self._step(batch, rate)

    def _step(self, batch: Batch, rate: float) -> Tensor:
        clip = self.members[0].settings["clip"]
        inputs, *wanted = batch
        loss = self._loss(self._forward(inputs).unsqueeze(0), *wanted)
        gradients: Sequence[Tensor | None]
        gradients = torch.autograd.grad(loss.sum(), self._weights, allow_unused=True)
        with torch.no_grad():
            if clip is not None:
                gradients = apart(gradients)
                _clip([part for part in gradients if part is not None], clip)
            for rule in self._rules:
                rule.step(gradients, rate)
        return loss.detach()

    @contained()
    @torch.inference_mode()
    def outputs(self, part: Part) -> Tensor:
        """What the network makes of a part, (1, N, outputs)."""
        self._network.eval()
        parts = in_parts(part, 1, grows=self._grows)
        with devices.all_digits(self._device, self._precision), self._threads.few():
            return torch.cat([self._forward(inputs) for inputs in parts]).unsqueeze(0)

    def keep(self) -> None:
        """Keep the network where its last epoch was its best one."""
        if self.members[0].keeping.best and self.members[0].improved:
            assert self._best is not None
            for name, tensor in self._network.state_dict().items():
                self._best[name].copy_(tensor)

    def state(self, slot: int) -> dict[str, Any]:
        """All it takes to continue from here: plain types and tensors, copied to the CPU."""
        course = self.members[slot]
        state = {
            "model": _copied(self._network.state_dict()),
            "optimizer": _copied(self._remembered()),
        }
        if self._best is not None and course.best_epoch != course.epoch:
            state["best"] = _copied(self._best)
        return course.state(state)

    def _remembered(self) -> dict[int, dict[str, Any]]:
        """The optimizer's state as PyTorch's `state_dict` has it."""
        settings = self.members[0].settings
        names = [n for n in self._moments if n != "momentum_buffer" or settings["momentum"]]
        numbers = list(self._parameters)
        state: dict[int, dict[str, Any]] = {}
        for rule in self._rules:
            counts = counters(settings, rule.count)
            for place in rule.places if rule.count else ():
                moments = {name: self._moments[name][place] for name in names}
                state[numbers[place]] = moments | counts
        return state

    def _forward(self, inputs: Tensor) -> Tensor:
        if self._images:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with devices.half(self._device, self._half):
            outputs: Tensor = self._network(inputs)
        return outputs.float() if self._half else outputs  # losses and metrics need the digits


class _Rule:
    """The steps of one group of parameters."""

    def __init__(
        self, course: TrialProgress, group: Group, weights: Sequence[Tensor],
        moments: Mapping[str, Sequence[Tensor]], device: torch.device,
    ) -> None:  # fmt: skip
        """`weights` and `moments` are those of all groups."""
        self.places, self._pace = group
        self.count = 0
        """Steps made."""
        self._count = torch.zeros((), device=device)
        """The same, for kernels."""
        own = {name: [each[i] for i in self.places] for name, each in moments.items()}
        self._fused = Fused(course.settings, [weights[i] for i in self.places], own, self._count)

    def begin(self, course: TrialProgress) -> None:
        """Begin where `course` was restored."""
        self.count = (course.epoch - self._pace.since) * len(course.batches)
        self._count.fill_(self.count)

    def step(self, gradients: Sequence[Tensor | None], rate: float) -> None:
        """One step, by the gradients of all groups."""
        self.count += 1
        self._count.add_(1)
        own = [gradients[i] for i in self.places]
        self._fused.step(own, rate * self._pace.factor, self.count)


def _clip(gradients: Sequence[Tensor], largest: float) -> None:
    """Shorten a gradient to a norm, as `torch.nn.utils.clip_grad_norm_` does."""
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    share = (largest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(share)


def _copied(value: Any) -> Any:
    """`value` with its tensors copied to the CPU: training continues while it is written."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value
