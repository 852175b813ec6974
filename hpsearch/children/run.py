"""What a user's training function is given: its parameters, its epochs, and a place to report to.

def train(run):
    net = Net(run.width).to(run.device)
    optimizer = torch.optim.AdamW(net.parameters(), run.lr)
    run.save(net=net, optimizer=optimizer)
    for epoch in run.epochs():
        loss = one_epoch(net, optimizer)
        run.report(train_loss=loss, accuracy=score(net))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

__all__ = ["Answer", "Run", "Start", "held", "measured_by", "most_epochs", "reported"]


@dataclass(frozen=True)
class Start:
    """Where a run begins: at its start, or where it was saved."""

    epoch: int = 0
    """Epochs that have been reported."""
    saved: Mapping[str, Any] = field(default_factory=dict)
    """What `run.save` had after them, by name."""
    whole: bool = False
    """Whether all that `run.save` names has to be there: what is tested is what was trained."""


_MOST_NUMBERS, _MOST_NAME = 200, 100
"""Of a report: it is a text in the database, which takes 64 KiB on MariaDB."""

Answer = Callable[[int, Mapping[str, float]], bool]
"""Takes the report of an epoch, its number and its numbers; whether the run continues after it."""


class Run:
    """What your own training function is given: one trial's parameters and a place to report.

    Every parameter is an attribute too: `run.lr` is `run.params["lr"]`.
    """

    params: Mapping[str, Any]
    """The parameters of this trial by name."""
    seed: int
    """The trial's seed, below 2^31. Python, NumPy and PyTorch are seeded with it already."""
    device: str
    """Where to train: `cpu`, `cuda` or `mps`."""
    folder: Path
    """A folder for files of this run. It is empty at the start and removed with the run."""

    def __init__(
        self, params: Mapping[str, Any], *, seed: int, device: str, folder: Path, epochs: int,
        answer: Answer, start: Start | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            params: The parameters.
            seed: The seed.
            device: Where to train.
            folder: A folder of its own.
            epochs: The most epochs that are reported.
            answer: Takes each report.
            start: Where it begins; None: at its start.
        """
        self.params = MappingProxyType(dict(params))
        self.seed, self.device, self.folder = seed, device, folder
        self._most, self._answer, self._start = epochs, answer, start or Start()
        self._epoch, self._over = self._start.epoch, False
        self._beyond = False
        self._objects: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        params = self.__dict__.get("params", {})
        if name in params:
            return params[name]
        names = ", ".join(sorted(params)) or "none"
        raise AttributeError(f"the study has no parameter {name!r}; it has {names}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("params", {}):
            raise AttributeError(f"the parameter {name} cannot be changed: it is what is searched")
        super().__setattr__(name, value)

    def epochs(self) -> Iterator[int]:
        """The numbers of the epochs to train: from 1, or from the one after the checkpoint.

        The loop ends when the trial is done, pruned, stopped or paused; code after the loop still
        runs. Raises RuntimeError if an epoch ended without a report.
        """
        while not self._over and self._epoch < self._most:
            number = self._epoch + 1
            yield number
            if self._epoch < number and not self._over:
                raise RuntimeError(
                    f"epoch {number} ended without run.report(...), by which it is measured"
                )

    def report(self, /, **numbers: Any) -> bool:
        """Report the epoch that has ended; the study's metric must be among the numbers.

        Each call is one epoch. Numbers are Python's, NumPy's, or tensors of one element.

        Returns: whether the trial continues. If not, `run.epochs()` ends; return soon.

        Raises TypeError for a value that is no number, ValueError for more than 200 numbers.
        """
        if self._over or self._epoch >= self._most:
            if not self._beyond:
                epochs = "1 epoch" if self._epoch == 1 else f"{self._epoch} epochs"
                why = f"it has reported its {epochs}" if self._epoch >= self._most else (
                    f"it was pruned, stopped or paused after {epochs}")  # fmt: skip
                print(f"run.report is ignored: the trial is over, as {why}", flush=True)
            self._beyond = True
            return False
        measured = measured_by("run.report", numbers)
        self._epoch += 1
        try:
            goes_on = self._answer(self._epoch, measured)
        except BaseException:
            self._epoch -= 1  # it was not taken
            raise
        self._over = not goes_on or self._epoch >= self._most
        return not self._over

    def save(self, /, **objects: Any) -> dict[str, Any]:
        """Name the objects that checkpoints hold from now on. If the trial continues from a
        checkpoint, they are restored at once.

        Objects may have `state_dict` and `load_state_dict`, be random generators (PyTorch's,
        NumPy's, Python's), tensors or plain values. Call it again when a plain value has changed.

        Returns: the objects by name; plain values as they were saved, if they were.

        Raises TypeError for what a checkpoint cannot hold.
        """
        from hpsearch.children.kept import check, restored

        saved = dict(objects)
        for name, value in objects.items():
            check(name, value)
            if name not in self._objects and name in self._start.saved:
                saved[name] = restored(value, self._start.saved[name])
            elif self._start.whole and name not in self._objects:
                names = ", ".join(self._start.saved) or "nothing"
                raise LookupError(f"run.save: training saved no {name!r}; it saved {names}")
        self._objects.update(saved)
        return saved


def reported(run: Run) -> int:
    """Epochs that have been reported, those before a checkpoint too. No attribute of the run, whose
    names are the parameters'."""
    return run._epoch


def most_epochs(run: Run) -> int:
    """The most epochs that it has."""
    return run._most


def held(run: Run) -> dict[str, Any] | None:
    """What a checkpoint of the run holds now, as plain values and tensors; None where `save` was
    not called. TypeError for what cannot be kept."""
    if not run._objects:
        return None
    from hpsearch.children.kept import state_of

    return {name: state_of(name, value) for name, value in run._objects.items()}


def measured_by(whose: str, numbers: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name, of Python's, NumPy's or PyTorch's; TypeError, by the name of who gave them,
    for what is none. ValueError for more, or longer names, than the database is to hold for every
    epoch."""
    if len(numbers) > _MOST_NUMBERS:
        raise ValueError(
            f"{whose}: {len(numbers):,} numbers; at most {_MOST_NUMBERS} are kept of an epoch"
        )
    if long := next((str(name) for name in numbers if len(str(name)) > _MOST_NAME), None):
        raise ValueError(
            f"{whose}: the name {long[:20]}... has {len(long):,} letters; at most {_MOST_NAME}"
        )
    return {str(name): _number(whose, name, value) for name, value in numbers.items()}


def _number(whose: str, name: str, value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{whose}: {name} is a text, {value[:40]!r}; expected a number")
    if callable(getattr(value, "detach", None)):  # a tensor: without a warning of its gradient
        value = value.detach()
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TypeError(
            f"{whose}: {name} is a {type(value).__name__}, and no single number ({error})"
        ) from None
