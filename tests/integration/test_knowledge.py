"""Trials from elsewhere: what samplers learn of them, and that they are no trials otherwise."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from hpsearch.api.submit import submit
from hpsearch.errors import ConflictError, NotFoundError, StudyFileError
from hpsearch.insight.knowledge import gathered, teach
from hpsearch.insight.reader import Reader
from hpsearch.search import Search
from hpsearch.search.distributions import known_trials
from hpsearch.sources.table import cells, filekind
from hpsearch.spec import StudySpec, load
from hpsearch.stages.stage import Stage
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Known, Study
from tests.conftest import Servers
from tests.played import Played, played

PARAMETERS = (
    "{lr: {min: 1e-4, max: 1e-1, log: true}, width: {values: [32, 64]},"
    " optimizer: {values: [sgd, adam]}, momentum: {min: 0.8, max: 0.99, when: {optimizer: sgd}},"
    " depth: 2}"
)


def study(url: str, folder: Path, sampler: str = "tpe") -> tuple[Ledger, Study, StudySpec]:
    file = folder / "s.yaml"
    file.write_text(
        f"name: s\ndata: {{source: digits}}\nnetwork: {{family: mlp}}\nmetric: accuracy\n"
        f"parameters: {PARAMETERS}\nsearch: {{sampler: {sampler}, seed: 1}}\n"
        "budget: {trials: 40}\n"
    )
    spec, ledger = load(file), Ledger(Database(url))
    return ledger, submit(ledger, spec, folder)[0], spec


def rates(count: int) -> list[Known]:
    """Trials whose value is the better, the nearer the rate is to 0.01."""
    found = []
    for i in range(count):
        lr = 10 ** (-4 + 3 * (i + 0.5) / count)
        value = 1 - abs(math.log10(lr) + 2)
        params = {"lr": lr, "width": 64, "optimizer": "adam"}
        found.append(Known(params, value, f"row {i}"))
    return found


def proposed(ledger: Ledger, kept: Study, spec: StudySpec, count: int) -> list[FrozenTrial]:
    """What a worker that has just begun draws, but for the default configuration."""
    mirror = Mirror(ledger.database, kept.study_id, "s", "maximize")
    search = Search(spec, mirror)
    search.enter([Stage.from_json(one, spec.space) for one in ledger.stages(kept.study_id)])
    search.learn(ledger.known(kept.study_id))
    mirror.refresh()
    return search.propose(ledger.claim("w", kept.study_id, count + 1))[1:]


def test_what_is_known_is_there_once_however_often_it_is_brought(url: str, tmp_path: Path) -> None:
    ledger, kept, _ = study(url, tmp_path)
    many = rates(450)  # more than one attribute holds
    assert ledger.add_known(kept, many[:300]) == 300
    assert ledger.add_known(kept, many) == 150
    assert ledger.add_known(kept, many) == 0
    assert ledger.known(kept.study_id) == many
    ledger.delete("s")
    assert ledger.add_known(kept, many) is None
    assert ledger.known(kept.study_id) == []


@pytest.mark.mariadb
def test_a_trial_too_large_for_a_column_is_left_out(servers: Servers, tmp_path: Path) -> None:
    """MariaDB's TEXT takes 64 KiB, which is a trial of some thousand parameters."""
    small, large = "s" * 64_000, "l" * 65_000
    (tmp_path / "train.py").write_text("def train(run): ...\n")
    (tmp_path / "s.yaml").write_text(
        'name: s\ntrain: {function: "train.py:train"}\n'
        "metric: {name: score, direction: maximize}\n"
        f"parameters: {{text: {{values: [{small}, {large}]}}}}\nbudget: {{trials: 4, epochs: 1}}\n"
    )
    (tmp_path / "t.csv").write_text(f"text,score\n{small},1\n{large},2\n{small},3\n")
    spec = load(tmp_path / "s.yaml")
    found = gathered(spec, "maximize", str(tmp_path / "t.csv"), None, None)
    assert [one.value for one in found.known] == [1, 3]
    assert [*found.left_out.values()] == [1]
    ledger = Ledger(Database(servers.new_database("mariadb", tmp_path)))
    kept, _ = submit(ledger, spec, tmp_path)
    assert ledger.add_known(kept, found.known) == 2
    assert ledger.known(kept.study_id) == found.known


def test_it_is_no_trial_and_takes_nothing_of_the_budget(sqlite_url: str, tmp_path: Path) -> None:
    ledger, kept, _ = study(sqlite_url, tmp_path)
    before = Reader(ledger, "s").snapshot()
    ledger.add_known(kept, rates(30))
    after = Reader(ledger, "s").snapshot()
    assert (after.study, after.trials, after.best) == (before.study, (), None)
    found = optuna.load_study(study_name="s", storage=sqlite_url)
    assert found.trials == []
    with pytest.raises(ValueError, match="Record does not exist"):
        found.best_trial  # noqa: B018  # to read it is the test


def test_samplers_begin_where_it_was_good(sqlite_url: str, tmp_path: Path) -> None:
    ledger, kept, spec = study(sqlite_url, tmp_path)
    ledger.add_known(kept, rates(60))
    drawn = proposed(ledger, kept, spec, 12)
    assert {trial.user_attrs["sampler"] for trial in drawn} == {"tpe"}, "and not at random"
    near = [abs(math.log10(trial.params["lr"]) + 2) < 0.75 for trial in drawn]
    assert sum(near) >= 9, "half of the range has such rates"


def test_a_gaussian_process_begins_there_too(sqlite_url: str, tmp_path: Path) -> None:
    ledger, kept, spec = study(sqlite_url, tmp_path, "bayesian")
    ledger.add_known(kept, rates(20))
    (trial,) = proposed(ledger, kept, spec, 1)
    assert trial.user_attrs["sampler"] in ("tpe", "gp")
    assert trial.number >= 0


def test_trials_from_elsewhere_are_older_than_all_others(tmp_path: Path, sqlite_url: str) -> None:
    _, _, spec = study(sqlite_url, tmp_path)
    found = known_trials(spec, rates(3))
    assert [trial.number for trial in found] == [-3, -2, -1]
    assert len({trial._trial_id for trial in found}) == 3
    assert all(trial.state is TrialState.COMPLETE for trial in found)


@pytest.fixture
def old(tmp_path: Path) -> str:
    """The URL of a database with a study of Optuna, some of whose trials fit."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    there = optuna.create_study(storage=url, study_name="old", direction="maximize")
    lr = optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)
    width = optuna.distributions.CategoricalDistribution([32, 64, 128])
    kind = optuna.distributions.CategoricalDistribution(["sgd", "adam"])
    spread = {"lr": lr, "width": width, "optimizer": kind}
    for rate, size, state in (
        (0.01, 32, "COMPLETE"), (0.02, 64, "COMPLETE"), (0.5, 64, "COMPLETE"),
        (0.01, 128, "COMPLETE"), (0.03, 64, "PRUNED"),
    ):  # fmt: skip
        params = {"lr": rate, "width": size, "optimizer": "adam"}
        there.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=spread, state=TrialState[state],
                value=0.9 if state == "COMPLETE" else None,
            )
        )  # fmt: skip
    against = optuna.trial.create_trial(
        params={"lr": 0.015, "width": 32, "optimizer": "adam"}, distributions=spread, value=0.95,
        system_attrs={"constraints:memory": 1.0},
    )  # fmt: skip
    there.add_trial(against)
    return url


def test_a_study_of_optuna(url: str, tmp_path: Path, old: str) -> None:
    ledger, kept, _ = study(url, tmp_path)
    found, new = teach(ledger, "s", old)
    assert (new, len(ledger.known(kept.study_id))) == (2, 2)
    assert dict(found.left_out) == {
        "that did not complete": 2,
        "with a lr beyond what is searched": 1,
        "with a width that is not searched": 1,
    }
    assert ledger.known(kept.study_id)[0] == Known(
        {"lr": 0.01, "width": 32, "optimizer": "adam"}, 0.9, f"study old of {old}, trial 0"
    )
    assert teach(ledger, "s", old)[1] == 0, "again is no harm"


def test_a_study_that_means_something_else_is_refused(tmp_path: Path, old: str) -> None:
    _, _, spec = study(f"sqlite:///{tmp_path / 's.db'}", tmp_path)
    with pytest.raises(ConflictError, match="is to maximize, and study 's' to minimize"):
        gathered(spec, "minimize", old, None, None)
    there = optuna.load_study(study_name="old", storage=old)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        there.set_metric_names(["loss"])
    with pytest.raises(ConflictError, match="has loss for its value, and study 's' accuracy"):
        gathered(spec, "maximize", old, None, None)
    optuna.create_study(storage=old, study_name="two", directions=["maximize", "minimize"])
    with pytest.raises(NotFoundError, match="has 2 studies: old, two; name one with --study"):
        gathered(spec, "maximize", old, None, None)
    with pytest.raises(ConflictError, match="2 objectives"):
        gathered(spec, "maximize", old, "two", None)
    with pytest.raises(NotFoundError, match="did you mean old"):
        gathered(spec, "maximize", old, "odl", None)
    with pytest.raises(NotFoundError, match="there is no"):
        gathered(spec, "maximize", f"sqlite:///{tmp_path / 'none.db'}", None, None)
    assert not (tmp_path / "none.db").exists()


def test_a_study_s_own_trials_are_no_news(tmp_path: Path, sqlite_url: str) -> None:
    """Neither from its database nor as a table: its samplers would count them twice."""
    ledger, kept = played(
        sqlite_url, tmp_path,
        "name: {name}\ntrain: {{function: 'train.py:train'}}\nmetric: {{name: loss, direction: "
        "minimize}}\nparameters: {{lr: {{min: 0.0, max: 1.0}}, sizes: {{values: [[4, 4], [8]]}}}}\n"
        "budget: {{trials: {trials}, epochs: 2}}\n",
        [Played({"lr": 0.25, "sizes": "4-4"}, [0.5, 0.25]), Played({"lr": 0.5, "sizes": "8"}, [3])],
    )  # fmt: skip
    with pytest.raises(ConflictError, match="2 that the study has itself"):
        teach(ledger, "s", sqlite_url, "s")
    file = tmp_path / "trials.csv"
    file.write_text("lr,sizes,loss\n0.25,4-4,0.25\n0.75,4-4,0.125\n")
    found, new = teach(ledger, "s", str(file))
    assert (new, dict(found.left_out)) == (1, {"that the study has itself": 1})
    assert [one.value for one in ledger.known(kept.study_id)] == [0.125]


def test_a_table(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[Path] = []
    once = filekind.load

    def load_once_more(path: Path, **options: bool) -> filekind.Content:
        times.append(path)
        return once(path, **options)

    monkeypatch.setattr(cells, "load", load_once_more)
    ledger, kept, spec = study(sqlite_url, tmp_path)
    file = tmp_path / "trials.csv"
    file.write_text(
        "params_lr,params_width,params_optimizer,params_momentum,params_depth,state,value\n"
        "0.01,32,adam,,2,COMPLETE,0.9\n"
        "0.02,64,sgd,0.9,2,COMPLETE,0.8\n"
        "0.02,64,sgd,,2,COMPLETE,0.8\n"  # without a momentum
        "0.02,64,adam,,3,COMPLETE,0.8\n"  # another depth
        "0.02,64,adam,,2,PRUNED,0.8\n"
        "0.02,64,adam,,2,COMPLETE,\n"
    )
    found, new = teach(ledger, "s", str(file))
    assert new == 2
    assert [one.params for one in ledger.known(kept.study_id)] == [
        {"lr": 0.01, "width": 32, "optimizer": "adam"},
        {"lr": 0.02, "width": 64, "optimizer": "sgd", "momentum": 0.9},
    ]
    assert times == [file], "it is read once, however many trials it has"
    assert found.known[1].origin == f"{file}, row 2"
    assert sum(found.left_out.values()) == 4
    with pytest.raises(StudyFileError, match=r"has no column nix: name .* with --value"):
        gathered(spec, "maximize", str(file), None, "nix")
    file.write_text("lr,value\n0.01,0.9\n0.02,0.8\n")
    with pytest.raises(ConflictError, match=r"none of the trials .* 2 without width"):
        teach(ledger, "s", str(file))
