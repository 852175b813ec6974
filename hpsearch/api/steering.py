"""A study that exists is steered: stopped, extended, finished, its failed trials run again."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.errors import ConflictError, HpsearchError, StudyFileError

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.api.results import Imported
    from hpsearch.code import Manifest
    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import State, Study

__all__ = [
    "Finishing", "Retried", "check_added", "extend", "finish", "import_trials", "refresh_note",
    "retry_failed", "set_state", "stop",
]  # fmt: skip


def stop(ledger: Ledger, name: str, checkpoints: str | None = None) -> Study:
    """End a search early: running trials end as PRUNED, no new ones begin."""
    from hpsearch.insight.reader import Reader

    study = ledger.set_state(name, "stopped")
    with suppress(HpsearchError):  # such as a damaged row: it is stopped all the same
        reader = Reader(ledger, name, checkpoints)
        reader.tidy(reader.snapshot())  # trials that no worker holds have ended by this
    refresh_note(ledger, study)
    return study


def set_state(ledger: Ledger, name: str, state: State) -> Study:
    """Open, pause or stop a study."""
    study = ledger.set_state(name, state)
    refresh_note(ledger, study)
    return study


def refresh_note(ledger: Ledger, study: Study) -> None:
    """Have the study's note in the dashboard say what has become of it."""
    from hpsearch.insight.note import refresh

    with suppress(HpsearchError):
        refresh(ledger, study, f"command {os.getpid()}", waits=False)


def extend(ledger: Ledger, name: str, trials: int = 0, hours: float | None = None) -> Study:
    """Add to the budget; a study that is done opens again. Raises StudyFileError for nothing."""
    from hpsearch.spec import StudySpec
    from hpsearch.stages import outline

    check_added(trials, hours)
    current = ledger.study(name)
    spec = StudySpec.from_document(current.document).with_final(current.final)
    study = ledger.extend(name, trials, hours, outline.limit(spec), outline.final_tickets(spec))
    refresh_note(ledger, study)
    return study


def check_added(trials: int, hours: float | None) -> None:
    """Raise StudyFileError where nothing is to be added."""
    if not trials and not hours:
        raise StudyFileError("nothing to add: give --trials N or --hours H")


@dataclass(frozen=True)
class Finishing:
    """A finish that is to be done."""

    study: Study
    uses: int
    """How often the test part was used before."""
    again: bool = False
    """Whether there was a finish before, with a test part or without one."""
    continues: bool = False
    """Whether its trainings have ended already, and only the test is to come."""


def finish(
    ledger: Ledger, name: str, *, top: int | None = None, seeds: int | None = None,
    again: bool = False, accept_code: bool = False, code: Path | Manifest | None = None,
) -> Finishing:  # fmt: skip
    """Give a study that has ended a finish, which workers then train: its best few again, beside
    the default configuration, then the test part.

    Args:
        ledger: Where it is kept.
        name: Its name.
        top: Best trials that are trained again; None: those of its last finish or its file, else 3.
        seeds: Times that each is trained; None: the same, else 5.
        again: Whether to use the test part once more.
        accept_code: Whether the study goes over to the code in `code`. A finish that waits for its
            test then continues with that, where no numbers are given.
        code: The folder of its own code, or its hashes; None: the folder that its file was in.

    Raises ConflictError where it has no test part, or that has been used; CodeError where the code
    is not there, or is not what the study began with.
    """
    from hpsearch.api.submit import accepted, check_unchanged
    from hpsearch.spec import StudySpec
    from hpsearch.stages import outline
    from hpsearch.stages.finish import uses

    study = ledger.study(name)
    spec = StudySpec.from_document(study.document)
    _check_testable(study, spec)
    if accept_code:
        study = accepted(ledger, study, code)
    else:
        check_unchanged(ledger, study, code)
    verdicts = ledger.verdicts(study.study_id)
    used = uses(verdicts)
    if accept_code and study.state == "open" and study.awaits_verdict and top is seeds is None:
        return Finishing(study, used, bool(verdicts), continues=True)
    if used and not again:
        raise ConflictError(
            f"the test part of study {name!r} has been used {_times(used)}; --again uses it once "
            "more, and every report will say so"
        )
    due = outline.final_tickets(spec.with_final(study.final))
    given = {"top": top, "seeds": seeds}
    wanted = {**(study.final or {}), **{key: n for key, n in given.items() if n is not None}}
    spec = spec.with_final(wanted)
    assert spec.final is not None
    size = spec.final.model_dump(mode="json")
    study = ledger.finish_again(name, outline.final_tickets(spec), size, due)
    return Finishing(study, used, bool(verdicts))


def _check_testable(study: Study, spec: StudySpec) -> None:
    """Raise ConflictError for a study without a test part. One that trains by own code may have
    one, which is not known before."""
    from hpsearch.preflight.data_check import check_measured
    from hpsearch.sources.opening import check_continues

    check_continues(spec)
    data = spec.data
    if data is not None and data.measured_on_test:
        raise ConflictError(
            f"study {study.name!r} is measured on the test part (data.validation is test), so no "
            "rows are left for a finish; run it with a share for validation under another "
            "name"
        )
    if data is not None and data.test == 0:
        raise ConflictError(
            f"study {study.name!r} has no test part (data.test is 0), so a finish has nothing to "
            "measure on; run it with a test share above 0 under another name"
        )
    if study.data is not None:
        check_measured(spec, study.data, ["test"])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


@dataclass(frozen=True)
class Retried:
    """Failed trials that run again."""

    study: Study
    count: int
    never: int
    """Those that can never be trained, and do not."""


def retry_failed(ledger: Ledger, name: str) -> Retried:
    """Run the trials that failed again, with the same parameters, in addition to the budget."""
    from hpsearch.insight.reader import Reader

    count = ledger.retry_failed(name)
    never = sum(trial.untrainable for trial in Reader(ledger, name).snapshot().trials)
    return Retried(ledger.study(name), count, never)


def import_trials(
    ledger: Ledger, name: str, source: str, study: str | None = None, column: str | None = None
) -> Imported:
    """Let the samplers of a study learn from finished trials of elsewhere, outside of its budget.

    Args:
        ledger: Where it is kept.
        name: Its name.
        source: The URL of a database of Optuna, or the path of a table with a row a trial.
        study: Which study of that database; None: its only one.
        column: The column of that table with the metric; None: the metric's name, or `value`.

    Raises ConflictError where nothing of it fits the study, NotFoundError where there is no such
    study, DataError for a table that cannot be read.
    """
    from hpsearch.api.results import Imported
    from hpsearch.insight.knowledge import learns, teach
    from hpsearch.spec import StudySpec

    knowledge, new = teach(ledger, name, source, study, column)
    spec = StudySpec.from_document(ledger.study(name).document)
    left_out = dict(knowledge.left_out.most_common())
    return Imported(name, knowledge.origin, len(knowledge.known), new, left_out, learns(spec))
