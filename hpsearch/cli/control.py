"""pause, resume, stop, extend, schedule, retry, delete: steer a study that exists."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch import passwords
from hpsearch.api import steering
from hpsearch.cli.options import (
    AcceptCode,
    Checkpoints,
    Code,
    Json,
    MaxParallel,
    Name,
    Priority,
    Storage,
    at_most,
    open_ledger,
    print_json,
)  # fmt: skip
from hpsearch.errors import HpsearchError, StudyFileError
from hpsearch.insight.words import counted
from hpsearch.terminal import echo, visible

if TYPE_CHECKING:
    from hpsearch.store.values import State, Study

__all__ = ["delete", "extend", "final", "pause", "resume", "retry", "schedule", "stop"]


def _say(study: Study, json_: bool, words: str) -> None:
    if json_:
        print_json({"name": study.name, "state": study.state, "trials": study.tickets,
                    "ended": study.ended, "priority": study.priority,
                    "max_parallel": study.max_parallel})  # fmt: skip
    else:
        echo(f"study {study.name}: {words}")


def _set(name: str, storage: str | None, json_: bool, state: State, words: str | None) -> None:
    ledger = open_ledger(storage)
    study = steering.set_state(ledger, name, state)
    _say(study, json_, words or f"open; {_go_on(study)}")


def pause(name: Name, storage: Storage = None, json_: Json = False) -> None:
    """Pause a study: workers checkpoint its trials and let go of it; `resume` continues it."""
    _set(
        name,
        storage,
        json_,
        "paused",
        f"paused: workers put it down; hpsearch resume {name} opens it again",
    )


def resume(name: Name, storage: Storage = None, json_: Json = False) -> None:
    """Continue a paused or stopped study."""
    _set(name, storage, json_, "open", None)


def stop(
    name: Name, storage: Storage = None, checkpoints: Checkpoints = None, json_: Json = False
) -> None:
    """End the search early: running trials end as PRUNED, no new ones begin.

    `resume`, or `run` again, continues the search.
    """
    ledger = open_ledger(storage)
    study = steering.stop(ledger, name, checkpoints)
    _say(study, json_, "stopped: running trials end, no new ones begin")


def extend(
    name: Name,
    trials: Annotated[
        int, typer.Option(min=0, callback=at_most(1_000_000), metavar="N", help="Trials to add.")
    ] = 0,
    hours: Annotated[
        float | None,
        typer.Option(min=0.0, callback=at_most(1_000_000), metavar="N", help="Hours to add."),
    ] = None,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """Add to the budget; a study that is done opens again."""
    steering.check_added(trials, hours)
    study = steering.extend(open_ledger(storage), name, trials, hours)
    _say(study, json_, f"{study.tickets} trials, {study.ended} have ended; {_go_on(study)}")


def _go_on(study: Study) -> str:
    """What trains a study that has trials to do, whatever options it was made with."""
    from hpsearch.cli import show
    from hpsearch.insight import commands

    steps = [commands.worker(study, until_done=True, code=commands.code_folder(study))]
    if study.state in ("paused", "stopped"):
        steps.insert(0, f"resume {study.name}")
    return (f"{' && '.join(map(show.call, steps))} continues with it, as does the run command that "
            "made it, with the same options")  # fmt: skip


def final(
    name: Name,
    again: Annotated[
        bool, typer.Option("--again", help="Use the test part once more; the use is counted.")
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            metavar="N",
            help="Best trials that are trained again, beside the default settings.",
            show_default="those of its last finish or its file, else 3",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=1000,
            metavar="N",
            help="How often each is trained.",
            show_default="those of its last finish or its file, else 5",
        ),
    ] = None,
    code: Code = None,
    accept_code: AcceptCode = False,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """Finish a study that has ended, whether or not its file has `final`: train the best few again,
    then measure on the test part.

    With --accept-code a finish that waits for its test continues with the code in --code, or else
    in the folder of the study's file: nothing is trained again.
    """
    from hpsearch.insight.words import counted

    done = steering.finish(
        open_ledger(storage), name, top=top, seeds=seeds, again=again, accept_code=accept_code,
        code=code,
    )  # fmt: skip
    study = done.study
    if done.continues:
        _say(study, json_, f"its finish waits for its test alone; {_go_on(study)}")
        return
    _say(study, json_, f"up to {counted(study.tickets - study.ended, 'trial')} to do for "
         f"{'another' if done.again else 'a'} finish; nothing is trained until a worker runs; "
         f"{_go_on(study)}")  # fmt: skip


def schedule(
    name: Name,
    priority: Priority = None,
    max_parallel: MaxParallel = None,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """Show or change a study's priority and limit of trials at once; trials under way continue."""
    from hpsearch.cli import show

    ledger = open_ledger(storage)
    if priority is None and max_parallel is None:
        study = ledger.study(name)
    else:
        study = ledger.schedule(name, priority, max_parallel)
    _say(study, json_, show.scheduled(study))


def retry(
    name: Name,
    failed: Annotated[
        bool, typer.Option("--failed", help="Trials that failed and were not run again yet.")
    ] = False,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """Run failed trials again, with the same parameters, in addition to the budget."""
    if not failed:
        raise StudyFileError(f"say which trials: hpsearch retry {name} --failed")
    retried = steering.retry_failed(open_ledger(storage), name)
    trials = "1 failed trial" if retried.count == 1 else f"{retried.count} failed trials"
    message = f"{trials} will run again" if retried.count else "no failed trials to retry"
    message += f"; {retried.never} can never be trained" if retried.never else ""
    _say(retried.study, json_, message)


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    json_: Json = False,
) -> None:
    """Delete a study, its trials and its checkpoints, for good."""
    from hpsearch.checkpoints.places import checkpoint_place, delete_study

    ledger = open_ledger(storage)
    study = ledger.study(name)
    place = None
    with suppress(HpsearchError):  # a damaged row names none, and is deleted all the same
        place = passwords.hide(checkpoint_place(ledger.database, study, checkpoints), known=False)
    trained = sum(len(worker.of(name)) for worker in ledger.workers())
    if not yes:
        now = f", {trained} of which are being trained now," if trained else ""
        where = f" and its checkpoints in {place}" if place else ""
        asked = f"Delete study {name} with {study.issued} trials{now}{where}?"
        typer.confirm(visible(asked), abort=True, err=True)
    if not delete_study(ledger, study, checkpoints):
        echo(f"{place} stays: there are other things in it than checkpoints", err=True)
    if yes and trained:
        echo(f"note: {counted(trained, 'trial')} of it under way: the workers end what they train",
             err=True)  # fmt: skip
    if json_:
        print_json({"name": name, "deleted": True})
    else:
        echo(f"study {name}: deleted")
