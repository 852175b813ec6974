"""The next study: always a valid file, and changed where there is a reason."""

from __future__ import annotations

import random
import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.insight.diagnosis import Word
from hpsearch.insight.next_study import ENOUGH, Findings, named, rebased, successor
from hpsearch.spec import StudySpec, load, write
from hpsearch.spec.space import Choices, Range

ROOT = Path(__file__).parents[2]
VARIANTS = {
    **runpy.run_path(str(ROOT / "tests/unit/spec/test_spec_study.py"))["VARIANTS"],
    **{f.stem: f.read_text() for f in (ROOT / "studies").glob("*.yaml")},
}
FILE = """
name: s-3
data: {source: digits}
network: {family: mlp}
parameters:
  architecture:
    depth: {min: 1, max: 3}
    width: {values: [32, 64, 128]}
  learning_rate:
    lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-1}
    epochs: 9
  batch_size:
    batch_size: 64
  regularization:
    dropout: {min: 0.0, max: 0.5}
  optimizer:
    optimizer: {values: [sgd, adam]}
    momentum: {min: 0.5, max: 0.95, when: {optimizer: sgd}}
search: {priority: [architecture, learning_rate, regularization, optimizer], strategy: staged}
budget: {trials: 60, epochs: 9}
"""
MIDDLE: dict[str, Any] = {"depth": 2, "width": 64, "lr": 1e-3, "dropout": 0.2, "optimizer": "adam"}


@pytest.fixture
def spec(tmp_path: Path):
    def make(text: str = FILE) -> StudySpec:
        file = tmp_path / "s.yaml"
        file.write_text(text)
        return load(file)

    for code in (ROOT / "studies").glob("*.py"):
        shutil.copy(code, tmp_path)
    return make


def after(
    spec: StudySpec,
    best: Any = None,
    word: Word | None = None,
    count: int = ENOUGH,
    **findings: Any,
):
    new, notes = successor(spec, Findings([best or MIDDLE] * count, word, **findings), "s-4")
    return {p.name: p.domain for p in new.space}, new, notes


@pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS)
def test_whatever_the_trials_show_the_next_file_is_valid_and_has_the_winner(spec, text) -> None:
    old, draw = spec(text), random.Random(0)
    for turn, word in enumerate([None, *Word] * 2):
        corner, drawn = (0.0, 0.5, 0.9999, None)[turn % 4], []
        for _ in range(15):
            values: dict = {}
            for p in old.space:
                if p.active({**old.space.constants, **values}):
                    values[p.name] = p.domain.at(draw.random() if corner is None else corner)
            drawn.append(values)
        best, rate = drawn[: (0, 1, 12, 12, 12)[turn % 5]], (None, 1e-4, 10.0)[turn % 3]
        new, notes = successor(old, Findings(best, word, drawn, rate=rate), "next-one")
        again = spec(write(new, "head", notes))
        assert again.name == "next-one"
        for p in again.space:
            if best and p.name in best[0]:
                assert p.domain.contains(best[0][p.name]), (word, corner, p)


def test_ranges_close_in_on_the_best_trials(spec) -> None:
    domains, new, notes = after(spec())
    lr = domains["lr"]
    assert 1e-4 < lr.low < 1e-3 < lr.high < 1e-2
    assert domains["optimizer"] == Choices(("sgd", "adam")), "what has no order stays"
    assert new.start == (MIDDLE,)
    assert notes["parameters", "lr"].startswith("around the best 3 of 10")
    assert next(p for p in new.space if p.name == "lr").default is None, "it lies outside by now"


def test_few_trials_narrow_nothing(spec) -> None:
    old = spec()
    domains, _, notes = after(old, count=ENOUGH - 1)
    assert domains == {p.name: p.domain for p in old.space}
    assert "and there are 9" in notes["parameters",]


def test_a_winner_at_an_edge_is_searched_beyond(spec) -> None:
    corner = {**MIDDLE, "depth": 3, "width": 128, "lr": 9e-2, "dropout": 0.0, "optimizer": "sgd",
              "momentum": 0.95}  # fmt: skip
    domains, _, notes = after(spec(), corner)
    assert domains["depth"].high == 4
    assert domains["width"] == Choices((64, 128, 256))
    assert 0.5 < domains["lr"].high < 1
    assert domains["dropout"].low == 0.0, "there is no less than none"
    assert 0.95 < domains["momentum"].high < 1, "never as far as the setting does not go"
    assert "upper edge of 0.0001 to 0.1" in notes["parameters", "lr"]
    assert domains["depth"].integer
    listed = FILE.replace("dropout: {min: 0.0, max: 0.5}", "dropout: {values: [0.5, 0.7, 0.9]}")
    domains = after(spec(listed), {**corner, "dropout": 0.9})[0]
    assert domains["dropout"] == Choices((0.7, 0.9)), "1.1 is no dropout"
    perfect = after(spec(), corner, is_perfect=True)[0]
    assert perfect["depth"].high == 3, "nothing is better than a perfect value"


@pytest.mark.parametrize(
    ("said", "name", "value", "expected"),
    [
        ("depth: {min: 1, max: 8, log: true}", "depth", 1, (1, 2)),  # a logarithm has no 0
        ("depth: {min: 1, max: 8}", "depth", 1, (0, 2)),
        ("width: {values: [1, 2, 4]}", "width", 1, (1, 2)),
        ("width: {values: [16, 32, 64]}", "width", 16, (8, 32)),
        ("width: {values: [10, 11, 12]}", "width", 12, (11, 13)),
    ],
)
def test_nothing_is_searched_that_cannot_be(spec, said, name, value, expected) -> None:
    text = re.sub(r"    depth: .*\n    width: .*\n", f"    {said}\n", FILE)
    best = {k: v for k, v in MIDDLE.items() if k not in ("depth", "width")} | {name: value}
    domains, new, _ = after(spec(text), best)
    assert domains[name].ends == expected
    assert spec(write(new)).name == "s-4"


def test_curves_that_still_rise_get_more_epochs(spec) -> None:
    text = FILE.replace("    epochs: 9\n", "")
    assert after(spec(text), word=Word.STILL)[1].budget.epochs == 18
    _, new, notes = after(spec(text), word=Word.SATURATED)
    assert (new.budget.epochs, "9 before" in notes["budget", "epochs"]) == (5, True)
    _, new, _ = after(spec(), word=Word.STILL)
    assert new.budget.epochs == new.settings(MIDDLE)["epochs"] == 18, "a constant would undo it"


def test_where_hardly_anything_was_learnt_there_are_more_epochs_and_the_same_ranges(spec) -> None:
    old = spec(FILE)
    ranges, new, _ = after(old, word=Word.HARDLY)
    assert (new.budget.epochs, new.settings(MIDDLE)["epochs"]) == (18, 18)
    assert ranges == {p.name: p.domain for p in old.space}, "the best are so by chance"


def test_epochs_that_are_searched_go_beyond_the_old_budget_only_with_a_new_one(spec) -> None:
    text = FILE.replace("epochs: 9\n  batch", "epochs: {min: 3, max: 9}\n  batch")
    ranges, new, _ = after(spec(text), {**MIDDLE, "epochs": 9}, Word.STILL)
    assert 9 < ranges["epochs"].high <= new.budget.epochs == 18
    before = after(spec(text), {**MIDDLE, "epochs": 9}, Word.FINE)[0]["epochs"]
    assert before.high == 9


@pytest.mark.parametrize(
    ("pruner", "epochs"),
    [
        ("asha", 15),
        ("{name: asha, min_resource: 25}", 25),
        ("{name: patient, patience: 2, wrapped: {name: asha, min_resource: 25}}", 25),
        ("{name: median, n_warmup_steps: 24}", 25),
    ],
)
def test_fewer_epochs_leave_the_pruner_something_to_do(spec, pruner: str, epochs: int) -> None:
    text = FILE.replace("epochs: 9}", "epochs: 30}").replace("    epochs: 9\n", "")
    text = text.replace("strategy: staged", f"strategy: staged, pruner: {pruner}")
    new = after(spec(text), word=Word.SATURATED)[1]
    assert new.budget.epochs == epochs
    assert spec(write(new, "", {})).budget.epochs == epochs


def test_what_the_winner_does_without_stays(spec) -> None:
    text = FILE.replace("max: 1e-1, log: true, default: 1e-1}",
                        "max: 1e-1, log: true, when: {optimizer: sgd}}")  # fmt: skip
    adam = {name: value for name, value in MIDDLE.items() if name != "lr"}
    old = spec(text)
    lr = next(p.domain for p in old.space if p.name == "lr")
    assert after(old, adam, Word.NOISY)[0]["lr"] == lr


def test_over_fitting_keeps_strong_regularisation_in_the_search(spec) -> None:
    assert after(spec())[0]["dropout"].high < 0.5
    domains, _, notes = after(spec(), word=Word.OVER)
    assert domains["dropout"].high == 0.5, "that far is there to search"
    assert notes["parameters", "dropout"].startswith("over-fitting")
    assert after(spec(), {**MIDDLE, "dropout": 0.49}, Word.OVER)[0]["dropout"].high > 0.5


def test_under_fitting_keeps_large_networks_in_the_search(spec) -> None:
    larger = FILE.replace("max: 3", "max: 9").replace("128]", "128, 256, 512]")
    narrow, _, _ = after(spec(larger), {**MIDDLE, "depth": 3})
    assert (narrow["depth"].high, narrow["width"].values[-1]) == (4, 128)
    domains, _, _ = after(spec(larger), {**MIDDLE, "depth": 3}, Word.UNDER)
    assert (domains["depth"].high, domains["width"].values[-1]) == (9, 512)
    domains, _, _ = after(spec(), {**MIDDLE, "depth": 3, "width": 128}, Word.UNDER)
    assert (domains["depth"].high, domains["width"].values[-1]) == (4, 256)


@pytest.mark.parametrize("count", [1, ENOUGH])
def test_a_listed_value_that_only_diverged_is_left_out(spec, count) -> None:
    text = FILE.replace("lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-1}",
                        "lr: {values: [1e-3, 1e-2, 1e-1, 10]}\n    schedule: {values: [step, "
                        "cosine]}")  # fmt: skip
    high = {**MIDDLE, "lr": 10.0, "schedule": "step", "optimizer": "sgd", "momentum": 0.5}
    best = {**MIDDLE, "lr": 1e-1, "schedule": "cosine"}
    new, notes = successor(spec(text), Findings([best] * count + [high], None, [high, best]), "s-4")
    domains: dict[str, Any] = {p.name: p.domain for p in new.space}
    assert domains["lr"].values[-1] == 0.1, "the winner's, whatever its curve is like"
    assert "without 10.0: every trial with it diverged" in notes["parameters", "lr"]
    assert domains["schedule"] == Choices(("cosine",))
    assert domains["optimizer"] == Choices(("sgd", "adam")), "momentum's condition asks for sgd"
    domains, _, _ = after(spec(text), best, diverged=[high], trained=[{**high, "lr": 1e-2}])
    assert domains["schedule"] == Choices(("step", "cosine")), "it can be trained"


def test_the_rate_that_the_first_look_found_is_searched(spec) -> None:
    key = "parameters", "lr"
    high = FILE.replace("min: 1e-4, max: 1e-1, log: true, default: 1e-1", "min: 1, max: 100")
    best = {**MIDDLE, "lr": 50.0}
    domains, new, notes = after(spec(high), best, rate=1e-2)
    assert domains["lr"].low == 1e-2
    assert next(p for p in new.space if p.name == "lr").default == 1e-2
    assert "at 0.01 it did" in notes[key]
    domains, new, _ = after(spec(), rate=1e-4)
    assert domains["lr"] == after(spec())[0]["lr"], "the trials know more"
    _, new, _ = after(spec(), rate=1e-4, count=1)
    assert next(p for p in new.space if p.name == "lr").default == 1e-4, "one does not"
    constant = FILE.replace("lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-1}", "lr: 500")
    best = {name: value for name, value in MIDDLE.items() if name != "lr"}
    domains, new, notes = after(spec(constant), best, rate=1e-2)
    assert domains["lr"] == Range(1e-3, 1e-1, log=True)
    assert "lr" not in {**new.space.constants, **new.start[0]}
    listed = FILE.replace("min: 1e-4, max: 1e-1, log: true, default: 1e-1", "values: [1, 10]")
    assert after(spec(listed), {**MIDDLE, "lr": 1.0}, rate=1e-2)[0]["lr"] == Choices(
        (0.01, 1.0, 10.0)
    )


def test_where_all_diverged_lower_rates_are_searched(spec) -> None:
    domains, new, _ = after(spec(), word=Word.DIVERGED, count=0)
    assert domains["lr"] == Range(1e-7, 1e-4, log=True)
    assert new.start == ()


@pytest.mark.parametrize(
    "said", ["{min: 100, max: 900, step: 100}", "{min: 0.1, max: 0.9, step: 0.1}"]
)
def test_a_stepped_range_below_which_nothing_is_allowed_keeps_two_values(spec, said) -> None:
    text = FILE.replace("{min: 1e-4, max: 1e-1, log: true, default: 1e-1}", said)
    new, notes = successor(spec(text), Findings([], Word.DIVERGED), "s-4")
    assert spec(write(new, "head", notes)).name == "s-4"


def test_names_count_on() -> None:
    assert named("digits", {"digits"}) == "digits-2"
    assert named("digits-2", {"digits", "digits-2", "digits-3"}) == "digits-4"
    assert len(named("x" * 100, set())) <= 100


def test_paths_lead_to_the_same_files(spec) -> None:
    old = spec("name: t\ndata: {source: csv, path: a/t.csv, target: y}\nmetric: mse\n"
               "network: {family: mlp}\nparameters: {learning_rate: {lr: {min: 0.1, max: 1}}}\n"
               "budget: {trials: 1}\ncheckpoints: c\n")  # fmt: skip
    new = rebased(old, Path("/x/y"), Path("/x/z"))
    assert (new.data.model_dump()["path"], new.checkpoints) == ("../y/a/t.csv", "../y/c")
    fixed = replace(old, checkpoints="s3://b/p")
    assert rebased(fixed, Path("/x/y"), Path("/x/z")).checkpoints == "s3://b/p"
    assert rebased(old, Path("/x/y"), Path("/x/y")).data.model_dump()["path"] == "a/t.csv"
    homely = replace(old, checkpoints="~nobody-of-that-name/c")
    assert rebased(homely, Path("/x/y"), Path("/x/z")).checkpoints == "~nobody-of-that-name/c"
