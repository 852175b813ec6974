"""A worker's own thread on a real study: which epoch counts, and how trials end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.api.submit import submit
from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.cli import inspect
from hpsearch.errors import CheckpointError, ConflictError
from hpsearch.handover import save
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot
from hpsearch.runner import Report, Saved
from hpsearch.search import Search
from hpsearch.spec import StudySpec, load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Lease
from hpsearch.training.array import Array
from hpsearch.training.trial_progress import DivergedError
from hpsearch.worker import finish as finishing
from hpsearch.worker.context import Context, Options, Patience
from hpsearch.worker.keeper import Keeper
from hpsearch.worker.staging import Staging
from hpsearch.worker.study_session import StudySession

STUDY = """
name: s
data: {source: digits, limit: 400}
network: {family: mlp}
parameters:
  learning_rate: {lr: {min: 0.5, max: 3.0, log: true}}
  architecture: {widths: [16]}
  optimizer: {optimizer: sgd}
"""


class Place:
    """A study in a SQLite database, and workers in this process."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.ledger = Ledger(Database(url), lease_s=3.0)
        self.epochs: list[int] = []
        """How many candidates were trained in each epoch of an array."""

    def submit(self, text: str, version: int = 2) -> None:
        file = self.folder / "s.yaml"
        file.write_text(STUDY + text)
        submit(self.ledger, load(file).under(version), self.folder)

    def work(
        self, name: str = "w", each_epoch: Callable[[StudySession], None] | None = None
    ) -> None:
        """Serve the study until there is nothing left to do."""
        with self.serving(name, each_epoch) as to_the_end:
            to_the_end()

    @contextmanager
    def serving(
        self, name: str = "w", each_epoch: Callable[[StudySession], None] | None = None
    ) -> Iterator[Callable[[], None]]:
        """A worker that has been started; what is given makes it work until nothing is left."""
        keeper = Keeper(self.ledger, name)
        options = Options(self.url, name, lease_s=3.0)
        context = Context(
            self.ledger, name, torch.device("cpu"), options, keeper, Patience(9.0),
            threading.Event(),
        )  # fmt: skip
        self.ledger.sign_on(name, "host", 1, "cpu")
        keeper.start()
        try:
            bench = StudySession(context, self.ledger.study("s"))
            train = bench._runner.reports

            def reports(timeout_s: float) -> Iterator[Report]:
                if each_epoch is not None:
                    each_epoch(bench)
                count = 0
                for report in train(timeout_s):
                    count += 1
                    yield report
                self.epochs.append(count)

            def to_the_end() -> None:
                while bench.run():
                    assert keeper.flush(20)
                    bench.settle()

            bench._runner.reports = reports  # type: ignore[method-assign]
            yield to_the_end
        finally:
            keeper.stop()
            self.ledger.sign_off(name)

    @property
    def snapshot(self) -> Snapshot:
        return Reader(self.ledger, "s").snapshot()

    @property
    def trials(self) -> list[FrozenTrial]:
        reader = Reader(self.ledger, "s")
        return reader.mirror(reader.snapshot().study).trials()

    def state(self, ticket: int) -> dict[str, Any] | None:
        place = checkpoint_place(self.ledger.database, self.ledger.study("s"), None)
        return Checkpoints(place).load(ticket)


@pytest.fixture
def place(tmp_path: Path, sqlite_url: str) -> Place:
    return Place(tmp_path, sqlite_url)


def finish_again(place: Place, top: int, seeds: int) -> None:
    """What `hpsearch final` does."""
    place.ledger.finish_again("s", (top + 1) * seeds, {"top": top, "seeds": seeds})


# Which epoch counts


@pytest.mark.parametrize("stack", ["off", "auto"])
def test_a_trial_has_the_value_and_the_network_of_its_best_epoch(place: Place, stack: str) -> None:
    place.submit(f"search: {{sampler: random, pruner: none, stack: {stack}}}\n"
                 "budget: {trials: 5, epochs: 9}\n")  # fmt: skip
    place.work()
    trials = place.trials
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 5
    assert any(t.user_attrs["best_epoch"] < 9 for t in trials)
    for trial in trials:
        curve, attrs = trial.intermediate_values, trial.user_attrs
        assert len(curve) == 9
        assert curve[attrs["best_epoch"]] == trial.value == max(curve.values())
        assert attrs["metrics"]["accuracy"] == trial.value
        assert attrs["last_metrics"]["accuracy"] == curve[9]
        assert attrs["parameters"] == place.snapshot.trials[trial.number].parameters > 650
        assert "reason" not in attrs
    best = place.snapshot.best
    assert best is not None
    state = place.state(best.ticket)
    assert state is not None
    assert Saved(state).kept_epoch == best.best_epoch
    config = save.save(place.ledger, place.snapshot, best, place.folder / "net")
    assert config.metrics.validation["accuracy"] == best.value


def test_the_last_epoch_counts_where_the_study_or_its_version_says_so(place: Place) -> None:
    for version, more in ((2, "keep: last\n"), (1, "")):
        place.submit(f"{more}search: {{sampler: random, pruner: none}}\n"
                     "budget: {trials: 3, epochs: 6}\n", version)  # fmt: skip
        place.work()
        for trial in place.trials:
            assert trial.value == trial.intermediate_values[6]
            assert trial.user_attrs["metrics"]["accuracy"] == trial.value
            assert not {"best_epoch", "last_metrics"} & trial.user_attrs.keys()
        best = place.snapshot.best
        assert best is not None
        save.save(place.ledger, place.snapshot, best, place.folder / f"net{version}")
        place.ledger.delete("s")


def test_a_finish_scores_the_networks_of_the_best_epochs(place: Place) -> None:
    place.submit("search: {sampler: random, pruner: none}\nbudget: {trials: 3, epochs: 9}\n"
                 "final: {top: 1, seeds: 3}\n")  # fmt: skip
    place.work()
    study = place.ledger.study("s")
    assert (study.state, study.finish) == ("done", "done")
    verdict = place.snapshot.verdict
    assert verdict is not None
    ours = [t for t in place.trials if t.number in verdict["trials"]]
    assert sorted(verdict["validation"]["values"]) == sorted(
        max(t.intermediate_values.values()) for t in ours
    )
    assert any(t.user_attrs["best_epoch"] < 9 for t in ours)
    snapshot = place.snapshot
    assert snapshot.network is not None
    config = save.save(place.ledger, snapshot, snapshot.network, place.folder / "net")
    assert config.metrics.test == verdict["network"]


def test_a_pruned_trial_has_its_last_report_and_halving_sees_the_best(place: Place) -> None:
    place.submit("search: {sampler: random, pruner: {name: asha, reduction_factor: 2}}\n"
                 "budget: {trials: 12, epochs: 8}\n")  # fmt: skip
    place.work()
    pruned = [t for t in place.trials if t.state is TrialState.PRUNED]
    assert pruned
    for trial in place.trials:
        curve = trial.intermediate_values
        last, best = curve[max(curve)], max(curve.values())
        assert trial.value == (last if trial.state is TrialState.PRUNED else best)
        assert trial.user_attrs["metrics"]["accuracy"] == best
        for rung, epoch in enumerate((1, 2, 4)):
            if (seen := trial.system_attrs.get(f"completed_rung_{rung}")) is not None:
                assert seen == max(v for e, v in curve.items() if e <= epoch)


def test_no_better_value_for_some_epochs_ends_a_trial(place: Place) -> None:
    place.submit("search: {sampler: random, pruner: none}\n"
                 "budget: {trials: 6, epochs: 40, stop_after: 3}\n"
                 "final: {top: 1, seeds: 2}\n")  # fmt: skip
    place.work()
    trials = place.trials
    assert len(trials) == 10
    stopped = [t for t in trials if t.last_step != 40]
    assert stopped
    for trial in trials:
        assert trial.state is TrialState.COMPLETE
        assert trial.value == max(trial.intermediate_values.values())
        if trial in stopped:
            curve = trial.intermediate_values
            assert trial.last_step == max(curve, key=lambda e: (curve[e], -e)) + 3
            assert trial.user_attrs["reason"] == "no better for 3 epochs"
    assert place.ledger.study("s").state == "done"
    assert place.snapshot.verdict is not None
    assert len(place.snapshot.searched) == 6


def leave(place: Place, after: int) -> Callable[[StudySession], None]:
    """The worker is sent away once the array has trained so many epochs, which were saved."""

    def look(bench: StudySession) -> None:
        if len(place.epochs) == after:
            bench._outbox.save()
            bench._stop.set()

    return look


@pytest.mark.parametrize("after", [2, 5])
def test_a_trial_taken_over_keeps_its_best_epoch(place: Place, after: int) -> None:
    """Its worker gives it back after some epochs: it comes to what an undisturbed one does."""
    text = ("search: {sampler: random, pruner: none, stack: off}\n"
            "budget: {trials: 1, epochs: 9, stop_after: 8}\nstart: [{lr: 2.0}]\n")  # fmt: skip
    place.submit(text)

    place.work("first", leave(place, after))
    (trial,) = place.trials
    assert trial.state is TrialState.RUNNING
    leader = place.snapshot.leader
    assert leader is not None
    assert leader.value == max(trial.intermediate_values.values())
    place.work("second")
    (trial,) = place.trials
    whole = Place(place.folder, f"sqlite:///{place.folder}/whole.db")
    whole.submit(text)
    whole.work()
    (other,) = whole.trials
    assert trial.intermediate_values == other.intermediate_values
    assert (trial.value, trial.user_attrs["best_epoch"]) == (
        other.value, other.user_attrs["best_epoch"],
    )  # fmt: skip
    assert trial.user_attrs["metrics"] == other.user_attrs["metrics"]
    state = place.state(0)
    assert state is not None
    assert "restarted" not in trial.user_attrs, "reports were taken back"
    assert Saved(state).kept_epoch == trial.user_attrs["best_epoch"]


@pytest.mark.parametrize("reported", [3, 5, 8])
def test_a_curve_is_that_of_one_attempt(place: Place, reported: int) -> None:
    """A worker finds a checkpoint of five epochs that the one before it, on another machine, had
    not: that one began again, came to other values and reported fewer, as many or more."""
    place.submit("search: {sampler: random, pruner: {name: asha, reduction_factor: 2}}\n"
                 "budget: {trials: 1, epochs: 9}\nstart: [{lr: 2.0}]\n")  # fmt: skip
    place.work("first", leave(place, 5))
    state = place.state(0)
    assert state is not None
    place.epochs.clear()
    place.work("second", leave(place, 3))
    checkpoints(place).save(0, state, 2)
    other = (
        f"DELETE FROM trial_intermediate_values WHERE step > {reported}",
        f"DELETE FROM hpsearch_epochs WHERE epoch > {reported}",
        "UPDATE trial_intermediate_values SET intermediate_value = 0.01",
        "UPDATE trial_system_attributes SET value_json = '0.01' WHERE key LIKE 'completed_rung%'",
        "UPDATE hpsearch_epochs SET seconds = 60.0, metrics = '{\"accuracy\": 0.01}'",
    )
    place.ledger.database.write(lambda connection: [*map(connection.exec_driver_sql, other)])
    place.work("third")
    (trial,) = place.trials
    curve = trial.intermediate_values
    assert sorted(curve) == list(range(1, 10))
    assert {one.epoch: one.value for one in Saved(state).curve}.items() <= curve.items()
    assert curve[trial.user_attrs["best_epoch"]] == trial.value == max(curve.values())
    rungs = [v for key, v in trial.system_attrs.items() if key.startswith("completed_rung")]
    assert rungs
    assert set(rungs) <= set(curve.values()), "the pruner judges it by the other attempt"
    (course,) = place.ledger.courses(place.snapshot.study.study_id, {0: 0}).values()
    assert {one.epoch: one.metrics["accuracy"] for one in course} == curve, "MLflow gets another"
    assert course[-1].at_s - course[0].at_s < 60
    said = "continues from epoch 5 of another attempt than the one reported"
    assert trial.user_attrs["restarted"] == said


def test_no_report_is_dropped_of_one_that_has_to_be_alone(place: Place) -> None:
    """It has lost a worker, and its checkpoints cannot be made, as those of own training code that
    are too large."""
    place.submit("search: {sampler: random, pruner: none}\nbudget: {trials: 1, epochs: 9}\n")
    place.work("first", leave(place, 3))
    crashed = "UPDATE hpsearch_tickets SET crashes = 1"
    place.ledger.database.write(lambda connection: connection.exec_driver_sql(crashed))

    def unsaved(bench: StudySession) -> None:
        bench._runner.saved = lambda key: None  # type: ignore[method-assign]

    place.work("second", unsaved)
    (trial,) = place.trials
    assert sorted(trial.intermediate_values) == list(range(1, 10))


# Hours


def spend(place: Place, after: int) -> Callable[[StudySession], None]:
    """All hours are spent once the array has trained so many epochs."""

    def look(bench: StudySession) -> None:
        if len(place.epochs) == after:
            spent = "UPDATE hpsearch_studies SET active_s = 1e9"
            place.ledger.database.write(lambda connection: connection.exec_driver_sql(spent))
            # A renewal under way would bring the hours of before.
            bench._keeper.is_spent = lambda study_id: True  # type: ignore[method-assign]

    return look


@pytest.mark.parametrize("finish", ["", "final: {top: 1, seeds: 2}\n"])
def test_trials_under_way_end_with_the_hours(place: Place, finish: str) -> None:
    place.submit("search: {sampler: random, pruner: none}\n"
                 f"budget: {{trials: 400, epochs: 60, hours: 100}}\n{finish}")  # fmt: skip
    place.work(each_epoch=spend(place, 4))
    study = place.ledger.study("s")
    assert study.state == "done"
    searched = [t for t in place.trials if t.user_attrs["stage"] == "joint"]
    assert 1 < len(searched) < 400
    assert all(t.user_attrs["reason"] == "hours spent" for t in searched)
    assert all(len(t.intermediate_values) <= 4 for t in searched)
    (complete,) = [t for t in searched if t.state is TrialState.COMPLETE]
    tops = {t.number: max(t.intermediate_values.values(), default=0.0) for t in searched}
    assert complete.value == tops[complete.number] == max(tops.values())
    others = [t for t in searched if t is not complete]
    assert all(t.state is TrialState.PRUNED for t in others)
    assert all(t.value == t.intermediate_values.get(t.last_step) for t in others)
    if finish:
        finals = [t for t in place.trials if t.user_attrs["stage"] == "final"]
        assert len(finals) in (2, 4)  # the best may be the default configuration
        assert all(len(t.intermediate_values) == 60 for t in finals), "a finish has no hours"
        assert place.snapshot.verdict is not None
    else:
        best = place.snapshot.best
        assert best is not None
        save.save(place.ledger, place.snapshot, best, place.folder / "net")


def test_one_that_is_no_better_than_a_result_is_pruned(place: Place) -> None:
    """The first trial goes to its end; later ones of a far too high rate are under way then."""
    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "start: [{lr: 0.5}, {lr: 3.0}]\n"
                 "budget: {trials: 5, epochs: 12, hours: 100}\n")  # fmt: skip
    place.work(each_epoch=spend(place, 13))
    first, second = place.trials
    assert first.state is TrialState.COMPLETE
    assert "reason" not in first.user_attrs
    assert (second.state, second.user_attrs["reason"]) == (TrialState.PRUNED, "hours spent")
    assert len(second.intermediate_values) == 1


def test_a_trial_that_nobody_holds_ends_without_another_epoch(place: Place) -> None:
    """Its worker gave it back, and then the hours were spent by others."""
    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 3, epochs: 9, hours: 100}\n")  # fmt: skip
    place.work("first", leave(place, 3))
    spent = "UPDATE hpsearch_studies SET active_s = 1e9"
    place.ledger.database.write(lambda connection: connection.exec_driver_sql(spent))
    place.epochs.clear()
    place.work("second")
    (trial,) = place.trials
    assert sum(place.epochs) == 0
    assert (trial.state, trial.user_attrs["reason"]) == (TrialState.COMPLETE, "hours spent")
    assert trial.value == max(trial.intermediate_values.values())
    assert place.ledger.study("s").state == "done"


@pytest.mark.parametrize("finish", ["", "final: {top: 1, seeds: 2}\n"])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_trial_whose_checkpoint_is_lost_ends_with_the_hours_by_its_reports(
    place: Place, keep: str, finish: str
) -> None:
    place.submit(f"keep: {keep}\nsearch: {{sampler: random, pruner: none, stack: off}}\n"
                 f"budget: {{trials: 3, epochs: 9, hours: 100}}\n{finish}")  # fmt: skip
    place.work("first", leave(place, 3))
    (before,) = place.trials
    checkpoints(place).clear()
    spent = "UPDATE hpsearch_studies SET active_s = 1e9"
    place.ledger.database.write(lambda connection: connection.exec_driver_sql(spent))
    place.work("second")
    trial = place.trials[0]
    curve = trial.intermediate_values
    assert curve == before.intermediate_values
    assert (trial.state, trial.user_attrs["reason"]) == (TrialState.COMPLETE, "hours spent")
    assert trial.value == (max(curve.values()) if keep == "best" else curve[3])
    assert trial.user_attrs["metrics"] == {"accuracy": trial.value}
    assert trial.user_attrs["checkpoint"].startswith("its network is lost: there is no checkpoint")
    assert "restarted" not in trial.user_attrs
    assert place.ledger.study("s").state == "done"
    assert bool(place.snapshot.verdict) == bool(finish)


def test_one_that_begins_again_says_so_though_its_worker_looks_first(place: Place) -> None:
    """A round of checkpoints before its first epoch has nothing to write, and loses nothing."""
    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 1, epochs: 4}\n")  # fmt: skip
    place.work("first", leave(place, 3))
    checkpoints(place).clear()
    place.work("second", lambda bench: bench._outbox.save())
    (trial,) = place.trials
    assert trial.state is TrialState.COMPLETE
    assert trial.user_attrs["restarted"].startswith("starts again: there is no checkpoint")
    assert sorted(trial.intermediate_values) == [1, 2, 3, 4]


def test_of_two_workers_both_end_what_they_train(place: Place) -> None:
    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 9, epochs: 30, hours: 100}\n")  # fmt: skip
    other = Place(place.folder, place.url)

    def beside(bench: StudySession) -> None:
        if len(place.epochs) == 2:
            other.work("other", spend(other, 3))
            bench._keeper._renew()  # as it does every second

    place.work("w", beside)
    reasons = [t.user_attrs.get("reason") for t in place.trials]
    assert reasons == ["hours spent"] * 2
    assert place.ledger.study("s").state == "done"
    best = max(place.trials, key=lambda t: max(t.intermediate_values.values()))
    assert best.state is TrialState.COMPLETE


def test_by_the_rules_of_version_1_trials_go_to_their_end(place: Place) -> None:
    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 4, epochs: 8, hours: 100}\n", version=1)  # fmt: skip
    place.work(each_epoch=spend(place, 2))
    (trial,) = place.trials
    assert (trial.state, len(trial.intermediate_values)) == (TrialState.COMPLETE, 8)


def test_no_failed_trial_is_run_again_beyond_the_hours(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end before its first epoch, PRUNED, and could not be retried any more."""
    fail_twice(place, monkeypatch, version=2)
    with pytest.raises(ConflictError, match="hpsearch extend s --trials N --hours H"):
        place.ledger.retry_failed("s")
    assert place.ledger.study("s").state == "done"
    place.ledger.extend("s", 1, 1e6)
    assert place.ledger.retry_failed("s") == 2
    place.work()
    assert [t.state for t in place.trials[2:]] == [TrialState.COMPLETE] * 3


def test_by_the_rules_of_version_1_it_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_twice(place, monkeypatch, version=1)
    assert place.ledger.retry_failed("s") == 2
    place.work()
    assert [t.state for t in place.trials[2:]] == [TrialState.COMPLETE] * 2


def fail_twice(place: Place, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """Both trials of a study have failed, and its hours are spent."""

    def fail(array: Array, member: Any, *_: Any) -> Report:
        return array._grouping.fail(member, ValueError("by this test"))

    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 2, epochs: 2, hours: 100}\n", version)  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(Array, "_report", fail)
        place.work()
    spent = "UPDATE hpsearch_studies SET active_s = 1e9"
    place.ledger.database.write(lambda connection: connection.exec_driver_sql(spent))


# A finish that was asked for later


def test_a_worker_that_knows_of_no_finish_trains_what_another_has_opened(place: Place) -> None:
    """It has served the study to its end, and is there still."""
    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 3, epochs: 2}\n")  # fmt: skip
    with place.serving() as to_the_end:
        to_the_end()
        finish_again(place, 1, 2)
        study = place.ledger.study("s")
        spec = StudySpec.from_document(study.document)
        mirror = Mirror(place.ledger.database, study.study_id, "s", study.direction)
        Staging(place.ledger, study, spec, Search(spec, mirror), mirror).advance(idle=False)
        to_the_end()
    assert [t.user_attrs["stage"] for t in place.trials] == ["joint"] * 3 + ["final"] * 4
    (found,) = place.ledger.verdicts(study.study_id)
    assert (found["asked"], found["completed"]) == (4, 4)


def test_a_finish_that_came_to_nothing_takes_no_network_away(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither that of the best trial nor that of the finish before."""

    def diverge(array: Array, member: Any, *_: Any) -> Report:
        return array._grouping.fail(member, DivergedError("by this test"))

    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 3, epochs: 2}\n")  # fmt: skip
    place.work()
    for name in "best", "handed":
        with monkeypatch.context() as patch:
            patch.setattr(Array, "_report", diverge)
            finish_again(place, 1, 2)
            place.work()
        assert place.snapshot.fruitless
        network = getattr(place.snapshot, name)
        assert network == place.snapshot.network
        save.save(place.ledger, place.snapshot, network, place.folder / name)
        finish_again(place, 1, 2)
        place.work()


def test_what_is_run_again_while_a_finish_comes_to_nothing_keeps_its_network(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody retries between two looks of the worker that is about to end the finish."""
    report, conclude = Array._report, finishing._conclude
    again: list[Lease] = []

    def fail(array: Array, member: Any, *more: Any) -> Report:
        if member.candidate.key < 2:
            return report(array, member, *more)
        return array._grouping.fail(member, RuntimeError("by this test"))

    def late(*given: Any) -> Any:
        assert place.ledger.retry_failed("s") == 4
        again.extend(place.ledger.claim("other", place.ledger.study("s").study_id, 9))
        failed = {t.user_attrs["ticket"]: t for t in place.trials}
        for lease in again:
            before = failed[lease.retry_of or 0]
            trial = create_trial(
                state=TrialState.RUNNING, params=before.params, distributions=before.distributions,
                user_attrs=before.user_attrs | {"ticket": lease.number},
            )  # fmt: skip
            place.ledger.begin([(lease, trial)])
            checkpoints(place).save(lease.number, {"epoch": 1}, lease.fence)
        return conclude(*given)

    monkeypatch.setattr(Array, "_report", fail)
    monkeypatch.setattr(finishing, "_conclude", late)
    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 2, epochs: 2}\nfinal: {top: 1, seeds: 2}\n")  # fmt: skip
    place.work()
    assert place.ledger.study("s").finish == "open"
    assert len(again) == 4
    assert {lease.number for lease in again} <= checkpoints(place).numbers()


@pytest.mark.parametrize("other", ["seed", "settings"])
def test_the_test_part_is_used_on_no_network_of_another_training(
    place: Place, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Of the same shape and kept after the same epoch."""
    place.submit("keep: last\nsearch: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 2, epochs: 2}\nfinal: {top: 1, seeds: 2}\n")  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr("hpsearch.worker.finish._conclude", lambda *_: None)
        place.work()
    bases = {t.user_attrs["ticket"]: t.user_attrs["final"][1:] for t in place.trials[2:]}
    first = next(n for n, at in bases.items() if at[1] == 1)  # the default's, used in any case
    turn, base = bases[first]
    same = 1 if other == "seed" else 0  # a turn is a seed, a base has its settings
    wrong = next(n for n, at in bases.items() if n != first and at[same] == (turn, base)[same])
    saved = checkpoints(place)
    right, spare = saved.load(first), saved.load(wrong)
    assert right is not None
    assert spare is not None
    saved.save(first, spare, 9)
    with pytest.raises(CheckpointError, match=f"is not of trial {first}: its settings or its seed"):
        place.work("second")
    used = "SELECT count(*) FROM hpsearch_finishes"
    assert place.ledger.database.write(lambda c: c.exec_driver_sql(used).scalar_one()) == 0
    saved.save(first, right, 10)
    place.work("third")
    assert [found["use"] for found in place.ledger.verdicts(place.snapshot.study.study_id)] == [1]


def checkpoints(place: Place) -> Checkpoints:
    return Checkpoints(checkpoint_place(place.ledger.database, place.ledger.study("s"), None))


def test_the_network_of_a_finish_is_handed_over_where_nothing_of_the_search_completed(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Array._report

    def diverge(array: Array, member: Any, *more: Any) -> Report:
        if member.candidate.key < 2:
            return array._grouping.fail(member, DivergedError("by this test"))
        return report(array, member, *more)

    monkeypatch.setattr(Array, "_report", diverge)
    place.submit("search: {sampler: random, pruner: none, stack: off}\n"
                 "budget: {trials: 2, epochs: 2}\nfinal: {top: 1, seeds: 2}\n")  # fmt: skip
    place.work()
    snapshot = place.snapshot
    assert snapshot.best is None
    assert snapshot.network is not None
    folder = place.folder / "net"
    inspect.best("s", folder, force=False, storage=place.url, checkpoints=None, json_=True)
    said = json.loads(capsys.readouterr().out)
    assert said["number"] == said["network"]["number"] == snapshot.network.number
    assert (folder / "config.json").exists()
    inspect.best("s", None, force=False, storage=place.url, checkpoints=None, json_=False)
    assert "best of s: no trial of the search completed" in capsys.readouterr().out


def test_a_worker_whose_study_is_deleted_says_just_that(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    search = "{sampler: random, pruner: none, sanity: false}"
    place.submit(f"search: {search}\nbudget: {{trials: 6, epochs: 400}}\n")
    folder = checkpoint_place(place.ledger.database, place.ledger.study("s"), None)

    def delete(bench: StudySession) -> None:
        if len(place.epochs) == 2:
            place.ledger.delete("s")
            Checkpoints(folder).clear()
        if len(place.epochs) >= 2:
            bench._outbox.save()
            bench._keeper.flush(20)

    place.work(each_epoch=delete)
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert said == ["study s has been deleted: its trials end here"]
    assert not Path(folder).exists()
