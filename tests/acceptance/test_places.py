"""Checkpoints in a bucket: a trial continues wherever the next worker runs."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command, digits, unhurried
from tests.acceptance.test_interruptions import STUDY, trials, wait_for_reports
from tests.s3 import S3

EPOCHS = 40
LONG = re.sub(r"trials: \d+, epochs: \d+", f"trials: 1, epochs: {EPOCHS}", STUDY)
SMALL = digits(parameters="{}", budget="{trials: 1, epochs: 1}")


@pytest.fixture
def make_command(make_command: Callable[[str], Command]) -> Callable[[str], Command]:
    return unhurried(make_command)


@pytest.fixture
def command(command: Command, s3: S3) -> Command:
    command.env.update(s3.env)
    del command.env["HPSEARCH_CHECKPOINTS"]
    return command


def bucket(s3: S3) -> list[str]:
    """All that is in the bucket."""
    import boto3

    keys = {name.lower(): v for name, v in s3.env.items() if "KEY" in name}
    client = boto3.client("s3", endpoint_url=s3.url, region_name="us-east-1", **keys)
    try:
        return [o["Key"] for o in client.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]
    finally:
        client.close()


def test_an_interrupted_trial_goes_on_from_another_folder(
    command: Command, s3: S3, tmp_path: Path
) -> None:
    file, place = command.file(LONG), f"s3://{s3.bucket}/prefix"
    running = command.start("run", file, "--checkpoints", place)
    wait_for_reports(command, running, 3)
    os.kill(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    (cut,) = trials(command)
    assert 3 <= len(cut.intermediate_values) < EPOCHS

    command.folder = tmp_path / "elsewhere"
    command.folder.mkdir()
    command.hooks.clear()
    assert place in command.run("run", file, "--checkpoints", place).stdout
    (first,) = trials(command)
    assert (first._trial_id, first.user_attrs["attempts"]) == (cut._trial_id, 2)
    assert sorted(first.intermediate_values) == list(range(1, EPOCHS + 1))
    known = cut.intermediate_values
    assert {e: first.intermediate_values[e] for e in known} == known, "it began again"
    assert "restarted" not in first.user_attrs

    (key,) = bucket(s3)  # what the first worker left is gone
    assert key.startswith("prefix/s-")
    best = command.json("best", "s", "--checkpoints", place)
    assert best["checkpoint"] == f"s3://{s3.bucket}/{key}"
    command.run("delete", "s", "--yes", "--checkpoints", place)
    assert bucket(s3) == []


def test_the_study_file_names_the_bucket(command: Command, s3: S3) -> None:
    command.run("run", command.file(f"{SMALL}checkpoints: s3://{s3.bucket}\n"))
    (key,) = bucket(s3)
    assert command.json("best", "s")["checkpoint"] == f"s3://{s3.bucket}/{key}"
    assert f"s3://{s3.bucket}/{key}" in command.run("best", "s").stdout


def test_looking_and_deleting_while_the_server_is_away(command: Command, s3: S3) -> None:
    command.run("run", command.file(f"{SMALL}checkpoints: s3://{s3.bucket}\n"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command.env["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{taken.getsockname()[1]}"
    command.run("status", "s")
    best = command.run("best", "s")
    assert best.stdout.startswith("best of s: trial 0")
    (said,) = best.stderr.splitlines()
    assert "Could not connect" in said
    began = time.monotonic()
    (said,) = command.run("delete", "s", "--yes", code=8).stderr.splitlines()
    assert said.startswith(
        "hpsearch: study s is deleted, but: cannot remove the checkpoints in s3:"
    )
    assert time.monotonic() - began < 60
    assert command.json("status") == []


def test_a_relative_folder_starts_where_the_command_is_typed(
    command: Command, tmp_path: Path
) -> None:
    file = command.file(SMALL)
    command.folder = tmp_path / "elsewhere"
    command.folder.mkdir()
    command.run("run", file, "--checkpoints", "kept")
    (kept,) = (command.folder / "kept").rglob("*.pt")
    command.env["HPSEARCH_CHECKPOINTS"] = "kept"
    assert command.json("best", "s")["checkpoint"] == str(kept)


NIGHTLY = (
    pytest.param(place, marks=pytest.mark.nightly) for place in ("study.yaml", "s3://none/x")
)


@pytest.mark.parametrize("place", ["/proc/nope", *NIGHTLY])
def test_a_place_that_cannot_be_written_is_found_before_the_first_trial(
    command: Command, s3: S3, place: str
) -> None:
    done = command.run("run", command.file(SMALL), "--checkpoints", place, code=8)
    assert "hpsearch: cannot write checkpoints to " in done.stderr
    assert "unharmed" not in done.stderr
    assert "--save" not in done.stdout + done.stderr
    assert command.json("status", "s")["issued"] == 0
    command.run("run", command.folder / "study.yaml", "--checkpoints", "here")


OWN = """
name: own
train: {function: "train.py:train"}
metric: {name: score, direction: maximize}
parameters: {lr: {min: 0.001, max: 1.0}}
search: {sampler: random, pruner: none}
budget: {trials: 2, epochs: 2}
"""


@pytest.mark.nightly
def test_logs_of_own_training_code_lie_in_the_bucket(command: Command, s3: S3) -> None:
    (command.folder / "train.py").write_text(
        "def train(run):\n    for epoch in run.epochs():\n        print('epoch', epoch)\n"
        "        run.report(score=run.lr)\n"
    )
    command.run("run", command.file(f"{OWN}checkpoints: s3://{s3.bucket}\n"))
    assert command.run("logs", "own", 0).stdout.splitlines() == ["epoch 1", "epoch 2"]
    assert sum(key.endswith(".log") for key in bucket(s3)) == 2
    command.run("delete", "own", "--yes")
    assert bucket(s3) == []
