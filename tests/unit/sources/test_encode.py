"""Cells as inputs of a network: learnt from training rows, the same for rows that come later."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from hpsearch.errors import DataError
from hpsearch.sources.table.columns import decide
from hpsearch.sources.table.encode import Encoder, fit
from hpsearch.sources.table.rules import Override, Overrides
from hpsearch.sources.table.targets import targets
from tests.later import Later
from tests.unit.sources.tables import Rows, sample, whole

preprocessing = Later("sklearn.preprocessing")


def fitted(table: Rows, training: int | None = None, **overrides: Override) -> Encoder:
    decision = decide(table, None, Overrides(overrides))
    return fit(decision, table, np.arange(training or table.rows))[0]


def inputs(encoder: Encoder, table: Rows) -> dict[str, list[float]]:
    """The inputs by name."""
    matrix, _ = encoder.inputs(table)
    assert matrix.dtype == np.float32
    assert matrix.shape == (table.rows, *encoder.shape)
    return {name: matrix[:, at].tolist() for at, name in enumerate(encoder.names)}


def remarks(encoder: Encoder, table: Rows) -> tuple[str, ...]:
    return encoder.inputs(table)[1]


def test_numbers_are_standardised_by_the_training_rows_as_scikit_learn_does():
    cells = [f"{n * 1.5:.1f}" for n in range(40)]
    encoder = fitted(whole(x=cells), training=30)
    wanted = preprocessing.StandardScaler().fit(np.array([*map(float, cells[:30])])[:, None])
    expected = wanted.transform(np.array([*map(float, cells)])[:, None])[:, 0]
    np.testing.assert_allclose(inputs(encoder, whole(x=cells))["x"], expected, rtol=1e-6)


def test_a_gap_is_the_training_median_and_an_input_where_one_in_a_hundred_has_one():
    numbers = ["1", "2", "4", "8"] * 50
    encoder = fitted(whole(x=["", "NA", *numbers[2:]]))
    values = inputs(encoder, whole(x=["3", "", "?", "NA", "4"]))
    assert values["x missing"] == [0, 1, 1, 1, 0]
    assert values["x"][1] == values["x"][2] == values["x"][3] == values["x"][4]  # the median is 4
    assert fitted(whole(x=["", *numbers[1:]])).names == ("x",)


@pytest.mark.parametrize("thousands", [",", ".", " ", "'"])
def test_numbers_are_parsed_by_the_frozen_rules_however_they_come(thousands):
    cells = ["796", f"4{thousands}173", f"3{thousands}828", "204"] * 10
    encoder = fitted(whole(x=cells))
    texts = inputs(encoder, whole(x=["796", f"4{thousands}173"]))["x"]
    assert texts == inputs(encoder, Rows({"x": pa.array([796, 4173])}))["x"]
    assert texts == inputs(encoder, sample(x=["796", f"4{thousands}173"]))["x"]
    assert encoder.as_texts == {"x"}
    assert not fitted(whole(x=["1.5", "2.5"] * 10)).as_texts


def test_an_odd_cell_stops_with_its_line():
    encoder = fitted(whole(x=["1.5", "2.5", "3.5"] * 10))
    with pytest.raises(DataError, match="column `x`, line 3: `oops` is no number"):
        encoder.inputs(whole(x=["1.5", "oops"]))
    odd = Rows({"x": pa.array([1.5, None], pa.float64())}, {"x": {1: "oops"}})
    with pytest.raises(DataError, match="column `x`, line 3: `oops` is no number"):
        encoder.inputs(odd)
    with pytest.raises(DataError, match="column `x`, line 3: `inf` is no number"):
        encoder.inputs(Rows({"x": pa.array([1.5, math.inf])}))
    mark = Rows({"x": pa.array([2.5, None], pa.float64())}, {"x": {1: " NA "}})
    assert inputs(encoder, mark)["x"] == [0, 0]
    encoder = fitted(whole(x=[f"2020-01-{n:02}" for n in range(1, 31)]))
    with pytest.raises(DataError, match=r"column `x`, line 2: `01\.02\.2020` is no date"):
        encoder.inputs(whole(x=["01.02.2020"]))


def test_own_missing_marks_hold_for_texts_and_for_numbers_that_have_types():
    encoder = fitted(whole(x=["-999", "1", "2", "3"] * 20), x=Override(missing=("-999",)))
    for table in (whole(x=["-999", "2"]), Rows({"x": pa.array([-999, 2])})):
        assert inputs(encoder, table) == {"x": [0, 0], "x missing": [1, 0]}


def test_frequent_values_have_an_input_each_as_in_scikit_learn():
    cells = ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["once"]
    encoder = fitted(whole(x=cells))
    peer = preprocessing.OneHotEncoder(
        min_frequency=2, handle_unknown="infrequent_if_exist", sparse_output=False
    ).fit(np.array(cells)[:, None])
    new = ["c", "a", "once", "unseen", "b"]
    assert encoder.names == ("x = a", "x = b", "x = c", "x rare")
    matrix, said = encoder.inputs(whole(x=new))
    np.testing.assert_array_equal(matrix, peer.transform(np.array(new)[:, None]))
    assert said == (
        "column `x`: 1 of 5 values are new to the network, such as `unseen`; they count as rare",
    )


def test_without_rare_values_in_training_an_unseen_one_is_none_of_them():
    encoder = fitted(whole(x=["a", "b", "c"] * 5))
    assert inputs(encoder, whole(x=["new", "a"])) == {
        "x = a": [0, 1], "x = b": [0, 0], "x = c": [0, 0],
    }  # fmt: skip
    assert "they count as none of its values" in remarks(encoder, whole(x=["new"]))[0]


@pytest.mark.parametrize("text", ["none", "NA", "?", "None"])
def test_marks_are_values_and_missing_is_another(text):
    encoder = fitted(whole(x=["a", "b", text, ""] * 5))
    values = inputs(encoder, whole(x=[text, "", "a"]))
    assert values[f"x = {text}"] == [1, 0, 0]
    assert values["x missing"] == [0, 1, 0]


def test_a_new_gap_is_remarked():
    said = remarks(fitted(whole(x=["1", "2", "4"] * 5)), whole(x=["1", ""]))
    assert said == (
        "column `x`: 1 of 2 values are missing, and none was in training; the median is used",
    )
    assert not remarks(fitted(whole(x=["1", "2", "4", ""] * 5)), whole(x=["1", ""]))
    said = remarks(fitted(whole(x=["a", "b", "c"] * 5)), whole(x=["a", ""]))
    assert "1 of 2 values are missing" in said[0]


def test_many_values_need_ten_training_rows_and_64_inputs_are_the_most():
    cells = [f"v{n}" for n in range(25) for _ in range(11 if n < 3 else 4)]
    assert fitted(whole(x=cells)).names == ("x = v0", "x = v1", "x = v2", "x rare")
    encoder = fitted(whole(x=[f"v{n % 200:03}" for n in range(4000)] + [""] * 50))
    assert len(encoder.names) == 64
    assert encoder.names[-2:] == ("x rare", "x missing")
    often = whole(x=["b", "b", "c", "c", "a", "a", "d", "d", "d"])
    assert fitted(often).names == ("x = d", "x = a", "x = b", "x = c")
    values, _ = encoder.inputs(whole(x=["v000", "v199", ""]))
    assert values.sum(axis=1).tolist() == [1, 1, 1]


def test_which_values_are_frequent_is_learnt_from_the_training_rows_alone():
    table = whole(x=["a"] * 10 + ["b"] * 10 + ["c"] * 10)
    assert fitted(table, training=20).names == ("x = a", "x = b")
    decision = decide(whole(x=[f"v{n % 30}" for n in range(300)]), None, Overrides())
    table = whole(x=[f"v{n % 30}" for n in range(300)], y=["1", "2"] * 150)
    decision = decide(table, None, Overrides())
    encoder, said = fit(decision, table, np.arange(200))
    assert encoder.columns == ("y",)
    assert said == ("column `x`: left out, no value is frequent in the training rows",)


def test_a_number_far_from_all_that_were_learned_is_reported():
    encoder = fitted(whole(x=[f"{n % 60}.5" for n in range(100)]))
    _, remarks = encoder.inputs(whole(x=["30.5", "60000", ""]))
    assert [one for one in remarks if "far" in one] == [
        "column `x`: 1 of 3 values are far from those that the network learned from (mean 26, "
        "standard deviation 16.04), such as 60000; its predictions for them are guesses"
    ]
    assert not encoder.inputs(whole(x=["90.5", "-20.5"]))[1]


def test_where_training_rows_give_other_inputs_than_all_rows_both_are_said():
    table = whole(x=[f"v{n % 25}" if n % 4 else "common" for n in range(320)], y=["1", "2"] * 160)
    decision = decide(table, None, Overrides())
    (note,) = decision.notes
    assert note.endswith("26 different texts; those in fewer than 10 rows (10) share one input")
    encoder, said = fit(decision, table, np.arange(200))
    assert len(encoder.names) == 3
    assert said == (
        "3 inputs by the training rows, where all rows suggest 18: `x` has 2 instead of 17",
    )
    assert fit(decision, table, np.arange(320))[1] == ()


def test_values_that_are_rare_throughout_leave_whether_there_is_one():
    cells = [f"C{n}" for n in range(30)] * 2 + [""] * 40
    assert fitted(whole(x=cells)).names == ("x missing",)
    assert inputs(fitted(whole(x=cells)), whole(x=["C1", ""]))["x missing"] == [0, 1]


def test_a_boolean_is_one_input():
    encoder = fitted(whole(x=["yes", "no"] * 10))
    assert inputs(encoder, whole(x=["yes", "no", "", "maybe"])) == {"x = yes": [1, 0, 0.5, 0.5]}
    said = remarks(encoder, whole(x=["yes", "maybe", ""]))
    assert [note.split(": ")[1].split(" values")[0] for note in said] == ["1 of 3", "1 of 3"]
    gaps = fitted(whole(x=["yes", "no", "", ""] * 10))
    assert inputs(gaps, whole(x=["yes", ""])) == {"x = yes": [1, 0.5], "x missing": [0, 1]}


def test_truth_values_are_the_same_as_their_texts():
    encoder = fitted(whole(x=["True", "False"] * 10))
    assert inputs(encoder, Rows({"x": pa.array([True, False, None])}))["x = True"] == [1, 0, 0.5]
    assert inputs(encoder, whole(x=["True", "FALSE"]))["x = True"] == [1, 0]


def test_a_constant_with_gaps_is_whether_there_is_a_value():
    encoder = fitted(whole(x=["x", ""] * 5, n=["7", "NA"] * 5))
    assert encoder.names == ("x missing", "n missing")
    assert inputs(encoder, whole(n=["7", "NA"], x=["", "x"])) == {
        "x missing": [1, 0],
        "n missing": [0, 1],
    }


def test_dates_are_days_month_and_weekday():
    cells = [f"2020-01-{day:02}" for day in range(1, 32)] + ["2020-07-01"]
    values = inputs(fitted(whole(x=cells)), whole(x=cells))
    days = np.array([*range(31), 182])
    np.testing.assert_allclose(values["x days"], (days - days.mean()) / days.std(), rtol=1e-5)
    assert values["x month cosine"][0] == 1
    assert values["x month cosine"][-1] == pytest.approx(-1)  # half a year on
    monday = cells.index("2020-01-06")
    assert (values["x weekday sine"][monday], values["x weekday cosine"][monday]) == (0, 1)
    assert values["x weekday sine"][monday + 7] == 0
    assert not [name for name in values if "hour" in name]


def test_hours_are_inputs_only_where_there_are_times():
    cells = [f"2020-01-01 {hour:02}:00:00" for hour in range(24)]
    values = inputs(fitted(whole(x=cells)), whole(x=cells))
    assert values["x hour sine"][6] == pytest.approx(1)
    assert values["x hour cosine"][12] == pytest.approx(-1)
    values = inputs(fitted(whole(x=[cell[11:] for cell in cells])), whole(x=["06:00:00"]))
    assert [*values] == ["x hour sine", "x hour cosine"]
    assert values["x hour sine"] == [1]


def test_dates_that_come_as_times_are_the_same_inputs():
    days = np.arange("2020-01-01", "2020-02-01", dtype="datetime64[D]")
    texts = [f"{day.astype(object):%d.%m.%Y}" for day in days]
    encoder = fitted(whole(x=texts))
    for typed in (pa.array(days), pa.array(days.astype("datetime64[us]"))):
        np.testing.assert_array_equal(
            encoder.inputs(whole(x=texts))[0], encoder.inputs(Rows({"x": typed}))[0]
        )


def test_dates_beyond_training_and_missing_ones():
    encoder = fitted(whole(x=[f"2020-01-{day:02}" for day in range(1, 32)]))
    said = remarks(encoder, whole(x=["2020-01-02", "2020-02-02", "2019-12-31", ""]))
    assert "1 of 4 values are missing" in said[0]
    assert (
        "2 of 4 dates are outside of those that the network learned from, 2020-01-01 to" in said[1]
    )
    values = inputs(encoder, whole(x=["", "2020-01-16"]))
    assert values["x days"][0] == values["x days"][1] == 0
    assert values["x month cosine"][0] == 0


def test_inputs_are_read_as_the_cells_that_they_were_made_of():
    table = {
        "area": ["62.4", "", *[f"{n}.5" for n in range(38)]],
        "built": [str(1960 + n) for n in range(40)],
        "floor": [str(n % 9 - 1) for n in range(40)],
        "listed": ["", *[f"2024-02-{1 + n % 28:02}" for n in range(39)]],
        "seen": [f"2024-02-03 {n % 24:02}:30" for n in range(40)],
        "opens": [f"{n % 24:02}:15" for n in range(40)],
        "lift": ["yes", "no"] * 20,
        "district": ["north", "west", "south", "old town"] * 10,
        "owner": [*["bank"] * 20, *["city"] * 15, "ann", "bob", "cem", "dora", "eve"],
    }
    encoder = fitted(whole(**table))
    cells = encoder.cells(encoder.inputs(whole(**table))[0])
    rare = [name if name in ("bank", "city") else "rare" for name in table["owner"]]
    assert cells == {**table, "owner": rare}


def test_columns_in_any_order_and_more_of_them_but_none_fewer():
    table = whole(a=["1", "2", "4"] * 5, b=["x", "y", "z"] * 5)
    encoder = fitted(table)
    turned = whole(b=["y"], extra=["?"], a=["4"])
    straight = whole(a=["4"], b=["y"])
    np.testing.assert_array_equal(encoder.inputs(turned)[0], encoder.inputs(straight)[0])
    assert remarks(encoder, turned) == ("1 column not used: `extra`",)
    with pytest.raises(DataError, match="lacks the column `b`, which the network reads"):
        encoder.inputs(whole(a=["4"]))
    with pytest.raises(DataError, match="lacks the columns `a`, `b`"):
        encoder.inputs(whole(c=["4"]))


def test_the_target_and_columns_left_out_are_not_extra():
    table = whole(a=["1", "2", "4"] * 5, c=["k"] * 15, y=["0", "1", "1"] * 5)
    encoder, _ = fit(decide(table, "y", Overrides()), table, np.arange(15))
    assert encoder.inputs(table)[1] == ()


def test_an_encoder_is_plain_values():
    table = whole(
        a=["1", "2", "NA"] * 20, b=["x", "y", "z"] * 20, c=["t", "f"] * 30, d=["k", ""] * 30,
        e=["2020-01-31", "2020-02-01", "2020-03-01"] * 20,
    )  # fmt: skip
    encoder = fitted(table)
    again = Encoder.from_json(json.loads(json.dumps(encoder.as_json())))
    assert again == encoder
    np.testing.assert_array_equal(again.inputs(table)[0], encoder.inputs(table)[0])


def test_what_would_fill_the_memory_stops_with_the_numbers():
    table = whole(a=["1", "2", "4"] * 5, b=["x", "y", "z"] * 5)
    decision = decide(table, None, Overrides())
    with pytest.raises(DataError, match=r"15 rows x 4 inputs x 4 bytes .* `b` \(3\), `a` \(1\)"):
        fit(decision, table, np.arange(15), free_bytes=4 * 15 * 4 * 4 - 1)
    encoder, _ = fit(decision, table, np.arange(15), free_bytes=4 * 15 * 4 * 4)
    with pytest.raises(DataError, match="15 rows x 4 inputs"):
        encoder.inputs(table, free_bytes=100)


def test_rows_that_are_not_read_may_have_odd_cells():
    table = whole(
        x=["1.5", "2.5", "3.5"] * 10 + ["oops"],
        d=["2020-01-31"] * 20 + ["2020-02-01"] * 10 + ["oops"],
        y=["a", "b"] * 15 + [""],
    )
    encoder, _ = fit(decide(table, "y", Overrides()), table, np.arange(20))
    matrix, _ = encoder.inputs(table, rows=np.array([3, 0]))
    np.testing.assert_array_equal(matrix, encoder.inputs(table, np.arange(30))[0][[3, 0]])
    assert matrix.shape[0] == 2
    with pytest.raises(DataError, match="column `x`, line 32: `oops`"):
        encoder.inputs(table, rows=np.array([3, 30]))
    typed = Rows({**table.columns, "x": pa.array([1.5, None] * 15 + [math.inf])})
    assert encoder.inputs(typed, np.arange(30))[0].shape == (30, *encoder.shape)
    with pytest.raises(DataError, match="column `x`, line 32: `inf`"):
        encoder.inputs(typed, rows=np.array([3, 30]))


def test_a_table_without_inputs_stops():
    table = whole(c=["k"] * 15)
    with pytest.raises(DataError, match=r"no column to learn .*: `c` \(left out: one value\)"):
        fit(decide(table, None, Overrides()), table, np.arange(15))


def test_targets_are_places_among_the_classes_or_numbers():
    table = whole(x=["1", "2"] * 10, y=["10", "2", "1.0", "1", ""] * 4)
    goal = decide(table, "y", Overrides(), "classes").target
    values, rows = targets(goal, table)
    assert goal.classes == ("1", "2", "10")
    assert values[:4].tolist() == [2, 1, 0, 0]
    assert rows[:5].tolist() == [0, 1, 2, 3, 5]
    assert targets(goal, Rows({"y": pa.array([10, 1])}))[0].tolist() == [2, 0]
    with pytest.raises(
        DataError, match="column `y`, line 3: `7` is none of the classes, which are"
    ):
        targets(goal, whole(y=["1", "7"]))
    goal = decide(table, "y", Overrides(), "numbers").target
    values, rows = targets(goal, whole(y=["10", "NA", "", "1.5"]))
    assert (values.tolist(), rows.tolist()) == ([10, 1.5], [0, 3])
    with pytest.raises(DataError, match="column `y`, line 2: `oops` is no number"):
        targets(goal, whole(y=["oops"]))
