"""Which checkpoints are left of trials that have ended, and of a study that was deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState

from hpsearch.checkpoints import places
from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError, UnreachableError
from hpsearch.insight.reader import Reader
from hpsearch.runner import Saved
from hpsearch.runner.epoch import Epoch
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Ending, Study
from hpsearch.worker.keeper import Keeper
from hpsearch.worker.outbox import Outbox
from hpsearch.worker.running import Running
from hpsearch.worker.study_checkpoints import StudyCheckpoints
from tests.integration.test_ledger import a_proposal, a_study


class Networks(dict):
    """What stands for the runner: a state for each number."""

    @property
    def keys(self) -> set[int]:  # type: ignore[override]
        return set(self)

    def log(self, key: int) -> bytes:
        return b""

    def saved(self, number: int) -> Saved | None:
        return Saved({"epoch": self[number]}) if number in self else None

    def remove(self, number: int) -> None:
        del self[number]


class Worker:
    """One study on one device, but for the training."""

    def __init__(self, url: str, study: Study, place: str, name: str) -> None:
        self.name, self.study = name, study
        self.ledger = Ledger(Database(url), lease_s=30.0)
        self.ledger.sign_on(name, "host", 1, "cpu")
        self.keeper = Keeper(self.ledger, name)
        self.keeper.start()
        self.mirror = Mirror(self.ledger.database, study.study_id, study.name, study.direction)
        self.saves = StudyCheckpoints(self.ledger, study, place)
        self.networks = Networks()
        self.running: dict[int, Running] = {}
        context: Any = SimpleNamespace(ledger=self.ledger, keeper=self.keeper)
        array: Any = self.networks
        self.delivery = Outbox(context, study, self.mirror, array, self.saves, self.running)

    def begin(self) -> int:
        """Take a ticket, and save its first checkpoint."""
        (lease,) = self.ledger.claim(self.name, self.study.study_id)
        self.keeper.watch(lease)
        if lease.trial_id is None:
            proposal = a_proposal(lease.number)
            (row,) = self.ledger.begin([(lease, proposal)])
            assert row is not None
            trial = self.mirror.adopt(proposal, *row)
        else:
            self.mirror.refresh()
            trial = self.mirror.hold(lease.trial_id)
        self.running[lease.number] = Running(lease, trial, None)
        self.networks[lease.number] = 1
        assert self.save(lease.number) is None
        return lease.number

    def save(self, number: int) -> str | None:
        lease = self.running[number].lease
        return self.saves.save(lease, self.networks.saved(number), last=False)

    def end(self, number: int, value: float) -> None:
        running = self.running[number]
        running.put(ending=Ending(TrialState.COMPLETE, value))
        self.delivery.finish([running])

    def settle(self) -> None:
        assert self.keeper.flush(20)
        self.delivery.settle()


MakeWorker = Callable[[str], Worker]


@pytest.fixture
def study(sqlite_url: str) -> Study:
    return a_study(Ledger(Database(sqlite_url)), tickets=8)


@pytest.fixture
def folder(tmp_path: Path, study: Study) -> Path:
    return tmp_path / f"study.checkpoints/s-{study.uid[:8]}"


@pytest.fixture
def worker(sqlite_url: str, study: Study, folder: Path) -> Iterator[MakeWorker]:
    made: list[Worker] = []

    def make(name: str) -> Worker:
        made.append(Worker(sqlite_url, study, str(folder), name))
        return made[-1]

    yield make
    for worker in made:
        worker.keeper.stop()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_best_of_another_worker_makes_room_for_the_own_one(
    worker: MakeWorker, folder: Path
) -> None:
    """Each tidies up by what it knows; anyone who has nothing left to do looks once more."""
    first, second = worker("first"), worker("second")
    mine, others = first.begin(), second.begin()
    first.end(mine, 0.8)
    first.settle()
    second.end(others, 0.9)
    second.settle()
    assert left(folder) == [f"{mine}.1.pt", f"{others}.1.pt"], "neither knows of the other's"
    first.delivery.look()
    assert left(folder) == [f"{others}.1.pt"]


def test_what_could_not_be_tidied_is_tidied_later(
    worker: MakeWorker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the best one is on its way while that of another one has arrived."""
    only = worker("only")
    a, b = only.begin(), only.begin()
    only.end(a, 0.1)
    assert only.keeper.flush(20)
    with monkeypatch.context() as held:
        waiting: list[Any] = []
        held.setattr(only.keeper, "put", waiting.extend)
        only.end(b, 0.9)
    only.settle()
    assert left(folder) == [f"{a}.1.pt", f"{b}.1.pt"], "should this one die now, a is the best"
    only.keeper.put(waiting)
    only.settle()
    assert left(folder) == [f"{b}.1.pt"]


def test_a_place_that_was_away_is_tidied_when_it_is_back(
    worker: MakeWorker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = worker("only")
    a, b = only.begin(), only.begin()
    only.end(a, 0.9)
    only.end(b, 0.1)
    with monkeypatch.context() as away:

        def refused(*_args: object) -> None:
            raise CheckpointError("away")

        away.setattr(Checkpoints, "tidy", refused)
        only.settle()
    assert left(folder) == [f"{a}.1.pt", f"{b}.1.pt"]
    only.saves._try_at = 0.0
    only.settle()
    assert left(folder) == [f"{a}.1.pt"]


def test_of_the_best_one_only_its_last_holder_s_checkpoint_is_left(
    worker: MakeWorker, folder: Path
) -> None:
    """The first was lost while it wrote; when it wakes up it writes once more, under its fence."""
    first, second = worker("first"), worker("second")
    number = first.begin()
    (folder / f"{number}.1.left.part").touch()
    second.ledger.sign_off("first", lost="killed")
    assert second.begin() == number
    second.end(number, 0.9)
    second.settle()
    assert left(folder) == [f"{number}.2.pt"]
    first.running[number].put(reports=[Epoch(2, 0.5, {}, 0.1)])
    first.delivery.save()
    assert left(folder) == [f"{number}.1.pt", f"{number}.2.pt"]
    first.settle()
    first.delivery.look()
    assert left(folder) == [f"{number}.2.pt"]


def test_a_worker_that_was_killed_before_it_could_leaves_it_to_the_command(
    worker: MakeWorker, folder: Path, sqlite_url: str, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = worker("killed")
    numbers = [killed.begin() for _ in range(3)]
    for number in numbers:
        killed.end(number, number / 10)
    assert killed.keeper.flush(20)
    assert len(left(folder)) == 3
    ledger = Ledger(Database(sqlite_url))
    ledger.set_state("s", "stopped")
    reader = Reader.__new__(Reader)  # the study of these tests has no file that could be read
    reader._ledger, reader._checkpoints = ledger, None
    killed.mirror.refresh()
    trials = [SimpleNamespace(ticket=n, state="COMPLETE", stage="joint") for n in numbers]
    snapshot: Any = SimpleNamespace(
        study=ledger.study("s"), trials=trials, network=trials[-1], verdict=None
    )
    reader.tidy(snapshot)
    assert left(folder) == [f"{numbers[-1]}.1.pt"]


def test_nothing_of_a_deleted_study_is_saved_again(
    worker: MakeWorker, folder: Path, study: Study
) -> None:
    """Its worker has not heard of it, and leaves, or continues to its next checkpoint."""
    late = worker("late")
    number = late.begin()
    assert places.delete_study(late.ledger, study)
    assert not folder.exists()
    said = late.save(number)
    assert said is not None
    assert "its study has been deleted" in said
    late.delivery.save()
    assert not folder.exists()


def test_a_folder_that_somebody_removed_is_made_again(worker: MakeWorker, folder: Path) -> None:
    only = worker("only")
    number = only.begin()
    (folder / f"{number}.1.pt").unlink()
    folder.rmdir()
    assert only.save(number) is None
    assert left(folder) == [f"{number}.1.pt"]


def test_what_a_bucket_got_after_a_delete_is_removed(sqlite_url: str, study: Study) -> None:
    """There are no folders there, so a write cannot be refused."""
    place = f"memory://bucket/s-{study.uid[:8]}"
    late = Worker(sqlite_url, study, place, "late")
    number = late.begin()
    late.ledger.delete("s")
    Checkpoints(place).clear()
    assert late.save(number) is None
    assert Checkpoints(place).numbers() == {number}
    late.delivery.look()
    assert Checkpoints(place).numbers() == set()
    late.keeper.stop()


def test_while_the_database_is_away_a_study_is_not_taken_for_deleted(
    worker: MakeWorker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = worker("only")
    number = only.begin()

    def away(_study: Study) -> None:
        raise UnreachableError("away")

    monkeypatch.setattr(only.ledger, "is_there", away)
    assert not only.saves.clear_if_deleted()
    assert left(folder) == [f"{number}.1.pt"]


def test_a_study_whose_row_was_damaged_is_not_taken_for_deleted(
    worker: MakeWorker, folder: Path
) -> None:
    """Those who list studies leave it out; its checkpoints are there for when it is restored."""
    only = worker("only")
    number = only.begin()
    damage = "UPDATE hpsearch_studies SET state = 'asleep'"
    only.ledger.database.write(lambda connection: connection.exec_driver_sql(damage))
    assert only.ledger.studies() == []
    assert not only.saves.clear_if_deleted()
    assert left(folder) == [f"{number}.1.pt"]
    only.ledger.database.write(lambda c: c.exec_driver_sql("DELETE FROM hpsearch_studies"))
    assert only.saves.clear_if_deleted()
    assert not folder.exists()


def test_a_place_is_tried_before_the_first_trial_alone(
    sqlite_url: str, study: Study, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ledger = Ledger(Database(sqlite_url))
    with pytest.raises(CheckpointError, match="cannot write checkpoints to"):
        StudyCheckpoints(ledger, study, str(tmp_path / "file/s")).try_out()
    ledger.claim("w", study.study_id)
    StudyCheckpoints(ledger, ledger.study("s"), str(tmp_path / "file/s")).try_out()


@pytest.mark.parametrize("uid", ["app", "../../srv", "A" * 32])
def test_a_row_leads_to_no_folder_of_others(
    sqlite_url: str, study: Study, tmp_path: Path, uid: str
) -> None:
    """Anyone who can write to the database has a tree deleted by anyone who deletes the study."""
    theirs = tmp_path / f"s-{uid[:8]}/data"
    theirs.mkdir(parents=True)
    (theirs / "1.1.pt").touch()
    ledger = Ledger(Database(sqlite_url))
    bad = replace(study, uid=uid, document={"checkpoints": str(tmp_path)})
    with pytest.raises(CheckpointError, match=r"study s is deleted, but its .*is damaged"):
        places.delete_study(ledger, bad)
    assert (theirs / "1.1.pt").exists()
    assert ledger.studies() == []


@pytest.mark.parametrize("place", [3, {"a": 1}, ["x"], "a\0b", "~nobody-of-that-name/x"])
def test_a_study_whose_place_cannot_be_told_is_deleted(
    sqlite_url: str, study: Study, place: object
) -> None:
    ledger = Ledger(Database(sqlite_url))
    bad = replace(study, document={**study.document, "checkpoints": place})
    with pytest.raises(CheckpointError, match=r"study s is deleted, but its checkpoints stay: "):
        places.delete_study(ledger, bad)
    assert ledger.studies() == []


def test_deleting_removes_what_is_ours_alone(sqlite_url: str, study: Study, folder: Path) -> None:
    Checkpoints(folder).save(1, {"epoch": 1})
    (folder / "notes.txt").write_text("mine")
    (folder / "deep").mkdir()
    (folder / "deep/1.1.pt").touch()
    assert not places.delete_study(Ledger(Database(sqlite_url)), study)
    assert left(folder) == ["deep", "notes.txt"]
