"""What the tickets of a study are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.spec import StudySpec, load
from hpsearch.spec.space import Assignment
from hpsearch.stages import outline
from hpsearch.stages.stage import Stage

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
    assert outline.tickets(spec("grid", "{}")) == 6
    assert outline.tickets(spec("grid", "{trials: 4}")) == 4
    assert outline.tickets(spec("grid", "{trials: 40}")) == 6


def test_other_samplers_have_their_budget(spec) -> None:
    study = spec("random", "{trials: 40}")
    assert (outline.tickets(study), outline.limit(study)) == (40, None)
    assert outline.limit(spec("{architecture: grid, optimizer: tpe}", "{trials: 9}")) is None


def test_with_nothing_to_search_the_budget_counts_seeds(spec) -> None:
    assert outline.tickets(spec("grid", "{trials: 5}", parameters="{}")) == 5


def opened(study: StudySpec, done=(), stages=(), first: int = 0, left: int = 9) -> Stage:
    return outline.opening(study, stages, done, first, left)


def test_only_the_first_tickets_are_starting_points(spec) -> None:
    stage = opened(spec("random", "{trials: 9}", "start: [{depth: 3}, {depth: 1}]"))
    points = [stage.point(n) for n in range(4)]
    assert points == [{"depth": 3}, {"depth": 1}, DEFAULT, None]


DEFAULT = {"depth": 2, "optimizer": "adam"}


def points(study: StudySpec) -> list[Assignment]:
    return list(outline.starting(study).points)


class TestDefault:
    """The default configuration is a first point of every search that is no grid."""

    @pytest.mark.parametrize("sampler", ["random", "bayesian", "tpe", "qmc", "auto"])
    def test_it_is_the_first_point(self, spec, sampler: str) -> None:
        study = spec(sampler, "{trials: 4}")
        assert points(study) == [DEFAULT]
        assert (outline.tickets(study), outline.limit(study)) == (4, None)
        assert points(study.under(1)) == []

    def test_it_comes_after_the_points_of_the_start(self, spec) -> None:
        study = spec("random", "{trials: 9}", "start: [{depth: 3, optimizer: sgd}]")
        assert points(study) == [{"depth": 3, "optimizer": "sgd"}, DEFAULT]

    @pytest.mark.parametrize("strategy", ["joint", "staged"])
    def test_not_where_it_is_one_of_them(self, spec, strategy: str) -> None:
        start = "start: [{depth: 3, optimizer: sgd}, {depth: 2, optimizer: adam}]"
        study = spec(f"random, strategy: {strategy}", "{trials: 30}", start)
        assert points(study) == [{"depth": 3, "optimizer": "sgd"}, DEFAULT]
        assert outline.remarks(study) == []

    @pytest.mark.parametrize("sampler", ["grid", "auto"])
    def test_a_grid_has_none(self, spec, sampler: str) -> None:
        study = spec(sampler, "{trials: 9}")
        assert points(study) == []
        assert (outline.tickets(study), outline.limit(study)) == (6, 6)

    def test_a_grid_beside_another_sampler_begins_after_it(self, spec) -> None:
        study = spec("{architecture: grid, optimizer: random}", "{trials: 9}")
        assert points(study) == [DEFAULT]

    def test_of_nothing_there_is_none(self, spec) -> None:
        assert points(spec("random", "{trials: 5}", parameters="{}")) == []

    def test_with_one_trial_it_is_that(self, spec) -> None:
        assert points(spec("random", "{trials: 1}")) == [DEFAULT]


class TestRemarks:
    def test_a_point_that_is_there_twice_is_left_out(self, spec) -> None:
        same = "{depth: 3, optimizer: sgd}"
        study = spec("random", "{trials: 9}", f"start: [{same}, {{depth: 1}}, {same}, {same}]")
        whole = {"depth": 3, "optimizer": "sgd"}
        assert points(study) == [whole, {"depth": 1}, DEFAULT]
        assert outline.remarks(study) == [
            "start: point 2 is the same as point 0 and is left out",
            "start: point 3 is the same as point 0 and is left out",
        ]
        assert len(points(study.under(1))) == 4, "an old study runs what it was made with"

    def test_points_of_which_something_is_drawn_are_not_the_same(self, spec) -> None:
        study = spec("random", "{trials: 9}", "start: [{depth: 1}, {depth: 1}]")
        assert (len(points(study)), outline.remarks(study)) == (3, [])

    def test_what_a_default_stands_in_for_is_the_same(self, spec) -> None:
        parameters = (
            "{architecture: {depth: {min: 1, max: 3}, width: {values: [8, 16], default: 8}}}"
        )
        start = "start: [{depth: 1}, {depth: 1, width: 8}]"
        study = spec("random", "{trials: 4}", start, parameters)
        assert outline.remarks(study) == ["start: point 1 is the same as point 0 and is left out"]

    @pytest.mark.parametrize(
        ("trials", "remark"),
        [
            (2, ["3 starting points, but 2 trials: the last one is not run, the default "
                 "configuration"]),
            (1, ["3 starting points, but 1 trial: the last 2 are not run, the default "
                 "configuration among them"]),
            (3, []),
        ],
    )  # fmt: skip
    def test_points_that_are_not_run(self, spec, trials: int, remark: list[str]) -> None:
        start = "start: [{depth: 3}, {depth: 1}]"
        assert outline.remarks(spec("random", f"{{trials: {trials}}}", start)) == remark

    def test_a_grid_runs_its_cells_after_the_points_that_differ(self, spec) -> None:
        same = "{depth: 3, optimizer: sgd}"
        study = spec("auto", "{trials: 9}", f"start: [{same}, {same}]")
        assert (outline.limit(study), outline.tickets(study)) == (7, 7)
        assert outline.starting(study).count is None
        assert set(outline.starting(study).samplers.values()) == {"grid"}


def test_the_part_of_the_space_that_is_searched_by_grid(spec) -> None:
    stage = opened(spec("{architecture: grid, optimizer: random}", "{trials: 9}"))
    assert stage.grid({}).size == 3


def test_auto_is_a_grid_where_all_of_it_fits_into_the_budget(spec) -> None:
    assert outline.tickets(spec("auto", "{trials: 6}")) == 6
    assert set(opened(spec("auto", "{trials: 6}"), left=6).samplers.values()) == {"grid"}
    assert outline.limit(spec("auto", "{trials: 5}")) is None
    assert set(opened(spec("auto", "{trials: 5}"), left=5).samplers.values()) == {"bayesian"}


@pytest.mark.parametrize("sampler", ["grid", "auto"])
def test_a_grid_that_hours_have_ended_goes_on_where_it_was(spec, sampler: str) -> None:
    study = spec(sampler, "{trials: 6, hours: 1}", "final: {top: 1, seeds: 2}")
    begun = opened(study, left=6)
    finish = Stage("final", 2, 2)
    more = opened(study, stages=(begun, finish), first=4, left=4)
    assert (begun.count, begun.before, more.before) == (6, 0, 2)
    assert (more.count, set(more.samplers.values())) == (4, {"grid"})
