from __future__ import annotations

from collections import Counter

import pytest

from hpsearch.spec.space import Choices, Condition, Grid, Parameter, Range, Space, label


def parameter(name, domain, *when, group="g"):
    return Parameter(name, group, domain, when=tuple(Condition(n, v) for n, v in when))


@pytest.mark.parametrize(
    ("domain", "grid"),
    [
        (Range(1, 4, integer=True), (1, 2, 3, 4)),
        (Range(1, 10, step=4, integer=True), (1, 5, 9)),
        (Range(3, 3, integer=True), (3,)),
        (Range(0.0, 0.3, step=0.1), (0.0, 0.1, 0.2, 0.3)),
        (Range(0.1, 0.45, step=0.1), (0.1, 0.2, 0.3, 0.4)),
        (Range(1e-14, 3e-14, step=1e-14), (1e-14, 2e-14, 3e-14)),
        (Range(0.0, 1.0, count=3), (0.0, 0.5, 1.0)),
        (Range(1.0, 5.0, count=1), (1.0,)),
        (Range(2.0, 2.0, count=7), (2.0,)),
        (Choices(("a", None)), ("a", None)),
    ],
)
def test_grid_of_a_domain(domain, grid):
    assert domain.grid == grid
    assert domain.size == len(grid)
    assert [type(value) for value in domain.grid] == [type(value) for value in grid]
    assert all(domain.contains(value) for value in grid)


def test_a_counted_log_range_has_equal_ratios():
    assert Range(1e-4, 1e-1, log=True, count=4).grid == (1e-4, 1e-3, 1e-2, 1e-1)


def test_a_range_of_real_numbers_has_no_grid():
    assert Range(0.0, 1.0).grid is None
    assert Range(0.0, 1.0).size is None


def test_last_is_the_highest_reachable_value():
    assert Range(1, 10, step=4, integer=True).last == 9
    assert Range(0.0, 1.0, step=0.3).last == 0.9
    assert Range(0.0, 1.0).last == 1.0


@pytest.mark.parametrize(
    "domain",
    [
        Range(1, 4, integer=True),
        Range(1, 10, step=4, integer=True),
        Range(0.0, 1.0, step=0.3),
        Choices((1, 2, 3)),
    ],
)
def test_values_are_equally_likely(domain):
    number = 12_000
    counts = Counter(domain.at(i / number) for i in range(number))
    assert set(counts) == set(domain.grid)
    assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize(
    "domain",
    [Range(1e-5, 1e-1, log=True), Range(1, 1000, log=True, integer=True), Range(-2.0, 3.0)],
)
def test_points_stay_inside_and_grow(domain):
    values = [domain.at(i / 1000) for i in range(1000)]
    assert values == sorted(values)
    assert all(domain.contains(value) for value in values)
    assert values[0] == domain.low


def test_log_halves_by_ratio():
    assert Range(1e-4, 1.0, log=True).at(0.5) == pytest.approx(1e-2)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Range(0, 4, integer=True), True),
        (Range(0, 4, integer=True), 2.5),
        (Range(0, 4, integer=True), 5),
        (Range(0, 4, step=2, integer=True), 1),
        (Range(0.0, 1.0), "0.5"),
        (Range(0.0, 1.0), float("nan")),
        (Range(0.0, 1.0, step=0.1), 0.25),
        (Choices((1, 2)), True),
        (Choices((1, 2)), 1.0),
        (Choices((True,)), 1),
    ],
)
def test_does_not_contain(domain, value):
    assert not domain.contains(value)


def test_label():
    assert label((512, 64)) == "512-64"
    assert label(512) == 512
    assert label(None) is None


def test_inactive_where_the_parent_is():
    chain = Space((
        parameter("a", Choices((1, 2))),
        parameter("b", Choices((1, 2)), ("a", (1,))),
        parameter("c", Choices((1, 2)), ("b", (1,))),
    ))  # fmt: skip
    assert [Grid(chain).cell(n) for n in range(Grid(chain).size)] == [
        {"a": 1, "b": 1, "c": 1},
        {"a": 1, "b": 1, "c": 2},
        {"a": 1, "b": 2},
        {"a": 2},
    ]


def test_a_constant_can_meet_a_condition():
    free = parameter("momentum", Choices((0.8, 0.9)), ("optimizer", ("sgd",)))
    assert Grid(Space((free,), {"optimizer": "sgd"})).size == 2
    assert Grid(Space((free,), {"optimizer": "adam"})).size == 1


def test_every_cell_once():
    space = Space((
        parameter("optimizer", Choices(("sgd", "adam", "adamw"))),
        parameter("depth", Range(1, 4, integer=True)),
        parameter("momentum", Choices((0.8, 0.9)), ("optimizer", ("sgd",)), ("depth", (1, 2))),
        parameter("width", Choices((8, 16)), ("depth", (3, 4))),
    ))  # fmt: skip
    grid = Grid(space)
    cells = [tuple(grid.cell(n).items()) for n in range(grid.size)]
    # sgd: 2 depths with 2 momenta, 2 with 2 widths; others: 2 depths bare, 2 with 2 widths
    assert len(cells) == len(set(cells)) == (4 + 4) + 2 * (2 + 4)
    with pytest.raises(IndexError, match="cell 20 of a grid of 20"):
        grid.cell(20)
    with pytest.raises(IndexError):
        grid.cell(-1)


def test_the_last_parameter_runs_fastest():
    grid = Grid(Space((parameter("a", Choices((1, 2))), parameter("b", Choices((3, 4))))))
    assert [tuple(grid.cell(n).values()) for n in range(4)] == [(1, 3), (1, 4), (2, 3), (2, 4)]


@pytest.mark.timeout(20)
def test_a_large_grid_is_counted_without_listing_it():
    large = Range(1, 1_000_000, integer=True)
    asked = Space((
        parameter("a", Range(1, 100_000, integer=True)),
        parameter("b", Range(1, 100_000, integer=True), ("a", (5, 6))),
        parameter("c", large, ("b", (7,))),
        *(parameter(f"p{i}", large) for i in range(5)),
    ))  # fmt: skip
    grid = Grid(asked)
    assert grid.size == (99_998 + 2 * (99_999 + 1_000_000)) * 10**30
    assert grid.cell(grid.size - 1)["p4"] == 1_000_000


def test_a_grid_without_end():
    with pytest.raises(ValueError, match="lr has no end of values"):
        _ = Grid(Space((parameter("lr", Range(0.0, 1.0)),))).size


def test_a_part_forgets_conditions_on_what_is_beside_it():
    whole = Space(
        (
            parameter("a", Choices((1, 2))),
            parameter("b", Choices((1, 2)), ("a", (1,))),
            parameter("c", Choices((1, 2, 3)), ("b", (1,))),
            parameter("d", Choices((1, 2)), ("k", (9,))),
        ),
        {"k": 1},
    )
    assert Grid(whole.part(["b", "c"])).size == 3 + 1
    assert Grid(whole.part(["c"])).size == 3
    assert Grid(whole.part(["a", "d"])).size == 2, "a condition on a constant stays"


def test_a_space_is_its_parameters_in_order():
    one, two, three = (parameter(name, Choices((1,))) for name in "abc")
    space = Space((one, two, three))
    assert len(space) == 3
    assert list(space) == [one, two, three]


@pytest.mark.parametrize(
    ("domain", "value", "share"),
    [
        (Range(1e-4, 1e-1, log=True), 1e-2, 2 / 3),
        (Range(0.0, 0.5), 0.1, 0.2),
        (Range(1, 10, step=4, integer=True), 9, 1.0),  # 10 is never reached
        (Choices((1, 2, 4)), 2, 0.5),
        (Choices((4, 2, 1)), 2, None),
        (Choices(("a", "b")), "a", None),
        (Choices((True, False)), True, None),
    ],
)
def test_how_far_along_a_value_lies(domain, value, share):
    assert domain.share(value) == pytest.approx(share)


@pytest.mark.parametrize(
    ("domain", "shares", "ends"),
    [
        (Range(1e-3, 1e-1, log=True), (-0.5, 1.5), (1e-4, 1.0)),
        (Range(0.0, 1.0), (0.25, 1.25), (0.25, 1.25)),
        (Range(1, 5, integer=True), (0.5, 1.5), (3, 7)),
        (Range(0.0, 0.5, step=0.1), (-0.2, 1.2), (-0.1, 0.6)),
    ],
)
def test_a_range_is_stretched_on_its_own_scale(domain, shares, ends):
    found = domain.stretched(*shares)
    assert (found.low, found.high) == pytest.approx(ends)
    assert type(found.low) is type(domain.low)
