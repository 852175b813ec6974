"""The best epoch's network is kept beside the last one, however a candidate is packed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from hpsearch.checkpoints import checkpoint as checkpoint_module
from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.handover.trained import Trained
from hpsearch.runner import Failure, Saved
from hpsearch.runner.epoch import Keeping
from hpsearch.training.array import Array
from hpsearch.training.evaluation import Results
from hpsearch.training.trial_progress import TrialProgress
from tests.unit.training.packing import DEVICE, curve, run, same, state_of, weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hpsearch.runner import Report
    from hpsearch.runner.candidate import Candidate
    from hpsearch.runner.epoch import Epoch
    from hpsearch.sources.dataset import Dataset

BEST = Keeping(best=True)
PACKINGS = {"alone": 1, "stack": 16}


def restless(crowd, count: int = 3, **settings: Any) -> list[Candidate]:
    """Candidates whose value goes up and down."""
    return crowd(count, rule="sgd", epochs=8, lr=1.5, schedule="constant", clip=None, warmup=0.0,
                 weight_decay=0.0, label_smoothing=0.0, **settings)  # fmt: skip


def array_of(dataset: Dataset, stack: int, keeping: Keeping = BEST, **more: Any) -> Array:
    metric = "accuracy" if dataset.classes else "rmse"
    return Array(dataset, metric, DEVICE, stack=stack, keeping=keeping, **more)


def best_of(reports: Sequence[Report], key: int) -> Epoch:
    """The epoch of the best value, of equals that of the least loss."""
    epochs = [report.last for report in curve(reports, key) if report.last]
    return max(epochs, key=lambda epoch: (epoch.value, -epoch.metrics["loss"]))


def value_of(dataset: Dataset, one: Candidate, model: Mapping[str, torch.Tensor]) -> float:
    network = Trained(one.family, one.settings, model, dataset)
    part = dataset.validation
    return network.score(network.outputs(part), part.targets, "accuracy")["accuracy"]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("packing", PACKINGS)
def test_the_network_of_the_best_epoch_is_kept(
    digits: Dataset, crowd, packing: str, batch_norm: bool
) -> None:
    several = restless(crowd, batch_norm=batch_norm)
    array = array_of(digits, PACKINGS[packing])
    for one in several:
        array.add(one)
    reports = run(array)
    bests = {one.key: best_of(reports, one.key) for one in several}
    assert any(best.epoch < 8 for best in bests.values())  # or the test shows nothing
    for one in several:
        last, best = curve(reports, one.key)[-1], bests[one.key]
        assert (last.kept.epoch, last.kept.value) == (best.epoch, best.value)
        assert last.kept.metrics == best.metrics
        state = state_of(array, one.key)
        assert ("best" in state) == (best.epoch < 8)
        assert Saved(state).kept_epoch == best.epoch
        assert value_of(digits, one, Saved(state).network) == pytest.approx(best.value)
        assert value_of(digits, one, state["model"]) == pytest.approx(last.last.value)


@pytest.mark.parametrize("first", PACKINGS)
@pytest.mark.parametrize("then", PACKINGS)
def test_it_is_kept_through_a_checkpoint(
    digits: Dataset, crowd, tmp_path: Path, first: str, then: str
) -> None:
    """Broken off after each epoch, and taken up in another packing."""
    several = restless(crowd, 2, batch_norm=True)
    checkpoints = Checkpoints(tmp_path)
    for epoch in (3, 6):
        before = array_of(digits, PACKINGS[first])
        for one in several:
            before.add(one)
        reports = [report for _ in range(epoch) for report in before.reports()]
        after = array_of(digits, PACKINGS[then])
        for one in several:
            checkpoints.save(one.key, state_of(before, one.key))
            after.add(one, Saved(checkpoints.load(one.key)))
            assert after.saved(one.key).kept == before.saved(one.key).kept
            assert same(after.saved(one.key).network, before.saved(one.key).network)
        reports += run(after)
        for one in several:
            best, saved = best_of(reports, one.key), after.saved(one.key)
            assert saved.kept_epoch == curve(reports, one.key)[-1].kept.epoch == best.epoch
            assert value_of(digits, one, saved.network) == pytest.approx(best.value)


def test_neighbours_that_come_and_go_leave_it_alone(digits: Dataset, crowd) -> None:
    several = restless(crowd, 4)
    whole = array_of(digits, 16)
    for one in several:
        whole.add(one)
    reports = run(whole)
    array = array_of(digits, 16)
    for one in several[:3]:
        array.add(one)
    list(array.reports())
    array.remove(0)
    list(array.reports())
    array.add(several[3])
    run(array)
    for key in (1, 2, 3):
        saved, best = array.saved(key), best_of(reports, key)
        assert saved.kept_epoch == best.epoch
        assert value_of(digits, several[key], saved.network) == pytest.approx(best.value)


def test_what_diverges_spoils_no_kept_network(digits: Dataset, crowd) -> None:
    several = restless(crowd, 3)
    several[1] = replace(several[1], settings={**several[1].settings, "lr": 1e30})
    array = array_of(digits, 16)
    for one in several:
        array.add(one)
    reports = run(array)
    assert curve(reports, 1)[-1].failure is Failure.DIVERGED
    for key in (0, 2):
        best = best_of(reports, key)
        model = array.saved(key).network
        assert value_of(digits, several[key], model) == pytest.approx(best.value)


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("accuracy", [0.5, 0.7, 0.7, 0.6], 2),  # of equals the first
        ("loss", [3.0, 2.0, 2.5, 2.0], 2),
        ("accuracy", [0.1, 0.2, 0.3, 0.4], 4),
        ("loss", [1.0, 1.0, 1.0, 1.0], 1),
    ],
)
def test_the_best_epoch(
    digits: Dataset, candidate, metric: str, values: list[float], best: int
) -> None:
    course = TrialProgress(candidate(), digits, BEST)
    for value in values:
        course.advance(metric, Results({"loss": 1.0, metric: value}, {}), 0.1)
    assert (course.best_epoch, course.kept.value) == (best, values[best - 1])
    assert course.improved == (best == len(values))


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([0.5, 0.2, 0.1, 0.3], 3),
        ([0.5, 0.5, 0.5, 0.5], 1),  # of equals in everything the first
        ([0.1, 0.2, 0.3, 0.4], 1),
        ([0.4, 0.3, 0.2, 0.1], 4),
    ],
)
def test_of_equal_values_the_least_loss_is_the_best(
    digits: Dataset, candidate, losses: list[float], best: int
) -> None:
    """An area under the curve of 1 after the first epoch says nothing of how sure it is."""
    course = TrialProgress(candidate(), digits, BEST)
    for loss in losses:
        course.advance("accuracy", Results({"loss": loss, "accuracy": 1.0}, {}), 0.1)
    assert (course.best_epoch, course.kept.metrics["loss"]) == (best, losses[best - 1])
    assert course.improved == (best == len(losses))


def test_the_last_epoch_counts_where_the_study_says_so(digits: Dataset, crowd) -> None:
    array = array_of(digits, 16, Keeping())
    for one in restless(crowd):
        array.add(one)
    reports = run(array)
    for key in range(3):
        state = state_of(array, key)
        assert curve(reports, key)[-1].kept.epoch == Saved(state).kept_epoch == 8
        assert "best" not in state


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("packing", PACKINGS)
def test_no_better_value_for_some_epochs_is_the_end(
    digits: Dataset, crowd, packing: str, best: bool
) -> None:
    several = restless(crowd)
    array = array_of(digits, PACKINGS[packing], Keeping(best=best, stop_after=2))
    for one in several:
        array.add(one)
    reports = run(array)
    early = 0
    for one in several:
        found = curve(reports, one.key)
        of_best = best_of(reports, one.key)
        at = of_best.epoch
        first = next(r.last.epoch for r in found if r.last.value == of_best.value)
        assert found[-1].finished
        assert found[-1].last.epoch == min(first + 2, 8)
        assert found[-1].kept.epoch == (at if best else found[-1].last.epoch)
        early += found[-1].last.epoch < 8
        # Anyone who died before that was noted gives the same report again, and trains no more.
        again = array_of(digits, PACKINGS[packing], Keeping(best=best, stop_after=2))
        again.add(one, array.saved(one.key))
        assert [r.last.epoch for r in run(again)] == [found[-1].last.epoch]
    assert early


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_checkpoint_of_version_3_goes_on(
    digits: Dataset, crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    several = restless(crowd, 2)
    array = array_of(digits, PACKINGS[packing], Keeping())
    for one in several:
        array.add(one)
    for _ in range(3):
        list(array.reports())
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(checkpoint_module, "_VERSION", 3)
    for one in several:
        state = state_of(array, one.key)
        del state["best_epoch"], state["kept_epoch"]
        checkpoints.save(one.key, state)
    again = array_of(digits, PACKINGS[packing], Keeping())
    for one in several:
        again.add(one, Saved(checkpoints.load(one.key)))
    run(array), run(again)
    for one in several:
        assert same(weights(state_of(again, one.key)), weights(state_of(array, one.key)))


def test_none_begins_an_epoch_once_it_is_over(digits: Dataset, crowd, candidate) -> None:
    """Three trainers; the time is up after the first."""
    asked = iter([False, True, False])
    array = array_of(digits, 1, over=lambda: next(asked))
    for one in restless(crowd, 3):
        array.add(one)
    assert [r.key for r in array.reports()] == [0]
    assert array.saved(0) is not None
    assert array.saved(1) is None


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("keeping", [BEST, Keeping()])
def test_the_confusion_matrix_is_of_the_epoch_that_is_kept(
    digits: Dataset, crowd, packing: str, keeping: Keeping
) -> None:
    several = restless(crowd)
    array = array_of(digits, PACKINGS[packing], keeping)
    for one in several:
        array.add(one)
    reports = run(array)
    for one in several:
        last = curve(reports, one.key)[-1]
        counts = torch.tensor(last.kept.details["confusion"])
        rows = torch.bincount(digits.validation.targets.cpu(), minlength=10)
        assert counts.sum(dim=1).tolist() == rows.tolist()
        right = float(counts.diagonal().sum() / counts.sum())
        assert right == pytest.approx(last.kept.metrics["accuracy"])
        again = array_of(digits, 1, keeping)
        again.add(one, array.saved(one.key))
        assert next(again.reports()).kept == last.kept, "a checkpoint has it too"


def test_numbers_have_no_confusion_matrix(diabetes: Dataset, crowd) -> None:
    (one,) = crowd(1, epochs=1, label_smoothing=0.0, class_weight="none")
    array = array_of(diabetes, 1)
    array.add(one)
    assert run(array)[-1].kept.details == {}
