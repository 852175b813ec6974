"""The process that brings a study to MLflow while it runs.

A worker starts one where nobody else delivers (`worker.couriers`). It reads the database by
increments, so what a worker wrote before it died is delivered by the next; training waits for
nothing, and an MLflow that is away costs a request now and then.

    worker  -- first line of standard input: `Orders` as JSON -->  courier
            -- `FINISH`: leave once all is there, or MLflow stays away -->
            -- its end: deliver what there is, and leave -------->
            <-- standard output: a line for each thing to report --
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch import passwords
from hpsearch.errors import (
    CheckpointError,
    ConflictError,
    HpsearchError,
    NotFoundError,
    StorageError,
    TrackingError,
    UnreachableError,
    line,
)
from hpsearch.insight.reader import Reader
from hpsearch.pictures.gallery import Gallery
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.tracking.delivery import Delivery
from hpsearch.tracking.runs import Runs
from hpsearch.tracking.target import Target

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.pictures.gallery import Kept
    from hpsearch.store.values import Study, TimedEpoch

__all__ = [
    "AWAY_S", "FINISH", "TAKEN", "Courier", "Exported", "Orders", "TakenError", "export", "main",
    "pictures_of", "whole",
]  # fmt: skip

TAKEN = 20
"""Exit code of a courier where somebody else delivers, or the study is gone."""

FINISH = b"finish\n"
"""The signal to a courier that its study is over, from a worker that waits for it."""

AWAY_S = 20.0
"""For an MLflow that is away at the end of a study to come back, before that is given up."""

_PAUSE_S = 2.0
"""Between two looks at the database."""
_AGAIN_S, _AGAIN_MOST_S = 3.0, 30.0
"""Until an MLflow that is away is tried again; doubled with each time."""
_RENEWALS = 3
"""Renewals of the duty in the length of its lease."""
_NICE = 5
"""Training comes first where cores are short."""

_OVER = ("done", "stopped")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Orders:
    """What a courier is told."""

    url: str = field(repr=False)
    """The database."""
    study: str
    uri: str = field(repr=False)
    experiment: str
    worker: str
    """Whose duty it is."""
    lease_s: float
    checkpoints: str | None = None
    """Where they lie, if an option or the environment says so."""
    code: str | None = None
    """The folder of the study's own code; None: none is named."""

    def as_line(self) -> bytes:
        """As a courier reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def target(self) -> Target:
        """Where to."""
        return Target(self.uri, self.experiment)


def whole(target: Target, trials: int, pictures: int) -> str:
    """What is kept of a study that has ended with so many trials, once all of it is there."""
    drawn = f" and {pictures} pictures" if pictures else ""
    return f"MLflow at {target.name}: all {trials:,} trials, with the best network{drawn}"


class TakenError(Exception):
    """Somebody else delivers by now, or the study is gone."""


class Courier:
    """Delivers one study to one MLflow, for as long as it has that duty."""

    def __init__(
        self, ledger: Ledger, study: Study, target: Target, worker: str,
        checkpoints: str | None = None, code: Path | None = None,
    ) -> None:  # fmt: skip
        """Raises TrackingError where MLflow's client is not installed."""
        self._ledger, self._study, self._target, self._worker = ledger, study, target, worker
        self._checkpoints, self._code = checkpoints, code
        self._reader = Reader(ledger, study.name, checkpoints)
        self._runs = Runs(target)
        self._delivery = Delivery(self._runs, self._courses, partial(self._keep, exactly=True))
        self._fence: int | None = None
        self._renewed_at = -float("inf")
        self._lack = ""
        """Why the network cannot be handed over."""
        self._pictures = 0
        """Pictures of the study that are there."""
        self._there, self._trials = 0, 0
        """Trials that were there with all they have when MLflow answered last, and all trials."""

    def round(self) -> Snapshot:
        """Bring all that is missing now; the study as it was brought.

        Raises TakenError, TrackingError where MLflow is of no use now, and StorageError. That the
        network cannot be handed over is logged, and `said`.
        """
        self._keep()
        snapshot = self._reader.snapshot()
        if snapshot.study.uid != self._study.uid:
            raise TakenError
        self._trials = len(snapshot.trials)
        self._delivery.deliver(snapshot)
        self._there = self._delivery.ended
        if self._delivery.lacks_model(snapshot):
            self._bring_model(snapshot)
        if snapshot.study.state in _OVER:
            try:
                self._bring_pictures(snapshot)
            except CheckpointError as error:
                _log.warning("pictures of study %s: %s", self._study.name, error)
        return snapshot

    def said(self, snapshot: Snapshot) -> str:
        """How many trials are there, in a line."""
        delivered, total = self._delivery.ended, len(snapshot.trials)
        if delivered == total and snapshot.study.state in _OVER and not self._lack:
            return whole(self._target, total, self._pictures)
        lack = f"; without the network: {self._lack}" if self._lack else ""
        return f"MLflow at {self._target.name}: {delivered:,} of {total:,} trials{lack}"

    def explained(self, error: TrackingError) -> str:
        """What is wrong with MLflow, how much is missing there, and what brings it, in a line."""
        if missing := self._trials - self._there:
            missing_ = f"up to {missing:,} of {self._trials:,} trials are missing there, and"
            return f"{error}; {missing_} hpsearch export {self._study.name} --to mlflow brings them"
        return f"{error}; hpsearch export {self._study.name} --to mlflow brings what is missing"

    @property
    def there(self) -> int:
        """Trials that have ended and are there with all that they have."""
        return self._delivery.ended

    def page(self) -> str | None:
        """Where a browser shows the study's run; None: there is no server, or no run yet."""
        run_id = self._delivery.run_id
        return None if run_id is None else self._runs.page(run_id)

    def leave(self, said: str | None) -> None:
        """Give the duty back."""
        self._ledger.drop_duty(self._study, self._target.duty, self._worker, said)

    def report(self, said: str) -> None:
        """Keep how it stands, for `hpsearch status`."""
        self._take(said)

    def _courses(self, after: Mapping[int, int]) -> Mapping[int, list[TimedEpoch]]:
        return self._ledger.courses(self._study.study_id, after)

    def _keep(self, *, exactly: bool = False) -> None:
        if time.monotonic() - self._renewed_at >= self._ledger.lease_s / _RENEWALS:
            self._take(exactly=exactly)

    def _take(self, said: str | None = None, *, exactly: bool = False) -> None:
        """Take the duty or renew it; TakenError where it is somebody else's.

        Where it may have been so meanwhile, what is known of MLflow is forgotten; in the midst of a
        delivery, `exactly`, that ends it.
        """
        at = time.monotonic()
        fence = self._ledger.take_duty(self._study, self._target.duty, self._worker, said)
        if fence is None or (exactly and fence != self._fence):
            raise TakenError
        if fence != self._fence:
            self._delivery.forget()
        self._fence, self._renewed_at = fence, at

    def _bring_pictures(self, snapshot: Snapshot) -> None:
        gallery = Gallery.of(self._ledger, self._study, self._checkpoints)
        drawn = pictures_of(self._ledger, self._study, self._checkpoints)
        tickets = {trial.number: str(trial.ticket) for trial in snapshot.trials}
        pictures: dict[str | None, dict[str, bytes]] = {}
        for one in drawn:
            ticket = None if one.trial is None else tickets.get(one.trial)
            if one.trial is None or ticket is not None:
                pictures.setdefault(ticket, {})[one.name] = gallery.content(one)
        self._delivery.bring_pictures(pictures)
        self._pictures = len(drawn)

    def _bring_model(self, snapshot: Snapshot) -> None:
        from hpsearch.tracking.model import write

        self._lack = ""
        with tempfile.TemporaryDirectory(prefix="hpsearch-mlflow-") as folder:
            try:
                model = write(self._ledger, snapshot, Path(folder), self._checkpoints, self._code)
            except StorageError:
                raise
            except Exception as error:
                self._lack = line(error)
                _log.warning("the network of study %s does not go to MLflow: %s",
                             self._study.name, self._lack)  # fmt: skip
            else:
                self._delivery.bring_model(snapshot, model)


def export(
    ledger: Ledger, name: str, target: Target, worker: str, checkpoints: str | None,
    code: Path | None,
) -> Exported:  # fmt: skip
    """Bring a study to MLflow once.

    Raises ConflictError where a worker does so by itself, TrackingError where MLflow is of no use.
    """
    study = ledger.study(name)
    courier = Courier(ledger, study, target, worker, checkpoints, code)
    message = None
    try:
        snapshot = courier.round()
        message = courier.said(snapshot)
        return Exported(courier.there, len(snapshot.trials), courier.page())
    except TakenError:
        others = [duty for duty in ledger.duties(study.study_id) if duty.name == target.duty]
        who = others[0].worker if others and others[0].worker else "somebody else"
        raise ConflictError(
            f"{who} is delivering study {name!r} to MLflow at {target.name} just now, and what is "
            "missing will be there within seconds"
        ) from None
    finally:
        with contextlib.suppress(StorageError):
            courier.leave(message)


@dataclass(frozen=True)
class Exported:
    """What `export` has left in MLflow."""

    ended: int
    """Trials that have ended and are there with all that they have."""
    trials: int
    """Trials of the study."""
    page: str | None
    """Where a browser shows the study's run; None: there is no server, or no run."""


def pictures_of(ledger: Ledger, study: Study, checkpoints: str | None) -> tuple[Kept, ...]:
    """The pictures of a study; none where their place is unavailable."""
    try:
        return Gallery.of(ledger, study, checkpoints).kept()
    except HpsearchError:
        return ()


class _Parent:
    """What the worker that started this process wants of it."""

    def __init__(self) -> None:
        self.leaves = False
        """Whether it wants this process to leave now, or has died."""
        self._finishes_at: float | None = None
        self._news = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while sys.stdin.buffer.readline():  # `FINISH` is all there is
            self._finishes_at = time.monotonic()
            self._news.set()
        self.leaves = True
        self._news.set()

    @property
    def waiting_s(self) -> float | None:
        """For how long it has waited for this process to finish; None: it has work of its own."""
        return None if self._finishes_at is None else time.monotonic() - self._finishes_at

    def wait(self, timeout_s: float) -> None:
        """Until it wants something new, or so long."""
        self._news.wait(timeout_s)
        self._news.clear()


def main() -> None:
    """Read orders, deliver until the study has ended and all is there, or until told to leave."""
    orders = Orders(**json.loads(sys.stdin.buffer.readline()))
    passwords.learn(orders.url, orders.uri, orders.checkpoints)
    passwords.install()
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stdout)
    if sys.platform != "win32":
        os.nice(_NICE)
    parent = _Parent()
    ledger = Ledger(Database(orders.url), orders.lease_s, make=False)
    try:
        study = ledger.study(orders.study)
        code = Path(orders.code) if orders.code else None
        courier = Courier(ledger, study, orders.target, orders.worker, orders.checkpoints, code)
        if not _work(courier, parent):
            sys.exit(TrackingError.exit_code)
    except (TakenError, NotFoundError):
        sys.exit(TAKEN)
    except HpsearchError as error:
        _log.warning("%s", error)
        sys.exit(error.exit_code)


def _work(courier: Courier, parent: _Parent) -> bool:
    """Until the study has ended and all is there, or until told to leave; whether all is there."""
    trouble, again_s, last, standing, waited = "", _AGAIN_S, False, "", False
    while True:
        last = last or parent.leaves
        pause_s = _PAUSE_S
        try:
            snapshot = courier.round()
        except TrackingError as error:
            if not trouble:
                _log.warning(
                    "%s; the search continues, and what is missing is delivered later", error
                )
            trouble, pause_s, again_s = str(error), again_s, min(2 * again_s, _AGAIN_MOST_S)
            if (waiting_s := parent.waiting_s) is not None:
                if not waited:
                    _log.warning("the study is over; waiting up to %g s for MLflow", AWAY_S)
                waited, pause_s, last = True, _PAUSE_S, last or waiting_s >= AWAY_S
            standing = _kept(courier, courier.explained(error))
        except UnreachableError:
            pause_s = _AGAIN_S
        else:
            if trouble:
                _log.warning("MLflow is back")
            trouble, again_s = "", _AGAIN_S
            message = courier.said(snapshot)
            if message != standing:
                standing = _kept(courier, message)
            last = last or snapshot.study.state in _OVER
        if last:
            break
        parent.wait(pause_s)
    with contextlib.suppress(StorageError):
        courier.leave(standing)
    return not trouble


def _kept(courier: Courier, said: str) -> str:
    with contextlib.suppress(StorageError):
        courier.report(said)
    return said


if __name__ == "__main__":
    main()
