"""What the tickets of a study are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch import plan
from hpsearch.spec import StudySpec, load

GRID = "{architecture: {depth: {min: 1, max: 3}}, optimizer: {optimizer: {values: [sgd, adam]}}}"


@pytest.fixture
def spec(tmp_path: Path):
    def make(sampler: str, budget: str, extra: str = "", parameters: str = GRID) -> StudySpec:
        file = tmp_path / "s.yaml"
        file.write_text(
            "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\n"
            f"parameters: {parameters}\nsearch: {{sampler: {sampler}}}\nbudget: {budget}\n{extra}\n"
        )
        return load(file)

    return make


def test_a_grid_has_a_ticket_for_each_cell_and_no_more(spec) -> None:
    assert plan.tickets(spec("grid", "{}")) == 6
    assert plan.tickets(spec("grid", "{trials: 4}")) == 4
    assert plan.tickets(spec("grid", "{trials: 40}")) == 6


def test_other_samplers_have_their_budget(spec) -> None:
    study = spec("random", "{trials: 40}")
    assert (plan.tickets(study), plan.limit(study)) == (40, None)
    assert plan.limit(spec("{architecture: grid, optimizer: tpe}", "{trials: 9}")) is None


def test_with_nothing_to_search_the_budget_counts_seeds(spec) -> None:
    assert plan.tickets(spec("grid", "{trials: 5}", parameters="{}")) == 5


def opened(study: StudySpec, done=(), stages=(), first: int = 0, left: int = 9) -> plan.Stage:
    return plan.opening(study, stages, done, first, left)


def test_only_the_first_tickets_are_starting_points(spec) -> None:
    stage = opened(spec("random", "{trials: 9}", "start: [{depth: 2}, {depth: 3}]"))
    assert [stage.point(n) for n in range(3)] == [{"depth": 2}, {"depth": 3}, None]


def test_the_part_of_the_space_that_is_searched_by_grid(spec) -> None:
    stage = opened(spec("{architecture: grid, optimizer: random}", "{trials: 9}"))
    assert stage.grid({}).size == 3


def test_auto_is_a_grid_where_all_of_it_fits_into_the_budget(spec) -> None:
    assert plan.tickets(spec("auto", "{trials: 6}")) == 6
    assert set(opened(spec("auto", "{trials: 6}"), left=6).samplers.values()) == {"grid"}
    assert plan.limit(spec("auto", "{trials: 5}")) is None
    assert set(opened(spec("auto", "{trials: 5}"), left=5).samplers.values()) == {"bayesian"}


@pytest.mark.parametrize("sampler", ["grid", "auto"])
def test_a_grid_that_hours_have_ended_goes_on_where_it_was(spec, sampler: str) -> None:
    study = spec(sampler, "{trials: 6, hours: 1}", "final: {top: 1, seeds: 2}")
    begun = opened(study, left=6)
    finish = plan.Stage("final", 2, 2)
    more = opened(study, stages=(begun, finish), first=4, left=4)
    assert (begun.count, begun.before, more.before) == (6, 0, 2)
    assert (more.count, set(more.samplers.values())) == (4, {"grid"})
