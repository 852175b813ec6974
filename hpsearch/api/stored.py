"""What a study of a database has come to, from Python: reads only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch import files, passwords
from hpsearch.api import handing
from hpsearch.api.opening import absolute_place, named_checkpoints, open_ledger
from hpsearch.api.results import Best, Finish, Picture, Pictures, best_of
from hpsearch.api.succession import next_study
from hpsearch.code import Code, running
from hpsearch.errors import HpsearchError, NotFoundError
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot, Trial
from hpsearch.spec import StudySpec
from hpsearch.store.engine import Database, storage_url

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from hpsearch.insight.importance import Importance
    from hpsearch.store.ledger import Ledger

__all__ = ["Stored"]


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
        is_url = storage is None or "://" in str(storage)
        path = None if is_url else f"sqlite:///{Path(str(storage)).absolute()}"
        url = path or storage_url(None if storage is None else str(storage))
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
        return f"<Study {self._name}>"

    @property
    def name(self) -> str:
        """Its name in the database."""
        return self._name

    def snapshot(self) -> Snapshot:
        """All that is known of it now."""
        return self._reader().snapshot()

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Its trials so far, in the order in which they began."""
        return self.snapshot().trials

    @property
    def best(self) -> Best:
        """The best trial that completed. Raises NotFoundError where there is none yet."""
        from hpsearch.handover.predictor import load

        reader = self._reader()
        snapshot = handing.with_network(reader.located(reader.snapshot()))
        return best_of(snapshot, self.save, partial(load, code=self._code))

    @property
    def verdict(self) -> Finish:
        """What its last finish has found. Raises NotFoundError where there was none."""
        snapshot = self.snapshot()
        if snapshot.verdict is None:
            raise NotFoundError(
                f"study {self._name!r} has no finish that has ended: finish() does it"
            )
        return Finish(snapshot.verdict, snapshot.direction)

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write the network that it hands over to a folder, for `hp.load(folder).predict(frame)`.
        Of own training code that is what `run.save` had.

        Raises ConflictError where something is there; with `force` a network of before is replaced.
        """
        path = Path(folder)
        with self._runs_code():
            handing.save(
                self._ledger(), self._reader(), path, checkpoints=self._checkpoints,
                code=self._code, force=force,
            )  # fmt: skip
        return path

    def trials_dataframe(self) -> pd.DataFrame:
        """A row a trial, with its parameters (`params.lr`) and metrics (`metrics.loss`).

        Raises HpsearchError where pandas is not installed.
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
        """The metric after each epoch, by the numbers of the trials and of their epochs."""
        return {trial.number: dict(trial.curve) for trial in self.trials}

    def importance(self) -> Importance:
        """Which parameters have mattered. Raises NotFoundError for too few trials."""
        from hpsearch.insight.importance import measure

        return measure(self._ledger(), self._name, lambda _: None)

    def pictures(self, folder: str | Path | None = None, *, trial: int | None = None) -> Pictures:
        """Its pictures: learning curves, errors, boundaries ... A notebook shows them.

        Args:
            folder: Where they are written too; None: nowhere.
            trial: The trial that they are of; None: the best one, and those of a finish.

        Raises ConflictError where one is in the folder already.
        """
        from hpsearch.pictures.album import Album

        with self._runs_code():
            album = Album(self._ledger(), self._name, self._checkpoints, self._code)
            found = [Picture(kept.name, kept.title, kept.trial, png)
                     for kept, png in album.drawn(trial)]  # fmt: skip
            if folder is not None:
                album.write(Path(folder), "png", trial)
        return Pictures(found)

    def next(self, folder: str | Path = ".") -> StudySpec:
        """The study to run after it, by what its trials have shown; `hpsearch next` writes it as a
        file. Relative paths of it start in the folder."""
        return next_study(self._ledger(), self._name, Path(folder)).spec

    @property
    def optuna(self) -> optuna.Study:
        """The same as an Optuna study, for `optuna.visualization` and the like."""
        import optuna

        from hpsearch.store.storage import open_storage

        self._reader()
        storage = open_storage(Database(self._url))
        return optuna.load_study(study_name=self._name, storage=storage)

    def report(self, file: str | Path | None = None, *, force: bool = False) -> Path:
        """Write its report, one HTML file that opens anywhere.

        Args:
            file: The file; None: NAME.html in the current folder.
            force: Write over a file that is there.

        Raises ConflictError where one is there, or the file is a study's.
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
