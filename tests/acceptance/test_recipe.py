"""The recipe in real processes: its steps, what each says it has reached, and a finish after it."""

from __future__ import annotations

import json

from tests.acceptance.conftest import Command, digits

# With so much regularisation the best network is one that has learnt by heart.
PARAMETERS = (
    "{architecture: {width: {values: [16, 64]}}, learning_rate: {lr: 1e-2},"
    " regularization: {dropout: {min: 0.8, max: 0.9}, weight_decay: 1}}"
)
TEXT = digits(
    parameters=PARAMETERS,
    budget="{trials: 8, epochs: 6}",
    pruner="{name: threshold, lower: 2}",
    extra=["final: {top: 1, seeds: 2}"],
).replace("search: {", "search: {strategy: recipe, ")
OFF = {"dropout": 0.0, "weight_decay": 0.0}


def test_the_recipe_is_followed_and_says_what_each_step_came_to(command: Command) -> None:
    checked = command.run("check", command.file(TEXT)).stdout
    assert "step 4, fine-tune, is skipped: no rate" in checked
    shown = command.run("run", command.folder / "study.yaml", "--workers", 2).stdout

    trials = command.json("trials", "s")
    heart, regularise, final = (
        [t for t in trials if t["stage"] == stage] for stage in ("by heart", "regularise", "final")
    )
    assert (len(heart), len(regularise), len(final)) == (3, 5, 4)
    assert {(t["state"], t["epoch"]) for t in heart} == {("COMPLETE", 6)}, "none is pruned"
    assert {t["state"] for t in regularise} == {"PRUNED"}, "no accuracy is above 2"
    assert all(t["off"] == OFF for t in heart)
    assert all(t["off"] == {} and t["params"]["dropout"] >= 0.8 for t in regularise)

    def train_loss(trial) -> float:
        return trial["last_metrics"]["train_loss"]

    winner = min(heart, key=train_loss)
    widths = {t["params"]["width"] for t in regularise}
    assert max(widths) <= winner["params"]["width"]
    status = command.json("status", "s")
    assert status["sanity"]["batch"]["learnt"]
    first, second = status["recipe"]
    assert (first["trial"], first["train_loss"]) == (winner["number"], train_loss(winner))
    assert (second["trials"], second["before"], second["over"]) == (5, winner["value"], True)
    assert first["seconds"] > 0

    lines = " ".join(command.run("status", "s").stdout.split())
    assert "1. one batch: 64 rows learnt by heart: loss" in lines
    assert "2. by heart: training loss" in lines or "2. by heart: not reached" in lines
    assert "3. regularise: none complete; 5 trials" in lines
    assert "1. one batch: 64 rows learnt by heart" in " ".join(shown.split())

    retrained = {json.dumps(t["off"], sort_keys=True) for t in final}
    assert retrained == {json.dumps(OFF), "{}"}, "the best without it, the default with it"
    command.run("best", "s", "--save", command.folder / "net")
    saved = json.loads((command.folder / "net" / "config.json").read_text())["network"]["settings"]
    assert {name: saved[name] for name in OFF} == status["network"]["off"] == OFF
