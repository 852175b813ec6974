"""What `hp.Study` gives back: plain values with a few words, and nothing that trains."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import ConflictError
from hpsearch.insight.verdicts import figures, sentence
from hpsearch.insight.words import about, counted, number, params

if TYPE_CHECKING:
    from torch import nn

    from hpsearch.forecast.pace import Forecast
    from hpsearch.handover.predictor import Predictor
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.spec.settings import Direction

__all__ = ["Best", "Check", "Finish", "Picture", "Pictures", "Plan", "best_of"]


@dataclass(frozen=True)
class Check:
    """A study without faults: what would be searched."""

    facts: Mapping[str, Any]
    """What `hpsearch check --json` prints of it."""
    notes: tuple[str, ...] = ()
    """What to know before it runs, a sentence each."""

    def summary(self) -> str:
        """What would be searched, a line a parameter."""
        facts = self.facts
        of = f"{facts['network']} on {facts['data']}" if facts["data"] else str(facts["network"])
        lines = [f"{facts['name']}: {of}, {facts['direction']} {facts['metric']}"]
        lines += [f"  {name}: {one['domain']}" for name, one in facts["parameters"].items()]
        if facts["constants"]:
            lines.append(f"  constant: {params(facts['constants'])}")
        lines.append(
            f"  {counted(facts['trials'], 'trial')} of at most {counted(facts['epochs'], 'epoch')}"
        )
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


@dataclass(frozen=True)
class Plan:
    """What a search would take."""

    forecast: Forecast

    def summary(self) -> str:
        """The time, the memory and the disk of it."""
        found = self.forecast
        lines = [
            f"with {counted(found.workers, 'worker')} on {found.device}: {about(found.work_s)}",
            f"one epoch of one trial alone: {about(found.epoch_s)}",
            f"memory {_bytes(found.stack_bytes)}, disk up to {_bytes(found.disk_bytes)}",
        ]
        return "\n".join([*lines, *(f"note: {warning}" for warning in found.warnings)])

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.3g} MiB" if count < 2**30 else f"{count / 2**30:,.3g} GiB"


@dataclass(frozen=True)
class Best:
    """The best trial of a study, and what it hands over."""

    number: int
    """Optuna's number of the trial."""
    params: Mapping[str, Any]
    """Its parameters, as the study has them."""
    value: float
    """The study's metric after the epoch that counts."""
    epoch: int
    """That epoch."""
    metrics: Mapping[str, float]
    """All metrics after it."""
    metric: str
    trial: Trial = field(repr=False)
    """All that is known of it."""
    handed: Trial = field(repr=False)
    """The trial whose network is handed over: after a finish that of the winner, else itself."""
    _save: Callable[[Path], object] = field(repr=False)
    _load: Callable[[Path], Predictor] = field(repr=False)
    _is_own: bool = field(repr=False)

    def network(self) -> nn.Module:
        """The network that is handed over, in evaluation mode, on the CPU. It takes inputs that are
        preprocessed; `predictor` takes rows as the data has them.

        Raises ConflictError where own training code has trained it, CheckpointError where it is not
        on this machine.
        """
        return self.predictor().network.eval()

    def predictor(self) -> Predictor:
        """The same with its preprocessing: `predictor().predict(frame)`."""
        if self._is_own:
            raise ConflictError(
                "the study trains by its own code, which alone knows how to build its network: "
                "best.state() is what run.save had after the best epoch"
            )
        with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
            self._save(Path(folder) / "network")
            return self._load(Path(folder) / "network")

    def state(self) -> Mapping[str, Any]:
        """What own training code had saved (`run.save`) after the best epoch, by name: of objects
        their `state_dict`.

        Raises CheckpointError where it saved nothing; ConflictError where hpsearch trained it.
        """
        if not self._is_own:
            raise ConflictError(
                "the study trains networks of hpsearch: best.network() is the best of them"
            )
        import torch

        from hpsearch.handover.own import STATE

        with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
            self._save(Path(folder) / "run")
            path = Path(folder) / "run" / STATE
            state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state

    def __str__(self) -> str:
        shown = f"{self.metric} {number(self.value)} after epoch {self.epoch}"
        return f"trial {self.number}: {shown}, {params(self.params)}"


@dataclass(frozen=True)
class Finish:
    """What a finish has found."""

    verdict: Mapping[str, Any]
    """The figures, as `hpsearch status --json` has them under `final`."""
    direction: Direction = field(repr=False)

    def summary(self) -> str:
        """Whether tuning has helped, in a sentence, and the figures behind it."""
        rows = figures(self.verdict, self.direction)
        width = max((len(name) for name, _ in rows), default=0)
        lines = [sentence(self.verdict, self.direction)]
        return "\n".join([*lines, *(f"  {name:<{width}}  {said}" for name, said in rows)])

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


@dataclass(frozen=True)
class Picture:
    """A picture of a study or of one of its trials."""

    name: str
    """The name of its file."""
    title: str
    trial: int | None
    """Optuna's number of its trial; None: it is of the study."""
    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png


class Pictures(tuple[Picture, ...]):
    """Pictures, which a notebook shows one below the other."""

    def _repr_html_(self) -> str:
        def shown(picture: Picture) -> str:
            content = base64.b64encode(picture.png).decode()
            image = f'<img alt="" style="max-width: 100%" src="data:image/png;base64,{content}">'
            return f"<figure><figcaption>{html.escape(picture.title)}</figcaption>{image}</figure>"

        return "".join(map(shown, self))


def best_of(
    snapshot: Snapshot, save: Callable[[Path], object], load: Callable[[Path], Predictor]
) -> Best:
    """The best trial of a snapshot that has one, and how its network is had."""
    handed = snapshot.network
    assert handed is not None
    trial = snapshot.best or handed
    assert trial.value is not None
    return Best(
        trial.number, dict(snapshot.values(trial)), trial.value, trial.best_epoch,
        dict(trial.metrics), snapshot.metric, trial, handed, save, load,
        snapshot.spec.train is not None,
    )  # fmt: skip
