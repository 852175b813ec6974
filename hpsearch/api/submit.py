"""A checked study file becomes a study in the ledger."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.api.opening import named_checkpoints
from hpsearch.code import Manifest, manifest_of
from hpsearch.errors import CodeError, ConflictError, DamagedError, HpsearchError, NotFoundError
from hpsearch.insight import commands
from hpsearch.insight.words import counted
from hpsearch.preflight.sizing import sized
from hpsearch.spec import StudySpec, differences, version_of
from hpsearch.spec.settings import FINAL
from hpsearch.spec.source import SOURCES
from hpsearch.stages import outline
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import CODE, NewStudy, Study
from hpsearch.weights import weighed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hpsearch.spec.models import FinalSpec

__all__ = ["accepted", "check_unchanged", "manifest_for", "submit"]

_OPTIONS = ("trials", "epochs", "hours")
"""Keys of the budget that have an option of their name."""


def submit(
    ledger: Ledger,
    spec: StudySpec,
    base: Path,
    priority: int | None = None,
    max_parallel: int | None = None,
    device: str | None = None,
    code: Path | Manifest | None = None,
    *,
    accept_code: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> tuple[Study, bool]:
    """The study of `spec`, made if there is none of its name, and whether it was made.

    It is made in place of one of its name that was stopped before any trial counted, by an error of
    its own code or for its data.

    Args:
        ledger: Where it is kept.
        spec: What it is.
        base: The study file's folder.
        priority: Studies of a higher one are served first; None: 0, or as it is.
        max_parallel: The most trials under way at once; 0: no limit; None: that, or as it is.
        device: What a batch size of `auto` has to fit; None: the first of this machine.
        code: The folder of the study's own code, which is hashed and not run, or its hashes; None:
            the file's folder.
        accept_code: Whether a study that has begun goes over to that code where it is another.
        say: Is given a line where another study is replaced.

    Raises ConflictError where the name is taken by another content, CodeError where the study's own
    code is not there, or is not what it was when the study began, and DataError where a file of
    weights that its networks begin with is not here.
    """
    manifest = code if isinstance(code, Manifest) else manifest_for(spec, code or base)
    spec = sized(ledger, weighed(spec, base), base, device)
    wanted = _new_study(spec, base, priority, max_parallel, manifest)
    study, new = ledger.create(wanted)
    if not new:
        study, spec, new = _met(ledger, study, spec, wanted, say)
    if manifest is not None:
        study = _with_code(ledger, study, manifest, accept=accept_code,
                           exact=isinstance(code, Manifest))  # fmt: skip
    return study, new


def _met(
    ledger: Ledger, study: Study, spec: StudySpec, wanted: NewStudy, say: Callable[[str], None]
) -> tuple[Study, StudySpec, bool]:
    """What to continue with where there is a study of the name: that one where its content is the
    same, or the one of `spec` in its place; and whether it is new.

    Raises ConflictError where it is neither.
    """
    own = spec.under(version_of(study.document))  # another may have made it just now
    same = _is_same(study, own)
    # Own code that fails is run again with the trials that it failed in, whose count is shown.
    if study.refused and not (same and study.sanity and study.sanity["suspect"] == CODE):
        replaced = ledger.replace(study, wanted)
        if replaced is not None:
            say(f"study {study.name} replaces the one that stopped before any trial counted")
            _clear(ledger, study)
            return replaced, spec, True
        study = ledger.study(study.name)  # somebody else may just have done so
        own = spec.under(version_of(study.document))
        same = _is_same(study, own)
    if not same:
        raise _taken(ledger, study, own)
    return study, own, False


def _is_same(study: Study, spec: StudySpec) -> bool:
    """Whether a study has the content of `spec`; what it got as a finish since it was made counts
    as if its file had said so."""
    if study.digest == spec.digest:
        return True
    made = spec.with_final(study.document.get("final"))
    return made.digest == study.digest and _size(spec.final) == study.final


def _size(final: FinalSpec | None) -> dict[str, Any] | None:
    """What a finish takes, as the ledger has it."""
    return None if final is None else final.model_dump(mode="json")


def _clear(ledger: Ledger, study: Study) -> None:
    """Remove the logs of a study that is gone; of a place that is away they stay."""
    from hpsearch.checkpoints.checkpoint import Checkpoints
    from hpsearch.checkpoints.places import checkpoint_place

    with suppress(HpsearchError):
        Checkpoints(checkpoint_place(ledger.database, study, named_checkpoints())).clear()


def _new_study(
    spec: StudySpec, base: Path, priority: int | None, max_parallel: int | None,
    manifest: Manifest | None,
) -> NewStudy:  # fmt: skip
    """The study as the ledger makes it."""
    start, trials = outline.starting(spec), outline.tickets(spec)
    hours = outline.in_hours(spec.budget.hours, 0, 0.0)
    return NewStudy(
        name=spec.name,
        direction=spec.direction,
        digest=spec.digest,
        document=spec.document,
        base=str(base.resolve()),
        tickets=trials + outline.final_tickets(spec),
        crash_limit=spec.retry.crash,
        hours=spec.budget.hours,
        stage=start.as_json(),
        early=outline.spare_behind(spec, (), start, trials, held=hours) > 0,
        final=_size(spec.final),
        priority=priority or 0,
        max_parallel=max_parallel or None,
        code=manifest,
    )


def manifest_for(spec: StudySpec, folder: Path) -> Manifest | None:
    """The files of the own code of a study; None where it needs none.

    Raises CodeError where one that it names is not among them.
    """
    if not spec.needs_code:
        return None
    manifest = manifest_of(folder)
    for reference in spec.code:
        file = reference.partition(":")[0]
        if file not in manifest.files:
            raise CodeError(f"{file} is not among the Python files below {folder.resolve()}")
    return manifest


def _with_code(
    ledger: Ledger, study: Study, manifest: Manifest, *, accept: bool, exact: bool
) -> Study:
    """The study with this code, which it can have until its first trial.

    Raises CodeError after that where the code differs, unless the change is to be accepted. Files
    that are new are no difference, unless it is to be `exact`: what the study imports is checked
    to have been there when it began.
    """
    if study.code == manifest.digest:
        return study
    current = ledger.replace_code(study, manifest, accept=accept)
    if current is not None and current.code == manifest.digest:
        return current
    if not _differs(ledger, study, manifest, exact=exact):
        return study
    other = _other_name(ledger, study.name)
    raise _changed(ledger, study, manifest, f"put it back, {_ACCEPT}, or {other}")


_ACCEPT = "continue with it all the same (--accept-code, and each trial has a note of its code)"


def _differs(ledger: Ledger, study: Study, manifest: Manifest, *, exact: bool) -> bool:
    return bool(ledger.code(study).differences(manifest, more=exact))


def _changed(ledger: Ledger, study: Study, manifest: Manifest, ways: str) -> CodeError:
    """The error for code that is not what a study began with."""
    code = ledger.code(study)
    changes = code.differences(manifest, more=False) or code.differences(manifest)
    return CodeError(
        f"the code of study {study.name!r} is not what it was when the study began: {changes}; "
        f"{ways}"
    )


def check_unchanged(ledger: Ledger, study: Study, code: Path | Manifest | None) -> None:
    """Raise CodeError where the own code that a study is to continue with is not what it was.

    Args:
        ledger: Where it is kept.
        study: The study.
        code: The folder of that code, or its hashes; None: that of its file, which is looked at
            where it has code of the study.
    """
    if study.code is None:
        return
    if code is None:
        try:
            manifest = manifest_of(Path(study.base))
        except CodeError:  # it is another machine's
            return
        if not manifest.files.keys() & ledger.code(study).files.keys():
            return
    else:
        manifest = code if isinstance(code, Manifest) else manifest_of(code)
    if _differs(ledger, study, manifest, exact=isinstance(code, Manifest)):
        raise _changed(ledger, study, manifest, "put it back, name the folder that has it as it "
                       f"was (--code DIR), or {_ACCEPT}")  # fmt: skip


def accepted(ledger: Ledger, study: Study, code: Path | Manifest | None) -> Study:
    """The study with the code that it goes over to; as it is, where it has none of its own.

    Args:
        ledger: Where it is kept.
        study: The study.
        code: The folder of that code, or its hashes; None: the folder that its file was in.

    Raises CodeError where that has no such code.
    """
    spec = StudySpec.from_document(study.document)
    folder = Path(study.base) if code is None else code
    manifest = folder if isinstance(folder, Manifest) else manifest_for(spec, folder)
    if manifest is None:
        return study
    return _with_code(ledger, study, manifest, accept=True, exact=True)


def _taken(ledger: Ledger, study: Study, spec: StudySpec) -> ConflictError:
    """The error for a name that another study has, with what differs and the ways on."""
    changes = differences(StudySpec.from_document(study.document), spec)
    ways = ", or ".join(_ways(study, spec, changes, _other_name(ledger, spec.name)))
    if study.refused:  # else it had been replaced
        ways = f"a worker holds a trial of it, or it knows trials from elsewhere: wait, or {ways}"
    return ConflictError(
        f"the name {spec.name!r} is taken in {ledger.database.name} by a study with another "
        "content:\n" + "".join(f"  {line}\n" for line in changes) + ways
    )


def _other_name(ledger: Ledger, name: str) -> str:
    """The advice to choose another name, with one that no study has."""
    count = 2
    with suppress(NotFoundError):
        while True:
            with suppress(DamagedError):  # whose row cannot be read has its name all the same
                ledger.study(f"{name}-{count}")
            count += 1
    return f"choose another name (--set name={name}-{count})"


def _ways(study: Study, spec: StudySpec, changes: Sequence[str], other: str) -> list[str]:
    """The ways to continue where a study has another content; the first one loses nothing. `other`
    is the one under another name."""
    if all(line.startswith("budget.") for line in changes):
        return [*_as_made(study, spec), other]
    if all(line.startswith(FINAL) for line in changes):
        return [_finish(study, spec), other]
    trials = f", with its {counted(study.issued, 'trial')}" if study.issued else ""
    if spec.data is not None and (moved := _moved(study, spec, changes)):
        return [moved, other]
    return [other, f"remove it{trials} (hpsearch delete {spec.name})"]


def _moved(study: Study, spec: StudySpec, changes: Sequence[str]) -> str:
    """How to continue where the same data lies elsewhere now; "" where more differs."""
    assert spec.data is not None
    keys = SOURCES[spec.data.source].files
    if not all(line.startswith(tuple(f"data.{key}:" for key in keys)) for line in changes):
        return ""
    made = StudySpec.from_document(study.document).data
    options = " ".join(
        f"--set data.{key}={shlex.quote(str(getattr(made, key) or ''))}"
        for key in keys
        if getattr(made, key) != getattr(spec.data, key)
    )
    return ("if it is the same data in another place, put a link to it where it was and continue "
            f"with the study as it was made ({options})")  # fmt: skip


def _worker(study: Study) -> str:
    """What trains a study that has trials to do, without its file."""
    work = commands.worker(study, until_done=True, code=commands.code_folder(study))
    opened = study.state in ("paused", "stopped")
    return f"{f'hpsearch resume {study.name} && ' if opened else ''}hpsearch {work}"


def _finish(study: Study, spec: StudySpec) -> str:
    """How a study gets the finish that a file asks for, and nothing else that differs."""
    made = StudySpec.from_document(study.document).final
    if spec.final is None:
        assert made is not None  # or nothing would differ
        return f"continue with it as it was made (final: {{top: {made.top}, seeds: {made.seeds}}})"
    again = " --again" if study.finish == "done" else ""
    call = f"hpsearch final {study.name} --top {spec.final.top} --seeds {spec.final.seeds}{again}"
    if study.state == "done":
        return f"give it this finish ({call}) and run it again"
    file = "--set final=" if made is None else (
        f"--set final.top={made.top} --set final.seeds={made.seeds}")  # fmt: skip
    return (
        f"let its search end first ({file}, or {_worker(study)}), then give it this finish "
        f"({call}) and run it again"
    )


def _as_made(study: Study, spec: StudySpec) -> list[str]:
    """How to continue with a study that `spec` asks for with another budget, and nothing else.

    What `extend` adds is no part of a study's content, so it does not make the two the same.
    """
    made, asked = StudySpec.from_document(study.document).filled["budget"], spec.filled["budget"]
    other = {key: value for key, value in made.items() if value != asked[key]}
    options = " ".join(
        f"--set budget.{key}={'' if value is None else value}"
        if value is None or key not in _OPTIONS else f"--{key} {value}"
        for key, value in other.items()
    )  # fmt: skip
    more = []
    if other.get("trials") is not None and (asked["trials"] or 0) > study.tickets:
        more.append(f"--trials {asked['trials'] - study.tickets}")
    if other.get("hours") is not None:
        more.append("--hours H")
    if not more:
        return [f"continue with it as it was made ({options})"]
    return [f"add to what it has, {counted(study.tickets, 'trial')} by now (hpsearch extend "
            f"{spec.name} {' '.join(more)}), and run it as it was made ({options})"]  # fmt: skip
