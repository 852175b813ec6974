"""Columns that alone say what the target is are named; those that only help are not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hpsearch.sources.table.columns import decide
from hpsearch.sources.table.rules import Overrides
from tests.unit.sources.tables import Rows, sample, whole

Make = Callable[..., Rows]


@pytest.fixture(params=[sample, whole], ids=["sample", "whole"])
def table(request: pytest.FixtureRequest) -> Make:
    return request.param


def leaking(made: Rows) -> list[str]:
    return [one for one in decide(made, "y", Overrides()).warnings if "predicts the target" in one]


def goals(count: int, share: float = 0.4) -> tuple[random.Random, list[str]]:
    draw = random.Random(3)
    return draw, ["yes" if draw.random() < share else "no" for _ in range(count)]


@pytest.mark.parametrize("share", [0.4, 0.03])
def test_a_fee_that_only_those_pay_who_left_is_named(table: Make, share: float) -> None:
    draw, y = goals(900, share)
    fee = [f"{draw.uniform(5, 80):.2f}" if one == "yes" else "0" for one in y]
    age = [f"{draw.gauss(50, 10) + 15 * (one == 'yes'):.1f}" for one in y]
    (line,) = leaking(table(age=age, fee=fee, y=y))
    assert line.startswith("column `fee`: it alone predicts the target in ")
    assert line.endswith('leave it out with data.ignore: ["fee"]')
    percent = float(line.split(" in ")[1].split(" %")[0])
    assert 99.5 <= percent <= 100


def test_a_date_that_only_one_class_has_and_another_name_of_it_are_named(table: Make) -> None:
    draw, y = goals(400)
    left = [
        f"2026-0{draw.randint(1, 9)}-1{draw.randint(0, 9)}" if one == "yes" else "" for one in y
    ]
    state = ["gone" if one == "yes" else draw.choice(["new", "here"]) for one in y]
    (line,) = leaking(table(left=left, state=state, y=y))
    assert line.startswith("2 columns, `left`, `state`: each alone predicts the target in 100 %")


def test_a_number_that_rises_with_the_target_is_named(table: Make) -> None:
    draw = random.Random(4)
    price = [draw.lognormvariate(5, 1) for _ in range(600)]
    near = [f"{one * draw.lognormvariate(0, 0.2):.4f}" for one in price]
    tax = [f"{0.19 * one:.4f}" if draw.random() < 0.9 else "" for one in price]
    (line,) = leaking(table(near=near, tax=tax, y=[f"{one:.4f}" for one in price]))
    assert line.startswith("column `tax`: it alone predicts the target (rank correlation 1.0000)")


def test_columns_of_noise_are_not_named_however_many_there_are(table: Make) -> None:
    draw, y = goals(300, 0.08)
    noise = {f"n{i}": [f"{draw.random():.6f}" for _ in y] for i in range(60)}
    codes = {f"c{i}": [f"k{draw.randint(0, 150)}" for _ in y] for i in range(60)}
    assert leaking(table(**noise, **codes, y=y)) == []


def test_a_column_that_errs_in_three_of_a_hundred_rows_is_not_named(table: Make) -> None:
    draw, y = goals(900)
    other = {"yes": "no", "no": "yes"}
    guess = [other[one] if draw.random() < 0.03 else one for one in y]
    assert leaking(table(guess=guess, y=y)) == []
