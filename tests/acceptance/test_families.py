"""A study of each family: searched by a worker that is killed, resumed, finished, handed over.

What it comes to is, to the last digit, what the same study comes to that nothing happens to. A new
family adds a line to `CASES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.acceptance.chaos import hooks
from tests.acceptance.conftest import Command
from tests.later import Later

timm = Later("timm")

MakeCommand = Callable[[str], Command]
EPOCHS = 4


def images(folder: Path) -> Path:
    """Five images as those of digits are: 8 x 8, from 0 to 16."""
    path = folder / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 17, (5, 8, 8)))
    return path


def sequences(folder: Path) -> Path:
    """Sequences of two classes, which go up or down; the same file is to be predicted."""
    path, random = folder / "sequences.npz", np.random.default_rng(0)
    classes = np.arange(200) % 2
    slopes = np.where(classes, 1, -1)[:, None, None] * np.linspace(-1, 1, 6)[:, None]
    np.savez(path, X=slopes + random.normal(size=(200, 6, 3)), y=classes)
    return path


def series(folder: Path) -> Path:
    """A sine with noise, and a shorter one to be predicted beyond its end."""
    values = np.sin(np.arange(200) / 4) + np.random.default_rng(0).normal(0, 0.1, 200)
    for name, rows in (("series.csv", 200), ("new.csv", 30)):
        np.savetxt(folder / name, values[:rows], header="x", comments="", fmt="%.4f")
    return folder / "new.csv"


def pictures(folder: Path) -> Path:
    """A folder a class, of images of 12 x 12 that are brighter to the right or to the left."""
    random = np.random.default_rng(0)
    for kind, brightest in (("right", 100), ("left", -100)):
        (folder / "pictures" / kind).mkdir(parents=True, exist_ok=True)
        slope = 128 + np.linspace(-brightest, brightest, 12)
        for number in range(24):
            pixels = np.clip(slope[:, None] + random.normal(0, 20, (12, 12, 3)), 0, 255)
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / "pictures" / kind / f"{number}.png")
    return folder / "pictures"


def rows(folder: Path) -> Path:
    """Rows of two classes; the same file is to be predicted."""
    path, random = folder / "rows.npz", np.random.default_rng(0)
    classes = np.arange(200) % 2
    np.savez(path, X=random.normal(classes[:, None], 1, (200, 5)), y=classes)
    return path


ROWS = "{source: arrays, path: rows.npz}"
SEQUENCES = "{source: arrays, path: sequences.npz}"


def texts(folder: Path) -> Path:
    """Eighty messages of two kinds, one of them empty, and the file that is predicted: the same."""
    path = folder / "texts.csv"
    kinds = ("win a prize now", "see you at home")
    rows = [f'"{kinds[row % 2]}, {"abcdefg"[row % 7]}",{"xy"[row % 2]}' for row in range(80)]
    path.write_text("\n".join(["body,y", *rows, ",x"]) + "\n")
    return path


@dataclass(frozen=True)
class Case:
    """A tiny study of one family."""

    family: str
    parameters: str
    """As a study file has them, on one line: small networks, dropout if the family has it."""
    data: str = "{source: digits, limit: 300}"
    metric: str = "accuracy"
    network: str = ""
    """The section of the network; by default it names the family."""
    write: Callable[[Path], Path] = images
    """Writes the files that the study reads, if any, into its folder; gives one to predict."""

    def study(self, stack: int | str) -> str:
        """The file: two trials, then a finish."""
        return "\n".join(
            [
                "name: s",
                f"data: {self.data}",
                f"network: {self.network or f'{{family: {self.family}}}'}",
                f"metric: {self.metric}",
                f"parameters: {self.parameters}",
                f"search: {{sampler: random, pruner: none, stack: {stack}}}",
                f"budget: {{trials: 2, epochs: {EPOCHS}}}",
                "final: {top: 1, seeds: 2}",
                "",
            ]
        )


NETS = """
from torch import nn
def build(problem, width: int, dropout=0.1):
    size = problem.shape[0] * problem.shape[1] * problem.shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(),
                         nn.Dropout(dropout), nn.Linear(width, problem.outputs))
"""
LOSSES = """
from torch.nn import functional as F
def focal(outputs, targets):
    loss = F.cross_entropy(outputs, targets, reduction="none")
    return (1 - (-loss).exp()) ** 2 * loss
"""


def own_code(folder: Path) -> Path:
    """The code of a study's own, and images to predict."""
    (folder / "nets.py").write_text(NETS)
    (folder / "losses.py").write_text(LOSSES)
    return images(folder)


def weights(folder: Path) -> Path:
    """A file of weights for the study to begin with, and images to predict."""
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet").state_dict(), folder / "weights.safetensors")
    return images(folder)


CASES = {
    "autoencoder": Case(
        "autoencoder",
        "{width: 16, batch_norm: true, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}",
        data="{source: digits, task: anomaly, normal: [0, 1, 2], limit: 600}",
        metric="auroc",
    ),
    "autoencoder-sequences": Case(
        "autoencoder",
        "{width: 16, code: 4, dropout: 0.1, loss: huber, lr: {min: 1e-3, max: 1e-2}}",
        data="{source: arrays, path: sequences.npz, task: anomaly, normal: [1]}",
        metric="auroc",
        write=sequences,
    ),
    "conv_autoencoder": Case(
        "conv_autoencoder",
        "{channels: 4, batch_norm: true, dropout: 0.1, loss: l1, lr: {min: 1e-3, max: 1e-2}}",
        data="{source: digits, task: anomaly, limit: 300}",
        metric="reconstruction",
    ),
    "cnn": Case("cnn", "{channels: 4, batch_norm: true, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}"),
    "cnn-files": Case(
        "cnn",
        "{channels: 4, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}",
        data="{source: images, path: pictures}",
        write=pictures,
    ),
    "conv1d": Case(
        "conv1d",
        "{channels: 4, batch_norm: true, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}",
        data=SEQUENCES,
        write=sequences,
    ),
    "text": Case(
        "text",
        "{embedding: 8, body: rnn, hidden: 8, bidirectional: true, dropout: 0.1, "
        "lr: {min: 1e-3, max: 1e-2}}",
        data="{source: table, path: texts.csv, target: y, text: body}",
        write=texts,
    ),
    "mlp": Case("mlp", "{width: 16, batch_norm: true, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}"),
    "mlp-rows": Case(
        "mlp", "{width: 16, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}", data=ROWS, write=rows
    ),
    "module": Case(
        "module",
        '{loss: "losses.py:focal", lr: {min: 1e-3, max: 1e-2}}',
        network='{module: "nets.py:build", width: 16}',
        write=own_code,
    ),
    "resnet": Case(
        "resnet",
        "{width: 4, stages: 2, squeeze_excite: true, dropout: 0.1, stochastic_depth: 0.2,"
        " lr: {min: 1e-3, max: 1e-2}}",
    ),
    "series": Case(
        "rnn",
        "{hidden: 8, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}",
        data="{source: series, path: series.csv, target: x, window: 12, horizon: 3}",
        metric="rmse",
        write=series,
    ),
    "rnn-gru": Case(
        "rnn",
        "{hidden: 8, cell: gru, layers: 2, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}",
        data=SEQUENCES,
        write=sequences,
    ),
    "rnn-lstm": Case(
        "rnn",
        "{hidden: 8, bidirectional: true, pool: mean, lr: {min: 1e-3, max: 1e-2}}",
        data=SEQUENCES,
        write=sequences,
    ),
    "timm": Case(
        "timm",
        "{model: test_resnet, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}",
        network="{family: timm, weights: weights.safetensors}",
        write=weights,
    ),
    "torchvision": Case(
        "torchvision", "{model: shufflenet_v2_x0_5, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}"
    ),
    "transformer": Case(
        "transformer",
        "{dim: 8, heads: 2, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}",
        data=SEQUENCES,
        write=sequences,
    ),
    "transformer-text": Case(
        "transformer",
        "{dim: 8, heads: 2, pool: class, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}",
        data="{source: table, path: texts.csv, target: y, text: body}",
        write=texts,
    ),
    "vit": Case("vit", "{dim: 8, depth: 2, heads: 2, dropout: 0.1, lr: {min: 1e-3, max: 1e-2}}"),
}
EVERY_TIME = {"cnn"}
"""The others run at night."""
NAMES = [
    name if name in EVERY_TIME else pytest.param(name, marks=pytest.mark.nightly) for name in CASES
]


@dataclass(frozen=True)
class Outcome:
    """What a study came to."""

    curves: list[dict[int, float]]
    verdict: Any
    predictions: Any


@pytest.mark.parametrize("name", NAMES)
def test_a_study_that_is_killed_comes_to_what_it_would_have(
    name: str, make_command: MakeCommand, tmp_path: Path
) -> None:
    killed = _killed_and_resumed(make_command(f"sqlite:///{tmp_path}/killed.db"), name, "off")
    whole = make_command(f"sqlite:///{tmp_path}/whole.db")
    whole.env["HPSEARCH_CHECKPOINTS"] = str(tmp_path / "whole")
    whole.run("run", _file(whole, name, "off"))
    assert killed == _outcome(whole, name, "whole-net")


@pytest.mark.nightly
@pytest.mark.parametrize("name", CASES)
def test_so_does_a_stack(name: str, command: Command) -> None:
    """But for its digits: what is left of a stack that was killed makes its next epoch alone."""
    _killed_and_resumed(command, name, 2)


def _killed_and_resumed(command: Command, name: str, stack: int | str) -> Outcome:
    file = _file(command, name, stack)
    command.run("submit", file)
    command.hooks += [hooks.report_at_once, partial(hooks.pace, 0.1), partial(hooks.die_after, 0)]
    command.env["HPSEARCH_LEASE_S"] = "1"  # what it holds is free soon after its death
    worker = command.start("worker", "s")
    worker.communicate(timeout=120)
    assert worker.returncode == -9
    (before, *_) = _trials(command)
    assert before.intermediate_values
    command.hooks.clear()
    del command.env["HPSEARCH_LEASE_S"]
    command.run("run", file)
    after = _trials(command)
    assert after[0]._trial_id == before._trial_id
    assert after[0].user_attrs["attempts"] >= 2
    assert after[0].intermediate_values.items() >= before.intermediate_values.items()
    assert {trial.state.name for trial in after} == {"COMPLETE"}
    return _outcome(command, name, "net")


def _file(command: Command, name: str, stack: int | str) -> Path:
    CASES[name].write(command.folder)
    command.env["HPSEARCH_CODE"] = str(command.folder)
    return command.file(CASES[name].study(stack))


def _trials(command: Command) -> list[optuna.trial.FrozenTrial]:
    found = optuna.load_study(study_name="s", storage=command.url).trials
    return sorted(found, key=lambda trial: trial.user_attrs["ticket"])


def _outcome(command: Command, name: str, folder: str) -> Outcome:
    """What it came to; its network, in a process of its own, gives the finish's figure."""
    curves = [trial.intermediate_values for trial in _trials(command)]
    assert [sorted(curve) for curve in curves] == [list(range(1, EPOCHS + 1))] * len(curves)
    command.run("best", "s", "--save", folder)
    verdict = command.json("status", "s")["final"]
    assert command.json("predict", folder, "--test") == verdict["network"]
    predictions = command.json("predict", folder, CASES[name].write(command.folder))
    return Outcome(curves, verdict, predictions)
