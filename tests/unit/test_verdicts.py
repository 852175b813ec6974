"""What a verdict says first, and the figures behind it."""

from __future__ import annotations

import pytest

from hpsearch.insight import verdicts
from hpsearch.spec.settings import Direction
from hpsearch.spec.task import Metric
from hpsearch.stages.finish import Entry, Repeat, verdict

ACCURACY = Metric("accuracy", "maximize", "", 0, 1)

WINNER, PLAIN = {"lr": 0.1}, {"lr": 0.001}
FIVE = (0.0, 0.001, -0.001, 0.002, -0.002)
"""What seeds add."""


def entry(values, *found: float | None, first: int = 0) -> Entry:
    return Entry(values, tuple(
        Repeat(first + i, 100 + first + i, repeat=i, value=value) for i, value in enumerate(found)
    ))  # fmt: skip


def found(
    winner: list[float], default: list[float | None], direction: Direction = "maximize",
    **more,
) -> dict:  # fmt: skip
    """The verdict of trainings that give the same on the test part as on validation data, save for
    the default's: those steer nothing."""
    sign = 1 if direction == "maximize" else -1
    test = dict(enumerate(winner))
    test |= {50 + i: v for i, v in enumerate(default) if v is not None}
    entries = [
        entry(WINNER, *winner),
        entry(PLAIN, *(None if v is None else v - sign * 9 for v in default), first=50),
    ]
    name = "accuracy" if direction == "maximize" else "loss"
    given = {"asked": 2 * max(len(winner), len(default)), "use": 1, "rows": 200, **more}
    metric = Metric(name, direction, "")
    seen = given.pop("best_seen", None)
    judged = verdict(entries, seen, metric, lambda repeat, _: {name: test[repeat.trial]},
                     **given)  # fmt: skip
    return judged.as_json()


def around(middle: float) -> list[float]:
    return [middle + by for by in FIVE]


@pytest.mark.parametrize(
    ("winner", "default", "said"),
    [
        (around(0.99), [0.977, 0.979, 0.975, 0.979, 0.975],
         "Test accuracy 0.99; default settings 0.977: the gain of 0.013 (0.012 to 0.014 "
         "over 5 seeds; 200 test rows) is more than chance."),
        (around(0.99), [0.97, 0.98, 0.985, 0.97, 0.98],
         "Test accuracy 0.99; default settings 0.977: the gain of 0.013 (0.00"),
        ([0.975, 0.98, 0.97], [0.977, 0.96, 0.985],
         "Test accuracy 0.975; default settings 0.974: no evidence that tuning helped; keep the "
         "default."),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5],
         "Test accuracy 0.5; default settings 0.5: equal, so no evidence that tuning helped; "
         "keep the default."),
        (around(0.96), [0.98, 0.985, 0.979, 0.98, 0.983],
         "Test accuracy 0.96; default settings 0.9814: worse by 0.021 (0.018 to 0.025 over 5 "
         "seeds; 200 test rows), which is more than chance; keep the default."),
        ([0.99, 0.98], [0.97, 0.97],
         "Test accuracy 0.985; default settings 0.97: too few seeds to know whether the "
         "gain of 0.015 is real."),
        ([0.96, 0.96], [0.97, 0.98],
         "Test accuracy 0.96; default settings 0.975: too few seeds to know whether "
         "the loss of 0.015 is real."),
        ([0.9, 0.9], [None, None],
         "Test accuracy 0.9; the default settings could not be trained, so there is nothing to "
         "compare with. Only 2 of 4 trainings completed."),
    ],
)  # fmt: skip
def test_the_first_line_says_whether_tuning_helped(winner, default, said: str) -> None:
    assert verdicts.sentence(found(winner, default), "maximize").startswith(said)


def test_a_small_test_part_is_no_proof() -> None:
    default = [0.977, 0.979, 0.975, 0.979, 0.975]
    small = found(around(0.99), default, rows=45)
    assert verdicts.sentence(small, "maximize").endswith(
        "over 5 seeds; 45 test rows) is more than chance over seeds; 45 test rows are few."
    )
    rare = {"classes": ["no", "yes"], "class_rows": {"test": [188, 12]}}
    large = found(around(0.99), default)
    assert verdicts.few(large, rare) == ""  # accuracy is of all rows alike
    assert verdicts.few({**large, "metric": "auroc"}, rare) == "12 test rows of class yes are few"
    ten = {"classes": list("0123456789"), "class_rows": {"test": [20] * 10}}
    assert verdicts.few({**large, "metric": "f1"}, ten) == ""


def test_what_single_precision_leaves_is_no_difference() -> None:
    dust = found([1.0, 1.0, 1.0], [1 - 1.2e-7] * 3, best_seen=1 + 1.2e-7)
    assert "equal, so no evidence that tuning helped" in verdicts.sentence(dust, "maximize")
    assert verdicts.finding(dust, "maximize") == "no evidence"
    rows = dict(verdicts.figures(dust, "maximize"))
    assert rows["gain, seed by seed"] == "0 (the same each time)"
    assert rows["optimism of the best trial"] == "0"


def test_of_too_few_seeds_no_interval_looks_like_proof() -> None:
    two = found([0.995, 0.998], [0.3, 0.299])
    assert "too few seeds to know whether the gain of 0.7 is real" in verdicts.sentence(
        two, "maximize"
    )
    gain = dict(verdicts.figures(two, "maximize"))["gain, seed by seed"]
    assert gain == "0.697 over 2 seeds, too few for an interval"
    three = found([0.995, 0.998, 0.996], [0.3, 0.299, 0.298])
    assert "to" in dict(verdicts.figures(three, "maximize"))["gain, seed by seed"]


def test_what_an_interval_is_over_and_that_other_rows_differ_by_more() -> None:
    one = found(around(0.2), [0.3, 0.303, 0.299, 0.303, 0.297], "minimize")
    for middle, far in ((0.2, False), (0.201, False), (0.35, True), (0.1, True)):
        given = around(middle)
        rows = {**one, "validation": {**one["test"], "mean": middle, "values": given,
                                      "low": middle - 0.002, "high": middle + 0.002}}  # fmt: skip
        words = f" on validation data the same networks gave {middle:g}."
        assert (words in verdicts.sentence(rows, "minimize")) is far
        assert "Other rows" not in verdicts.sentence({**rows, "rows": None}, "minimize")
    headline = verdicts.headline(one, "minimize", wide=True)
    assert headline == "Test loss 0.2 (0.198 to 0.202 over 5 seeds on these 200 rows)"
    assert verdicts.spread(one).endswith("over seeds, on these rows")


def test_a_loss_that_shrinks_is_a_gain() -> None:
    one = found(around(0.2), [0.3, 0.303, 0.299, 0.303, 0.297], "minimize")
    assert verdicts.sentence(one, "minimize").startswith(
        "Test loss 0.2; default settings 0.3004: the gain of 0.1 (0.09"
    )
    assert "is more than chance" in verdicts.sentence(one, "minimize")
    worse = found([0.4, 0.41, 0.39], [0.3, 0.3, 0.3], "minimize")
    assert "worse by 0.1 (0.07" in verdicts.sentence(worse, "minimize")


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_simple_answer_that_is_as_good_leaves_no_skill(direction: Direction) -> None:
    name = "accuracy" if direction == "maximize" else "loss"
    sign = 1 if direction == "maximize" else -1

    def said(last: float, linear: float) -> str:
        simple = {"last value": {name: last}, "linear": {name: linear}, "other": {"mae": 9.0}}
        judged = found(around(0.5), around(0.4), direction, baselines=simple)
        assert ("test, last value", f"{last:g}") in verdicts.figures(judged, direction)
        return verdicts.sentence(judged, direction)

    first = f"Test {name} 0.5, no better than a simple answer "
    better = 0.5 + sign * 0.1
    assert said(0.5 - sign * 0.1, better).startswith(f"{first}(linear: {better:g}); default")
    assert said(0.5, 0.5 - sign * 0.1).startswith(f"{first}(last value: 0.5); default")
    assert "simple" not in said(0.5 - sign * 0.01, 0.5 - sign * 0.1)


def test_a_network_handed_over_that_a_simple_answer_beats_is_named_by_the_first_line() -> None:
    judged = found([0.6, 0.4, 0.62], [0.3] * 3, baselines={"majority class no": {"accuracy": 0.5}})
    judged["network"] = {"accuracy": 0.4}
    assert verdicts.sentence(judged, "maximize").startswith(
        "Test accuracy 0.54, but the network handed over gives 0.4, no better than a simple answer "
        "(majority class no: 0.5); default settings 0.3: "
    )


def test_a_default_that_wins_is_what_to_keep() -> None:
    entries = [entry(WINNER, 0.5, 0.5), entry(PLAIN, 0.9, 0.91, first=9)]
    judged = verdict(entries, 0.6, ACCURACY, lambda r, _: {"accuracy": r.value or 0},
                     rows=50, use=1, asked=4)  # fmt: skip
    assert verdicts.sentence(judged.as_json(), "maximize") == (
        "Test accuracy 0.905; trained again, nothing that was searched beat the default settings: "
        "keep the default."
    )
    assert "test, default settings" not in dict(verdicts.figures(judged.as_json(), "maximize"))


def test_where_nothing_of_the_search_completed_nothing_was_beaten() -> None:
    judged = verdict([entry(PLAIN, 0.9, 0.91)], None, ACCURACY,
                     lambda r, _: {"accuracy": r.value or 0}, rows=50, use=1, asked=2)  # fmt: skip
    assert verdicts.sentence(judged.as_json(), "maximize") == (
        "Test accuracy 0.905; that is of the default settings: no trial of the search completed to "
        "compare with."
    )


def test_fewer_trainings_than_asked_for_are_counted() -> None:
    one = found([0.9, 0.91, 0.9], [0.8, None, 0.8], asked=6)
    assert verdicts.sentence(one, "maximize").endswith("Only 5 of 6 trainings completed.")
    assert ("trainings", "5 of 6 trainings completed") in verdicts.figures(one, "maximize")
    whole = found([0.9, 0.91, 0.9], [0.8, 0.8, 0.8], asked=6)
    assert "trainings" not in dict(verdicts.figures(whole, "maximize"))


def test_a_verdict_of_an_earlier_program_did_not_count_them() -> None:
    one = found([0.9, 0.91, 0.9], [0.8, 0.8, 0.8], asked=6)
    del one["asked"], one["completed"]
    assert "trainings completed" not in verdicts.sentence(one, "maximize")


def test_a_second_use_of_the_test_part_is_said() -> None:
    rows = dict(verdicts.figures(found([0.9, 0.8], [0.8, 0.8], use=2), "maximize"))
    assert rows["test part"].startswith("used 2 times")
    assert "test part" not in dict(verdicts.figures(found([0.9, 0.8], [0.8, 0.8]), "maximize"))


def test_a_finish_without_a_test_part_says_so_and_by_what_it_was_chosen() -> None:
    why = "train.py has no evaluate(run, part)"
    entries = [
        entry(WINNER, *around(0.99)),
        entry(PLAIN, 0.977, 0.979, 0.975, 0.979, 0.975, first=50),
    ]
    judged = verdict(
        entries, None, ACCURACY, lambda repeat, _: {"accuracy": repeat.value or 0.0},
        rows=None, use=0, asked=10, untested=why,
    ).as_json()  # fmt: skip
    assert (judged["test"], judged["part"], judged["network"]) == (None, None, {})
    said = verdicts.sentence(judged, "maximize")
    assert said.startswith(
        "Trained again, accuracy 0.99; default settings 0.977: the gain of 0.013"
    )
    assert said.endswith(
        f"No test part was used, as {why}: the winner was chosen by these figures, so they are "
        "slightly optimistic."
    )
    names = [name for name, _ in verdicts.figures(judged, "maximize")]
    assert names[:2] == ["reported, 5 trainings", "reported, default settings"]


@pytest.mark.parametrize(
    ("name", "values", "most"),
    [("val/acc", (0.97, 1.0, 1.0), 1.0), ("acc", (97.0, 100.0, 100.0), 103.3),
     ("reward", (0.97, 1.0, 1.0), 1.033)],
)  # fmt: skip
def test_an_interval_ends_where_a_share_of_own_code_does(
    name: str, values: tuple[float, ...], most: float
) -> None:
    judged = verdict([entry(WINNER, *values)], None, Metric(name, "maximize", ""),
                     lambda repeat, _: {name: values[repeat.trial]}, None, 0, 3,
                     untested="it has no evaluate").as_json()  # fmt: skip
    high = judged["validation"]["high"]
    assert high == pytest.approx(most, rel=1e-3)


def test_two_trainings_are_named_without_an_interval() -> None:
    judged = found([0.9267, 1.0], [0.9, 0.9])
    assert verdicts.headline(judged, "maximize", wide=True) == "Test accuracy 0.9633 (0.9267 and 1)"
    rows = dict(verdicts.figures(judged, "maximize"))
    assert rows["test, 200 rows"] == "0.9633 (0.9267 and 1)"
    assert rows["test, default settings"] == "0.9 (the same each time)"
    assert verdicts.spread(judged) == "with its mean and each training"
