"""Many candidates of one shape trained as one.

Shapes: `K` slots, `N` rows of the data, `B` rows of a batch, `P` parameters of one network.

All weights are one tensor (K, P), of which each layer's are a view (K, *shape): the forward pass
takes one call a layer and a step of the optimizer a handful, however many slots there are. On small
networks most of the time goes into calls, so that 32 slots take little longer than a few.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from hpsearch.code import contained
from hpsearch.runner.candidate import derived_seed
from hpsearch.training import devices
from hpsearch.training.augmentation.batches import Augmentation, mixing
from hpsearch.training.evaluation import in_parts, trained_loss
from hpsearch.training.stacking import optimizers
from hpsearch.training.stacking.agreement import same
from hpsearch.training.stacking.cuda_graphs import Recorded, records
from hpsearch.training.stacking.network import StackedNetwork, attributes, shares
from hpsearch.training.stacking.optimizers import Step
from hpsearch.training.stacking.pieces import pieces_of
from hpsearch.training.stacking.stand_in import CannotStackError
from hpsearch.training.step_threads import StepThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from hpsearch.sources.dataset import Part
    from hpsearch.training.augmentation.batches import Batch
    from hpsearch.training.stacking.pieces import Piece
    from hpsearch.training.trial_progress import TrialProgress
    from hpsearch.training.tuning import Group

__all__ = ["Stack"]


@dataclass(frozen=True)
class _Stepper:
    pieces: Sequence[Piece]
    total: Tensor
    """(K,): the losses of all rows so far."""
    step: Callable[[Sequence[Tensor], Sequence[Step]], None]
    """Of a batch, as `Stack._batches` gives it, and what the optimizer needs for each piece."""
    augmentation: Augmentation
    by_rows: bool
    """Whether a step takes the rows of its batch, and not what is in them."""


class Stack:
    """A trainer of candidates of one shape; `solo.Solo` is the one of one, with the same face."""

    def __init__(self, example: TrialProgress, device: torch.device) -> None:
        """For candidates of the shape of `example`. Raises CannotStackError where that is not
        possible."""
        self.members: list[TrialProgress] = []
        self._dataset, self._device = example.dataset, device
        template = example.network()
        self._threads = StepThreads(template, example, device)
        self._attributes = attributes(template)
        self._network = StackedNetwork(template)
        self._maps = any(len(shape) == 4 for shape in self._network.shapes.values())
        self._grows = self._maps or self._dataset.kind in ("sequences", "tokens")
        self._weights = torch.empty(0, sum(self._network.sizes), device=device)
        self._moments: dict[str, Tensor] = {}
        self._fixed = {
            name: torch.empty(0, *value.shape, dtype=value.dtype, device=device)
            for name, value in self._network.fixed.items()
        }
        """Buffers, and parameters that are not trained, (K, *S) each."""
        self._best = torch.empty_like(self._weights)
        """(K, P): the weights of each slot after its best epoch, where those are kept."""
        self._best_fixed = dict(self._fixed)
        self._shares: list[dict[str, float]] = []
        """What each slot's layers of dropout drop, by their names."""
        self._before: Any = None
        """Weights, moments and buffers at the start of the epoch under way."""
        self._stepper: _Stepper | None = None

    @property
    def parameters(self) -> int:
        """Trained parameters of each candidate."""
        return self._weights.shape[1]

    # --- who is in it -------------------------------------------------------------------------

    def join(self, arrivals: Sequence[tuple[TrialProgress, Mapping[str, Any] | None]]) -> None:
        """Take candidates in, each from its start or from a state that it was restored from."""
        self._let_go()
        rows = [self._row(course, state) for course, state in arrivals]
        none = torch.empty_like(self._weights)
        moments = {
            name: self._with(self._moments.get(name, none), [row[name] for row in rows])
            for name in optimizers.MOMENTS[arrivals[0][0].settings["optimizer"]]
        }
        fixed = {
            name: self._with(value, [row["fixed"][name] for row in rows])
            for name, value in self._fixed.items()
        }
        best, best_fixed = self._best, self._best_fixed
        if arrivals[0][0].keeping.best:
            best = self._with(best, [row["best"] for row in rows])
            best_fixed = {
                name: self._with(value, [row["best_fixed"][name] for row in rows])
                for name, value in best_fixed.items()
            }
        self._weights = self._with(self._weights, [row["weights"] for row in rows])
        # Only now: where memory runs out on the way, the slots that are there stay as they are.
        self._moments, self._fixed = moments, fixed
        self._best, self._best_fixed = best, best_fixed
        self._shares += [row["shares"] for row in rows]
        self.members += [course for course, _ in arrivals]

    def _with(self, held: Tensor, rows: Sequence[Tensor]) -> Tensor:
        return torch.cat([held, torch.stack(list(rows)).to(self._device)])

    def _row(self, course: TrialProgress, state: Mapping[str, Any] | None) -> dict[str, Any]:
        """What a candidate brings, on the CPU."""
        network = course.network()
        if not same(self._attributes, attributes(network)):
            raise CannotStackError("its networks differ in more than numbers")
        own_shares = shares(network)
        moments: Mapping[int, Mapping[str, Any]] = {}
        best = None
        if state is not None:
            state = course.scope.within(state)
            network.load_state_dict(state["model"])
            moments, best = state["optimizer"], state.get("best")
        weights, fixed = self._network.numbers_of(network)
        row: dict[str, Any] = {
            "weights": weights, "fixed": fixed, "shares": own_shares, "best": weights,
            "best_fixed": fixed,
        }  # fmt: skip
        for moment in optimizers.MOMENTS[course.settings["optimizer"]]:
            parts = [
                moments.get(i, {}).get(moment) if parameter.requires_grad else None
                for i, parameter in enumerate(network.parameters())
            ]
            row[moment] = torch.cat([
                _flat(part, parameter)
                for part, parameter in zip(parts, network.parameters(), strict=True)
                if parameter.requires_grad
            ])  # fmt: skip
        if best is not None:  # another than the last one
            network.load_state_dict(best)
            row["best"], row["best_fixed"] = self._network.numbers_of(network)
        return row

    def _let_go(self) -> None:
        """Of the memory that steps need: a recording of them, gradients."""
        self._stepper = None
        self._network.unbind()

    def leave(self, slots: Iterable[int]) -> None:
        """Let these slots go, by their places in `members`."""
        self._before = None
        self._let_go()
        gone = set(slots)
        remaining = [k for k in range(len(self.members)) if k not in gone]
        index = torch.tensor(remaining, dtype=torch.int64, device=self._device)
        self._weights = self._weights[index]
        self._moments = {name: m[index] for name, m in self._moments.items()}
        self._fixed = {name: b[index] for name, b in self._fixed.items()}
        if len(self._best):
            self._best = self._best[index]
            self._best_fixed = {name: b[index] for name, b in self._best_fixed.items()}
        self._shares = [self._shares[k] for k in remaining]
        self.members = [self.members[k] for k in remaining]

    def state(self, slot: int) -> dict[str, Any]:
        """All it takes to continue with a candidate, alone or in another stack: plain types and
        tensors, copied to the CPU, under PyTorch's names."""
        course = self.members[slot]
        moments = {
            name: self._network.parts(moment[slot]) for name, moment in self._moments.items()
        }
        if not course.settings["momentum"]:
            moments.pop("momentum_buffer", None)
        optimizer: dict[int, dict[str, Any]] = {}
        numbers = list(self._network.numbers.items())
        for places, pace in self._groups(course):
            if steps := (course.epoch - pace.since) * len(course.batches):
                counters = optimizers.counters(course.settings, steps)
                for name, i in (numbers[place] for place in places):
                    optimizer[i] = {moment: own[name] for moment, own in moments.items()} | counters
        model = self._network.state_dict(self._weights, self._fixed, slot)
        state = {"model": model, "optimizer": optimizer}
        if course.keeping.best and course.best_epoch != course.epoch:
            state["best"] = self._network.state_dict(self._best, self._best_fixed, slot)
        return course.state(state)

    def _groups(self, course: TrialProgress) -> list[Group]:
        return course.groups(self._network.shapes)

    # --- what it does -------------------------------------------------------------------------

    @contained()
    def train(self, interrupted: Callable[[], bool]) -> Tensor | None:
        """One epoch of every slot over the training part, each in an order of its own.

        The mean losses (K,), still on the device. None where `interrupted` said so between two
        batches; the slots are spoilt then until `rewind`.
        """
        self._before = None  # where there is no memory for the copy, nothing has happened yet
        self._before = self._copy()
        if self._stepper is None:
            self._stepper = self._new_stepper()
        stepper = self._stepper
        rates = [course.rates() for course in self.members]
        planned = zip(*(piece.plan(rates) for piece in stepper.pieces), strict=True)
        orders_KN = torch.stack([course.order() for course in self.members])
        stepper.total.zero_()
        self._network.train(True)
        with (
            devices.seeded(self._device, self._seed()),
            devices.all_digits(self._device, self._precision),
            self._threads.few(len(self.members)),
        ):
            for batch, now in zip(self._batches(stepper, orders_KN), planned, strict=True):
                if interrupted():
                    return None
                stepper.step(batch, now)
        return stepper.total / orders_KN.shape[1]

    def _batches(self, stepper: _Stepper, orders_KN: Tensor) -> Iterator[Batch]:
        """What a step takes of each batch: its rows, or where those lie elsewhere or are changed
        what is in them. `orders_KN` is on the CPU."""
        train, sizes = self._dataset.train, self.members[0].batches
        split = torch.split(orders_KN.to(self._device), sizes, dim=1)
        rows = [rows_KB.flatten() for rows_KB in split]
        if stepper.by_rows:
            return ((own,) for own in rows)
        return stepper.augmentation.batches(
            train.batches(rows), torch.split(orders_KN, sizes, dim=1)
        )

    @contained()
    @torch.inference_mode()
    def outputs(self, part: Part) -> Tensor:
        """What the networks make of a part, (K, N, outputs)."""
        slots = len(self.members)
        if self._stepper is None:
            self._bind()
        self._network.train(False)
        forward = self._forward
        with devices.all_digits(self._device, self._precision), self._threads.few(slots):
            pieces = [
                forward(inputs.expand(slots, *inputs.shape))
                for inputs in in_parts(part, slots, grows=self._grows)
            ]
        return torch.cat(pieces, dim=1)

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
            *((value, self._best_fixed[name]) for name, value in self._fixed.items()),
        ):
            torch.where(improved_K.view(-1, *[1] * (now.dim() - 1)), now, best, out=best)

    def rewind(self) -> None:
        """Go back to the start of the epoch that was broken off."""
        if self._before is not None:
            self._weights, self._moments, self._fixed = self._before
            self._before = None
            self._let_go()

    def _bind(self) -> None:
        self._network.bind(self._weights, self._fixed, self._shares)

    def _new_stepper(self) -> _Stepper:
        """One step of all slots, good for as long as the same tensors hold them."""
        self._bind()
        settings = [course.settings for course in self.members]
        fixed = optimizers.Settings.of(settings, self._device)
        loss_of = mixing(trained_loss(self._dataset, self.members[0].loss, settings))
        augmentation = Augmentation(self.members, self._dataset)
        by_rows = self._dataset.train.resident and augmentation.idle
        network, train, forward = self._network, self._dataset.train, self._forward
        slots = len(self.members)
        total = torch.zeros(slots, device=self._device)
        pieces = pieces_of(self.members, self._network.shapes, fixed, self._weights, self._moments)

        # Nothing of `self` in here: a cycle would keep all this on the device until Python looks.
        def step(batch: Sequence[Tensor], now: Sequence[Step]) -> None:
            inputs, *wanted = train.batch(batch[0]) if by_rows else batch
            loss = loss_of(forward(inputs.view(slots, -1, *inputs.shape[1:])), *wanted)
            # Of the sum: a slot's gradient comes from its own loss and no other.
            gradient = network.backward(loss.sum())
            with torch.no_grad():
                if fixed.clip is not None:
                    optimizers.clip(gradient, fixed.clip)
                for piece, own in zip(pieces, now, strict=True):
                    piece.step(gradient, own)
            total.add_(loss.detach(), alpha=len(inputs) // slots)

        launched = _launched(step, len(pieces), self._device)
        return _Stepper(pieces, total, launched, augmentation, by_rows)

    def _copy(self) -> Any:
        return (
            self._weights.clone(),
            {name: m.clone() for name, m in self._moments.items()},
            {name: value.clone() for name, value in self._fixed.items()},
        )

    @property
    def _precision(self) -> str:
        return str(self.members[0].settings["precision"])

    @property
    def _forward(self) -> Callable[[Tensor], Tensor]:
        half = devices.computes_in_half(self._device, self._precision, maps=self._maps)
        return partial(_half, self._network) if half else self._network

    def _seed(self) -> int:
        """Of the dropout of this epoch: a function of who is in the stack and how far."""
        who = [(c.candidate.seed, c.epoch) for c in self.members]
        return derived_seed(0, "dropout", *who)


def _launched(
    step: Callable[[Sequence[Tensor], Sequence[Step]], None], pieces: int, device: torch.device
) -> Callable[[Sequence[Tensor], Sequence[Step]], None]:
    """A step that takes less time on that device, where steps can be recorded."""
    if not records(device):
        return step

    def flat(*given: Tensor) -> None:
        step(given[pieces:], [Step(columns) for columns in given[:pieces]])

    launch = Recorded(flat, device)
    return lambda batch, now: launch(*(own.columns for own in now), *batch)


def _half(network: StackedNetwork, inputs: Tensor) -> Tensor:
    with devices.half(inputs.device, on=True):
        outputs = network(inputs)
    return outputs.float()  # losses and metrics need the digits


def _flat(kept: Tensor | None, parameter: Tensor) -> Tensor:
    """What an optimizer remembers of a parameter, as one row; zeros where it does not yet."""
    row = parameter.detach().flatten()
    return torch.zeros_like(row) if kept is None else kept.flatten().to(row)
