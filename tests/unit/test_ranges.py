"""The edges that a winner is at, and ranges beyond them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpsearch.spec import StudySpec
from hpsearch.spec.models import BudgetSpec, NoPruner, RetrySpec, SearchSpec
from hpsearch.spec.ranges import bounds, edges, within
from hpsearch.spec.source import DataSpec
from hpsearch.spec.space import Choices, Parameter, Range, Space


def study(*parameters: Parameter, epochs: int = 20) -> StudySpec:
    return StudySpec(
        name="s", data=DataSpec(source="digits"), family="mlp", metric="accuracy",
        space=Space(parameters), start=(),
        search=SearchSpec(sampler={"g": "random"}, pruner=NoPruner(name="none")),
        budget=BudgetSpec(trials=9, epochs=epochs), retry=RetrySpec(),
    )  # fmt: skip


def at_edges(domain, value, name="lr") -> list[str]:
    return [edge.side for edge in edges(study(Parameter(name, "g", domain)), {name: value})]


@pytest.mark.parametrize(
    ("domain", "value", "sides"),
    [
        (Range(1e-4, 1e-1, log=True), 0.0998, ["upper"]),
        (Range(1e-4, 1e-1, log=True), 0.06, []),  # 7 % from the edge on a log scale
        (Range(1e-4, 1e-1), 0.004, ["lower"]),
        (Range(1e-4, 1e-1, log=True), 1.2e-4, ["lower"]),
        (Choices((0.001, 0.01, 0.1)), 0.1, ["upper"]),
        (Choices((0.01, 0.1)), 0.1, []),  # of two it is always one
        (Choices((0.1, 0.01, 0.001)), 0.1, []),  # in no order
    ],
)
def test_an_edge_is_five_per_cent_on_the_parameters_own_scale(domain, value, sides) -> None:
    assert at_edges(domain, value) == sides


def test_a_bound_by_nature_is_no_edge() -> None:
    assert at_edges(Range(0.0, 0.5), 0.0, "dropout") == []
    assert at_edges(Range(0.0, 0.5), 0.5, "dropout") == ["upper"]
    assert edges(study(Parameter("lr", "g", Range(0.1, 1.0))), {}) == ()


def test_an_edge_says_where_it_is() -> None:
    both = study(Parameter("lr", "g", Range(1e-4, 1e-1, log=True)),
                 Parameter("depth", "g", Range(1, 3, integer=True)))  # fmt: skip
    lines = [str(edge) for edge in edges(both, {"lr": 0.0998, "depth": 1})]
    assert lines == ["lr 0.0998 is at the upper edge of 0.0001 to 0.1",
                     "depth 1 is at the lower edge of 1 to 3"]  # fmt: skip


def test_a_value_beyond_the_range_says_so() -> None:
    (edge,) = edges(study(Parameter("lr", "g", Range(1e-4, 1e-1, log=True))), {"lr": 0.3})
    assert str(edge) == "lr 0.3 lies beyond the range that the file gives, 0.0001 to 0.1"


def test_a_bound_of_the_study_is_no_edge_and_nothing_goes_beyond_it() -> None:
    epochs = Parameter("epochs", "g", Range(5, 20, integer=True))
    batch = Parameter("batch_size", "g", Range(16, 512, integer=True, log=True), cap="on cpu")
    for parameter, value in ((epochs, 20), (batch, 512)):
        domain: Any = parameter.domain
        assert edges(study(parameter), {parameter.name: value}) == ()
        allowed = bounds(study(parameter), parameter)
        assert within(domain.stretched(0, 1.3), domain, allowed).high == value
    free: Any = replace(batch, cap=None)
    assert [e.side for e in edges(study(free), {"batch_size": 512})] == ["upper"]
    assert within(free.domain.stretched(0, 1.3), free.domain, bounds(study(free), free)).high > 512


@pytest.mark.parametrize(
    ("name", "domain", "shares", "expected"),
    [
        ("dropout", Range(0.0, 0.9), (0.0, 1.3), (0.0, 0.95)),  # half the way to 1, which is none
        ("dropout", Range(0.1, 0.5), (-0.5, 1.0), (0.0, 0.5)),
        ("width", Range(32, 128, 32, integer=True), (-0.7, 1.0), (32, 128)),
        ("width", Range(64, 128, 32, integer=True), (-1.0, 1.0), (32, 128)),
        ("lr", Range(1e-2, 1e-1, log=True), (-1.0, 1.0), (1e-3, 1e-1)),
    ],
)
def test_a_range_goes_as_far_as_its_setting(name, domain, shares, expected) -> None:
    parameter = Parameter(name, "g", domain)
    found = within(domain.stretched(*shares), domain, bounds(study(parameter), parameter))
    assert (found.low, found.high) == pytest.approx(expected)


def test_no_range_goes_to_a_value_that_can_never_be_trained() -> None:
    batch = Parameter("batch_size", "g", Range(2, 64, integer=True))
    plain = study(batch)
    normalised = replace(plain, space=replace(plain.space, constants={"batch_norm": True}))
    searched = study(batch, Parameter("batch_norm", "g", Choices((False, True))))
    assert [bounds(s, batch).low for s in (plain, searched, normalised)] == [1, 1, 2]
    assert edges(plain, {"batch_size": 2})
    assert not edges(normalised, {"batch_size": 2})
