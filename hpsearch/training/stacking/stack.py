"""Many candidates of one shape trained as one.

Shapes: `K` slots, `N` rows of the data, `B` rows of a batch, `P` parameters of one network.

All weights are one tensor (K, P), of which each layer's are a view (K, *shape): the forward pass
takes one call a layer and a step of the optimizer a handful, however many slots there are. On small
networks most of the time goes into calls, so that 32 slots take little longer than a few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hpsearch.runner.candidate import derived_seed
from hpsearch.training import devices
from hpsearch.training.evaluation import in_parts, trained_loss
from hpsearch.training.stacking import optimizers
from hpsearch.training.stacking.cuda_graphs import recorded
from hpsearch.training.stacking.dropout import Dropping
from hpsearch.training.stacking.layers import StackedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset, Part
    from hpsearch.spec.family import Vocabulary
    from hpsearch.training.trial_progress import TrialProgress

__all__ = ["Stack", "shape_of", "shapes_by"]


def shapes_by(vocabulary: Vocabulary, names: Iterable[str]) -> set[str]:
    """Those of the settings by which shapes differ."""
    return set(names) - vocabulary.per_slot


def shape_of(candidate: Candidate) -> Hashable:
    """Candidates of one shape can be trained as one stack."""
    per_slot = candidate.vocabulary.per_slot
    settings = {n: v for n, v in candidate.settings.items() if n not in per_slot}
    if settings["optimizer"] != "sgd":
        del settings["nesterov"]
    return candidate.family, tuple(sorted(settings.items()))


@dataclass(frozen=True)
class _Stepper:
    fixed: optimizers.Settings
    is_adam: bool
    total: Tensor
    """(K,): the losses of all rows so far."""
    step: Callable[..., None]
    """Of a batch, as `Stack._batches` gives it, and the columns of a `optimizers.Step`."""


class Stack:
    """A trainer of candidates of one shape; `solo.Solo` is the one of one, with the same face."""

    def __init__(self, template: nn.Module, dataset: Dataset, device: torch.device) -> None:
        """For networks like `template`. Raises CannotStackError where that is not possible."""
        self.members: list[TrialProgress] = []
        self._dataset, self._device = dataset, device
        self._network = StackedNetwork(template, mixes_groups=devices.mixes_groups(device))
        self._shapes = {name: weight.shape for name, weight in template.named_parameters()}
        self._sizes = [shape.numel() for shape in self._shapes.values()]
        width = sum(self._sizes)
        self._weights = torch.empty(0, width, device=device)
        self._moments: dict[str, Tensor] = {}
        self._buffers = {
            name: torch.empty(0, *buffer.shape, dtype=buffer.dtype, device=device)
            for name, buffer in template.named_buffers()
        }
        self._best = torch.empty_like(self._weights)
        """(K, P): the weights of each slot after its best epoch, where those are kept."""
        self._best_buffers = dict(self._buffers)
        self._shares: list[dict[str, float]] = []
        """What each slot's layers of dropout drop, by their names."""
        self._steps: list[int] = []
        """Steps of the optimizer that each slot has made."""
        self._before: Any = None
        """Weights, moments, buffers and steps at the start of the epoch under way."""
        self._stepper: _Stepper | None = None

    # --- who is in it -------------------------------------------------------------------------

    def join(self, arrivals: Sequence[tuple[TrialProgress, Mapping[str, Any] | None]]) -> None:
        """Take candidates in, each from its start or from a state that it was restored from."""
        self._stepper = None  # with the memory that a recording of it holds
        rows = [self._row(course, state) for course, state in arrivals]
        none = torch.empty_like(self._weights)
        moments = {
            name: self._with(self._moments.get(name, none), [row[name] for row in rows])
            for name in optimizers.MOMENTS[arrivals[0][0].settings["optimizer"]]
        }
        buffers = {
            name: self._with(buffer, [row["buffers"][name] for row in rows])
            for name, buffer in self._buffers.items()
        }
        best, best_buffers = self._best, self._best_buffers
        if arrivals[0][0].keeping.best:
            best = self._with(best, [row["best"] for row in rows])
            best_buffers = {
                name: self._with(buffer, [row["best_buffers"][name] for row in rows])
                for name, buffer in best_buffers.items()
            }
        self._weights = self._with(self._weights, [row["weights"] for row in rows])
        # Only now: where memory runs out on the way, the slots that are there stay as they are.
        self._moments, self._buffers = moments, buffers
        self._best, self._best_buffers = best, best_buffers
        self._steps += [row["steps"] for row in rows]
        self._shares += [row["shares"] for row in rows]
        self.members += [course for course, _ in arrivals]

    def _with(self, held: Tensor, rows: Sequence[Tensor]) -> Tensor:
        return torch.cat([held, torch.stack(list(rows)).to(self._device)])

    def _row(self, course: TrialProgress, state: Mapping[str, Any] | None) -> dict[str, Any]:
        """What a candidate brings, on the CPU."""
        network = course.network()
        remembered: Mapping[int, Mapping[str, Any]] = {}
        if state is not None:
            network.load_state_dict(state["model"])
            remembered = state["optimizer"]
        row: dict[str, Any] = {
            moment: torch.cat([
                _flat(remembered.get(i, {}).get(moment), parameter)
                for i, parameter in enumerate(network.parameters())
            ])
            for moment in optimizers.MOMENTS[course.settings["optimizer"]]
        }  # fmt: skip
        steps = course.epoch * len(course.batches)
        weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
        buffers = dict(network.named_buffers())
        layers = network.named_modules()
        shares = {name: layer.p for name, layer in layers if isinstance(layer, nn.Dropout)}
        row |= {"steps": steps, "weights": weights, "buffers": buffers, "shares": shares}
        best = None if state is None else state.get("best")
        if best is None:  # the last one is the best, or there is none yet
            return {**row, "best": weights, "best_buffers": buffers}
        flat = torch.cat([best[name].to(weights).flatten() for name in self._shapes])
        return {**row, "best": flat, "best_buffers": {name: best[name] for name in buffers}}

    def leave(self, slots: Iterable[int]) -> None:
        """Let these slots go, by their places in `members`."""
        self._before = self._stepper = None
        gone = set(slots)
        kept = [k for k in range(len(self.members)) if k not in gone]
        index = torch.tensor(kept, dtype=torch.int64, device=self._device)
        self._weights = self._weights[index]
        self._moments = {name: m[index] for name, m in self._moments.items()}
        self._buffers = {name: b[index] for name, b in self._buffers.items()}
        if len(self._best):
            self._best = self._best[index]
            self._best_buffers = {name: b[index] for name, b in self._best_buffers.items()}
        self._steps = [self._steps[k] for k in kept]
        self._shares = [self._shares[k] for k in kept]
        self.members = [self.members[k] for k in kept]

    def state(self, slot: int) -> dict[str, Any]:
        """All it takes to go on with a candidate, alone or in another stack: plain types and
        tensors, copied to the CPU, under PyTorch's names."""
        course = self.members[slot]
        model = self._model(self._weights, self._buffers, slot)
        kept = {name: self._split(m[slot]) for name, m in self._moments.items()}
        if not course.settings["momentum"]:
            kept.pop("momentum_buffer", None)
        optimizer: dict[int, dict[str, Any]] = {}
        if steps := self._steps[slot]:
            for i, name in enumerate(self._shapes):
                optimizer[i] = {moment: parts[name] for moment, parts in kept.items()}
                if course.settings["optimizer"] != "sgd":
                    optimizer[i]["step"] = torch.tensor(float(steps))
        state = {**course.state(), "model": model, "optimizer": optimizer}
        if course.keeping.best and course.best_epoch != course.epoch:
            state["best"] = self._model(self._best, self._best_buffers, slot)
        return state

    def _model(self, weights: Tensor, buffers: Mapping[str, Tensor], slot: int) -> dict[str, Any]:
        named = {name: buffer[slot].cpu().clone() for name, buffer in buffers.items()}
        return {**self._split(weights[slot]), **named}

    def _split(self, row_P: Tensor) -> dict[str, Tensor]:
        # Views of one copy: a checkpoint of one large tensor is written faster than of many small.
        parts = torch.split(row_P.to("cpu", copy=True), self._sizes)
        named = zip(self._shapes.items(), parts, strict=True)
        return {name: part.view(shape) for (name, shape), part in named}

    # --- what it does -------------------------------------------------------------------------

    def train(self, interrupted: Callable[[], bool]) -> Tensor | None:
        """One epoch of every slot over the training part, each in an order of its own.

        The mean losses (K,), still on the device. None where `interrupted` said so between two
        batches; the slots are spoilt then until `rewind`.
        """
        self._before = None  # where there is no memory for the copy, nothing has happened yet
        self._before = self._copy()
        if self._stepper is None:
            self._stepper = self._new_stepper()
        stepper, batches = self._stepper, self.members[0].batches
        rates = [course.rates() for course in self.members]
        planned = optimizers.plan(rates, self._steps, stepper.fixed, adam=stepper.is_adam)
        orders_KN = torch.stack([course.order() for course in self.members]).to(self._device)
        stepper.total.zero_()
        with devices.seeded(self._device, self._seed()):
            rows_KB = torch.split(orders_KN, batches, dim=1)
            for batch, now in zip(self._batches(rows_KB), planned, strict=True):
                if interrupted():
                    return None
                stepper.step(*batch, now.rate, now.shrink, now.bias2_root)
        self._steps = [done + len(batches) for done in self._steps]
        return stepper.total / orders_KN.shape[1]

    def _batches(self, rows_KB: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """What a step takes of each batch: its rows, or their inputs and targets where those come
        from elsewhere."""
        train = self._dataset.train
        if train.resident:
            return ((rows,) for rows in rows_KB)
        as_maps = self._network.takes_maps
        return train.batches([_flat_rows(rows, as_maps) for rows in rows_KB])

    @torch.inference_mode()
    def outputs(self, part: Part) -> Tensor:
        """What the networks make of a part, (K, N, outputs)."""
        leaves = self._views(self._weights)
        images, chunks = self._network.takes_maps, []
        for inputs in in_parts(part, len(self.members), images=images):
            shared = inputs if images else inputs.unsqueeze(0)
            chunks.append(
                _forward(self._network, shared, leaves, self._buffers, {}, training=False)
            )
        return torch.cat(chunks, dim=1)

    @torch.no_grad()
    def keep(self) -> None:
        """Keep the networks of the slots whose last epoch was their best one."""
        members = self.members
        if not members[0].keeping.best or not any(course.improved for course in members):
            return
        improved_K = torch.tensor([course.improved for course in members], device=self._device)

        # In place: memory that there is no more of here would cost the epoch.
        for now, best in (
            (self._weights, self._best),
            *((buffer, self._best_buffers[name]) for name, buffer in self._buffers.items()),
        ):
            torch.where(improved_K.view(-1, *[1] * (now.dim() - 1)), now, best, out=best)

    def rewind(self) -> None:
        """Go back to the start of the epoch that was broken off."""
        if self._before is not None:
            self._weights, self._moments, self._buffers, self._steps = self._before
            self._before = self._stepper = None

    def _new_stepper(self) -> _Stepper:
        """One step of all slots, good for as long as the same tensors hold them."""
        settings = [course.settings for course in self.members]
        optimizer = settings[0]["optimizer"]
        fixed = optimizers.Settings.of(settings, self._device)
        dropping = self._dropping()
        loss_of = trained_loss(self._dataset, self.members[0].loss, settings)
        leaves, moments, weights = self._leaves(), self._moments, self._weights
        network, buffers, train = self._network, self._buffers, self._dataset.train
        gradient = torch.empty_like(weights)
        total = torch.zeros(len(self.members), device=self._device)

        # Nothing of `self` in here: a cycle would keep all this on the device until Python looks.
        def step(*given: Tensor) -> None:
            *batch, rate, shrink, bias2_root = given
            if train.resident:
                batch = [*train.batch(_flat_rows(batch[0], network.takes_maps))]
            inputs, targets = _by_slot(batch[0], batch[1], len(total), network.takes_maps)
            outputs = _forward(network, inputs, leaves, buffers, dropping)
            loss = loss_of(outputs, targets)
            # Of the sum: a slot's gradient comes from its own loss and no other.
            found = torch.autograd.grad(loss.sum(), list(leaves.values()))
            torch.cat([g.flatten(1) for g in found], dim=1, out=gradient)
            with torch.no_grad():
                if fixed.clip is not None:
                    optimizers.clip(gradient, fixed.clip)
                now = optimizers.Step(rate, shrink, bias2_root)
                optimizers.step(optimizer, weights, gradient, moments, fixed, now)
            total.add_(loss.detach(), alpha=targets.shape[1])

        return _Stepper(fixed, optimizer.startswith("adam"), total, recorded(step, self._device))

    def _copy(self) -> Any:
        return (
            self._weights.clone(),
            {name: m.clone() for name, m in self._moments.items()},
            {name: b.clone() for name, b in self._buffers.items()},
            list(self._steps),
        )

    def _views(self, weights: Tensor) -> dict[str, Tensor]:
        parts = torch.split(weights, self._sizes, dim=1)
        named = zip(self._shapes.items(), parts, strict=True)
        return {name: part.view(-1, *shape) for (name, shape), part in named}

    def _leaves(self) -> dict[str, Tensor]:
        """The layers' weights as leaves of the graph that share the memory of `_weights`."""
        return {name: view.requires_grad_() for name, view in self._views(self._weights).items()}

    def _dropping(self) -> dict[str, Dropping | None]:
        """Dropout by the names of its layers."""
        return {
            name: Dropping.of(torch.tensor([own[name] for own in self._shares]), self._device)
            for name in self._shares[0]
        }

    def _seed(self) -> int:
        """Of the dropout of this epoch: a function of who is in the stack and how far."""
        who = [(c.candidate.seed, c.epoch) for c in self.members]
        return derived_seed(0, "dropout", *who)


def _flat_rows(rows_KB: Tensor, as_maps: bool) -> Tensor:
    """The rows of all slots in the order in which a step takes them."""
    return (rows_KB.t() if as_maps else rows_KB).flatten()


def _by_slot(inputs: Tensor, targets: Tensor, slots: int, as_maps: bool) -> tuple[Tensor, Tensor]:
    """Inputs (K, B, ...), or (B, K*C, H, W) as maps, and targets (K, B, ...) of flat rows."""
    batch = len(targets) // slots
    if not as_maps:
        return inputs.view(slots, batch, *inputs.shape[1:]), targets.view(
            slots, batch, *targets.shape[1:]
        )
    maps = inputs.view(batch, slots * inputs.shape[1], *inputs.shape[2:])
    by_row = targets.view(batch, slots, *targets.shape[1:])
    return maps, by_row.transpose(0, 1).contiguous()


def _forward(
    network: StackedNetwork, inputs: Tensor, weights: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor], dropping: Mapping[str, Dropping | None], training: bool = True,
) -> Tensor:  # fmt: skip
    if not network.takes_maps:
        return network(inputs, weights, buffers, training=training, dropping=dropping)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    with devices.half(inputs.device):
        outputs = network(inputs, weights, buffers, training=training, dropping=dropping)
    return outputs.float()  # losses and metrics need the digits


def _flat(kept: Tensor | None, parameter: Tensor) -> Tensor:
    """What an optimizer remembers of a parameter, as one row; zeros where it does not yet."""
    row = parameter.detach().flatten()
    return torch.zeros_like(row) if kept is None else kept.flatten().to(row)
