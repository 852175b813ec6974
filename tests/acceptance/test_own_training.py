"""Own training code: budgets, kills, errors and what is handed over, by the real command."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
import torch

from tests.acceptance.conftest import Command

TRAIN = """
import os, time
from pathlib import Path
import torch

def train(run):
    weights = run.save(weights=torch.zeros(2), seen=[])
    seen = weights["seen"]
    for epoch in run.epochs():
        if Path("wait").exists() and epoch == 2:
            time.sleep(1.0)  # longer than the least between two checkpoints
        while Path("wait").exists() and epoch > 2:
            Path(f"pid-{run.seed}").write_text(str(os.getpid()))
            time.sleep(0.01)
        seen.append(epoch)
        weights["weights"] += run.lr
        print("epoch", epoch)
        run.report(error=abs(run.lr - 0.1) + 1 / epoch, seen=len(seen))
"""

STUDY = """
name: own
train: {function: "train.py:train"}
metric: {name: error, direction: minimize}
parameters:
  lr: {min: 0.001, max: 1.0, log: true}
  kind: {values: [plain, other]}
search: {sampler: random, pruner: none}
budget: {trials: 8, epochs: 4}
"""


def write(command: Command, code: str = TRAIN, study: str = STUDY) -> Path:
    (command.folder / "train.py").write_text(code)
    return command.file(study)


def awaited(happened: Callable[[], object], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children_of(command: Command) -> list[psutil.Process]:
    """The processes in which own code runs."""
    found = []
    for file in command.folder.glob("pid-*"):
        try:
            process = psutil.Process(int(file.read_text() or 0))
            found += [process] if process.status() != psutil.STATUS_ZOMBIE else []
        except psutil.NoSuchProcess:
            continue
    return found


def whole(command: Command, trials: int = 8) -> list[dict]:
    """The trials, each with all its epochs once."""
    rows = command.json("trials", "own")
    assert len(rows) == trials
    assert {row["state"] for row in rows} == {"COMPLETE"}
    assert all([*row["curve"]] == ["1", "2", "3", "4"] for row in rows)
    return rows


def test_a_search_and_what_it_hands_over(command: Command) -> None:
    file = write(command)
    said = command.run("check", file).stdout
    assert "own training code, train.py:train, minimize error" in said
    command.run("run", file, "--workers", "2")
    rows = whole(command)
    assert {row["params"]["kind"] for row in rows} == {"plain", "other"}
    assert all(row["metrics"]["seen"] == 4 for row in rows)

    best = min(rows, key=lambda row: row["value"])
    shown = command.run("best", "own").stdout
    assert f"best of own: trial {best['number']}, error" in shown
    said = command.run("best", "own", "--save", "net").stderr
    way = 'torch.load("net/state.pt", weights_only=True)["weights"] is what run.save had as weights'
    assert f"to open it: {way}; build a network from the params in net/run.json, then" in said
    line = command.run("predict", "net", "study.yaml", code=8).stderr
    assert "net has what own training code saved, and no network that hpsearch could" in line
    assert way in line
    state = torch.load(command.folder / "net" / "state.pt", weights_only=True)
    assert state["seen"] == [1, 2, 3, 4]
    assert torch.allclose(state["weights"], torch.full((2,), 4 * best["params"]["lr"]))
    run = json.loads((command.folder / "net" / "run.json").read_text())
    assert run["params"] == best["params"]
    assert run["metrics"]["error"] == best["value"]
    assert "has a run in it already" in command.run("best", "own", "--save", "net", code=5).stderr
    command.run("best", "own", "--save", "net", "--force")

    log = command.run("logs", "own", best["number"]).stdout
    assert log == "".join(f"epoch {n}\n" for n in (1, 2, 3, 4))
    assert "no trial 99" in command.run("logs", "own", "99", code=6).stderr
    assert "the 8 trials that the study has" in command.run("plan", file).stdout
    following = command.run("next", "own").stdout
    assert command.file(following, "next.yaml").exists()
    command.run("check", "next.yaml")


def test_the_first_error_stops_the_study_and_costs_nothing(command: Command) -> None:
    file = write(command, TRAIN.replace("run.lr", "run.rate"))
    line = command.run("run", file, "--workers", "2", code=9).stderr
    assert "is stopped, as its code fails: train.py, line 16: AttributeError" in line
    assert "the study has no parameter 'rate'; it has epochs, kind, lr" in line
    ended = command.json("status", "own")["ended"]
    assert 1 <= ended <= 2
    assert "AttributeError" in command.run("logs", "own").stdout
    write(command)
    command.run("run", file, "--workers", "2")
    rows = command.json("trials", "own")
    assert sum(row["state"] == "COMPLETE" for row in rows) == 8, "the whole budget"
    assert len(rows) == 8 + ended
    assert len({row["params"]["lr"] for row in rows}) == 8, "those that failed are run again"


def test_a_study_file_that_is_corrected_replaces_the_study_that_its_error_stopped(
    command: Command,
) -> None:
    write(command, study=STUDY.replace("{name: error", "{name: wrong"))
    line = command.run("run", "study.yaml", "--workers", "2", code=9).stderr
    assert "Fix it, or the study file, and run or submit the study again" in line
    write(command)
    said = command.run("submit", "study.yaml")
    assert "study own replaces the one that stopped before any trial counted" in said.stderr
    assert "fleet --code DIR, with" in said.stdout
    assert command.json("trials", "own") == []
    waits = command.run("status", "own").stdout
    assert "(hpsearch run FILE), or hpsearch worker own --code .\n" in waits.replace("-m ", "")
    command.run("run", "study.yaml", "--workers", "2")
    whole(command)
    assert len(list((command.folder / "checkpoints").iterdir())) == 1, "the other's logs are gone"
    again = write(command, study=STUDY.replace("{name: error", "{name: wrong"))
    line = command.run("run", again, code=5).stderr
    assert "or remove it, with its 8 trials (hpsearch delete own)" in line


def test_a_finish_is_queued_with_the_code_of_the_study_alone(command: Command) -> None:
    file = write(command, study=STUDY.replace("trials: 8", "trials: 2"))
    shown = command.run("run", file).stdout
    assert "final own" in shown
    assert "queue a finish: train the best again; run the study again to have it done" in shown
    (command.folder / "train.py").write_text(TRAIN + "# changed\n")
    (command.folder / "new.py").write_text("# no change\n")
    line = command.run("final", "own", code=9).stderr
    assert "is not what it was when the study began: train.py differs; put it back, name" in line
    assert command.json("status", "own")["state"] == "done"
    write(command)
    finished = command.file(STUDY.replace("trials: 8", "trials: 2") + "final: {top: 1, seeds: 2}\n")
    line = command.run("run", finished, code=5).stderr
    assert "give it this finish (hpsearch final own --top 1 --seeds 2)" in line
    assert "hpsearch delete" not in line
    command.run("final", "own", "--top", "1", "--seeds", "2")
    assert "Trained again, error" in command.run("run", finished).stdout


def test_an_error_after_that_costs_its_trial(command: Command) -> None:
    code = TRAIN.replace(
        "        print",
        "        assert run.kind == 'plain' or epoch < 3, '\\udcff\\x1b[2J\\0'\n        print",
    )
    write(command, code)
    command.run("run", "study.yaml")
    rows = command.json("trials", "own")
    failed = [row for row in rows if row["params"]["kind"] == "other"]
    assert {row["state"] for row in failed} == {"FAIL"}
    assert all("AssertionError" in row["reason"] for row in failed)
    assert all(row["state"] == "COMPLETE" for row in rows if row not in failed)


def test_the_same_error_in_a_later_epoch_takes_the_worker_off(command: Command) -> None:
    """What is pruned before that epoch says nothing of it, and nothing is pruned by what failed."""
    code = TRAIN.replace("seen.append", "assert epoch < 2, 'no file'\n        seen.append")
    halving = STUDY.replace("pruner: none", "pruner: asha").replace("trials: 8", "trials: 40")
    halving = halving.replace("maximize", "minimize")
    line = command.run("run", write(command, code, halving), "--workers", "1", code=9).stderr
    assert "fail here one after another, with the same error: train.py, line" in line
    states = [row["state"] for row in command.json("trials", "own")]
    assert states.count("PRUNED") < 3
    assert len(states) < 12
    assert "run again (hpsearch retry own --failed) and continue with the changed code" in line
    write(command, TRAIN, halving)
    command.run("retry", "own", "--failed")
    ended = command.run("run", "study.yaml", "--workers", "1", "--accept-code").stdout
    assert "3 trials failed and were run again" in ended
    assert "retry own" not in ended


def test_a_search_in_which_nothing_completes_says_so(command: Command) -> None:
    code = TRAIN.replace("abs(run.lr - 0.1)", "float('nan')")
    ended = command.run("run", write(command, code), "--workers", "1", code=6)
    assert "no trial of study 'own' completed; hpsearch trials own has the reasons" in ended.stderr
    assert "no trial completed" in ended.stdout
    assert "diverged error - in epoch 1 best -" in ended.stderr
    assert ended.stdout.partition("next:")[2].split()[:2] == ["hpsearch", "trials"]
    assert "hpsearch logs own" in ended.stdout
    assert "--top 10" not in ended.stdout


def test_the_same_error_again_and_again_takes_the_worker_off(command: Command) -> None:
    code = TRAIN.replace("        print", "        assert epoch < 3\n        print")
    write(command, code)
    line = command.run("run", "study.yaml", code=9).stderr
    assert "fail here one after another, with the same error: train.py, line" in line
    rows = command.json("trials", "own")
    assert [row["state"] for row in rows].count("FAIL") == 3, "the rest of the budget is kept"


@pytest.mark.parametrize("killed", ["worker", "child"])
def test_what_is_killed_in_an_epoch(command: Command, killed: str) -> None:
    """A worker costs nothing, and the curve has no hole; a child costs its trial."""
    write(command)
    (command.folder / "wait").touch()
    command.run("submit", "study.yaml")
    arguments = ("worker", "own", "--until-done", "--code", ".", "--lease-s", "3")
    first = command.start(*arguments)
    found: list[psutil.Process] = []
    awaited(lambda: found or found.extend(children_of(command)))  # type: ignore[func-returns-value]
    (child,) = found
    awaited(lambda: command.json("trials", "own")[0]["epoch"] == 2)
    if killed == "worker":
        os.kill(first.pid, signal.SIGKILL)
        awaited(lambda: not children_of(command))
        (command.folder / "wait").unlink()
        command.run(*arguments)
        rows = whole(command)
        assert all(row["metrics"]["seen"] == 4 for row in rows)
        assert rows[0]["attempts"] == 2
        return
    child.kill()
    (command.folder / "wait").unlink()
    first.wait(60)
    rows = command.json("trials", "own")
    assert [row["state"] for row in rows] == ["FAIL"] + 7 * ["COMPLETE"]
    assert rows[0]["reason"] == "error: its process was killed by signal 9 (SIGKILL)"


def test_ctrl_c_leaves_no_process_and_the_same_command_goes_on(command: Command) -> None:
    file = write(command)
    (command.folder / "wait").touch()
    process = command.start("run", file, "--workers", "2")
    awaited(lambda: len(children_of(command)) == 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    awaited(lambda: not children_of(command))
    (command.folder / "wait").unlink()
    command.run("run", file)
    whole(command)


EVALUATE = """
def evaluate(run, part):
    state = run.save(weights=torch.zeros(2), seen=[])
    with open("testing", "a") as file:
        file.write(f"{os.getpid()}\\n")
    while Path("wait").exists():
        time.sleep(0.01)
    return {"error": float(state["weights"][0]), "seen": len(state["seen"])}
"""

FINISHED = STUDY.replace("trials: 8", "trials: 3") + "final: {top: 1, seeds: 2}\n"


def test_a_finish_is_tested_by_its_own_code_whatever_is_killed(command: Command) -> None:
    """By one worker at a time: another one waits, and takes over from one that was killed."""
    file = write(command, TRAIN + EVALUATE, FINISHED)
    one = command.run("plan", file).stdout
    assert "the first epochs of the default settings" in one
    assert "up to" in one, "its checkpoints are of a known size"
    (command.folder / "wait").touch()
    code = TRAIN.replace('Path("wait")', 'Path("never")') + EVALUATE
    write(command, code, FINISHED)
    command.run("submit", file)
    arguments = ("worker", "own", "--until-done", "--code", ".", "--lease-s", "3")
    first, there = command.start(*arguments), command.folder / "testing"
    awaited(lambda: there.exists() and there.read_text().endswith("\n"))
    child = psutil.Process(int(there.read_text()))
    second = command.start(*arguments)
    assert any("another worker uses the test part" in line for line in second.stderr)
    os.kill(first.pid, signal.SIGKILL)
    awaited(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    (command.folder / "wait").unlink()
    assert second.wait(60) == 0
    begun = there.read_text().split()
    assert len(begun) == 1 + 2, "the default settings won: each of their trainings is tested once"
    assert str(child.pid) not in begun[1:]
    shown = command.run("run", file).stdout
    best = command.json("best", "own")
    verdict = best["final"]
    assert (verdict["use"], verdict["part"], verdict["completed"]) == (1, "test", 4)
    assert len(command.json("trials", "own")) == 7, "nothing is trained again"
    lr = best["network"]["params"]["lr"]
    assert verdict["network"] == pytest.approx({"error": 4 * lr, "seen": 4})
    assert "Test error 0." in shown
    assert "training handed over: trial " in shown
    command.run("best", "own", "--save", "net")
    run = json.loads((command.folder / "net" / "run.json").read_text())
    assert run["test"] == verdict["network"]
    assert "has been used once; --again" in command.run("final", "own", code=5).stderr


def test_code_that_has_changed_continues_where_that_is_accepted(command: Command) -> None:
    broken = TRAIN + EVALUATE.replace("run.save", "run.keep")
    file = write(command, broken, FINISHED)
    line = command.run("run", file, code=9).stderr
    assert "the finish of study 'own' waits for its test: train.py, line" in line
    assert (
        "hpsearch run FILE --accept-code, or with workers hpsearch final own --accept-code" in line
    )
    write(command, TRAIN + EVALUATE, FINISHED)
    line = command.run("run", file, code=9).stderr
    assert "is not what it was when the study began: train.py differs" in line
    old = command.start("worker", "own", "--code", ".")  # with the new code it leaves it alone
    shown = command.run("final", "own", "--accept-code").stdout  # of the folder of its file
    assert "its finish waits for its test alone; hpsearch worker own --until-done --code" in shown
    assert "Test error" in command.run("run", file).stdout
    old.terminate()
    rows = command.json("trials", "own")
    assert len(rows) == 7, "nothing is trained again"
    (before,) = {row["code"] for row in rows}
    command.run("extend", "own", "--trials", "1")
    command.run("run", file)
    after = command.json("trials", "own")[-1]["code"]
    assert after != before
    assert f"trials of different code: 7 by {before}, 1 by {after}; trial" in (
        command.run("best", "own").stdout
    )


def test_a_finish_without_a_test_says_so(command: Command) -> None:
    """And the first reports, which do not change, are said to."""
    file = write(
        command, TRAIN.replace(" + 1 / epoch", ""), STUDY.replace("trials: 8", "trials: 2")
    )
    constant = "in the first trial: error is 0."
    assert constant in command.run("run", file).stdout
    assert "after each of its first 2 epochs" in command.run("status", "own").stdout
    command.run("final", "own", "--top", "1", "--seeds", "2")
    shown = " ".join(command.run("run", file).stdout.split())
    assert "Trained again, error 0." in shown
    assert "No test part was used, as train.py has no evaluate(run, part): the winner was" in shown
    verdict = command.json("best", "own")["final"]
    assert (verdict["test"], verdict["part"], verdict["use"]) == (None, None, 0)
    command.run("report", "own", "-o", "own.html")
    page = (command.folder / "own.html").read_text()
    assert "No test part was used, as train.py has no evaluate(run, part)" in page
    assert "for another finish" in command.run("final", "own").stdout, "nothing was used"


def test_faults_of_a_study_file(command: Command) -> None:
    study = STUDY.replace("train.py:train", "train.py:tran").replace("epochs: 4", "hours: 1")
    study = study.replace("kind:", "seed:") + "data: {source: digits}\n"
    lines = command.run("check", write(command, study=study), code=2).stderr
    for line in (
        "train.function: expected def tran or class tran in train.py",
        "budget.epochs: expected the most epochs that train may report; got nothing",
        "parameters.seed: expected another name, as run.seed means something else",
        "data: expected no data, as train says what trains",
    ):
        assert line in lines
    file = write(command, study=STUDY.replace("error, direction", "eror, direction"))
    for verb in ("check", "submit"):
        warned = " ".join(command.run(verb, file).stderr.split())
        assert "warning: train.py:train never reads the parameter kind" in warned
        assert "reports error, seen, and never the metric eror; did you mean error?" in warned
    plain = STUDY.replace("{name: error, direction: minimize}", "error")
    lines = command.run("check", command.file(plain), code=2).stderr
    assert "metric: expected name and direction, such as {name: accuracy, direction" in lines


COMMAND = """
name: script
train: {command: [bash, script.sh, "{lr}", "{kind}"]}
metric: {name: error, direction: minimize}
parameters:
  lr: {min: 0.001, max: 1.0, log: true}
  kind: {values: [plain, other]}
search: {sampler: random, pruner: none}
budget: {trials: 4, epochs: 2}
"""


def test_any_command_where_a_worker_allows_it(command: Command) -> None:
    (command.folder / "script.sh").write_text(
        "echo $1 > $HPSEARCH_CHECKPOINT_DIR/rate\n"
        f"for epoch in 1 2; do\n  {sys.executable} -m hpsearch tell error=$1 more=$epoch "
        f"--epoch $epoch\ndone\necho $2\n"
    )
    file = command.file(COMMAND)
    assert "script: bash script.sh '{lr}' '{kind}', minimize error" in (
        command.run("check", file).stdout
    )
    command.run("submit", file)
    line = command.run("worker", "script", "--until-done", "--code", ".", code=7).stderr
    assert "it needs leave to run commands (--allow-commands)" in line
    assert command.json("trials", "script") == []
    command.run("worker", "script", "--until-done", "--code", ".", "--allow-commands")
    rows = command.json("trials", "script")
    assert [row["state"] for row in rows] == 4 * ["COMPLETE"]
    assert all(row["value"] == pytest.approx(row["params"]["lr"]) for row in rows)
    assert all(row["metrics"]["more"] == 1 for row in rows), "the best epoch, the first of equals"
    assert command.run("logs", "script", "0").stdout == f"{rows[0]['params']['kind']}\n"
    assert "hpsearch.checkpoints" not in command.run("best", "script").stdout
    said = command.run("best", "script", "--save", "net").stderr
    assert "net/checkpoint has the files of {checkpoint}" in said
    best = min(rows, key=lambda row: row["value"])
    assert float((command.folder / "net/checkpoint/rate").read_text()) == best["params"]["lr"]
    assert {path.name for path in (command.folder / "net").iterdir()} == {"run.json", "checkpoint"}
    assert "--code . --allow-commands continues" in command.run("final", "script").stdout
    assert (
        "HPSEARCH_REPORT is not set" in command.run("tell", "error=1", "--epoch", 0, code=1).stderr
    )

    wrong = COMMAND.replace("{lr}", "{rate}").replace("name: script", "name: wrong")
    lines = command.run("check", command.file(wrong), code=2).stderr
    assert "train.command" in lines
    assert "rate" in lines
    both = COMMAND.replace("train: {", 'train: {function: "a.py:b", ')
    lines = command.run("check", command.file(both), code=2).stderr
    assert "train: expected a function, FILE.py:FUNCTION, or a command; got both" in lines


def test_what_there_is_of_a_command_is_saved(command: Command) -> None:
    (command.folder / "script.sh").write_text("printf '{\"error\": %s}\n' $1\n")
    command.run("run", command.file(COMMAND))
    for options in ([], ["--force"]):
        said = command.run("best", "script", "--save", "net", *options).stderr
        assert "had no files in {checkpoint}; its parameters are in net/run.json" in said
        assert [path.name for path in (command.folder / "net").iterdir()] == ["run.json"]


def test_files_of_the_end_are_said_to_be(command: Command) -> None:
    (command.folder / "script.sh").write_text(
        'printf \'{"epoch": 1, "error": %s}\\n{"epoch": 2, "error": 2}\\n\' $1\n'
        "touch $HPSEARCH_CHECKPOINT_DIR/last\n"
    )
    command.run("run", command.file(COMMAND))
    said = command.run("best", "script", "--save", "net").stderr
    assert "net/checkpoint has the files of {checkpoint} at the end of trial" in said
    assert "after epoch 2: it had written none by epoch 1, which its value is of" in said
    run = json.loads((command.folder / "net/run.json").read_text())
    assert (run["epoch"], run["saved_after_epoch"]) == (1, 2)


def test_files_of_the_end_are_kept_beside_those_of_the_best_epoch(command: Command) -> None:
    (command.folder / "script.sh").write_text(
        "cd $HPSEARCH_CHECKPOINT_DIR\nfor epoch in 1 2; do\n"
        "  echo $epoch >> log; touch epoch$epoch; sleep 0.1\n"
        '  echo "{\\"epoch\\": $epoch, \\"error\\": $epoch}"; sleep 0.1\n'
        "done\necho $epoch > last\n"
    )
    command.run("run", command.file(COMMAND.replace("trials: 4", "trials: 1")))
    said = command.run("best", "script", "--save", "net").stderr
    assert "net/checkpoint has the files of {checkpoint} after epoch 1 of trial 0" in said
    assert "; last: written at its end, after epoch 2; its parameters are in" in said
    saved = {path.name: path.read_text() for path in (command.folder / "net/checkpoint").iterdir()}
    assert saved == {"log": "1\n", "epoch1": "", "last": "2\n"}


def rewritten(command: Command, study: str, change: Callable[[dict], object]) -> None:
    """What somebody does who can write to the database, and to nothing else."""
    with sa.create_engine(command.url).begin() as connection:
        which = {"name": study}
        of_study = "study_id = (SELECT study_id FROM studies WHERE study_name = :name)"
        query = sa.text(f"SELECT document FROM hpsearch_studies WHERE {of_study}")
        document = json.loads(connection.execute(query, which).scalar())
        change(document)
        update = sa.text(f"UPDATE hpsearch_studies SET document = :text WHERE {of_study}")
        connection.execute(update, {**which, "text": json.dumps(document)})


ATTACKS = {
    "missing": (
        lambda d: d["train"].update(function="missing.py:train"),
        "trial 0 failed: missing.py is not part of the study's own code",
    ),
    "outside": (
        lambda d: d["train"].update(function="../outside.py:train"), 'got "../outside.py:train"'
    ),
    "absolute": (
        lambda d: d["train"].update(function="/tmp/outside.py:train"),
        'got "/tmp/outside.py:train"',
    ),
    "command": (
        lambda d: d.update(train={"command": ["touch", "owned"]}),
        "study command is left to other workers: it needs leave to run commands",
    ),
    "builtin": (
        lambda d: d["train"].update(function="train.py:os"),
        "trial 0 failed: train.py has no function os",
    ),
    "imports": (  # the last: it changes the folder, after which nothing is run there
        lambda d: d["train"].update(function="imports.py:train"),
        "trial 0 failed: imports.py, line 3: later.py below",
    ),
}  # fmt: skip


def test_a_row_that_wants_something_else_run(command: Command) -> None:
    """Nothing of it runs, and each is one line."""
    owned = "open('owned', 'w').close()\n"
    (command.folder.parent / "outside.py").write_text(owned + "def train(run): pass\n")
    (command.folder / "imports.py").write_text(
        f"def train(run):\n    open('later.py', 'w').write({owned!r})\n    import later\n"
    )
    for name, (change, _) in ATTACKS.items():
        command.run("submit", write(command, study=STUDY.replace("name: own", f"name: {name}")))
        rewritten(command, name, change)
    said = command.run("worker", "--until-done", "--code", ".", code=7).stderr
    for name, (_, line) in ATTACKS.items():
        assert said.count(line) == 1, (name, said)
    assert not (command.folder / "owned").exists()
    with sa.create_engine(command.url).connect() as connection:
        assert not connection.execute(sa.text("SELECT * FROM hpsearch_epochs")).all()


def test_a_hash_that_is_another(command: Command) -> None:
    command.run("submit", write(command))
    with sa.create_engine(command.url).begin() as connection:
        connection.execute(sa.text("UPDATE hpsearch_studies SET code = :code"), {"code": "f" * 64})
    line = command.run("worker", "own", "--until-done", "--code", ".", code=7).stderr
    assert "the code in" in line
    assert "is not the study's" in line
    assert command.json("trials", "own") == []


@pytest.mark.nightly
def test_run_runs_the_command_of_its_file_and_no_other(command: Command) -> None:
    """Also where the database has the file's digest beside another command."""
    file = command.file(COMMAND)
    command.run("submit", file)
    rewritten(command, "script", lambda d: d["train"].update(command=["touch", "owned"]))
    line = command.run("run", file, code=7).stderr
    assert "could not be worked on here" in line
    assert not (command.folder / "owned").exists()
    assert command.json("trials", "script") == []
