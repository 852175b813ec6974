"""Workers run a study's own code only from the folder that each was given, if it is the study's."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.acceptance.conftest import Command, digits, wait_until
from tests.acceptance.test_families import LOSSES, NETS, images

OWN = """
name: own
data: {source: digits, limit: 300}
network: {module: "nets.py:build", width: 16}
parameters:
  dropout: {min: 0.0, max: 0.5}
  loss: {values: [cross_entropy, "losses.py:focal"]}
search: {sampler: random, pruner: none, sanity: false}
budget: {trials: 4, epochs: 2}
"""


def write(folder: Path, nets: str = NETS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "nets.py").write_text(nets)
    (folder / "losses.py").write_text(LOSSES)
    return folder


def test_two_workers_one_with_the_code_and_one_without(command: Command) -> None:
    write(command.folder)
    command.run("submit", command.file(OWN))
    command.run("submit", command.file(digits("other", parameters="{lr: {min: 1e-3, max: 1e-2}}")))
    without = command.start("worker")
    wait_until(command, lambda ledger: ledger.study("other").state == "done", without)
    said = command.run("workers").stderr
    assert "study own is not served by" in said
    assert "it needs its own code (--code DIR)" in said
    (row,) = command.json("workers")
    assert row["lacks"] == {"own": "its own code (--code DIR)"}
    assert command.json("trials", "own") == []
    command.run("worker", "own", "--until-done", "--code", command.folder)
    assert {trial["state"] for trial in command.json("trials", "own")} == {"COMPLETE"}
    assert command.json("workers")[0]["lacks"] == {}
    without.terminate()
    log = without.communicate(timeout=30)[1]
    assert log.count("study own is left to other workers: it needs its own code") == 1

    array = images(command.folder)
    line = command.run("best", "own", "--save", "net", code=9).stderr
    assert "needs the code that it was trained with" in line
    command.run("best", "own", "--save", "net", "--code", ".")
    assert command.run("predict", "net", array, code=9).stderr.count("\n") == 1
    command.run("predict", "net", array, "--code", ".")
    other = write(command.folder / "other", NETS + "# another\n")
    line = command.run("predict", "net", array, "--code", other, code=9).stderr
    assert "is not what the network was trained with: nets.py differs" in line
    assert line.count("\n") == 1


def test_code_that_is_another_by_now(command: Command) -> None:
    """Before the first trial it can be changed; after that nobody works on it with other code."""
    write(command.folder, NETS.replace("return nn", "return list or nn"))
    file = command.file(OWN)
    line = command.run("run", file, code=9).stderr
    assert "nets.py:build has to give an nn.Module, and gave a type" in line
    assert command.json("trials", "own") == []
    write(command.folder)
    command.run("run", file)
    (command.folder / "nets.py").write_text(NETS + "# changed\n")
    line = command.run("run", file, code=9).stderr
    assert "is not what it was when the study began: nets.py differs" in line
    command.run("extend", "own", "--trials", "1")
    line = command.run("worker", "own", "--until-done", "--code", ".", code=7).stderr
    assert "is not the study's: nets.py differs" in line


def test_a_file_that_is_new_is_no_change_and_is_not_imported(command: Command) -> None:
    optional = "from contextlib import suppress\n    with suppress(ImportError): import extra"
    nets = NETS.replace("return nn", f"{optional}\n    return nn", 1)
    assert nets != NETS
    write(command.folder, nets)
    file = command.file(OWN)
    command.run("run", file)
    (command.folder / "look.py").write_text("raise SystemExit")
    command.run("extend", "own", "--trials", "1")
    command.run("worker", "own", "--until-done", "--code", ".")
    assert [t["state"] for t in command.json("trials", "own")] == ["COMPLETE"] * 5
    (command.folder / "extra.py").write_text("")
    command.run("extend", "own", "--trials", "1")
    command.run("run", file)
    assert "extra.py" in command.json("trials", "own")[-1]["reason"]


def test_a_folder_that_changes_under_a_worker(command: Command) -> None:
    write(command.folder)
    command.run("submit", command.file(OWN))
    command.hooks.append(_change_after_import)
    line = command.run("worker", "own", "--until-done", "--code", ".", code=9).stderr
    assert "has changed since this process began: nets.py differs" in line
    assert command.json("trials", "own") == [], "it has begun nothing with that"


def test_a_row_that_hides_that_it_needs_code(command: Command) -> None:
    """Who can write to the database cannot have code run whose hashes it does not have."""
    write(command.folder)
    command.run("submit", command.file(OWN))
    with sa.create_engine(command.url).begin() as connection:
        connection.execute(sa.text("UPDATE hpsearch_studies SET code = NULL"))
    line = command.run("worker", "own", "--until-done", "--code", ".", code=9).stderr
    assert "no hashes of its own code, and none of it is run" in line


def _change_after_import() -> None:
    """In the worker: the file is another one once its module is there."""
    from hpsearch.code import imports
    from hpsearch.worker import study_session

    load = imports.function

    def loaded(reference: str):
        made = load(reference)
        (Path.cwd() / "nets.py").write_text(NETS + "# changed\n")
        return made

    setattr(study_session, "function", loaded)  # noqa: B010  # which it does not export


@pytest.mark.parametrize(
    ("nets", "line"),
    [
        ("import own_nowhere\ndef build(problem, width): ...", "needs.*annotation"),
        ("import own_nowhere\ndef build(problem, width=1, dropout=.1): ...",
         "nets.py cannot be imported: nets.py, line 1: ModuleNotFoundError"),
    ],
)  # fmt: skip
def test_code_that_cannot_run_is_one_line(command: Command, nets: str, line: str) -> None:
    write(command.folder, nets)
    file = command.file(OWN)
    if "cannot be imported" in line:
        assert line in command.run("run", file, code=9).stderr
        assert command.json("trials", "own") == []
    else:
        said = command.run("check", file, code=2).stderr
        assert "study.yaml:4: network.module: expected a default or an annotation of width" in said
