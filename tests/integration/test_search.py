"""Samplers and pruners on a real study: what is drawn, who drew it, what others see of it."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState

from hpsearch.api.submit import submit
from hpsearch.runner.epoch import Epoch
from hpsearch.search import Search
from hpsearch.search.cmaes import ReplayedCmaEsSampler
from hpsearch.search.distributions import distribution, to_optuna
from hpsearch.spec import StudySpec, load
from hpsearch.spec.settings import EARLY, Direction
from hpsearch.stages import outline
from hpsearch.stages.results import Done, default_point
from hpsearch.stages.stage import Stage
from hpsearch.store import study_rows
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Ending, Lease, Write
from hpsearch.worker.staging import Staging

PARAMETERS = (
    "{architecture: {depth: {min: 1, max: 3}, width: {values: [8, 16, 32]}},"
    " learning_rate: {lr: {min: 1.0e-4, max: 1.0e-1, log: true}},"
    " regularization: {dropout: {min: 0.0, max: 0.5, step: 0.2}}}"
)
CONDITIONAL = (
    "{optimizer: {optimizer: {values: [sgd, adam]},"
    " momentum: {min: 0.5, max: 0.9, when: {optimizer: sgd}}},"
    " architecture: {widths: {values: [[8, 8], [16]]}}}"
)


class StudySession:
    """A study and one process that searches it, with a made-up result for each trial."""

    def __init__(
        self, url: str, folder: Path, sampler: str, parameters: str, extra: str, start: str = "",
        hours: str = "null", version: int = 1,
    ) -> None:  # fmt: skip
        file = folder / "s.yaml"
        file.write_text(
            "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\n"
            f"parameters: {parameters}\nsearch: {{sampler: {sampler}, seed: 3{extra}}}\n"
            f"budget: {{trials: 200, epochs: 9, hours: {hours}}}\n{start}\n"
        )
        # Most of these tests are about who draws: by the first version's rules no default
        # configuration is tried before that.
        self.spec: StudySpec = load(file).under(version)
        self.ledger = Ledger(Database(url))
        self.study, _ = submit(self.ledger, self.spec, folder)
        self.open()

    def open(self, trained_s: float = 1e6) -> None:
        """As a fresh process; one that trains so long that there is time for any proposal."""
        self.mirror = Mirror(self.ledger.database, self.study.study_id, "s", "maximize")
        self.search = Search(self.spec, self.mirror)
        self.enter()
        self.search.trained(trained_s)
        self.mirror.refresh()

    def enter(self) -> None:
        found = self.ledger.stages(self.study.study_id)
        self.search.enter([Stage.from_json(stage, self.spec.space) for stage in found])

    def begin(self) -> tuple[Lease, int]:
        (lease,) = self.ledger.claim("w", self.study.study_id)
        self.mirror.refresh()
        (proposal,) = self.search.propose([lease])
        (begun,) = self.ledger.begin([(lease, proposal)])
        assert begun is not None
        self.mirror.adopt(proposal, *begun)
        return lease, begun[0]

    def end(self, lease: Lease, trial_id: int, state: TrialState = TrialState.COMPLETE) -> None:
        params = self.mirror.get_trial(trial_id).params
        value = 1 - abs(math.log10(params.get("lr", 1e-2)) + 2) - params.get("dropout", 0.0)
        report, ending = Epoch(1, value, {}, 0.1), Ending(state, value)
        write = Write(lease, trial_id, reports=[report], ending=ending)
        assert self.ledger.record([write]) == set()
        self.mirror.report(trial_id, 1, value)
        self.mirror.end(trial_id, state, value)

    def trials(self) -> list:
        self.mirror.refresh()
        return sorted(self.mirror.get_all_trials(0), key=lambda t: t.user_attrs["ticket"])


@pytest.fixture
def bench(tmp_path: Path):
    def make(
        sampler: str, parameters: str = PARAMETERS, extra: str = "", start: str = "",
        hours: str = "null", version: int = 1,
    ) -> StudySession:  # fmt: skip
        name = len(list(tmp_path.glob("*.db")))  # a test may ask for several
        url = f"sqlite:///{tmp_path}/bench{name}.db"
        return StudySession(url, tmp_path, sampler, parameters, extra, start, hours, version)

    return make


@pytest.mark.parametrize("sampler", ["bayesian", "tpe", "cmaes", "random", "qmc"])
def test_the_default_configuration_is_tried_first(bench, sampler: str) -> None:
    study = bench(sampler, start="start: [{lr: 0.05}]", version=2)
    for _ in range(3):
        study.end(*study.begin())
    first, default, drawn = study.trials()
    assert first.params["lr"] == 0.05
    assert default.params == to_optuna(default_point(study.spec))
    assert [t.user_attrs["sampler"] for t in (first, default)] == ["start", "start"]
    assert drawn.user_attrs["sampler"] != "start"


def drawn_by(bench: StudySession) -> Counter:
    return Counter(t.user_attrs["sampler"] for t in bench.trials())


@pytest.mark.parametrize(("sampler", "learner"), [("bayesian", "gp"), ("tpe", "tpe"),
                                                  ("cmaes", "cmaes")])  # fmt: skip
def test_a_sampler_that_learns_starts_at_random_and_says_so(bench, sampler, learner) -> None:
    study = bench(sampler)
    for _ in range(16):
        study.end(*study.begin())
    first = {"bayesian": 3, "tpe": 10, "cmaes": 1}[sampler]
    assert drawn_by(study) == {"random": first, learner: 16 - first}


def test_a_trial_that_ends_between_two_looks_is_seen_to_have_ended(bench) -> None:
    study = bench("random")
    lease, trial_id = study.begin()
    other = Mirror(study.ledger.database, study.study.study_id, "s", "maximize")
    other.fetch()  # as another thread does: it is not shown yet
    study.end(lease, trial_id)
    other.refresh()
    assert [trial.state for trial in other.trials()] == [TrialState.COMPLETE]


def test_learning_pays(bench) -> None:
    study = bench("tpe")
    for _ in range(60):
        study.end(*study.begin())
    values = [t.value for t in study.trials()]
    assert sum(values[-20:]) > sum(values[:10]) * 2 + 5


CONSTANT = (
    "{architecture: {width: {values: [2, 4]}},"
    " optimizer: {optimizer: sgd, momentum: {values: [0.5, 0.7, 0.9], when: {optimizer: sgd}}}}"
)


def test_a_grid_has_its_cells_where_a_condition_is_on_a_constant(bench) -> None:
    study = bench("grid", CONSTANT)
    assert outline.tickets(study.spec) == 6
    for _ in range(6):
        study.end(*study.begin())
    drawn = {(t.params["width"], t.params["momentum"]) for t in study.trials()}
    assert len(drawn) == 6


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        pytest.param("auto", "asha", marks=pytest.mark.nightly),
        ("tpe", "hyperband"),
        pytest.param("auto", "hyperband", marks=pytest.mark.nightly),
        pytest.param("tpe", "asha", marks=pytest.mark.nightly),
    ],
)
def test_a_stage_draws_from_its_own_ranges_whatever_the_pruner(bench, sampler, pruner) -> None:
    study = bench(sampler, extra=f", strategy: staged, pruner: {pruner}")
    end = 0
    for number in range(60):
        if number == end:
            stage = study.search.next_stage(number, 60 - number)
            study.search.enter([*(study.search.stages if number else ()), stage])
            end = 60 if stage.count is None else number + stage.count
        study.ledger.database.write(
            lambda c: c.exec_driver_sql("UPDATE hpsearch_studies SET opened = NULL")
        )
        lease, trial_id = study.begin()
        values = study.search.values(study.mirror.get_trial(trial_id))
        if stage.point(lease.draw_index) is None:
            assert all(p.domain.contains(values[p.name]) for p in stage.parameters
                       if p.name != "lr" or not stage.rescaled)  # fmt: skip
        study.end(lease, trial_id)


def test_the_next_stage_has_its_share_of_what_the_hours_hold(bench) -> None:
    study = bench("random", extra=", strategy: staged", hours="1")
    uid = study.study.study_id
    staging = Staging(study.ledger, study.study, study.spec, study.search, study.mirror)
    begun = [study.begin() for _ in range(16)]
    assert study.ledger.claim("w", uid) == []
    assert not staging.advance(idle=False), "nobody knows the pace yet"
    for one in begun:
        study.end(*one)
    # 16 in 720 s: the hour holds 64 more.
    study.ledger.database.write(lambda connection: study_rows.put(connection, uid, active_s=720.0))
    assert staging.advance(idle=False)
    assert [(s.name, s.count) for s in study.search.stages] == [
        ("warmup", 16), ("architecture", 8),
    ]  # fmt: skip


def test_an_early_ticket_is_drawn_the_same_whoever_has_it(bench) -> None:
    study = bench("tpe", extra=", strategy: staged, pruner: none", version=2)
    staging = Staging(study.ledger, study.study, study.spec, study.search, study.mirror)
    begun = [study.begin() for _ in range(40)]
    for one in begun[1:]:
        study.end(*one)
    assert not staging.advance(idle=False), "a trial of the warm-up is under way"
    assert staging.advance(idle=True)
    (early,) = study.search.stages[1:]
    assert (early.name, early.first, early.count) == (EARLY, 40, 1)
    (lease,) = study.ledger.claim("w", study.study.study_id)
    drawn = []
    for _ in range(2):
        study.open()
        (proposal,) = study.search.propose([lease])
        drawn.append(proposal.params)
        assert proposal.user_attrs["stage"] == EARLY
    assert drawn[0] == drawn[1]
    values = study.search.values(proposal)
    assert all(p.domain.contains(values[p.name]) for p in early.parameters)
    study.end(*begun[0])
    assert staging.advance(idle=False), "and no stage waits for it"
    study.enter()
    assert [s.name for s in study.search.stages] == ["warmup", EARLY, "architecture"]


@pytest.mark.parametrize("widen", ["true", "false"])
def test_a_trial_beyond_a_range_says_so_to_optuna(bench, widen: str) -> None:
    """Its distribution reaches as far as its value; those of all others are the study's."""
    study = bench("random", extra=f", strategy: staged, pruner: none, widen: {widen}")
    lease, trial_id = study.begin()
    study.end(lease, trial_id)
    stages = list(study.search.stages)
    found = outline.opening(study.spec, [*stages, replace(stages[0], name="regularization")],
                            [Done(0, {"depth": 2, "width": 16, "lr": 0.1, "dropout": 0.2},
                                          0.9)], 1, 40)  # fmt: skip
    assert found.name == "polish"
    study.search.enter([*stages, found])
    trials = study.search.propose([Lease(9, n, 1, "w", draw_index=n) for n in range(1, 41)])
    beyond = [t for t in trials if t.params["lr"] > 0.1]
    assert bool(beyond) == (widen == "true")
    for trial in trials:
        kept = trial.distributions["lr"]
        assert kept.low == 1e-4
        assert kept.high == (pytest.approx(0.1 * 1000**0.3) if widen == "true" else 0.1)
        assert kept.low <= trial.params["lr"] <= kept.high
    final = Stage("final", 41, 2, bases=({**study.search.values(trials[0]), "lr": 0.3},))
    study.search.enter([*stages, found, final])
    (trial,) = study.search.propose([Lease(9, 41, 1, "w", draw_index=41)])
    assert trial.params["lr"] == trial.distributions["lr"].high == 0.3


def test_tpe_stands_in_where_most_trials_are_pruned(bench) -> None:
    study = bench("bayesian")
    for _ in range(14):
        study.end(*study.begin(), state=TrialState.PRUNED)
    assert drawn_by(study) == {"random": 10, "tpe": 4}


def test_tpe_stands_in_for_conditional_parameters(bench) -> None:
    study = bench("bayesian", CONDITIONAL)
    for _ in range(16):
        study.end(*study.begin())
    assert drawn_by(study) == {"random": 10, "tpe": 6}
    for trial in study.trials():
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")
    assert {study.search.values(t)["widths"] for t in study.trials()} == {(8, 8), (16,)}
    assert {t.params["widths"] for t in study.trials()} == {"8-8", "16"}


def test_a_gaussian_process_gives_way_while_training_is_short(bench) -> None:
    study = bench("bayesian")
    study.open(trained_s=0.0)
    study.search._pace.proposed(1e3)
    for _ in range(11):
        study.end(*study.begin())
    study.search.trained(1e6)
    study.end(*study.begin())
    assert drawn_by(study) == {"random": 10, "tpe": 1, "gp": 1}


def spread(trials: list[FrozenTrial]) -> float:
    """Mean distance between trials in the unit cube of depth, width, lr and dropout."""
    points = np.array(
        [
            (t.params["depth"] / 2, math.log2(t.params["width"]) / 2,
             math.log10(t.params["lr"]) / 3, t.params["dropout"] * 2.5)
            for t in trials
        ]
    )  # fmt: skip
    return float(np.linalg.norm(points[:, None] - points[None], axis=-1).mean())


@pytest.mark.parametrize(
    ("sampler", "learner"),
    [
        pytest.param("bayesian", "gp", marks=pytest.mark.nightly),
        ("tpe", "tpe"),
        ("cmaes", "cmaes"),
    ],
)
def test_a_batch_is_as_diverse_as_proposals_one_by_one(bench, sampler, learner) -> None:
    study, threads = bench(sampler), torch.get_num_threads()
    for _ in range(20):
        study.end(*study.begin())
    leases = study.ledger.claim("w", study.study.study_id, 8)
    batch = study.search.propose(leases)
    assert {t.user_attrs["sampler"] for t in batch} == {learner}
    assert len({str(t.params) for t in batch}) == 8
    assert {t.number for t in batch} == set(range(20, 28))
    for lease in leases:
        study.mirror.drop_ticket(lease.number)
    study.ledger.release(leases, None)
    one_by_one = []
    for _ in range(8):
        lease, trial_id = study.begin()
        one_by_one.append(study.mirror.get_trial(trial_id))
        study.end(lease, trial_id)
    assert spread(batch) > spread(one_by_one) / 2
    assert torch.get_num_threads() == threads


def test_proposals_know_what_other_workers_train(bench) -> None:
    """The notes by which Optuna's workers tell each other are not kept: parameters are there."""
    study = bench("tpe")
    for _ in range(12):
        study.end(*study.begin())
    ticket = study.study.tickets - 1
    alone = proposal(study, ticket)
    study.mirror.drop(alone._trial_id)
    for _ in range(8):
        _, trial_id = study.begin()
        assert study.mirror.get_trial(trial_id).system_attrs == {}
    study.open()
    assert proposal(study, ticket).params != alone.params


FORESEEN = {
    "random": "random",
    "qmc": "qmc",
    "grid": "grid",
    "mixed": "{optimizer: grid, architecture: qmc}",
}


@pytest.mark.parametrize("samplers", FORESEEN)
def test_what_does_not_depend_on_other_trials_is_foreseen(bench, samplers) -> None:
    parameters = CONDITIONAL.replace("max: 0.9", "max: 0.9, step: 0.1")
    start = "" if samplers == "grid" else "start: [{optimizer: sgd}]"  # a grid has none
    study = bench(FORESEEN[samplers], parameters, start=start)
    names = {parameter.name for parameter in study.spec.space}
    foreseen = [study.search.foreseen(n, names) for n in range(12)]
    assert foreseen == [study.search.values(proposal(study, n)) for n in range(12)]
    assert len({str(f) for f in foreseen}) > 5


def test_what_depends_on_other_trials_is_not_foreseen(bench) -> None:
    given = "{depth: 2, width: 8, lr: 0.01, dropout: 0.0}"
    study = bench("tpe", start=f"start: [{given}, {{depth: 1}}]")
    names = {"depth", "width", "lr", "dropout"}
    everything = {"depth": 2, "width": 8, "lr": 0.01, "dropout": 0.0}
    assert study.search.foreseen(0, names) == everything
    assert study.search.foreseen(0, names) == study.search.values(proposal(study, 0))
    assert [study.search.foreseen(n, names) for n in (1, 2, 20)] == [None] * 3
    assert study.search.foreseen(1, {"depth"}) == {"depth": 1}  # which the point says


def test_a_part_can_be_foreseen(bench) -> None:
    study = bench("{architecture: random, learning_rate: tpe, regularization: random}")
    foreseen = study.search.foreseen(3, {"depth", "width"})
    drawn = study.search.values(proposal(study, 3))
    assert foreseen == {name: value for name, value in drawn.items() if name != "lr"}
    assert study.search.foreseen(3, {"depth", "lr"}) is None


def test_whether_a_parameter_exists_may_be_unknown(bench) -> None:
    study = bench("{optimizer: tpe, architecture: random}", CONDITIONAL)
    assert study.search.foreseen(0, {"momentum"}) is None


@pytest.mark.parametrize(
    "sampler",
    ["random", "qmc", "grid", "tpe", pytest.param("bayesian", marks=pytest.mark.nightly), "cmaes"],
)
def test_what_is_drawn_depends_on_the_history_and_not_on_the_process(
    bench, sampler, tmp_path
) -> None:
    parameters = PARAMETERS.replace("log: true", "log: true, count: 4")
    drawn = []
    for run in range(2):
        study = StudySession(f"sqlite:///{tmp_path}/{run}.db", tmp_path, sampler, parameters, "")
        for _ in range(14):
            study.end(*study.begin())
            if run:
                study.open()
        drawn.append([t.params for t in study.trials()])
    assert drawn[0] == drawn[1]


def proposal(study: StudySession, number: int) -> FrozenTrial:
    lease = Lease(study.study.study_id, number, 1, "w", draw_index=number)
    return study.search.propose([lease])[0]


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_points_are_a_pure_function_of_the_ticket(bench, sampler) -> None:
    study = bench(sampler)
    proposals = {n: proposal(study, n).params for n in (7, 3, 5, 3)}
    study.open()
    assert {n: proposal(study, n).params for n in (3, 5, 7)} == proposals
    assert len({str(p) for p in proposals.values()}) == 3


def test_every_value_lies_in_its_range(bench) -> None:
    study = bench("random")
    for number in range(60):
        values = study.search.values(proposal(study, number))
        assert all(p.domain.contains(values[p.name]) for p in study.spec.space)
        assert all(distribution(p)._contains(values[p.name]) for p in study.spec.space
                   if p.name != "width")  # fmt: skip


def test_each_group_can_have_its_own_sampler(bench) -> None:
    study = bench("{architecture: grid, learning_rate: qmc, regularization: random}")
    for _ in range(18):
        study.end(*study.begin())
    cells = Counter((t.params["depth"], t.params["width"]) for t in study.trials())
    assert set(cells.values()) == {2}
    assert len(cells) == 9
    assert drawn_by(study) == {"grid + qmc + random": 18}


def test_a_retry_has_the_parameters_of_the_trial_that_failed(bench) -> None:
    study = bench("tpe")
    lease, trial_id = study.begin()
    ending = Ending(TrialState.FAIL, None, "out_of_memory")
    study.ledger.record([Write(lease, trial_id, ending=ending)])
    study.ledger.retry_failed("s")
    study.open()
    _, again = study.begin()
    first, second = study.mirror.get_trial(trial_id), study.mirror.get_trial(again)
    assert second.params == first.params
    assert (second.user_attrs["sampler"], second.user_attrs["retry_of"]) == ("retry", 0)


PRUNERS = {
    "asha": "pruner: asha",
    "hyperband": "pruner: {name: hyperband, reduction_factor: 2}",
    "median": "pruner: {name: median, n_startup_trials: 2}",
    "percentile": "pruner: {name: percentile, n_startup_trials: 2}",
    "patient": "pruner: {name: patient, patience: 1, wrapped: {name: median, n_startup_trials: 2}}",
    "threshold": "pruner: {name: threshold, lower: 0.1}",
    "none": "pruner: none",
}


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_stops_the_weak_and_not_the_strong(bench, pruner) -> None:
    study = bench("random", extra=", " + PRUNERS[pruner])
    pruned = []
    for number in range(12):
        strong = number % 2 == 0
        lease, trial_id = study.begin()
        trial = study.mirror.get_trial(trial_id)
        for epoch in range(1, 9):
            value = (0.9 if strong else 0.05) - epoch / 1000
            study.mirror.report(trial_id, epoch, value)
            report = Epoch(epoch, value, {}, 0.1)
            study.ledger.record([Write(lease, trial_id, reports=[report])])
            if study.search.should_prune(trial):
                pruned.append(number)
                break
        state = TrialState.PRUNED if number in pruned else TrialState.COMPLETE
        notes = study.mirror.take_notes(trial_id)
        ending = Ending(state, value)
        study.ledger.record([Write(lease, trial_id, system_attrs=notes, ending=ending)])
        study.mirror.end(trial_id, state, value)
    if pruner == "none":
        assert pruned == []
    else:
        assert any(number % 2 for number in pruned)
        assert sum(n % 2 == 0 for n in pruned) <= sum(n % 2 for n in pruned)


def test_what_a_pruner_notes_reaches_other_workers(bench) -> None:
    study = bench("random", extra=", pruner: asha")
    lease, trial_id = study.begin()
    study.mirror.report(trial_id, 1, 0.5)
    study.search.should_prune(study.mirror.get_trial(trial_id))
    notes = study.mirror.take_notes(trial_id)
    assert notes
    report = Epoch(1, 0.5, {}, 0.1)
    study.ledger.record([Write(lease, trial_id, reports=[report], system_attrs=notes)])
    study.open()
    study.mirror.refresh()
    seen = study.mirror.get_trial(trial_id)
    assert notes.items() <= seen.system_attrs.items()
    assert seen.intermediate_values == {1: 0.5}


def test_trials_of_other_tools_are_not_learned_from(bench) -> None:
    import optuna

    study = bench("bayesian")
    theirs = optuna.load_study(study_name="s", storage=study.ledger.database.url)
    theirs.add_trial(optuna.trial.create_trial(value=9.0))
    for _ in range(12):
        study.end(*study.begin())
    assert len(study.trials()) == 12
    assert outline.tickets(study.spec) == 200


NUMERIC = (
    "{architecture: {depth: {min: 1, max: 3}},"
    " learning_rate: {lr: {min: 1.0e-4, max: 1.0e-1, log: true}},"
    " regularization: {dropout: {min: 0.0, max: 0.5}}}"
)


class Hostile:
    """What is executed when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self):
        return Path.touch, (self._file,)


def test_cmaes_runs_no_pickle_of_the_database(bench, tmp_path: Path) -> None:
    ours = bench("cmaes", NUMERIC)
    for _ in range(10):
        ours.end(*ours.begin())
    pickled = pickle.dumps(Hostile(tmp_path / "was run")).hex()
    storage = optuna.storages.RDBStorage(ours.ledger.database.url)
    lease, trial_id = ours.begin()
    storage.set_trial_system_attr(trial_id, "cma:optimizer:0", pickled)
    storage.set_trial_system_attr(trial_id, "cma:generation", ["x"])
    ours.end(lease, trial_id)
    ours.open()
    ours.end(*ours.begin())
    assert not (tmp_path / "was run").exists()
    assert ours.trials()[-1].user_attrs["sampler"] == "cmaes"
    study = optuna.load_study(study_name="s", storage=storage)
    space = {"lr": study.trials[0].distributions["lr"]}
    asked = storage.get_trial(study.ask()._trial_id)
    optuna.samplers.CmaEsSampler().sample_relative(study, asked, space)
    assert (tmp_path / "was run").exists(), "else the row is not hostile at all"


def test_cmaes_gets_where_optunas_own_gets() -> None:
    """The trials alone give the mean and the spread that Optuna keeps as a pickle."""

    def objective(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", -5, 5), trial.suggest_float("y", 1e-4, 1, log=True)
        return (x - 2) ** 2 + (math.log10(y) + 2) ** 2 + abs(trial.suggest_int("n", 1, 9) - 4)

    def signed(sign: int, trial: optuna.Trial) -> float:
        return sign * objective(trial)

    ways: list[tuple[Direction, int]] = [("minimize", 1), ("maximize", -1)]
    for direction, sign in ways:
        theirs = optuna.samplers.CmaEsSampler(seed=0)
        study = optuna.create_study(direction=direction, sampler=theirs)
        study.optimize(partial(signed, sign), n_trials=60)
        kept = theirs._restore_optimizer(study.trials)
        ours = ReplayedCmaEsSampler(seed=1)
        asked = study._storage.get_trial(study.ask()._trial_id)
        ours.sample_relative(study, asked, dict(sorted(study.trials[0].distributions.items())))
        replayed = ours._restore_optimizer(study.get_trials(states=[TrialState.COMPLETE]))
        assert kept.generation == replayed.generation > 5
        for part in ("_mean", "_sigma", "_C", "_pc", "_p_sigma"):
            assert getattr(replayed, part) == pytest.approx(getattr(kept, part)), part


RECIPE = (
    "{architecture: {width: {values: [8, 16]}}, learning_rate: {lr: {min: 1.0e-3, max: 1.0}},"
    " regularization: {dropout: {min: 0.0, max: 0.5}}}"
)


def test_what_learns_by_heart_is_never_pruned(bench) -> None:
    more = ", strategy: recipe, pruner: {name: threshold, lower: 2}"
    study = bench("random", RECIPE, more, version=2)
    _, trial_id = study.begin()
    study.mirror.report(trial_id, 1, 0.5)
    trial = study.mirror.get_trial(trial_id)
    assert trial.user_attrs["stage"] == "by heart"
    assert not study.search.should_prune(trial)
    trial.user_attrs["stage"] = "regularise"
    assert study.search.should_prune(trial)


def test_what_learns_by_heart_is_drawn_by_its_training_loss(bench) -> None:
    study = bench("tpe", RECIPE, ", strategy: recipe", version=2)
    losses = []
    for number in range(4):
        lease, trial_id = study.begin()
        losses.append(1 / (number + 1))
        metrics = {"metrics": {"train_loss": losses[-1]}}
        write = Write(lease, trial_id, user_attrs=metrics, ending=Ending(TrialState.COMPLETE, 0.5))
        assert study.ledger.record([write]) == set()
        study.mirror.end(trial_id, TrialState.COMPLETE, 0.5, metrics)
    seen = study.search._source(4).view.get_trials(deepcopy=False)
    assert [trial.value for trial in seen] == [-loss for loss in losses]
    assert {trial.value for trial in study.trials()} == {0.5}, "Optuna reads the study's metric"
    last = study.search.values(study.trials()[-1])
    assert study.search.next_stage(4, 9).base(4) == {n: last[n] for n in ("width", "lr")}
