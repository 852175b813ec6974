"""What a search will take is said before, and compared with what it took."""

from __future__ import annotations

import re

from tests.acceptance.conftest import Command, digits

STUDY = digits(
    parameters="{architecture: {width: {values: [8, 16]}}}", pruner="asha",
    budget="{trials: 12, epochs: 9}",
)  # fmt: skip


def test_a_plan_is_compared_with_what_the_study_took(command: Command) -> None:
    file = command.file(STUDY)
    plan = command.run("plan", file)
    assert max(map(len, plan.stdout.splitlines())) <= 80
    for line in ("epoch 1 +12 trials", "epochs in all +[0-9]+ ", "an epoch of one +.* ms ",
                 "memory +", "disk +", r"work +\d+s ", "device-hours +"):  # fmt: skip
        assert re.search(line, plan.stdout), line
    assert "Traceback" not in plan.stderr
    said = r"^forecast \d+s \(\d+s to \d+s\) with 1 worker, "
    command.run("submit", file)
    assert re.search(said + r"so far 0s$", command.run("status", "s").stdout, re.M)
    took = said + r"took \d+s$"
    assert re.search(took, command.run("run", file).stdout, re.M)
    command.run("submit", file, "--set", "name=other")
    found = {study["name"]: study["forecast"] for study in command.json("status")}
    assert found["s"]["trials"] == 12
    assert found["other"] is None, "it is of another study"


def test_a_plan_as_json_with_the_options_of_run(command: Command) -> None:
    hours = ("--hours", "0.00001", "--trials", "200", "--workers", "2", "--device", "cpu")
    found = command.json("plan", command.file(STUDY), *hours)
    assert found["forecast"]["workers"] == 2
    assert found["forecast"]["trials"] == found["trials"] == 200
    assert "budget.hours is 1e-05" in found["forecast"]["warnings"][0]
    assert {shape["shape"] for shape in found["shapes"]} == {"width=8", "width=16"}


def test_a_plan_of_what_is_not_there_is_one_line(command: Command) -> None:
    text = STUDY.replace("{source: digits, limit: 300}", "{source: csv, path: no.csv, target: y}")
    said = command.run("plan", command.file(text + "metric: accuracy\n"), code=4).stderr
    assert "no.csv" in said
