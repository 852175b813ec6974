"""What `hp.Study` gives back: plain values with a few words, and nothing that trains."""

from __future__ import annotations

import base64
import html
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.api.door import door
from hpsearch.errors import ConflictError
from hpsearch.insight.verdicts import figures, sentence
from hpsearch.insight.words import about, counted, number, params

if TYPE_CHECKING:
    from torch import nn

    from hpsearch.forecast.pace import Forecast
    from hpsearch.handover.predictor import Predictor
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.spec.settings import Direction

__all__ = [
    "Best", "Check", "Finish", "Handed", "Imported", "Picture", "Pictures", "Plan", "best_of",
]  # fmt: skip


@dataclass(frozen=True)
class Check:
    """What `Study.check` found: what would be searched, and notes on the data."""

    facts: Mapping[str, Any]
    """The facts that `hpsearch check --json` prints."""
    notes: tuple[str, ...] = ()
    """Notes to read before the search, a sentence each."""
    data: tuple[str, ...] = ()
    """How the data is read, as `hpsearch check` shows it: of a table a line for each column."""

    def summary(self) -> str:
        """A description of the search and of its data, one line for each parameter and column."""
        facts = self.facts
        of = f"{facts['network']} on {facts['data']}" if facts["data"] else str(facts["network"])
        lines = [f"{facts['name']}: {of}, {facts['direction']} {facts['metric']}"]
        lines += [f"  {name}: {one['domain']}" for name, one in facts["parameters"].items()]
        if facts["constants"]:
            lines.append(f"  constant: {params(facts['constants'])}")
        lines.append(
            f"  {counted(facts['trials'], 'trial')} of at most {counted(facts['epochs'], 'epoch')}"
        )
        lines += [*self.data[:1], *(f"  {line}" for line in self.data[1:])]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


@dataclass(frozen=True)
class Plan:
    """What `Study.plan` found: the time, memory and disk that a search would take."""

    forecast: Forecast

    def summary(self) -> str:
        """Time, memory and disk in a few lines."""
        forecast = self.forecast
        lines = [
            f"with {counted(forecast.workers, 'worker')} on {forecast.device}: "
            f"{about(forecast.work_s)}",
            f"one epoch of one trial alone: {about(forecast.epoch_s)}",
            f"memory {_bytes(forecast.stack_bytes)}, disk up to {_bytes(forecast.disk_bytes)}",
        ]
        return "\n".join([*lines, *(f"note: {warning}" for warning in forecast.warnings)])

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.3g} MiB" if count < 2**30 else f"{count / 2**30:,.3g} GiB"


@door
@dataclass(frozen=True)
class Handed:
    """The network that a study hands over, and the trial that trained it: after a finish one of the
    winner's trainings, otherwise the best trial."""

    number: int
    """The number of the trial, the same as Optuna's."""
    params: Mapping[str, Any]
    """The parameters of the trial by name: those that the network is built with."""
    value: float
    """The study's metric after `epoch`."""
    epoch: int
    """The epoch that the network is of: the trial's best one, or its last with `keep: last`."""
    metrics: Mapping[str, float]
    """All metrics after `epoch`."""
    metric: str
    """The name of the study's metric."""
    trial: Trial = field(repr=False)
    """The whole trial: its learning curve, stage, sampler, times and so on."""
    _save: Callable[[Path], object] = field(repr=False)
    _load: Callable[[Path], Predictor] = field(repr=False)
    _is_own: bool = field(repr=False)

    def network(self) -> nn.Module:
        """The network that is handed over, in evaluation mode, on the CPU. It takes preprocessed
        inputs; `predictor` takes rows as they are in the data.

        Raises ConflictError if your own training code trained it, CheckpointError if its checkpoint
        is not on this machine.
        """
        return self.predictor().network.eval()

    def predictor(self) -> Predictor:
        """The network that is handed over with its preprocessing: `predictor().predict(frame)`."""
        if self._is_own:
            raise ConflictError(
                "the study trains by its own code, which alone knows how to build its network: "
                "best.handed.state() is what run.save had after the best epoch"
            )
        with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
            self._save(Path(folder) / "network")
            return self._load(Path(folder) / "network")

    def state(self) -> Mapping[str, Any]:
        """The state that your own training code had saved with `run.save` after `epoch`, by name;
        for networks and optimizers it is their `state_dict`.

        Raises CheckpointError if nothing was saved, ConflictError if hpsearch or a command trained
        the network, or if the study hands over another one by now.
        """
        if not self._is_own:
            raise ConflictError(
                "the study trains networks of hpsearch: best.network() is the best of them"
            )
        import torch

        from hpsearch.handover.own import RUN, STATE

        with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
            self._save(Path(folder) / "run")
            path = Path(folder) / "run" / STATE
            trial = json.loads(path.with_name(RUN).read_text(encoding="utf-8"))["trial"]
            if trial != self.number:
                raise ConflictError(
                    f"the study hands over the network of trial {trial} now, and no longer that of "
                    f"trial {self.number}: take study.best again"
                )
            if not path.exists():
                raise ConflictError(
                    "the study runs a command, which saves files: study.save(DIR) puts them into "
                    "DIR/checkpoint"
                )
            state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state

    def __str__(self) -> str:
        return _trial(self)


@door
@dataclass(frozen=True)
class Best:
    """The best trial of a search; `handed` is the network that the study hands over. After a finish
    that is of another trial."""

    number: int
    """The number of the trial, the same as Optuna's."""
    params: Mapping[str, Any]
    """The parameters of the trial by name."""
    value: float
    """The study's metric after `epoch`."""
    epoch: int
    """The epoch that counts: the trial's best one, or its last with `keep: last`."""
    metrics: Mapping[str, float]
    """All metrics after `epoch`."""
    metric: str
    """The name of the study's metric."""
    trial: Trial = field(repr=False)
    """The whole trial: its learning curve, stage, sampler, times and so on."""
    handed: Handed = field(repr=False)
    """The network that is handed over, with the parameters and the value of its own trial."""

    def network(self) -> nn.Module:
        """`handed.network()`: in evaluation mode, on the CPU. It takes preprocessed inputs;
        `predictor` takes rows as they are in the data.

        Raises ConflictError if your own training code trained it, CheckpointError if its checkpoint
        is not on this machine.
        """
        return self.handed.network()

    def predictor(self) -> Predictor:
        """`handed.predictor()`: the network with its preprocessing."""
        return self.handed.predictor()

    def state(self) -> Mapping[str, Any]:
        """What your own training code had saved with `run.save`, for a network of these `params`:
        `handed.state()`.

        Raises ConflictError after a finish that hands over a network of other parameters, and else
        as `handed.state` does.
        """
        if self.handed._is_own and self.params != self.handed.params:
            raise ConflictError(
                f"after the finish the network handed over is that of trial {self.handed.number}, "
                f"whose parameters are not those of trial {self.number}, the best of the search: "
                "take both of one, best.handed.params and best.handed.state()"
            )
        return self.handed.state()

    def __str__(self) -> str:
        other = self.handed.number != self.number
        also = f"; the network handed over is that of trial {self.handed.number}" if other else ""
        return f"{_trial(self)}{also}"


def _trial(of: Best | Handed) -> str:
    shown = f"{of.metric} {number(of.value)} after epoch {of.epoch}"
    return f"trial {of.number}: {shown}, {params(of.params)}"


@dataclass(frozen=True)
class Finish:
    """The result of a finish."""

    verdict: Mapping[str, Any]
    """The figures that `hpsearch status --json` has under `final`."""
    direction: Direction = field(repr=False)
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    """What is known of the study's data; None: nothing is."""

    def summary(self) -> str:
        """One sentence that says whether tuning helped, and the figures behind it."""
        rows = figures(self.verdict, self.direction)
        width = max((len(name) for name, _ in rows), default=0)
        lines = [sentence(self.verdict, self.direction, self.data)]
        return "\n".join([*lines, *(f"  {name:<{width}}  {text}" for name, text in rows)])

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


@dataclass(frozen=True)
class Imported:
    """Trials of elsewhere that the samplers of a study know."""

    study: str
    origin: str
    """Where they are from."""
    fitting: int
    """How many of them fit the study."""
    new: int
    """Those that it did not know before."""
    left_out: Mapping[str, int]
    """Why others are left out, and how many for each reason, the most first."""
    learns: bool
    """Whether any sampler of the study learns from other trials."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of it, a sentence each."""
        notes = [f"left out: {counted(count, 'trial')} {why}"
                 for why, count in [*self.left_out.items()][:_MOST_REASONS]]  # fmt: skip
        if not self.learns:
            notes.append("warning: none of the samplers of this study learns from other trials")
        return tuple(notes)

    def __str__(self) -> str:
        before = self.fitting - self.new
        more = f"; {before:,} of them it knew before" if before else ""
        return (f"the samplers of {self.study} know {counted(self.fitting, 'trial')} of "
                f"{self.origin}{more}")  # fmt: skip

    def summary(self) -> str:
        """How many it knows, and why others are left out."""
        return "\n".join([str(self), *(f"  {note}" for note in self.notes)])

    __repr__ = __str__


_MOST_REASONS = 10


@dataclass(frozen=True)
class Picture:
    """A picture of a study or of one of its trials."""

    name: str
    """The name of the picture's file."""
    title: str
    """A line for people."""
    trial: int | None
    """The number of the trial; None for a picture of the whole study."""
    png: bytes = field(repr=False)
    """The picture as PNG."""

    def _repr_png_(self) -> bytes:
        return self.png


class Pictures(tuple[Picture, ...]):
    """A tuple of pictures, which a notebook shows one below the other."""

    def _repr_html_(self) -> str:
        def shown(picture: Picture) -> str:
            content = base64.b64encode(picture.png).decode()
            image = f'<img alt="" style="max-width: 100%" src="data:image/png;base64,{content}">'
            return f"<figure><figcaption>{html.escape(picture.title)}</figcaption>{image}</figure>"

        return "".join(map(shown, self))


def best_of(
    snapshot: Snapshot, save: Callable[[Path], object], load: Callable[[Path], Predictor]
) -> Best:
    """The best trial of a snapshot that has one, and how the network handed over is had."""
    network = snapshot.network
    assert network is not None
    handed = Handed(
        *_facts(snapshot, network), save, load, snapshot.spec.train is not None
    )  # fmt: skip
    return Best(*_facts(snapshot, snapshot.best or network), handed)


def _facts(
    snapshot: Snapshot, trial: Trial
) -> tuple[int, Mapping[str, Any], float, int, Mapping[str, float], str, Trial]:
    """The fields that `Handed` and `Best` begin with."""
    assert trial.value is not None
    values, metrics = dict(snapshot.values(trial)), dict(trial.metrics)
    return (
        trial.number, values, trial.value, trial.best_epoch, metrics, snapshot.metric, trial,
    )  # fmt: skip
