"""What a study of a database has come to, from Python: reads only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch import files, passwords
from hpsearch.api import handing, tracking
from hpsearch.api.door import door
from hpsearch.api.logs import Logs, trial_of
from hpsearch.api.opening import absolute_place, named_checkpoints, open_ledger, url_of
from hpsearch.api.progress import summary
from hpsearch.api.results import Best, Finish, Picture, Pictures, best_of
from hpsearch.api.status import detailed
from hpsearch.code import Code, running
from hpsearch.errors import HpsearchError, NotFoundError, line
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot, Trial
from hpsearch.store.engine import Database

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from hpsearch.insight.importance import Importance
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Worker
    from hpsearch.tracking.courier import Exported

__all__ = ["Stored"]


@door
class Stored:
    """A study of a database, as `Study` reads it."""

    def __init__(
        self, name: str, storage: str | Path | None, checkpoints: str | Path | None
    ) -> None:
        """
        Args:
            name: Its name.
            storage: The URL of the database, or the path of an SQLite file; None:
                HPSEARCH_STORAGE, else `hpsearch.db` in the current folder.
            checkpoints: A folder or URL; None: HPSEARCH_CHECKPOINTS, else beside the database.
        """
        url = url_of(storage)
        passwords.learn(url)
        self._name = name
        self._database = Database(url)
        self._url = self._database.url  # a relative file is where it is now
        place = None if checkpoints is None else absolute_place(str(checkpoints))
        self._checkpoints = place or named_checkpoints()
        self._opened: Ledger | None = None
        self._code: Path | None = None
        """The folder of its own code."""
        self._runs: Path | None = None
        """The same, where functions of it may be called in this process."""

    def __repr__(self) -> str:
        try:
            return summary(self.snapshot())
        except NotFoundError:
            return f"study {self._name}: not in the database yet; run() makes it"
        except HpsearchError as error:
            return f"study {self._name}: {line(error)}"

    @property
    def name(self) -> str:
        """The study's name in the database."""
        return self._name

    def snapshot(self) -> Snapshot:
        """The study and all its trials at this moment."""
        return self._reader().snapshot()

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials so far, in the order in which they began."""
        return self.snapshot().trials

    @property
    def best(self) -> Best:
        """The best completed trial. Raises NotFoundError if none has completed yet."""
        from hpsearch.handover.predictor import load

        reader = self._reader()
        snapshot = handing.with_network(reader)
        return best_of(snapshot, self.save, partial(load, code=self._code))

    @property
    def verdict(self) -> Finish:
        """The result of the last finish. Raises NotFoundError if there was none."""
        snapshot = self.snapshot()
        if snapshot.verdict is None:
            raise NotFoundError(
                f"study {self._name!r} has no finish that has ended: finish() does it"
            )
        return Finish(snapshot.verdict, snapshot.direction, snapshot.study.data)

    def status(self) -> dict[str, Any]:
        """How far the study is, as plain values: what `hpsearch status STUDY --json` prints."""
        reader = self._reader()
        return detailed(self._ledger(), reader.located(reader.snapshot()))

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers that train trials of the study now, on any machine."""
        return tuple(one for one in self._ledger().workers() if one.of(self._name))

    def logs(self, trial: int | None = None) -> str:
        """The output of your own training code in a trial: its first MB and its last nine.

        Args:
            trial: The trial's number; None: the last that failed, or else the last that has
                written something.

        Raises ConflictError if hpsearch trains the study's networks, which write no log;
        NotFoundError if there is no such trial.
        """
        reader = self._reader()
        snapshot = reader.snapshot()
        logs = Logs.of(reader, snapshot, self._checkpoints)
        return passwords.hide(logs.text(trial_of(snapshot, trial, logs)))

    def to_mlflow(self, uri: str | None = None) -> Exported:
        """Export the study to MLflow, with metrics and the best network. What MLflow has of it
        already stays.

        Args:
            uri: `http://HOST:5000` or `sqlite:///FILE`; None: HPSEARCH_MLFLOW, else the study's.

        Raises TrackingError if MLflow does not answer.
        """
        return tracking.export(self._ledger(), self._name, uri, self._checkpoints, self._code)[1]

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Save the best network to a folder, for `hp.load(folder).predict(frame)`. Of your own
        training code, the folder gets what `run.save` had.

        Raises ConflictError if the folder is not empty; `force` replaces a network in it.
        """
        path = Path(folder)
        with self._runs_code():
            handing.save(
                self._ledger(), self._reader(), path, checkpoints=self._checkpoints,
                code=self._code, force=force,
            )  # fmt: skip
        return path

    def trials_dataframe(self) -> pd.DataFrame:
        """A pandas DataFrame with a row for each trial, its parameters (`params.lr`) and metrics
        (`metrics.loss`).

        Raises HpsearchError if pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise HpsearchError(
                "trials_dataframe() needs pandas, which is not installed: pip install pandas"
            ) from None
        snapshot = self.snapshot()
        rows = [handing.flat_row(snapshot.row(trial)) for trial in snapshot.trials]
        frame = pd.DataFrame(rows)
        for time in ("started", "ended"):
            if time in frame:
                frame[time] = pd.to_datetime(frame[time])
        return frame

    def curves(self) -> dict[int, dict[int, float]]:
        """The learning curves: `{trial number: {epoch: metric}}`."""
        return {trial.number: dict(trial.curve) for trial in self.trials}

    def importance(self) -> Importance:
        """How much each parameter mattered. Raises NotFoundError for fewer than ten trials."""
        from hpsearch.insight.importance import measure

        return measure(self._ledger(), self._name, lambda _: None)

    def pictures(self, folder: str | Path | None = None, *, trial: int | None = None) -> Pictures:
        """The study's pictures: learning curves, errors, boundaries ... A notebook shows them.

        Args:
            folder: A folder to write them to as well; None: none.
            trial: The trial to draw; None: the best one, and those of a finish.

        Raises ConflictError if the folder has one of the pictures already.
        """
        from hpsearch.pictures.album import Album

        with self._runs_code():
            album = Album(self._ledger(), self._name, self._checkpoints, self._code)
            pictures = [Picture(entry.name, entry.title, entry.trial, png)
                     for entry, png in album.drawn(trial)]  # fmt: skip
            if folder is not None:
                album.write(Path(folder), "png", trial)
        return Pictures(pictures)

    @property
    def optuna(self) -> optuna.Study:
        """The study as an Optuna study, for example for `optuna.visualization`."""
        import optuna

        from hpsearch.store.storage import open_storage

        self._reader()
        storage = open_storage(Database(self._url))
        return optuna.load_study(study_name=self._name, storage=storage)

    def report(self, file: str | Path | None = None, *, force: bool = False) -> Path:
        """Write the study's report, one HTML file that opens anywhere.

        Args:
            file: The file; None: NAME.html in the current folder.
            force: Replace an existing file.

        Raises ConflictError if the file exists, or is a study file or data.
        """
        from hpsearch.checkpoints.places import owner
        from hpsearch.reports.page import file_name, report

        ledger, path = self._ledger(), Path(file or file_name(self._name))
        page = report(ledger, self._name, self._checkpoints).html.encode()
        whose = owner(ledger.database, ledger.studies(), self._checkpoints)
        files.put(path, page, whose, force=force)
        return path

    def _ledger(self, *, make: bool = False) -> Ledger:
        if self._opened is None:
            self._opened = open_ledger(self._url, make=make)
        return self._opened

    def _reader(self) -> Reader:
        return Reader(self._ledger(), self._name, self._checkpoints)

    @contextmanager
    def _runs_code(self) -> Iterator[None]:
        """Inside, code of its folder may run in this process, which imports as before after it."""
        with running(None if self._runs is None else Code.at(self._runs)):
            yield
