"""A study that begins with the network of another one, and workers that lack the file."""

from __future__ import annotations

import numpy as np

from hpsearch import load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.acceptance.conftest import Command

STUDY = """
name: {name}
data: {{source: digits, limit: 300{data}}}
network: {{family: cnn{weights}}}
parameters: {{channels: 4, lr: {{min: 1e-3, max: 1e-2}}}}
search: {{sampler: random, sanity: false}}
budget: {{trials: 1, epochs: 1}}
"""


def study(command: Command, name: str, weights: str = "", data: str = "") -> str:
    text = STUDY.format(name=name, weights=weights, data=data)
    return str(command.file(text, f"{name}.yaml"))


def test_a_study_begins_with_a_network_that_was_saved_and_only_where_that_is(
    command: Command,
) -> None:
    said = command.run("submit", study(command, "early", ", weights: net"), code=4).stderr
    assert f"network.weights: there is no file {command.folder / 'net'}" in said
    command.run("run", study(command, "source"))
    command.run("best", "source", "--save", "net")
    file = study(command, "target", ", weights: net")
    command.run("submit", file)

    net, away = command.folder / "net", command.folder / "away"
    net.rename(away)
    done = command.run("worker", "--until-done", code=7)
    left = f"study target is left to other workers: network.weights: there is no file {net}"
    assert done.stderr.count(left) == 1
    ledger = Ledger(Database(command.url))
    assert ledger.study("target").issued == 0
    workers = ledger.workers()
    assert not any(line.startswith("weights") for worker in workers for line in worker.serves)

    away.rename(net)
    command.run("run", file)
    served = [line for worker in ledger.workers() for line in worker.serves]
    assert sum(line.startswith("weights net ") for line in served) == 1
    command.run("best", "target", "--save", "again")
    (net / "model.safetensors").unlink()
    rows = np.zeros((2, 1, 8, 8), dtype=np.float32)
    assert len(load(command.folder / "again").predict(rows).values) == 2

    said = command.run("run", file, code=4).stderr
    assert "network.weights" in said
