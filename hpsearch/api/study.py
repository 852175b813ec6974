"""`hp.Study`: a search from Python, with what the command line does of one study.

import hpsearch as hp

study = hp.Study(name="churn", data=frame, target="churned", metric="auroc",
                 parameters={"lr": hp.log(1e-4, 1e-1), "width": hp.choice(32, 64)}, trials=30)
study.run(workers=2)
study.best.params, study.best.network()
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hpsearch.api import checking, planning, ranging, steering
from hpsearch.api.definition import Definition, of_file, of_values
from hpsearch.api.door import door, in_python
from hpsearch.api.progress import Progress, say_result, shown_by
from hpsearch.api.results import Check, Finish, Imported, Plan
from hpsearch.api.running import make
from hpsearch.api.sessions import Session
from hpsearch.api.starting import Start
from hpsearch.api.stored import Stored
from hpsearch.api.succession import next_study
from hpsearch.code import importing
from hpsearch.errors import CodeError, ConflictError, HpsearchError, StudyFileError
from hpsearch.fleet import local_devices, spread
from hpsearch.insight.reader import Reader
from hpsearch.insight.words import counted
from hpsearch.preflight.data_check import check_table
from hpsearch.spec import StudySpec
from hpsearch.spec.faults import nearest
from hpsearch.spec.models import StudySections
from hpsearch.store import LEASE_S
from hpsearch.store.values import command_hash

if TYPE_CHECKING:
    from hpsearch.store.values import State

__all__ = ["Study"]

_GRACE_S, _PATIENCE_S = 8.0, 300.0
"""What `hpsearch run` gives its workers: to leave in order, and for a database that is away."""
_POLL_S = 0.5
"""Between two looks at a study that others train."""


@door
class Study(Stored):
    """A search and its results.

    A study lives in a database. If one of the same name and content is there already, it continues
    from where it was. Nothing runs before `run`.
    """

    def __init__(
        self, train: Callable[..., Any] | str | Mapping[str, Any] | None = None, *, name: str,
        parameters: Mapping[str, Any], evaluate: Callable[..., Any] | None = None,
        data: Any = None, target: str | None = None,
        network: Callable[..., Any] | str | Mapping[str, Any] | None = None,
        metric: str | Mapping[str, str] | None = None, direction: str | None = None,
        trials: int | None = None, epochs: int | None = None, hours: float | None = None,
        sampler: str | Mapping[str, str] | None = None,
        pruner: str | Mapping[str, Any] | None = None, seed: int | None = None,
        start: Sequence[Mapping[str, Any]] | None = None, final: Mapping[str, int] | None = None,
        storage: str | Path | None = None, checkpoints: str | Path | None = None,
        code: str | Path | None = None, **sections: Any,
    ) -> None:  # fmt: skip
        """Define a study in Python; `from_file` reads one from a study file.

        Args:
            train: Your own training code, if hpsearch is not to train: a function that takes a
                run (`hp.Run`), `"FILE.py:FUNCTION"`, or `{"command": [...]}`. A function from a
                file runs in processes of its own, one from a notebook's cell in this process.
            evaluate: Tests in a finish what the function `train` has trained: a function that
                takes a run and a part. If `train` is from a file, the `evaluate` of that file is
                used without being named here.
            name: The study's name in the database.
            parameters: The parameters by name: `hp.log`, `hp.range` and `hp.choice` are searched,
                other values are constants. They may be grouped, as in a study file.
            data: A table in memory (pandas, polars, Arrow, a mapping of columns), a mapping of
                arrays `X` and `y`, the path of a file or of a folder of images, the name of a data
                set such as `digits`, a function from a file that loads it, or a data section.
            target: The column that the network learns to predict.
            network: The name of a family, by default `mlp` for a table; a function from a file that
                builds a network; or a network section.
            metric: The metric to improve. Your own training code reports it under this name.
            direction: `maximize` or `minimize`; required for a metric that hpsearch does not know.
            trials: `budget.trials`; None: 30, or all cells of a grid.
            epochs: `budget.epochs`, the most epochs of a trial; None: 10.
            hours: `budget.hours`.
            sampler: `search.sampler`.
            pruner: `search.pruner`.
            seed: `search.seed`.
            start: Configurations to try first.
            final: A finish after the search, such as `{"top": 3, "seeds": 5}`.
            storage: The URL of the database, or the path of an SQLite file; None:
                HPSEARCH_STORAGE, else `hpsearch.db` in the current folder.
            checkpoints: A folder or URL for checkpoints; None: HPSEARCH_CHECKPOINTS, else beside
                the database.
            code: The folder of your own code; None: the folder of the functions given here.
            **sections: Other keys of a study file, such as `keep="last"` or `resources={...}`.

        Raises StudyFileError with all faults at once, CodeError for a function that workers could
        not run, DataError for data that is missing, cannot be written to a file, or does not suit
        the study, as far as a quick look at it shows.
        """
        self._begin(name, storage, checkpoints)
        _check_keys(sections)
        content = {
            **sections, "train": train, "parameters": parameters, "data": data, "target": target,
            "network": network, "metric": _metric(metric, direction), "start": start,
            "final": final,
            "budget": _merged(sections, "budget", trials=trials, epochs=epochs, hours=hours),
            "search": _merged(sections, "search", sampler=sampler, pruner=pruner, seed=seed),
        }  # fmt: skip
        self._take(of_values(name, content, self._tables, _folder(code), evaluate))

    @classmethod
    def from_file(
        cls, file: str | Path, changes: Mapping[str, object] | None = None, *,
        storage: str | Path | None = None, checkpoints: str | Path | None = None,
        code: str | Path | None = None,
    ) -> Self:  # fmt: skip
        """Read a study from a study file.

        Args:
            file: The file.
            changes: Values that replace the file's, by key: `{"budget.trials": 20}`.
            storage: As for `Study`.
            checkpoints: As for `Study`.
            code: The folder of your own code; None: the folder of the file.

        Raises StudyFileError with all faults at once, DataError for data as `Study` does.
        """
        definition = of_file(Path(file), changes, _folder(code))
        study = cls.__new__(cls)
        study._begin(definition.spec.name, storage, checkpoints)
        study._take(definition)
        return study

    @classmethod
    def load(
        cls, name: str, *, storage: str | Path | None = None,
        checkpoints: str | Path | None = None, code: str | Path | None = None,
    ) -> Self:  # fmt: skip
        """Load a study from the database. Raises NotFoundError if it has none of that name."""
        study = cls.__new__(cls)
        study._begin(name, storage, checkpoints)
        study._code = study._runs = _folder(code)
        study._reader()
        return study

    def _begin(self, name: str, storage: str | Path | None, checkpoints: str | Path | None) -> None:
        super().__init__(name, storage, checkpoints)
        self._definition: Definition | None = None
        self._session: Session | None = None

    def _tables(self) -> Path:
        """The folder that tables and arrays in memory are written to."""
        from platformdirs import user_data_path

        file = self._database.file
        return file.with_suffix(".tables") if file else user_data_path("hpsearch") / "tables"

    def _out_of_reach(self) -> Iterator[str]:
        """What to know where other machines reach its database and not its data, which was in
        memory."""
        defined = self._definition
        if not self._database.file and defined is not None and defined.base == self._tables():
            yield (f"its data, which was in memory, is in {self._tables()} on this machine alone; "
                   "for workers on others give the path of a file that all reach")  # fmt: skip

    # --- before it runs -----------------------------------------------------------------------

    @property
    def spec(self) -> StudySpec:
        """The checked definition of the study, such as `spec.budget.trials`."""
        return self.snapshot().spec if self._definition is None else self._definition.spec

    def check(self) -> Check:
        """Look at the data and describe what would be searched; nothing is trained.

        Raises DataError if the data is missing or does not suit the study.
        """
        defined = self._defined()
        checked = checking.check(defined.spec, defined.base)
        facts = checking.described(checked.spec, defined.code)
        notes, seen, data = list(checked.notes), checked.seen, list[str]()
        if seen is not None:
            data, notes = [seen.title, *seen.lines, *seen.notes], [*notes, *seen.warnings]
        notes += [*facts["warnings"], *self._out_of_reach()]
        return Check(
            {**facts, "table": seen and seen.facts}, tuple(map(in_python, notes)),
            tuple(map(in_python, data)),
        )  # fmt: skip

    def plan(self, workers: int | None = None, device: str | Sequence[str] | None = None) -> Plan:
        """Forecast time, memory and disk from a dry run of a few seconds.

        Raises ConflictError for a function of this session, which no other process can run.
        """
        _check_not_imported()
        defined, devices = self._defined(), _devices(device)
        if defined.spec.train is not None:
            if defined.code is None:
                raise ConflictError(
                    "a plan of own training code runs it in another process, from a file; of a "
                    "function of this session run a few trials (trials=3), which shows the pace"
                )
            return Plan(planning.plan_apart(
                defined.spec, defined.base, defined.code, self._url, self._checkpoints, workers,
                devices,
            ))  # fmt: skip
        seats = spread(devices or local_devices(), workers)
        ledger = self._ledger(make=True)
        with self._runs_code():
            spec = planning.settled(ledger, defined.spec, defined.base, seats[0].device)
            planned = planning.plan(spec, defined.base, seats, ledger.database, self._checkpoints)
        return Plan(planned.forecast)

    def learning_rates(self, device: str | None = None) -> ranging.Rates:
        """Try learning rates on the default configuration: a range test of a few seconds."""
        defined = self._defined()
        with self._runs_code():
            return ranging.rates(defined.spec, defined.base, device)

    # --- running ------------------------------------------------------------------------------

    def submit(
        self, *, priority: int | None = None, max_parallel: int | None = None,
        accept_code: bool = False,
    ) -> Self:  # fmt: skip
        """Create the study in the database and leave it to workers elsewhere (`hpsearch worker`,
        `hpsearch fleet`). A function from a notebook's cell is trained by `run` alone.

        Args:
            priority: Studies with a higher priority are served first; None: 0, or unchanged.
            max_parallel: The most trials at once; 0: no limit; None: no limit, or unchanged.
            accept_code: Continue with your own code as it is now, if it has changed.

        Raises ConflictError if another study has the name, CodeError if your own code has changed.
        """
        _check_not_imported()
        defined = self._defined()
        with self._runs_code(), shown_by(True) as shown:
            check_table(defined.spec, defined.base)
            made = make(
                self._ledger(make=True), defined.spec, defined.base, priority=priority,
                max_parallel=max_parallel, code=defined.hashed, accept_code=accept_code,
            )  # fmt: skip
            for text in (*made.notes, *(f"warning: {text}" for text in self._out_of_reach())):
                shown.note(text)
        return self

    def run(
        self, workers: int | None = None, *, device: str | Sequence[str] | None = None,
        background: bool = False, progress: bool = True, pictures: bool = False,
        accept_code: bool = False,
        grace_s: float = _GRACE_S, patience_s: float = _PATIENCE_S, lease_s: float = LEASE_S,
    ) -> Self:  # fmt: skip
        """Search until the budget is spent. A study that was interrupted continues.

        Args:
            workers: Worker processes; None: one for each GPU, or on a CPU one for each core, at
                most 4.
            device: `cpu`, `cuda:0`, `mps`, or several; None: all devices of this machine.
            background: Return at once; `watch` follows the study, `pause` and `stop` end it. The
                workers end with this interpreter, even if it is killed.
            progress: Show progress and notes.
            pictures: Draw the study's pictures once it has ended.
            accept_code: Continue although your own code has changed since the study began. Each
                trial records which code trained it.
            grace_s: Seconds that workers have to checkpoint and leave.
            patience_s: Seconds for which workers tolerate an outage of the database.
            lease_s: Seconds after which a worker that is silent loses its trial.

        Returns: the study.

        Raises WorkerError, or the last worker's own error, if all workers have ended before the
        study has; DataError or CodeError if the study was stopped before its first trial. After
        KeyboardInterrupt no worker is left, and `run` continues from there.
        """
        self._check_free()
        with shown_by(progress) as shown, self._interruptible(shown):
            session = self._begun(
                shown, workers, device, pictures=pictures, accept_code=accept_code, grace_s=grace_s,
                patience_s=patience_s, lease_s=lease_s,
            )  # fmt: skip
            if background:
                session.start()
            else:
                say_result(session.run(shown), shown)
        return self

    def watch(self) -> Self:
        """Follow the study until it has ended, whichever processes train it. KeyboardInterrupt
        leaves it running.

        After `run(background=True)` it raises what `run` would have raised.
        """
        reader = self._reader()
        with shown_by(True) as shown:
            if self._session is not None and not self._session.is_heard:
                say_result(self._session.watch(shown, reader), shown)
                return self
            self._follow(reader, shown)
        return self

    def _follow(self, reader: Reader, shown: Progress) -> None:
        import time

        snapshot = reader.snapshot()
        while snapshot.study.state not in ("done", "stopped"):
            shown.update(snapshot)
            time.sleep(_POLL_S)
            with suppress(HpsearchError):
                snapshot = reader.snapshot()
        say_result(snapshot, shown)

    @property
    def is_running(self) -> bool:
        """Whether workers that `run` has started from here are still training."""
        return self._session is not None and not self._session.is_over

    def _check_free(self) -> None:
        _check_not_imported()
        if self.is_running:
            raise ConflictError(f"study {self._name!r} runs already: watch() follows it")

    def _begun(
        self, shown: Progress, workers: int | None, device: str | Sequence[str] | None, *,
        pictures: bool = False, accept_code: bool = False, grace_s: float = _GRACE_S,
        patience_s: float = _PATIENCE_S, lease_s: float = LEASE_S,
    ) -> Session:  # fmt: skip
        """Make the study, and what trains it."""
        words = self.spec.train.command if self.spec.train is not None else None
        start = Start(
            self._name, self._definition, self._code, partial(self._ledger, make=True),
            self._runs_code, self._url, self._checkpoints, workers, _devices(device),
            command=None if words is None else command_hash(words), pictures=pictures,
            accept_code=accept_code, grace_s=grace_s, patience_s=patience_s, lease_s=lease_s,
        )  # fmt: skip
        for text in self._out_of_reach():
            shown.note(f"warning: {text}")
        self._session = start.session(shown.note)
        return self._session

    @contextmanager
    def _interruptible(self, shown: Progress) -> Iterator[None]:
        """Inside, KeyboardInterrupt says first how the study continues."""
        try:
            yield
        except KeyboardInterrupt:
            ended = ""
            with suppress(HpsearchError):  # such as a study that was not made yet
                now = self.snapshot().study
                ended = f": {now.ended} of {now.tickets} trials have ended"
            shown.note(f"interrupted{ended}; run() continues from here")
            raise

    # --- steering -----------------------------------------------------------------------------

    def pause(self) -> Self:
        """Pause the study: workers checkpoint its trials and let go of it. `run` continues it."""
        return self._set("paused")

    def resume(self) -> Self:
        """Open a paused or stopped study to workers again."""
        return self._set("open")

    def stop(self) -> Self:
        """End the search early: running trials end as PRUNED, no new ones begin."""
        steering.stop(self._ledger(), self._name, self._checkpoints)
        return self._settled()

    def extend(self, trials: int = 0, hours: float | None = None) -> Self:
        """Add trials or hours to the budget; `run` then trains them."""
        steering.extend(self._ledger(), self._name, trials, hours)
        return self

    def retry(self) -> Self:
        """Run failed trials again, with the same parameters, in addition to the budget."""
        steering.retry_failed(self._ledger(), self._name)
        return self

    def schedule(self, priority: int | None = None, max_parallel: int | None = None) -> Self:
        """Change how workers serve the study: studies of a higher priority come first, and at most
        `max_parallel` of its trials run at once (0: any number)."""
        self._ledger().schedule(self._name, priority, max_parallel)
        return self

    def import_trials(
        self, source: str | Path, *, study: str | None = None, column: str | None = None
    ) -> Imported:
        """Let the study's samplers learn from finished trials of another search. These are outside
        of the budget, and never its best. The study has to be in the database:
        `study.submit().import_trials("old.csv")`.

        Args:
            source: A database of Optuna, such as `sqlite:///old.db`, or a table with a row a trial.
            study: The study in that database; None: its only one.
            column: The table's column with the metric; None: the metric's name, or `value`.

        Raises ConflictError if none of the trials fits the study.
        """
        return steering.import_trials(self._ledger(), self._name, str(source), study, column)

    def delete(self, *, force: bool = False) -> None:
        """Delete the study, its trials and its checkpoints for good. Its data stays.

        Args:
            force: Delete it even if it is being trained. Workers that `run` has started from here
                are stopped first.

        Raises ConflictError if it is being trained and `force` is false.
        """
        from hpsearch.checkpoints.places import delete_study

        ledger = self._ledger()
        study = ledger.study(self._name)
        trained = sum(len(worker.of(self._name)) for worker in ledger.workers())
        if (trained or self.is_running) and not force:
            now = f", {counted(trained, 'trial')} now" if trained else ""
            raise ConflictError(
                f"study {self._name!r} is being trained{now}: call stop() first, which keeps its "
                "results, or delete it all the same with delete(force=True)"
            )
        if self.is_running:
            steering.stop(ledger, self._name, self._checkpoints)
            self._settled()
        is_whole = delete_study(ledger, study, self._checkpoints)
        rest = "" if is_whole else "; their place stays, as there are other things in it"
        with shown_by(True) as shown:
            shown.note(f"study {self._name}: deleted, with {counted(study.issued, 'trial')} and "
                       f"their checkpoints{rest}")  # fmt: skip

    def finish(
        self, top: int | None = None, seeds: int | None = None, *, again: bool = False,
        workers: int | None = None, device: str | Sequence[str] | None = None,
        progress: bool = True, accept_code: bool = False,
    ) -> Finish:  # fmt: skip
        """Train the best trials and the default configuration again, and use the test part, once.

        Args:
            top: How many of the best trials; None: as in the last finish or the file, else 3.
            seeds: How often each is trained; None: as in the last finish or the file, else 5.
            again: Use the test part once more; every report then says so.
            workers: As for `run`.
            device: As for `run`.
            progress: As for `run`.
            accept_code: Continue with your own code as it is now, if it has changed. A finish that
                waits for its test then continues with that, if neither `top` nor `seeds` is given.

        Raises ConflictError if the data has no test part, or if it has been used and `again` is
        false.
        """
        self._check_free()
        code = self._code if self._definition is None else self._definition.hashed
        steering.finish(
            self._ledger(), self._name, top=top, seeds=seeds, again=again, accept_code=accept_code,
            code=code,
        )  # fmt: skip
        with shown_by(progress) as shown, self._interruptible(shown):
            session = self._begun(shown, workers, device, accept_code=accept_code)
            say_result(session.run(shown), shown)
        return self.verdict

    def next(self) -> Self:
        """The study that is worth running next, from what the trials have shown: `run` makes it,
        its `spec` is its definition. `hpsearch next` writes it to a file, with the reasons.

        Raises NotFoundError if no trial has completed, CodeError if it needs your own code and this
        one was loaded without.
        """
        base = Path(self.snapshot().study.base)
        spec = next_study(self._ledger(), self._name, base).spec
        function = None if self._definition is None else self._definition.function
        if spec.needs_code and self._code is None and function is None:
            raise CodeError(
                f"study {self._name!r} has its own code, which the next one needs too: load it "
                "with code=DIR, the folder of the code"
            )
        study = type(self).__new__(type(self))
        study._begin(spec.name, self._url, self._checkpoints)
        study._take(Definition(spec, base, self._code, function))
        return study

    def _set(self, state: State) -> Self:
        steering.set_state(self._ledger(), self._name, state)
        return self if state == "open" else self._settled()

    def _settled(self) -> Self:
        """Once workers of ours have heard that it is not open any more."""
        if self._session is not None:
            self._session.end()
        return self

    # --- inside -------------------------------------------------------------------------------

    def _defined(self) -> Definition:
        if self._definition is not None:
            return self._definition
        snapshot = self.snapshot()
        return Definition(snapshot.spec, Path(snapshot.study.base), self._code)

    def _take(self, definition: Definition) -> None:
        checking.looked(definition.spec, definition.base)
        self._definition, self._code = definition, definition.code
        self._runs = definition.code if definition.spec.code else None


def _check_not_imported() -> None:
    """Raise CodeError in a worker that imports the file which asks for a search: it would start
    workers, and these others."""
    if importing():
        raise CodeError(
            "the file runs a study where a worker imports it: put that below "
            'if __name__ == "__main__":'
        )


def _devices(device: str | Sequence[str] | None) -> list[str]:
    return [device] if isinstance(device, str) else list(device or ())


def _folder(code: str | Path | None) -> Path | None:
    """A folder of code; a relative one starts in the current folder."""
    return None if code is None else Path(code).absolute()


def _check_keys(sections: Mapping[str, Any]) -> None:
    """StudyFileError for what is a slip of an argument and no section of a study file."""
    names = [*inspect.signature(Study.__init__).parameters]
    for key in sections.keys() - StudySections.model_fields.keys():
        if meant := nearest(key, names):
            raise StudyFileError(f"hp.Study has no argument {key}; did you mean {meant}?")


def _metric(metric: Any, direction: str | None) -> Any:
    return metric if direction is None else {"name": metric, "direction": direction}


def _merged(sections: Mapping[str, Any], key: str, **given: Any) -> dict[str, Any] | None:
    """A section with the arguments that stand for some of its keys."""
    section = sections.get(key, {})
    if not isinstance(section, Mapping):
        raise StudyFileError(f"{key}: expected keys with values; got {type(section).__name__}")
    return {
        **section,
        **{name: value for name, value in given.items() if value is not None},
    } or None
