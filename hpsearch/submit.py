"""A checked study file becomes a study in the ledger."""

from __future__ import annotations

from pathlib import Path

from hpsearch import plan
from hpsearch.errors import ConflictError
from hpsearch.sizing import sized
from hpsearch.spec import StudySpec, differences, version_of
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study

__all__ = ["submit"]


def submit(
    ledger: Ledger,
    spec: StudySpec,
    base: Path,
    priority: int | None = None,
    max_parallel: int | None = None,
    device: str | None = None,
) -> tuple[Study, bool]:
    """The study of `spec`, made if there is none of its name, and whether it was made.

    Args:
        ledger: Where it is kept.
        spec: What it is.
        base: The study file's folder.
        priority: Studies of a higher one are served first; None: 0, or as it is.
        max_parallel: The most trials under way at once; 0: no limit; None: that, or as it is.
        device: What a batch size of `auto` has to fit; None: the first of this machine.

    Raises ConflictError where the name is taken by another content.
    """
    spec = sized(ledger, spec, base, device)
    study, new = ledger.create(
        name=spec.name,
        direction=spec.direction,
        digest=spec.digest,
        document=spec.document,
        base=str(base.resolve()),
        budget=plan.tickets(spec) + plan.final_tickets(spec),
        final=spec.final.model_dump(mode="json") if spec.final else None,
        hours=spec.budget.hours,
        priority=priority or 0,
        max_parallel=max_parallel or None,
        crash_limit=spec.retry.crash,
        stage=plan.starting(spec).as_json(),
        # How much the hours hold is known once the trials before have ended.
        overlap=spec.search.overlap and spec.budget.hours is None,
    )
    spec = spec.under(version_of(study.document))  # another may have made it just now
    if study.digest != spec.digest:
        changes = differences(StudySpec.from_document(study.document), spec)
        advice = [f"choose another name (--set name={spec.name}-2)"]
        if any(line.startswith("budget.trials") for line in changes):
            extend = f"hpsearch extend {spec.name} --trials N"
            advice.append(f"add to its budget, {study.tickets} trials by now ({extend})")
        if study.hours is not None and any(line.startswith("budget.hours") for line in changes):
            advice.append(f"add to its hours (hpsearch extend {spec.name} --hours H)")
        advice.append(f"remove it (hpsearch delete {spec.name})")
        raise ConflictError(
            f"the name {spec.name!r} is taken in {ledger.database.name} by a study with another "
            "content:\n" + "".join(f"  {line}\n" for line in changes) + ", or ".join(advice)
        )
    return study, new
