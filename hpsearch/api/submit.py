"""A checked study file becomes a study in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.code import Manifest, manifest_of
from hpsearch.errors import CodeError, ConflictError
from hpsearch.preflight.sizing import sized
from hpsearch.spec import StudySpec, differences, version_of
from hpsearch.stages import outline
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import NewStudy, Study
from hpsearch.weights import weighed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["manifest_for", "submit"]

_OPTIONS = ("trials", "epochs", "hours")
"""Keys of the budget that have an option of their name."""

_MORE = {"trials": "--trials N", "hours": "--hours H"}
"""What `extend` adds to."""


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
) -> tuple[Study, bool]:
    """The study of `spec`, made if there is none of its name, and whether it was made.

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

    Raises ConflictError where the name is taken by another content, CodeError where the study's own
    code is not there, or is not what it was when the study began, and DataError where a file of
    weights that its networks begin with is not here.
    """
    manifest = code if isinstance(code, Manifest) else manifest_for(spec, code or base)
    spec = sized(ledger, weighed(spec, base), base, device)
    start, trials = outline.starting(spec), outline.tickets(spec)
    hours = outline.in_hours(spec.budget.hours, 0, 0.0)
    study, new = ledger.create(
        NewStudy(
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
            final=spec.final.model_dump(mode="json") if spec.final else None,
            priority=priority or 0,
            max_parallel=max_parallel or None,
            code=manifest,
        )
    )
    spec = spec.under(version_of(study.document))  # another may have made it just now
    if study.digest != spec.digest:
        changes = differences(StudySpec.from_document(study.document), spec)
        advice = [
            *_as_made(study, spec, changes),
            f"choose another name (--set name={spec.name}-2)",
            f"remove it (hpsearch delete {spec.name})",
        ]
        raise ConflictError(
            f"the name {spec.name!r} is taken in {ledger.database.name} by a study with another "
            "content:\n" + "".join(f"  {line}\n" for line in changes) + ", or ".join(advice)
        )
    if manifest is not None and study.code != manifest.digest:
        study = _with_code(ledger, study, manifest, accept=accept_code)
    return study, new


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


def _with_code(ledger: Ledger, study: Study, manifest: Manifest, *, accept: bool) -> Study:
    """The study with this code, which it can have until its first trial; CodeError after that,
    unless the change is to be accepted."""
    current = ledger.replace_code(study, manifest, accept=accept)
    if current is not None and current.code == manifest.digest:
        return current
    changes = ledger.code(study).differences(manifest)
    raise CodeError(
        f"the code of study {study.name!r} is not what it was when the study began: {changes}; put "
        "it back, continue with it all the same (--accept-code, and each trial has a note of its "
        f"code), choose another name (--set name={study.name}-2), or remove the study (hpsearch "
        f"delete {study.name})"
    )


def _as_made(study: Study, spec: StudySpec, changes: Sequence[str]) -> list[str]:
    """How to continue with a study that `spec` asks for with another budget, and nothing else.

    What `extend` adds is no part of a study's content, so it does not make the two the same.
    """
    made, asked = StudySpec.from_document(study.document).filled["budget"], spec.filled["budget"]
    other = {key: value for key, value in made.items() if value != asked[key]}
    if not all(line.startswith("budget.") for line in changes):
        return []
    options = " ".join(
        f"--set budget.{key}={'' if value is None else value}"
        if value is None or key not in _OPTIONS else f"--{key} {value}"
        for key, value in other.items()
    )  # fmt: skip
    work = f"hpsearch worker {spec.name} --until-done"
    if study.state in ("paused", "stopped"):
        work = f"hpsearch resume {spec.name} && {work}"
    ways = [f"continue with it as it was made ({options}, or {work}, which needs no file)"]
    if more := " ".join(_MORE[key] for key in _MORE if other.get(key) is not None):
        ways.append(f"add to what it has, {study.tickets} trials by now, and continue then "
                    f"(hpsearch extend {spec.name} {more} && {work})")  # fmt: skip
    return ways
