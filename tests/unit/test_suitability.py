"""Data on which a study cannot be judged is refused before the study is made."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.errors import DataError
from hpsearch.preflight.data_check import check_measured, check_table, warnings
from hpsearch.spec import StudySpec, load

FILE = (
    "name: s\ndata: {{source: csv, path: t.csv, target: y{data}}}\nnetwork: {{family: mlp}}\n"
    "metric: {metric}\nparameters: {{learning_rate: {{lr: {{min: 0.01, max: 1}}}}{group}}}\n"
    "search: {{sampler: random}}\nbudget: {{trials: 4}}\n{more}"
)
Check = Callable[..., None]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Looks at a table of these targets; `version` is the study's."""

    def checked(
        targets: list,
        metric: str,
        data: str = "",
        more: str = "",
        version: int = 2,
        group: str = "",
    ) -> None:
        draw = random.Random(0)
        rows = "".join(f"{draw.random()},{target}\n" for target in targets)
        (tmp_path / "t.csv").write_text(f"x,y\n{rows}")
        file = tmp_path / "s.yaml"
        file.write_text(FILE.format(metric=metric, data=data, more=more, group=group))
        spec: StudySpec = load(file)
        check_table(replace(spec, version=version), tmp_path)

    return checked


def targets(**counts: int) -> list[str]:
    return random.Random(1).sample(names := [n for n, c in counts.items() for _ in range(c)],
                                   len(names))  # fmt: skip


@pytest.mark.parametrize("metric", ["auroc", "f1", "precision", "recall", "accuracy", "loss"])
def test_a_validation_part_of_one_class_measures_nothing(check: Check, metric: str) -> None:
    words = f"validation part has no row of class yes, only of no, so {metric} cannot be measured"
    with pytest.raises(DataError, match=words):
        check(targets(no=198, yes=1), metric, ", seed: 1")
    check(targets(no=194, yes=6), metric)  # the split sees to it


@pytest.mark.parametrize("metric", ["auroc", "f1", "precision", "recall"])
def test_a_mean_over_classes_needs_each_of_them(check: Check, metric: str) -> None:
    with pytest.raises(DataError, match=r"no row of class c, so .* or take accuracy"):
        check(targets(a=100, b=100, c=1), metric)
    check(targets(a=100, b=100, c=1), "accuracy")
    check(targets(a=100, b=100, c=3), metric)


def test_a_finish_needs_them_in_the_test_part_too(check: Check) -> None:
    data, rows = ", validation: 0.5, seed: SEED", targets(no=100, yes=2)
    said = []
    for seed in range(6):
        for more in ("", "final: {top: 1, seeds: 2}\n"):
            try:
                check(rows, "auroc", data.replace("SEED", str(seed)), more)
            except DataError as error:
                said.append((seed, bool(more), str(error)))
    assert any(finish and "the test part has no row of class yes" in s for _, finish, s in said)
    assert not any(not finish and "the test part" in s for _, finish, s in said)


def test_r2_needs_targets_that_differ(check: Check) -> None:
    numbers = [7.25] * 199 + [8.5]
    with pytest.raises(DataError, match="same in all rows of the validation part, so r2"):
        check(numbers, "r2", ", task: regression, seed: 1")
    check(numbers, "rmse", ", task: regression, seed: 1")


def test_many_missing_classes_are_counted(check: Check) -> None:
    rare = {f"k{n}": 1 for n in range(9)}
    with pytest.raises(DataError, match=r"no row of classes k\d, k\d, k\d and \d more"):
        check(targets(a=100, b=100, **rare), "f1")


def test_a_study_of_before_goes_by_what_it_began_with(check: Check) -> None:
    check(targets(no=198, yes=1), "auroc", ", seed: 1", version=1)


def test_a_study_of_before_may_have_values_that_can_never_be_trained(check: Check) -> None:
    rows, group = targets(no=99, yes=99), ", optimizer: {loss: {values: [cross_entropy, mse]}}"
    with pytest.raises(DataError, match="loss mse can never be trained"):
        check(rows, "accuracy", group=group)
    check(rows, "accuracy", group=group, version=1)


def test_what_is_not_known_of_old_data_is_not_held_against_it(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(FILE.format(metric="auroc", data="", more="", group=""))
    check_measured(load(file), {"classes": ["a", "b"]})


@pytest.mark.parametrize(
    ("epochs", "stop", "said"), [(5, 5, True), (5, 9, True), (5, 4, True), (5, 3, False)]
)
def test_a_stop_after_that_ends_no_trial_is_a_warning(
    tmp_path: Path, epochs: int, stop: int, said: bool
) -> None:
    file = tmp_path / "s.yaml"
    text = FILE.format(metric="accuracy", data="", more="", group="")
    file.write_text(text.replace("trials: 4", f"trials: 4, epochs: {epochs}, stop_after: {stop}"))
    found = [f"budget.stop_after: {stop} ends no trial early, as none has more than 5 epochs "
             "(budget.epochs)"]  # fmt: skip
    assert warnings(load(file)) == (found if said else [])


OWN = """
name: own
train: {command: [python, train.py]}
metric: {name: error, direction: minimize}
parameters: %s
search: {strategy: staged}
budget: {trials: 20, epochs: 4}
"""
WIDE, RATE = "width: {min: 1, max: 8}", "lr: {min: 0.1, max: 1.0}"


@pytest.mark.parametrize(
    ("parameters", "likely"),
    [
        (f"{{{WIDE}, {RATE}, wd: {{min: 0.1, max: 1.0}}, batch_size: {{values: [1, 2]}}}}",
         "{architecture: {width}, learning_rate: {lr}, batch_size: {batch_size}, "
         "regularization: {wd}}"),
        (f"{{{WIDE}, g_lr: {{min: 1, max: 2}}, d_learning_rate: {{min: 1, max: 2}}, "
         "beta1: {min: 0.5, max: 0.9}, head_dropout: {min: 0.1, max: 0.5}, "
         "critic_batch_size: {values: [8, 16]}}",
         "{architecture: {width}, learning_rate: {g_lr, d_learning_rate}, batch_size: "
         "{critic_batch_size}, regularization: {head_dropout}, optimizer: {beta1}}"),
        (f"{{{WIDE}, depth: {{min: 1, max: 8}}}}", None),
        (f"{{architecture: {{{WIDE}}}, learning_rate: {{{RATE}}}}}", None),
    ],
)  # fmt: skip
def test_a_staged_search_without_groups_is_a_warning(
    tmp_path: Path, parameters: str, likely: str | None
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN % parameters)
    spec = load(file)
    found = warnings(spec)
    assert found == (found[:1] if likely else [])
    if likely:
        assert found[0].endswith(f"perhaps parameters: {likely}")
        assert {parameter.group for parameter in spec.space} == {"architecture"}, "none is guessed"
        file.write_text(file.read_text().replace("staged", "joint"))
        assert warnings(load(file)) == []
