"""What users get wrong: a clear message, a named exit code, nothing lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.tables import prepare
from tests.acceptance.conftest import Command, digits, wait_until
from tests.conftest import Servers

LR = "{learning_rate: {lr: {min: 1.0e-4, max: 1.0e-1, log: true}}}"
GOOD = digits(parameters=LR)

FAULTS = [
    (GOOD + "nmae: x\n", "nmae", "name"),
    (GOOD.replace("mlp", "mpl"), "mpl", "mlp"),
    (GOOD.replace("max: 1.0e-1", "max: 1.0e-6"), "parameters.learning_rate.lr", "1e-06"),
    (
        GOOD.replace("learning_rate: {lr: {min: 1.0e-4", "regularization: {weight_decay: {min: 0"),
        "parameters.regularization.weight_decay",
        "log",
    ),
    (GOOD.replace("{min: 1.0e-4, max: 1.0e-1, log: true}", "{values: []}"), "values", ""),
    (GOOD.replace("random", "grid"), "lr", "step or a count"),
    (GOOD.replace("log: true", "log: true, when: {optimiser: sgd}"), "optimiser", "when"),
    (GOOD + "name: again\n", "name", "after line 1"),
]


@pytest.mark.parametrize(("text", "where", "what"), FAULTS)
def test_a_faulty_file_is_refused_before_anything_is_made(
    command: Command, text: str, where: str, what: str
) -> None:
    file = command.file(text)
    for verb in ("run", "submit", "check"):
        said = command.run(verb, file, code=2).stderr
        assert f"{file}:" in said.replace("\n", "")
        assert where in said
        assert what in said
    assert not Path(command.url.removeprefix("sqlite:///")).exists()


def test_all_faults_are_told_at_once(command: Command) -> None:
    text = GOOD.replace("mlp", "mpl").replace("random", "rnadom") + "nmae: x\n"
    said = command.run("check", command.file(text), code=2).stderr
    assert "3 faults" in said
    assert all(word in said for word in ("mlp", "random", "name"))


def test_missing_data_says_where_it_was_looked_for(command: Command) -> None:
    text = GOOD.replace("digits, limit: 300", "mnist, root: nowhere")
    command.env["HPSEARCH_DATA"] = str(command.folder / "nodata")
    said = command.run("run", command.file(text), code=4).stderr
    assert "nowhere" in said
    assert "nodata" in said
    assert command.json("status", "s")["ended"] == 0, "no ticket was spent on it"


def test_a_table_without_its_target_names_the_nearest_column(command: Command) -> None:
    (command.folder / "t.csv").write_text("a,b,kind\n" + "1,2,x\n3,4,y\n" * 20)
    text = GOOD.replace("digits, limit: 300", "csv, path: t.csv, target: kinds") + (
        "metric: accuracy\n"
    )
    said = command.run("run", command.file(text), code=4).stderr
    assert "kinds" in said
    assert "kind" in said.replace("kinds", "")
    said = command.run("run", command.file(text.replace("t.csv", "u.csv")), code=4).stderr
    assert "u.csv" in said


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_an_unreachable_database_is_one_line(command: Command, scheme: str) -> None:
    command.env["HPSEARCH_STORAGE"] = f"{scheme}://me:sesame@127.0.0.1:1/x"
    done = command.run("run", command.file(GOOD), code=3)
    assert len(done.stderr.strip().splitlines()) == 1
    assert "sesame" not in done.stderr + done.stdout


def test_a_wrong_password_is_masked_everywhere(
    command: Command, servers: Servers, tmp_path: Path
) -> None:
    url = servers.new_database("mariadb", tmp_path).replace("root@", "nobody:sesame@")
    command.env["HPSEARCH_STORAGE"] = url
    for verb in (["run", command.file(GOOD)], ["status"], ["db", "check"], ["worker"]):
        done = command.run(*verb, code=3)
        assert "password" in done.stderr
        assert "sesame" not in done.stderr + done.stdout
    done = command.run("doctor", "--json", code=1)
    assert "sesame" not in done.stderr + done.stdout


def test_a_newer_schema_is_left_alone(command: Command) -> None:
    database = Database(command.url)
    prepare(database)
    database.write(lambda c: c.exec_driver_sql("UPDATE hpsearch_schema SET version = 99"))
    assert "schema 99" in command.run("run", command.file(GOOD), code=3).stderr


def test_a_name_taken_by_another_file_says_what_differs(command: Command) -> None:
    command.run("submit", command.file(GOOD))
    said = command.run("run", command.file(GOOD), "--trials", 9, code=5).stderr
    assert "budget.trials: 4" in said
    assert "9" in said
    assert "hpsearch extend s" in said
    assert command.json("status", "s")["budget"]["trials"] == 4


def test_an_unknown_study_is_told_with_the_known_ones(command: Command) -> None:
    command.run("submit", command.file(GOOD))
    for verb in ("status", "trials", "best", "pause", "worker"):
        said = command.run(verb, "t", code=6).stderr
        assert "no study 't'" in said
        assert "studies: s" in said


@pytest.mark.parametrize(
    ("option", "what"),
    [
        (["--set", "budget.trails=3"], "budget.trails"),
        (["--set", "budget"], "="),
        (["--sampler", "bayes"], "bayesian"),
        (["--hours", "-1"], "budget.hours"),
    ],
)
def test_a_faulty_option_is_told_as_one(command: Command, option: list[str], what: str) -> None:
    assert what in command.run("check", command.file(GOOD), *option, code=2).stderr


def test_a_device_that_is_not_there_is_told(command: Command) -> None:
    said = command.run("run", command.file(GOOD), "--device", "cuda:9", code=1).stderr
    assert "cuda:9" in said


def test_not_a_study_file(command: Command, make_command: Callable[[str], Command]) -> None:
    for content in (b"", b"\xff\xfe\x00", b"[1, 2", b"- a\n", b"a: &a [*a]\n", b"\t"):
        (command.folder / "study.yaml").write_bytes(content)
        command.run("run", "study.yaml", code=2)
    command.run("run", "no-such.yaml", code=2)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([f"{i},{i * 0.37}" for i in range(60)], "accuracy.*regression.*rmse"),
        ([f"{i},{i * 0.37}" for i in range(1100)], "accuracy.*regression.*rmse"),
        ([f"{i},no {i}" for i in range(1100)], "1,100 different values in 1,100 rows"),
        ([f"{i},yes" for i in range(60)], "`kind` is `yes` in each row"),
        ([f"{i},no {i}" for i in range(60)], "60 different values"),
        (["1,yes", "2"], "line 3 has 1 cell, but the table has 2"),
        (["1,yes", "2,no"], "2 rows"),
        ([], "names of columns, and no rows"),
    ],
)
def test_a_table_that_does_not_suit_makes_no_study(
    command: Command, rows: list[str], what: str
) -> None:
    (command.folder / "t.csv").write_text("\n".join(["a,kind", *rows]) + "\n")
    text = GOOD.replace("digits, limit: 300", "csv, path: t.csv, target: kind")
    file = command.file(text + "metric: accuracy\n")
    for verb in ("check", "submit", "run"):
        assert re.search(what, command.run(verb, file, code=4).stderr)
    assert not (command.folder / "study.db").exists()


def test_a_metric_that_does_not_suit_the_target_harms_no_other_study(command: Command) -> None:
    """It was submitted where its table is not."""
    bad = GOOD.replace("digits, limit: 300", "csv, path: t.csv, target: price")
    file = command.file(bad.replace("name: s", "name: bad") + "metric: accuracy\n", "bad.yaml")
    command.run("submit", file)
    rows = "".join(f"{i},{i * 0.37}\n" for i in range(60))
    (command.folder / "t.csv").write_text("a,price\n" + rows)
    command.run("submit", command.file(GOOD))
    working = command.start("worker")
    wait_until(command, lambda ledger: ledger.study("s").state == "done", working)
    working.terminate()
    _, said = working.communicate(timeout=30)
    assert "study bad cannot run here" in said


@pytest.mark.parametrize("verb", ["trials", "best", "status", "watch", "pause", "delete"])
def test_looking_makes_no_database(command: Command, verb: str) -> None:
    said = command.run(verb, "s", code=6).stderr
    assert re.search(r"sqlite:///\S+ has no studies and no workers yet; hpsearch run FILE", said)
    assert list(command.folder.iterdir()) == []


def test_a_study_of_a_family_that_is_not_installed_is_left_to_other_workers(
    command: Command,
) -> None:
    for name, priority in (("shoes", 9), ("good", 0)):
        text = digits(name, parameters="{}", budget="{trials: 1, epochs: 1}")
        command.run("submit", command.file(text, f"{name}.yaml"), "--priority", priority)
    engine = sa.create_engine(command.url)
    with engine.begin() as connection:
        connection.execute(sa.text(
            "UPDATE hpsearch_studies SET document = replace(document, '\"mlp\"', '\"resnet50\"') "
            "WHERE priority = 9"
        ))  # fmt: skip
    engine.dispose()
    done = command.run("worker", "--until-done", code=7)
    left = "study shoes is left to other workers: it needs the family resnet50, which"
    assert done.stderr.count(left) == 1
    why = "could not be worked on here: shoes: it needs the family resnet50, which"
    assert why in done.stderr
    assert why in command.run("worker", "shoes", code=7).stderr
    shoes, good = (Ledger(Database(command.url)).study(name) for name in ("shoes", "good"))
    assert (good.state, good.ended) == ("done", 1)
    assert (shoes.state, shoes.issued) == ("open", 0)


def test_a_damaged_study_stops_no_other(command: Command) -> None:
    """Rows of studies are input: anyone who can write one must not stop the workers of the rest."""
    damages = {
        "a": "UPDATE hpsearch_studies SET document = '[]'",
        "b": "UPDATE hpsearch_studies SET document = '{'",
        "c": "UPDATE hpsearch_studies SET data = '[]'",
        "d": "UPDATE studies SET study_name = '../d'",
    }
    for name in (*damages, "good"):
        text = digits(name, parameters="{}", budget="{trials: 1, epochs: 1}")
        command.run("submit", command.file(text, f"{name}.yaml"))
    engine = sa.create_engine(command.url)
    with engine.begin() as connection:
        ids: dict[str, int] = dict(
            connection.execute(sa.text("SELECT study_name, study_id FROM studies")).all()
        )
        for name, damage in damages.items():
            connection.execute(sa.text(f"{damage} WHERE study_id = {ids[name]}"))
    engine.dispose()
    done = command.run("worker", "--until-done", code=7)
    for name in ("a", "b", "../d"):
        assert f"study {name} cannot run here" in done.stderr
    assert command.json("status", "good")["state"] == "done"
    listed = command.run("status")
    assert "good" in listed.stdout
    assert "study a: " in listed.stderr
    assert not list(command.folder.rglob("d-*")), "a name from the database became a path"
