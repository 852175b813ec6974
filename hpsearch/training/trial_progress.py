"""How far one candidate has come, and all that it has of its own, however it is packed.

The order of its data and the rate of each step are functions of the candidate and the epoch, so
that neither its neighbours on the device nor an interruption between two epochs change its result.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hpsearch.errors import CheckpointError
from hpsearch.runner.candidate import derived_seed
from hpsearch.runner.epoch import Epoch, Keeping
from hpsearch.spec import conflicts
from hpsearch.spec.augmentation import augments
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.settings import WHOLE
from hpsearch.spec.task import LOSS, TASKS
from hpsearch.training import devices, optim
from hpsearch.training.evaluation import plain
from hpsearch.training.networks import bare, build
from hpsearch.training.stacking.optimizers import COUNTERS
from hpsearch.training.tuning import (
    Scope,
    SharedBackbone,
    Tuning,
    backbone_key,
    prepared,
    trained_modules,
)
from hpsearch.weights.begin import begin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from hpsearch.runner import Saved
    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset
    from hpsearch.training.evaluation import Results
    from hpsearch.training.tuning import Group

__all__ = ["DivergedError", "TrialProgress", "batch_sizes"]


_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Layers that need two rows or more, as one has no variance."""


class DivergedError(ArithmeticError):
    """A loss or a metric is not a finite number."""


class TrialProgress:
    """One candidate's way through its epochs.

    Raises `conflicts.SettingsError` for settings that can never be trained together.
    """

    def __init__(
        self, candidate: Candidate, dataset: Dataset, keeping: Keeping | None = None
    ) -> None:
        settings: Mapping[str, Any] = candidate.settings
        self.candidate = candidate
        self.settings = settings
        self.epoch = 0
        """Epochs finished."""
        self.curve: list[Epoch] = []
        """The epochs finished, without their details."""
        self.kept: Epoch | None = None
        """The epoch whose network is kept and whose value counts, the best one so far or the last
        one, with its details; None before the first."""
        self.keeping = keeping or Keeping()
        self.best_epoch = 0
        """The epoch of the best value so far, of equals that of the least loss; 0 before any."""
        self.improved = False
        """Whether the last call of `advance` brought the best value so far."""
        self.parameters: int | None = None
        """Numbers of its network that are trained; None before the first one is built."""
        self._task, classes = TASKS[dataset.task], len(dataset.classes)
        conflicts.check(settings, candidate.vocabulary.rules, dataset.task, classes)
        self.loss = self._task.chosen_loss(settings["loss"], classes)
        self.plain = plain(dataset.task, settings)
        """The settings that validation goes by."""
        self._rows, self._shuffle = len(dataset.train), dataset.shuffle
        self._data, self._problem = dataset, dataset.problem(self.loss)
        Tuning.check(settings)
        self._tuning = Tuning.of(settings)
        self._batches: list[int] = []
        self._schedule = optim.schedule(settings)
        self._plateau = optim.Plateau()

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done, or there has been no better one for too long."""
        return self.keeping.ends(self.curve, self.best_epoch, int(self.settings["epochs"]))

    @property
    def _kept_epoch(self) -> int:
        return self.best_epoch if self.keeping.best else self.epoch

    # --- what of it is trained now ------------------------------------------------------------

    @cached_property
    def _rests(self) -> bool:
        """Whether its backbone is at rest, from the first use on: `outgrown` once that changes."""
        return self._tuning.rests(self.epoch)

    @property
    def outgrown(self) -> bool:
        """Whether from now on others of its parameters are trained, by another trainer."""
        return self._rests != self._tuning.rests(self.epoch)

    @cached_property
    def _shared(self) -> tuple[SharedBackbone, Dataset] | None:
        """The backbone whose head alone is trained, and the features that it is trained on; None
        where the whole network is, on the rows themselves."""
        if not self._rests or not self._tuning.split or self._augments:
            return None
        family = FAMILIES[self.candidate.family]
        key = backbone_key(family, self._problem, self.settings)
        backbone = self._data.cache.get(key, self._new_backbone)
        if backbone is None:
            return None
        train, validation = (
            self._data.cache.get((key, id(part)), partial(backbone.features, part))
            for part in (self._data.train, self._data.validation)
        )
        if train is None or validation is None:
            return None
        return backbone, replace(self._data, train=train, validation=validation)

    @property
    def _augments(self) -> bool:
        """Whether its images, and so their features, are others in every epoch."""
        return augments(self.settings, self.candidate.vocabulary.settings)

    def _new_backbone(self) -> SharedBackbone:
        return SharedBackbone(
            self.whole_network(), self._data.train, self.settings["precision"]
        )  # fmt: skip

    @property
    def dataset(self) -> Dataset:
        """What it is trained and validated on now: rows, or the features of a backbone at rest."""
        return self._data if self._shared is None else self._shared[1]

    def network(self) -> nn.Module:
        """A new network with the candidate's first weights, on the CPU, as it is trained now: of
        one whose backbone's features are the `dataset`, the head.

        There whatever the device, so that every device starts from the same weights.
        """
        if self._shared is None:
            return self.whole_network()
        network = bare(self.candidate.family, self._problem, self.settings)
        self._note_batches(network)
        return self._noted(self._shared[0].head(network, self.candidate.seed))

    def whole_network(self) -> nn.Module:
        """The network with all its parts, whatever of it is trained now, and its first weights."""
        network = self._drawn()
        if self.settings.get("tune") != "scratch":
            begin(network, self.candidate.family, self.settings)
        return network

    def _drawn(self) -> nn.Module:
        """The network with all its parts, its numbers drawn."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derived_seed(self.candidate.seed, "init"))
            network = build(self.candidate.family, self._problem, self.settings)
        self._note_batches(network)
        return self._noted(
            prepared(network, self._tuning, self.candidate.seed, rests=self._rests)
        )  # fmt: skip

    def _noted(self, network: nn.Module) -> nn.Module:
        trained = (weight.numel() for weight in network.parameters() if weight.requires_grad)
        self.parameters = sum(trained)
        return network

    def _note_batches(self, network: nn.Module) -> None:
        """Rows of its batches: the same before the backbone is trained and after it."""
        if self._batches:
            return
        modules = trained_modules(network, self._tuning)
        norm = any(isinstance(layer, _NORMS) for layer in modules)
        size = self.settings["batch_size"]
        size = self._rows if size == WHOLE else size
        self._batches = batch_sizes(self._rows, size, whole=norm)

    @property
    def scope(self) -> Scope:
        """The part of the whole network's state that its trainer has."""
        return Scope() if self._shared is None else self._shared[0].scope

    def groups(self, names: Iterable[str]) -> list[Group]:
        """Parameters of `network`, by their names, in groups that are trained at one pace."""
        return self._tuning.groups(names, head=self._shared is not None)

    # --- its epochs ---------------------------------------------------------------------------

    @property
    def batches(self) -> list[int]:
        """Rows in each step of an epoch."""
        if not self._batches:
            self.network()
        return self._batches

    def order(self) -> Tensor:
        """The order of the training rows in the next epoch, int64 (N,) on the CPU."""
        if not self._shuffle:
            return torch.arange(self._rows)
        generator = torch.Generator()
        generator.manual_seed(derived_seed(self.candidate.seed, "order", self.epoch))
        return torch.randperm(self._rows, generator=generator)

    def rates(self) -> list[float]:
        """The learning rate of each step of the next epoch.

        That of a step is the schedule's in the middle of the step: never 0.
        """
        lr = self.settings["lr"] * self._plateau.factor
        steps = len(self.batches)
        return [lr * self._schedule(self.epoch + (i + 0.5) / steps) for i in range(steps)]

    def advance(self, metric: str, results: Results, seconds: float) -> None:
        """Note that an epoch is done. DivergedError where a loss or the metric that the study
        improves is not finite; others that are not, as r2 of equal targets, are left out."""
        improved = self._task.metric(metric)
        assert improved is not None
        self.improved = False
        for name in ("train_loss", LOSS, metric):
            if not math.isfinite(number := results.metrics.get(name, 0.0)):
                raise DivergedError(f"{name} became {number} in epoch {self.epoch + 1}")
        metrics = {name: n for name, n in results.metrics.items() if math.isfinite(n)}
        value, direction = metrics[metric], improved.direction
        if self.settings["schedule"] == "plateau":
            self._plateau = self._plateau.after(value, direction, self.settings)
        best = self.curve[self.best_epoch - 1] if self.best_epoch else None
        self.epoch += 1
        self.curve.append(Epoch(self.epoch, value, metrics, seconds))
        if self.curve[-1].is_better(best, direction):
            self.best_epoch, self.improved = self.epoch, True
        if self._kept_epoch == self.epoch:
            details = {name: tensor.tolist() for name, tensor in results.details.items()}
            self.kept = replace(self.curve[-1], details=details)

    def state(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """All it takes to continue from here: plain types and tensors.

        Args:
            own: What its trainer has: `model`, `optimizer`, and `best` where that is another
                network than `model`.
        """
        return {
            **self.scope.whole(own),
            "digest": self.candidate.digest,
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "kept_epoch": self._kept_epoch,
            "details": {} if self.kept is None else dict(self.kept.details),
            "plateau": asdict(self._plateau),
            "curve": [entry.as_json() for entry in self.curve],
        }

    def restore(self, saved: Saved) -> None:
        """Continue from a `state`.

        Raises CheckpointError where any of it is of another candidate.
        """
        if saved.digest != self.candidate.digest:
            raise CheckpointError(
                f"the checkpoint is not of candidate {self.candidate.key}: its settings or its "
                f"seed differ. Remove it to start over"
            )
        try:
            state = saved.state
            self.epoch, self.best_epoch = saved.epoch, saved.best_epoch
            self._check(state["model"], state["optimizer"], state.get("best"))
            self._plateau = optim.Plateau(**state["plateau"])
            self.curve = list(saved.curve)
            best = self.curve[self._kept_epoch - 1]
            self.kept = replace(best, details=saved.details)
        except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            if devices.is_out_of_memory(error):
                raise
            raise CheckpointError(
                f"the checkpoint does not fit candidate {self.candidate.key}: {error}. "
                f"Remove it to start over"
            ) from error

    def _check(
        self,
        model: Mapping[str, Tensor],
        optimizer: Mapping[int, Any],
        best: Mapping[str, Tensor] | None,
    ) -> None:
        """Whether all are of a network like this candidate's."""
        network = self._drawn()
        if best is not None:
            network.load_state_dict(best)
        network.load_state_dict(model)
        for number, parameter in enumerate(network.parameters()):
            for name, saved in optimizer.get(number, {}).items():
                counter = name in COUNTERS or saved is None
                if not counter and saved.shape != parameter.shape:
                    raise ValueError(f"{name} has the shape {tuple(saved.shape)}")


def batch_sizes(rows: int, batch_size: int, *, whole: bool) -> list[int]:
    """Sizes of the batches of one epoch, `batch_size` each and the rest at the end.

    With `whole` a last batch of a single row joins the one before: BatchNorm has no variance of
    one row. Raises SettingsError where each batch is one.
    """
    if whole and batch_size == 1:
        raise conflicts.SettingsError(
            "BatchNorm needs batches of 2 rows or more, and batch_size is 1"
        )
    full, rest = divmod(rows, batch_size)
    sizes = [batch_size] * full
    if rest == 1 and whole:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes
