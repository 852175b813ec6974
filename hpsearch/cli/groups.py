"""Options that go together: each group a dataclass, which several commands take as one."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from hpsearch.cli.options import Checkpoints, Code, Lease, Storage, open_ledger
from hpsearch.errors import StudyFileError
from hpsearch.store import LEASE_S

if TYPE_CHECKING:
    from hpsearch.fleet import DevicePlace, WorkerConfig
    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger

__all__ = ["Crew", "Overrides", "Service", "flat"]


@dataclass(frozen=True)
class Overrides:
    """Options that say what a study file may say too."""

    trials: Annotated[int | None, typer.Option(min=1, metavar="N", help="budget.trials")] = None
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="budget.epochs")] = None
    hours: Annotated[float | None, typer.Option(metavar="N", help="budget.hours")] = None
    sampler: Annotated[str | None, typer.Option(help="search.sampler")] = None
    pruner: Annotated[str | None, typer.Option(help="search.pruner")] = None
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="search.seed")] = None
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Any key of the file, such as data.limit=500 or 'start=[{lr: 0.01}]'; may be "
            "repeated.",
        ),
    ] = None

    def load(self, file: Path, code: Path | None = None) -> StudySpec:
        """The study of the file, as these options change it; `code` is the folder of its own code,
        where that is not the file's. Raises StudyFileError.
        """
        from hpsearch.spec import load

        named = {
            "budget.trials": self.trials, "budget.epochs": self.epochs,
            "budget.hours": self.hours, "search.sampler": self.sampler,
            "search.pruner": self.pruner, "search.seed": self.seed,
        }  # fmt: skip
        changes = [f"{path}={value}" for path, value in named.items() if value is not None]
        return load(file, changes + (self.set_ or []), code)


@dataclass(frozen=True)
class Service:
    """Options about how each worker serves."""

    storage: Storage = None
    checkpoints: Checkpoints = None
    lease_s: Lease = LEASE_S
    grace: Annotated[
        float,
        typer.Option(
            envvar="HPSEARCH_GRACE_S",
            min=0.0,
            metavar="SECONDS",
            help="Seconds in which a worker that is asked to leave gives back its trial.",
        ),
    ] = 8.0
    patience_s: Annotated[
        float,
        typer.Option(
            envvar="HPSEARCH_PATIENCE_S",
            min=0.0,
            metavar="SECONDS",
            help="Seconds for which the database may be away before a worker gives up.",
        ),
    ] = 300.0

    code: Code = None
    no_pictures: Annotated[
        bool,
        typer.Option(
            "--no-pictures",
            envvar="HPSEARCH_NO_PICTURES",
            help="Do not draw the pictures of a study once it has ended.",
        ),
    ] = False
    commands: Annotated[
        bool,
        typer.Option(
            "--allow-commands",
            envvar="HPSEARCH_COMMANDS",
            help="Run the commands that studies name (train.command), in the folder of --code. "
            "Anyone who can write to the database chooses them. run FILE needs no such option.",
        ),
    ] = False

    command: Annotated[
        str | None,
        typer.Option("--allow-command", hidden=True, help="The hash of the one command to run."),
    ] = None

    @property
    def allowed(self) -> str | None:
        """Which commands of studies workers may run, as `worker.Options` has it."""
        return "*" if self.commands else self.command

    def ledger(self) -> Ledger:
        """The ledger over the named database, made where there is none."""
        return open_ledger(self.storage, self.lease_s, make=True)

    def awaited_ledger(self) -> Ledger:
        """The same; a database that is away is waited for as long as there is patience."""
        from hpsearch.store.patience import first_contact

        return first_contact(self.ledger, self.patience_s)

    def orders(
        self, url: str, studies: Sequence[str], until_done: bool, code: Path | None = None,
        command: str | None = None,
    ) -> WorkerConfig:  # fmt: skip
        """What each worker is told; `code` is the folder of code where no option says so, and
        `command` the hash of one that may be run all the same."""
        from hpsearch.fleet import WorkerConfig

        return WorkerConfig(
            url=url,
            studies=tuple(studies),
            until_done=until_done,
            checkpoints=self.checkpoints,
            lease_s=self.lease_s,
            grace_s=self.grace,
            patience_s=self.patience_s,
            code=str(folder) if (folder := self.code or code) is not None else None,
            pictures=not self.no_pictures,
            commands=self.allowed or command,
        )


_MOST_WORKERS = 1000
"""More are a slip of the finger."""


@dataclass(frozen=True)
class Crew:
    """Options about how many workers there are, and where."""

    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST_WORKERS,
            metavar="N",
            help="Worker processes.",
            show_default="one a device; on a CPU one a core, up to 4",
        ),
    ] = None
    workers_per_device: Annotated[
        int | None,
        typer.Option(
            min=1, max=_MOST_WORKERS, metavar="N", help="Worker processes on each device."
        ),
    ] = None
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Device of a worker: cpu, cuda:0, mps; may be given again.",
            show_default="all of this machine",
        ),
    ] = None

    def check(self, *, remote: bool = False) -> None:
        """Raise HpsearchError where these options contradict each other, or this machine."""
        from hpsearch.fleet import check_devices

        if self.workers and self.workers_per_device and not remote:
            raise StudyFileError(
                "--workers counts them all, --workers-per-device those on each device; give one"
            )
        if not remote:
            check_devices(self.device or [])

    @property
    def only_device(self) -> str | None:
        """What a cluster is asked for; StudyFileError where that is more than one kind."""
        if self.device and len(self.device) > 1:
            raise StudyFileError("--device with --ray: give one, cpu or cuda")
        return self.device[0] if self.device else None

    def seats(self) -> list[DevicePlace]:
        """A seat for each worker on this machine."""
        from hpsearch.fleet import local_devices, spread

        return spread(self.device or local_devices(), self.workers, self.workers_per_device)


def flat(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose dataclass parameters are spelt out, each field an option of its own.

    Typer makes options of a function's parameters and knows no other way to group them.
    """
    own = inspect.signature(command).parameters.values()
    hints = get_type_hints(command, include_extras=True)
    groups = {p.name: hints[p.name] for p in own if dataclasses.is_dataclass(hints[p.name])}

    @functools.wraps(command)
    def spelt_out(**given: Any) -> None:
        for name, group in groups.items():
            names = [field.name for field in dataclasses.fields(group)]
            given[name] = group(**{n: given.pop(n) for n in names})
        command(**given)

    def parameters() -> Iterator[inspect.Parameter]:
        for parameter in own:
            if parameter.name in groups:
                yield from _fields(groups[parameter.name])
            else:
                yield parameter.replace(
                    kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name]
                )

    options = list(parameters())
    spelt_out.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    spelt_out.__annotations__ = {p.name: p.annotation for p in options}
    return spelt_out


def _fields(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
