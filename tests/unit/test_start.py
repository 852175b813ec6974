"""What a verb of the command line loads before it answers: people wait for each of these."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

from hpsearch.cli.options import loading
from tests.searched import searched

VERBS = """\
import sys
from hpsearch.cli import main

def run(*words, status=0):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as left:
        assert left.code == status, (words, left.code)
    else:
        raise AssertionError(words)
    print("ran", *words)

def lacks(*modules):
    loaded = {*modules} & {*sys.modules}
    assert not loaded, loaded

HEAVY = ("alembic", "numpy", "optuna", "pandas", "pyarrow", "scipy", "sklearn", "tenacity", "torch",
         "sqlalchemy.dialects.mysql", "sqlalchemy.dialects.postgresql", "urllib.request")

run("--help")
run("status", "--help")
lacks("hpsearch.spec.models", "sqlalchemy", *HEAVY)
run("check", "faulty.yaml", status=2)
run("check", "wine.yaml")
run("check", "wine.yaml", "--json")
run("check", "digits.yaml")
run("schema")
lacks("sqlalchemy", *HEAVY)
run("status")
run("status", "s")
run("status", "s", "--json")
run("trials", "s")
run("best", "s")
run("workers", "--all")
run("export", "s")
lacks(*HEAVY)
run("pause", "s")
run("resume", "s")
run("schedule", "s", "--priority", "3")
run("extend", "s", "--trials", "1")
run("stop", "s")
run("delete", "s", "--yes")
lacks(*HEAVY)
"""


def test_verbs_load_nothing_that_they_do_not_need(tmp_path: Path) -> None:
    table = ["alcohol,ash,kind", *(f"{i % 7},{i % 11},{'ab'[i % 2]}" for i in range(400))]
    (tmp_path / "wine.csv").write_text("\n".join(table))
    study = (
        "name: {name}\ndata: {{{data}}}\nmetric: accuracy\nnetwork: {{family: {family}}}\n"
        "parameters: {{lr: {{min: 0.01, max: 1}}}}\nbudget: {{trials: 4}}\n"
    )
    csv = "source: table, path: wine.csv, target: kind"
    for name, data, family in (
        ("wine", csv, "mlp"), ("digits", "source: digits", "cnn"), ("faulty", csv, "mpl"),
    ):  # fmt: skip
        text = study.format(name=name, data=data, family=family)
        (tmp_path / f"{name}.yaml").write_text(text)
    searched(f"sqlite:///{tmp_path}/hpsearch.db", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", VERBS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for words in ("wine.csv: 400 rows", "target: 2 classes", "parameters of the network: ",
                  "validation accuracy 0.11", "ran delete s --yes"):  # fmt: skip
        assert words in done.stdout


class Ring:
    """Garbage that only a look for it frees."""

    def __init__(self) -> None:
        self.own = self


def test_what_a_command_dropped_is_freed_in_a_process_that_runs_another() -> None:
    with loading():
        ring = weakref.ref(Ring())
    with loading():
        ring = weakref.ref(Ring())
    gc.collect()
    assert ring() is None
