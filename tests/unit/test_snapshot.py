"""What a reader of a study sees of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from hpsearch.cli import details, results, show
from hpsearch.cli.progress import Lines
from hpsearch.insight import remarks
from hpsearch.insight.diagnosis import Word
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot, Trial
from hpsearch.spec import load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import State
from hpsearch.tasks.classification import showing as classification
from tests.studies import A_STUDY


@pytest.fixture
def ledger(tmp_path: Path, sqlite_url: str) -> Ledger:
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\n"
        "parameters: {learning_rate: {lr: {min: 0.01, max: 1}}}\n"
        "search: {sampler: random}\nbudget: {trials: 4, epochs: 2}\n"
    )
    spec = load(file)
    ledger = Ledger(Database(sqlite_url))
    ledger.create(replace(A_STUDY, document=spec.document))
    return ledger


@pytest.mark.parametrize(
    ("sampler", "trials", "whole"),
    [("grid", 3, True), ("grid", 2, False), ("auto", 3, True), ("random", 3, False)],
)
def test_a_grid_has_nothing_to_be_extended_by(
    tmp_path: Path, sqlite_url: str, sampler: str, trials: int, whole: bool
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\n"
        "parameters: {architecture: {depth: {min: 1, max: 3}}}\n"
        f"search: {{sampler: {sampler}}}\nbudget: {{trials: {trials}}}\n"
    )
    ledger = Ledger(Database(sqlite_url))
    ledger.create(replace(A_STUDY, tickets=trials, document=load(file).document))
    assert Reader(ledger, "s").snapshot().is_whole is whole


# Words about curves: only those that the winner has are acted on.

FLAT = [0.6] + [0.9] * 7
LEARNT = {"train_loss": 0.1, "loss": 0.15}
BLOWN = {"train_loss": 1e6, "loss": 1e6}
BY_HEART = {"train_loss": 0.01, "loss": 1.0}


def trial(number: int, value: float | None, curve: list[float], metrics: dict[str, float]) -> Trial:
    return Trial(
        number, number, "PRUNED" if value is None else "COMPLETE", value, {}, len(curve),
        dict(enumerate(curve, 1)), metrics, "joint", "random", 1, "",
        "diverged" if value is None else None, None, None,
    )  # fmt: skip


def judged(ledger: Ledger, *trials: Trial) -> tuple[Snapshot, list[str]]:
    best = max((t for t in trials if t.value is not None), key=lambda t: t.value, default=None)
    snapshot = replace(Reader(ledger, "s").snapshot(), trials=trials, best=best)
    return snapshot, list(remarks.seen(snapshot))


def test_one_diverged_trial_among_the_best_asks_the_winner_for_nothing(ledger: Ledger) -> None:
    snapshot, lines = judged(
        ledger, trial(0, 0.97, FLAT[:4], LEARNT), trial(1, 0.5, FLAT[:4], BLOWN)
    )
    assert lines == [
        "learning curves: of the best 2 only trial 1 can be judged: diverged",
        "1 of 2 trials diverged",
    ]
    assert snapshot.advised is None


def test_what_others_look_like_is_no_advice_to_the_winner(ledger: Ledger) -> None:
    over = [trial(n, 0.9 - n / 100, FLAT, BY_HEART) for n in (1, 2, 3)]
    snapshot, lines = judged(ledger, trial(0, 0.97, FLAT, LEARNT), *over)
    assert lines == [
        "learning curves: 3 of the best 4: over-fitting; the winner's: saturated early"
    ]
    assert snapshot.diagnosis is not None
    assert snapshot.diagnosis.word is Word.OVER
    assert snapshot.advised is None
    short = trial(0, 0.97, FLAT[:3], LEARNT)
    assert judged(ledger, short, *over)[1][0].endswith("the winner's: too short to be judged")


def test_a_word_that_the_winner_has_is_advice(ledger: Ledger) -> None:
    over = [trial(n, 0.9 - n / 100, FLAT, BY_HEART) for n in (1, 2, 3)]
    snapshot, lines = judged(ledger, *over, trial(4, 0.2, FLAT[:2], LEARNT))
    assert lines == [
        "learning curves: 3 of the best 4: over-fitting; more regularisation, or more data"
    ]
    assert snapshot.advised is Word.OVER


def test_where_nothing_was_completed_lower_rates_are_advised(ledger: Ledger) -> None:
    snapshot, lines = judged(ledger, trial(0, None, [], {}), trial(1, None, [], {}))
    assert lines == ["2 of 2 trials diverged; search lower learning rates"]
    assert snapshot.advised is Word.DIVERGED


def test_a_retry_is_advised_where_it_would_run_anything(ledger: Ledger) -> None:
    failed = replace(trial(0, 0.9, FLAT, LEARNT), state="FAIL", value=None, reason="error: x")
    snapshot = judged(ledger, failed)[0]
    for count, expected in ((0, False), (1, True)):
        commands = [command for command, _ in results._next(replace(snapshot, to_retry=count))]
        assert ("retry s --failed" in commands) is expected


def test_what_is_piped_of_trials_is_whole(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = replace(trial(0, 0.9, FLAT, LEARNT), params={f"parameter_{n}": n for n in range(20)})
    snapshot = judged(ledger, long)[0]
    monkeypatch.delenv("COLUMNS", raising=False)
    show.trials(snapshot, snapshot.trials, ())
    printed = capsys.readouterr()
    assert "parameter_19=19" in printed.out
    assert printed.err == ""
    monkeypatch.setenv("COLUMNS", "80")
    show.trials(snapshot, snapshot.trials, ())
    printed = capsys.readouterr()
    assert "parameter_19" not in printed.out
    assert "lines are cut to 80 columns; all of them: hpsearch trials s | less -S" in printed.err


def test_no_training_of_a_finish_is_called_the_best(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the same network trained again, the best one is the luckiest."""
    began = datetime(2026, 1, 1)
    progress = Lines(Reader(ledger, "s").snapshot())
    found = replace(trial(0, 0.9, FLAT, LEARNT), ended=began)
    lucky = replace(found, number=1, value=0.95, stage="final", ended=began + timedelta(seconds=1))
    progress.update(judged(ledger, found, lucky)[0])
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(" best ")[2] for line in lines] == ["0.9", "0.9 of the search"]


def test_the_best_never_goes_back_where_the_one_ahead_has_just_ended(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    began = datetime(2026, 1, 1)
    progress = Lines(Reader(ledger, "s").snapshot())
    first = replace(trial(0, 0.9, FLAT, LEARNT), ended=began)
    ahead = replace(trial(1, 0.97, FLAT, LEARNT), state="RUNNING", curve={1: 0.97}, ended=None)
    progress.update(judged(ledger, first, ahead)[0])
    second = replace(trial(2, 0.8, FLAT, LEARNT), ended=began + timedelta(seconds=1))
    ended = replace(trial(1, 0.97, FLAT, LEARNT), ended=began + timedelta(seconds=2))
    progress.update(judged(ledger, first, ended, second)[0])
    lines = capsys.readouterr().err.splitlines()
    bests = [line.rpartition(" best ")[2] for line in lines]
    assert bests == ["0.97 so far (trial 1, still training)", "0.97", "0.97"]


def test_no_line_has_a_better_value_than_the_best_beside_it_without_a_word(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    began = datetime(2026, 1, 1)
    progress = Lines(Reader(ledger, "s").snapshot())
    done = replace(trial(0, 0.9, FLAT, LEARNT), ended=began)
    pruned = replace(
        trial(1, 0.95, FLAT[:1], LEARNT), state="PRUNED", ended=began + timedelta(seconds=1)
    )
    lucky = replace(trial(2, 0.97, FLAT, LEARNT), stage="final", ended=began + timedelta(seconds=2))
    snapshot = judged(ledger, done, pruned, lucky)[0]
    progress.update(replace(snapshot, best=done))
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(" best ")[2] for line in lines] == [
        "0.9", "0.9 without those pruned or failed", "0.9 of the search",
    ]  # fmt: skip


def left_s(snapshot: Snapshot) -> float | None:
    found = snapshot.left()
    return None if found is None else found.expected


def test_the_time_left_counts_the_search_and_the_finish_to_come(ledger: Ledger) -> None:
    """Trials of two epochs; the finish trains two configurations three times."""
    done = [trial(number, 0.9, [0.8, 0.9], LEARNT) for number in range(18)]
    under_way = replace(trial(18, 0.8, [0.8], LEARNT), state="RUNNING")
    first = judged(ledger, *done)[0]
    search = {**first.study.document["search"], "pruner": {"name": "none"}}
    study = replace(
        first.study, document={**first.study.document, "search": search}, state="open",
        tickets=40, active_s=37.0, finish="due", final={"top": 1, "seeds": 3},
    )  # fmt: skip
    now = replace(first, study=study, trials=(*done, under_way))
    finish = 0.6 * 6 * 2  # its trainings share a shape
    assert left_s(now) == pytest.approx(1 + (34 - 19) * 2 + finish)
    assert now.as_dict()["left_seconds"] == 38.2
    assert left_s(replace(now, study=replace(study, state="paused"))) is None
    spent = replace(study, hours=37 / 3600)
    assert left_s(replace(now, study=spent)) == pytest.approx(finish)
    opened = replace(study, finish="open", tickets=25)
    assert left_s(replace(now, study=opened)) == pytest.approx(1 + finish)


def test_a_study_that_is_done_is_offered_a_finish_where_it_can_have_one(ledger: Ledger) -> None:
    snapshot = judged(ledger, trial(0, 0.9, FLAT, LEARNT))[0]
    document = snapshot.study.document
    cases: list[tuple[State, float, Literal["done"] | None, bool]] = [
        ("done", 0.2, None, True), ("done", 0, None, False), ("done", 0.2, "done", False),
        ("open", 0.2, None, False),
    ]  # fmt: skip
    for state, share, finish, offered in cases:
        other = {**document, "data": {**document["data"], "test": share}}
        study = replace(snapshot.study, state=state, finish=finish, document=other)
        commands = [command for command, _ in results._next(replace(snapshot, study=study))]
        assert ("final s" in commands) is offered, (state, share, finish)


# What a constant answer gives, and whether the best network is more than that.

DATA = {
    "classes": ["no", "yes"], "rows": {"train": 9, "validation": 100, "test": 0},
    "baseline": {"name": "majority class no", "values": {"accuracy": 0.9, "f1": 0.4737}},
}  # fmt: skip


MAJORITY = "baseline (majority class no): accuracy 0.9 on validation data"


def beside(
    ledger: Ledger, value: float, confusion: list[list[int]] | None, data: Any = DATA, **more: Any
) -> tuple[Snapshot, str]:
    details = {} if confusion is None else {"confusion": confusion}
    best = replace(trial(0, value, FLAT, LEARNT), details=details, **more)
    snapshot = judged(ledger, best)[0]
    snapshot = replace(snapshot, study=replace(snapshot.study, data=data))
    with show.out.capture() as captured:
        show.beside(snapshot)
    return snapshot, captured.get()


def test_a_network_that_answers_one_class_only_is_said_to(ledger: Ledger) -> None:
    snapshot, said = beside(ledger, float(np.float32(0.9)), [[90, 0], [10, 0]])
    lines = " ".join(said.split())
    assert f"{MAJORITY}; the best trial is no better than that" in lines
    assert "trial 0 predicts no for every validation row" in lines
    assert "try class_weight: balanced (under parameters, as --set parameters." in lines
    assert "class_weight=balanced) or metric: f1, under another name" in lines
    assert not snapshot.is_above(0.9)
    _, said = beside(ledger, 0.9, [[90, 0], [10, 0]], params={"class_weight": "balanced"})
    assert "class_weight" not in said


def test_nothing_is_advised_that_is_searched_already(ledger: Ledger) -> None:
    snapshot, _ = beside(ledger, 0.9, [[90, 0], [10, 0]])
    result = snapshot.result(snapshot.trials[0])
    searched = replace(result, searched=("lr", "class_weight"), metric="auroc")
    assert classification.remark(searched) == (
        "predicts no for every validation row; auroc only compares the order of rows"
    )


def test_the_mean_over_classes_is_said_to_be_one(ledger: Ledger) -> None:
    snapshot, _ = beside(ledger, 0.9, None)
    assert [snapshot.shown(name) for name in ("accuracy", "f1", "recall", "train_loss")] == [
        "accuracy", "f1 (macro)", "recall (macro)", "train_loss",
    ]  # fmt: skip


def test_nothing_is_better_than_a_perfect_value(ledger: Ledger) -> None:
    edge = {"lr": 1.0}
    good, _ = judged(ledger, replace(trial(0, 0.9, FLAT, LEARNT), params=edge))
    best, lines = judged(ledger, replace(trial(0, 1 - 1e-7, FLAT, LEARNT), params=edge))
    assert [e.name for e in good.edges] == ["lr"]
    assert best.edges == ()
    assert not any("beyond" in line for line in lines)


def test_a_network_that_tells_classes_apart_has_only_the_baseline_beside_it(
    ledger: Ledger,
) -> None:
    assert beside(ledger, 0.95, [[88, 2], [3, 7]])[1] == f"{MAJORITY}\n"
    assert beside(ledger, 0.95, None)[1] == f"{MAJORITY}\n"


def test_each_simple_answer_of_the_source_is_shown_and_none_is_beaten_silently(
    ledger: Ledger,
) -> None:
    others = [
        {"name": "last value", "values": {"accuracy": 0.8}},
        {"name": "linear autoregression", "values": {"accuracy": 0.97}},
        {"name": "of another metric", "values": {"mae": 0.1}},
    ]
    snapshot, said = beside(ledger, 0.95, None, {**DATA, "baselines": others})
    assert said.splitlines() == [
        MAJORITY,
        "baseline (last value): accuracy 0.8 on validation data",
        "baseline (linear autoregression): accuracy 0.97 on validation data; the best ",
        "trial is no better than that",
    ]
    names = [baseline["name"] for baseline in snapshot.as_dict()["baselines"]]
    assert names == ["majority class no", "last value", "linear autoregression"]


@pytest.mark.parametrize(
    ("loss", "compared"),
    [("", True), ("{loss: cross_entropy}", True), ("{loss: {values: [null, bce]}}", True),
     ("{loss: focal}", False), ("{loss: {values: [focal]}}", False)],
)  # fmt: skip
def test_a_loss_of_another_scale_has_no_baseline(
    tmp_path: Path, sqlite_url: str, loss: str, compared: bool
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\nmetric: loss\n"
        f"parameters: {{learning_rate: {{lr: {{min: 0.01, max: 1}}}}, optimizer: {loss or '{}'}}}\n"
        "search: {sampler: random}\nbudget: {trials: 4, epochs: 2}\n"
    )
    ledger = Ledger(Database(sqlite_url))
    ledger.create(replace(A_STUDY, document=load(file).document))
    snapshot = Reader(ledger, "s").snapshot()
    data = {"baseline": {"name": "majority class 1", "values": {"loss": 2.3}}}
    snapshot = replace(snapshot, study=replace(snapshot.study, data=data))
    assert bool(snapshot.baselines) is compared


def test_without_a_record_of_it_nothing_is_said_of_a_baseline(ledger: Ledger) -> None:
    old = {key: value for key, value in DATA.items() if key != "baseline"}
    for data in (None, old):
        snapshot, said = beside(ledger, 0.5, None, data)
        assert (said, snapshot.as_dict()["baseline"]) == ("", None)


def test_best_shows_each_class_and_what_it_was_taken_for(ledger: Ledger) -> None:
    snapshot, _ = beside(ledger, 0.95, [[88, 2], [4, 6]])
    assert snapshot.best is not None
    with show.out.capture() as captured:
        details.details(snapshot, snapshot.best)
    rows = [line.split() for line in captured.get().splitlines()]
    assert [r for r in rows if r[:1] == ["no"]] == [["no", "0.96", "0.98", "90"], ["no", "88", "2"]]
    assert [row for row in rows if row[:1] == ["yes"]] == [
        ["yes", "0.75", "0.60", "10"],
        ["yes", "4", "6"],
    ]
    assert "details" not in snapshot.row(snapshot.best), "rows of all trials would be long"


@pytest.mark.parametrize(
    ("names", "heads"),
    [
        ([str(n) for n in range(10)], [str(n) for n in range(10)]),
        ([f"k{n}" for n in range(12)], [f"k{n}" for n in range(12)]),
        (["heron", "godwit", "avocet", "curlew", "oystercatcher", "sandpiper", "turnstone",
          "dunlin", "knot", "whimbrel"],
         ["her…", "god…", "avo…", "cur…", "oys…", "san…", "tur…", "dun…", "knot", "whi…"]),
        ([f"the kind {n}" for n in range(12)], [str(n) for n in range(12)]),
        (["\x1b[31mno", "yes"], None),
        ([f"k{n}" for n in range(30)], None),
    ],
)  # fmt: skip
def test_no_number_of_the_classes_is_ever_broken(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, names: list[str], heads: list[str] | None
) -> None:
    monkeypatch.setattr(show.out, "_width", 80)
    count = len(names)
    confusion = (np.diag([100] * count) + 1).tolist()
    snapshot, _ = beside(ledger, 1.0, confusion, {**DATA, "classes": names})
    with show.out.capture() as captured:
        details.details(snapshot, snapshot.best)
    lines = captured.get().splitlines()
    rows = [line.split() for line in lines]
    assert sum(row[-1:] == [str(100 + count)] for row in rows) == count
    assert all(len(line) <= 80 for line in lines if "too wide" not in line)
    if heads is not None:
        assert ["true", *heads] in rows
        assert sum(row[-count:].count("101") for row in rows) == count
    assert (count > 12) is ("the confusion matrix is too wide for this console" in captured.get())


# Whose figures stand where, once there was a finish.

VERDICT = {"test": {"mean": 0.825, "values": [0.81, 0.84]}, "network": {"accuracy": 0.81}}


@pytest.mark.parametrize("other", [True, False])
def test_the_network_handed_over_is_told_from_the_best_of_the_search(
    ledger: Ledger, other: bool
) -> None:
    found = replace(trial(3, 0.97, FLAT, LEARNT), params={"lr": 0.1})
    handed = replace(
        trial(15, 0.9, FLAT, LEARNT), stage="final", params={"lr": 0.01 if other else 0.1}
    )
    snapshot = judged(ledger, found)[0]
    with show.out.capture() as captured:
        results._handed(snapshot, handed, VERDICT)
    said = " ".join(captured.get().split())
    assert "network handed over: trial 15, validation accuracy 0.9" in said
    assert "its own test accuracy 0.81; the mean of the winner's 2 trainings is 0.825 " in said
    assert ("its configuration is not that of trial 3" in said) is other
    assert said.endswith("of trial 15, the network handed over:")


def test_a_checkpoint_is_said_to_be_the_trial_s_where_its_name_has_another_number() -> None:
    one = trial(5, 0.9, [0.9], {})
    assert results._checkpoint("s3://b/s-1/5.1.pt", replace(one, ticket=5)) == "s3://b/s-1/5.1.pt"
    assert results._checkpoint("s3://b/s-1/3.1.pt", replace(one, ticket=3)) == (
        "s3://b/s-1/3.1.pt (of trial 5: a file has the number of its ticket, the place in line)"
    )


def test_the_word_of_a_curve_has_the_losses_that_it_is_from() -> None:
    kept = trial(0, 0.9, FLAT, LEARNT)
    assert results._judged_by(kept) == "", "those of the last epoch are shown"
    assert results._judged_by(replace(kept, last_metrics={**BY_HEART, "accuracy": 0.8})) == (
        " (after the last epoch: train_loss 0.01, loss 1)"
    )


def test_next_steps_never_break_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = "hpsearch trials s", f"hpsearch next s -o {'s' * 60}"
    listed = ["  the best trials:", f"    {short}", "  what next:", f"    {long}"]
    beside = [f"  {short.ljust(len(long))}  the best trials", f"  {long}  what next"]
    for columns, expected in ((80, listed), (120, beside)):
        monkeypatch.setattr(show.out, "width", columns)
        results._next_steps([(short, "the best trials"), (long, "what next")])
        assert capsys.readouterr().out.splitlines() == ["next:", *expected]


def test_what_a_finish_hands_over_is_judged_by_the_test_part(
    tmp_path: Path, sqlite_url: str
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits, task: anomaly, normal: [0]}\n"
        "network: {family: autoencoder}\nmetric: auroc\n"
        "parameters: {code: 4}\nbudget: {trials: 1}\n"
    )
    ledger = Ledger(Database(sqlite_url))
    ledger.create(replace(A_STUDY, document=load(file).document))
    lucky = trial(1, 0.62, [0.62], {"auroc": 0.62})
    searched = replace(Reader(ledger, "s").snapshot(), trials=(lucky,), best=lucky)
    assert searched.remark(lucky) == ""
    finished = replace(searched, handed=lucky, verdict={"network": {"auroc": 0.55}})
    assert "is of no use: auroc 0.55" in finished.remark(lucky)
