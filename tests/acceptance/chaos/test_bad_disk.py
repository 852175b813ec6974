"""Checkpoints that cannot be written or read: the trial copes and says so, the worker lives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import pytest
import torch

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import on
from tests.acceptance.chaos.harness import Crew, study
from tests.acceptance.chaos.invariants import assert_invariants

EPOCHS = 4
WIDE = study(parameters="{architecture: {width: 512, depth: 2}}", trials=2, epochs=EPOCHS, stack=2)
"""A checkpoint of some megabytes."""


def trials(crew: Crew) -> list[optuna.trial.FrozenTrial]:
    found = optuna.load_study(study_name="s", storage=crew.url).trials
    return sorted(found, key=lambda trial: trial.user_attrs["ticket"])


@on("sqlite")
def test_a_full_disk_stops_no_trial(crew: Crew) -> None:
    """Not one checkpoint fits; the same worker trains all trials to their end."""
    disk = Path(crew.env["HPSEARCH_CHECKPOINTS"])
    disk.mkdir()
    small = partial(hooks.small_disk, disk, "1m")
    allowed = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    if subprocess.run(allowed, check=False, capture_output=True).returncode != 0:
        pytest.skip("user namespaces are not permitted here, so no small disk can be made")
    crew.submit(WIDE)
    crew.worker(small, hooks.report_at_once).ends()
    assert_invariants(crew, trials=2, epochs=EPOCHS)
    for trial in trials(crew):
        assert "No space left" in trial.user_attrs["checkpoint"]
        assert str(disk) in trial.user_attrs["checkpoint"]


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def scribble(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100] = b"?" * 100
    file.write_bytes(content)


def of_another_version(file: Path) -> None:
    content = torch.load(file, weights_only=True)
    torch.save({**content, "version": 99}, file)


def of_another_trial(file: Path) -> None:
    content = torch.load(file, weights_only=True)
    text = json.loads(content["plain"])
    text["plain"]["digest"] = "0" * 16
    torch.save({**content, "plain": json.dumps(text)}, file)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@on("postgresql")
@pytest.mark.parametrize(
    "damage",
    [
        truncate, a_folder,
        *(pytest.param(how, marks=pytest.mark.nightly)
          for how in (empty, scribble, of_another_version, of_another_trial)),
    ],
)  # fmt: skip
def test_a_checkpoint_that_cannot_be_read_starts_its_trial_again(
    damage: Callable[[Path], None], crew: Crew
) -> None:
    """The other of the stack continues where it was."""
    crew.submit(study(trials=2, epochs=EPOCHS, stack=2))
    slow = partial(hooks.pace, 0.2)
    crew.worker(hooks.report_at_once, slow, partial(hooks.die_in, 0, range(3, 4))).ends(-9)
    (saved,) = Path(crew.env["HPSEARCH_CHECKPOINTS"]).rglob("0.*.pt")
    damage(saved)
    crew.worker(partial(hooks.note_epochs, crew.epochs)).ends()
    assert_invariants(crew, trials=2, epochs=EPOCHS)
    first, second = trials(crew)
    assert "starts again" in first.user_attrs["restarted"]
    assert "restarted" not in second.user_attrs
    begun = [[epoch for ticket, epoch in crew.begun() if ticket == n] for n in (0, 1)]
    assert begun == [[1, 2, 3, 4], [3, 4]]
