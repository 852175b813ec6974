"""What a search will take is estimated before it runs."""

from __future__ import annotations

import re

from tests.acceptance.conftest import Command, digits

STUDY = digits(
    parameters="{architecture: {width: {values: [8, 16]}}}", pruner="asha",
    budget="{trials: 12, epochs: 9}",
)  # fmt: skip


def test_a_plan_in_words(command: Command) -> None:
    plan = command.run("plan", command.file(STUDY))
    assert max(map(len, plan.stdout.splitlines())) <= 80
    for line in ("about 12 epoch 1, 7 epoch 3, 4 epoch 9", "epochs +about [0-9]+ [(]",
                 "one epoch +about .* m?s .* for one trial", "memory +", "disk +",
                 r"time +about [0-9.]+ m?s \([0-9.]+ (m?s )?to [0-9.]+ m?s\)"):  # fmt: skip
        assert re.search(line, plan.stdout), line
    assert "Traceback" not in plan.stderr


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
