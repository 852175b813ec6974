"""A finish by the command line: of any study that has ended, and what is said of it."""

from __future__ import annotations

from tests.acceptance.conftest import Command, digits

PARAMETERS = "{learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}}}"


def test_a_study_without_a_finish_gets_one(command: Command) -> None:
    file = command.file(digits(parameters=PARAMETERS, budget="{trials: 3, epochs: 1}"))
    command.run("run", file, "--workers", 1)
    said = command.run("final", "s", "--top", 1, "--seeds", 3).stdout
    assert "up to 6 trials to do for a finish; nothing is trained until a worker runs" in said
    assert "worker s --until-done" in said
    assert "up to 6 trials to do for a finish" in command.run("final", "s").stdout, "not 12"
    shown = command.run("run", file, "--workers", 1).stdout
    (sentence,) = [line for line in shown.splitlines() if line.startswith("Test accuracy 0.")]
    assert sentence in command.run("status", "s").stdout
    best = command.json("best", "s")
    assert (best["stage"], best["network"]["stage"]) == ("joint", "final")
    assert (best["final"]["asked"], best["final"]["completed"]) == (6, 6)
    lines = command.run("best", "s").stdout.splitlines()
    assert lines[0] == sentence, "the answer first"
    for start in (
        f"best of s: trial {best['number']}, ",
        f"network handed over: trial {best['network']['number']}, ",
    ):
        assert any(line.startswith(start) for line in lines)
    assert "has been used once; --again" in command.run("final", "s", code=5).stderr
    assert "4 trials to do for another" in command.run("final", "s", "--again", "--seeds", 2).stdout


def test_a_study_without_a_test_part_gets_none(command: Command) -> None:
    text = digits(parameters=PARAMETERS, budget="{trials: 1, epochs: 1}")
    file = command.file(text.replace("limit: 300", "limit: 300, test: 0"))
    command.run("submit", file)
    assert "has no test part (data.test is 0)" in command.run("final", "s", code=5).stderr


def test_a_network_that_guesses_is_said_to_wherever_it_is_handed_over(command: Command) -> None:
    rows = [f"{row * 37 % 101},{'yes' if row * 53 % 97 < 10 else 'no'}" for row in range(300)]
    command.file("\n".join(["x,y", *rows]), "noise.csv")
    file = command.file(
        "name: s\ndata: {source: csv, path: noise.csv, target: y}\nnetwork: {family: mlp}\n"
        f"metric: accuracy\nparameters: {PARAMETERS}\n"
        "budget: {trials: 2, epochs: 1}\nfinal: {top: 1, seeds: 2}\n"
    )
    says = "no better than a simple answer (majority class no: 0."
    shown = " ".join(command.run("run", file, "--workers", 1).stdout.split())
    assert says in shown.partition(" Test accuracy ")[2][:70]
    saved = command.run("best", "s", "--save", "net")
    assert says in " ".join(saved.stdout.split())[:90], "the answer first"
    (warning,) = [line for line in saved.stderr.splitlines() if line.startswith("warning: ")]
    assert says in warning
    command.run("report", "s", "-o", "s.html")
    assert says in (command.folder / "s.html").read_text("utf-8")
