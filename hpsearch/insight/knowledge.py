"""Trials that were made elsewhere, as knowledge for the samplers of a study.

A study of Optuna or a table gives parameters and values; of each what fits the study is taken, in
the study's own names and values, and of the rest it is said why it does not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from hpsearch import passwords
from hpsearch.errors import ConflictError, StudyFileError
from hpsearch.spec import StudySpec
from hpsearch.spec.parameters import fit
from hpsearch.spec.settings import FINAL, PURE
from hpsearch.spec.space import Choices, Parameter, Range, label
from hpsearch.store.elsewhere import finished
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Known, Study

__all__ = ["MOST", "Knowledge", "gathered", "learns", "teach"]

MOST = 10_000
"""Trials from elsewhere that a study can know: proposing takes longer with each."""

_PREFIXES = ("", "params.", "params_", "param_", "config/", "config.", "parameters.")
"""What stands before a parameter's name in the columns of hpsearch, Optuna, W&B and Ray."""
_VALUES = ("value", "values_0", "objective", "objective_value", "score")
_STATES = ("state", "State", "status")
_DONE = ("COMPLETE", "TRIALSTATE.COMPLETE", "FINISHED", "COMPLETED", "TERMINATED", "SUCCEEDED", "")


@dataclass
class Knowledge:
    """What of a source fits a study."""

    origin: str
    known: list[Known] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Why trials are left out, and how many for each reason."""


def teach(ledger: Ledger, name: str, source: str, study: str | None = None,
          column: str | None = None) -> tuple[Knowledge, int]:  # fmt: skip
    """Let the samplers of a study know what trials elsewhere gave; what fits, and how many of these
    were not known yet.

    Args:
        ledger: The study's.
        name: The study.
        source: The URL of a database of Optuna, or the path of a table.
        study: Which study of the database.
        column: Which column of the table has the values.

    Raises ConflictError where nothing of it is knowledge for this study, NotFoundError where there
    is no such study, DataError for a table that cannot be read.
    """
    target = ledger.study(name)
    spec = StudySpec.from_document(target.document)
    knowledge = gathered(spec, target.direction, source, study, column)
    _leave_out_own(knowledge, ledger, target, spec)
    if not knowledge.known:
        reasons = "; ".join(f"{count} {why}" for why, count in knowledge.left_out.most_common(5))
        raise ConflictError(
            f"none of the trials of {knowledge.origin} fits study {name!r}: "
            f"{reasons or 'it has none'}"
        )
    new = ledger.add_known(target, knowledge.known)
    return knowledge, new or 0


def _leave_out_own(knowledge: Knowledge, ledger: Ledger, target: Study, spec: StudySpec) -> None:
    """Leave out the study's own trials, by whatever way they come back: its samplers learn of them
    anyhow, and would count them twice."""
    mirror = Mirror(ledger.database, target.study_id, target.name, target.direction, lenient=True)
    mirror.refresh()
    own = Knowledge("")
    _fill(own, spec, (("", t.params, t.value) for t in mirror.trials(TrialState.COMPLETE)))
    keys = {one.key for one in own.known}
    others = [one for one in knowledge.known if one.key not in keys]
    if len(others) < len(knowledge.known):
        knowledge.left_out["that the study has itself"] += len(knowledge.known) - len(others)
        knowledge.known = others


def learns(spec: StudySpec) -> bool:
    """Whether any sampler of a study learns from such trials."""
    return bool({*spec.search.sampler.values()} - PURE - {"cmaes"})


def gathered(
    spec: StudySpec, direction: str, source: str, study: str | None, column: str | None
) -> Knowledge:
    """What of a source fits a study; the arguments are those of `teach`."""
    if "://" in source:
        return _of_optuna(spec, direction, source, study)
    if study is not None:
        raise StudyFileError("--study names a study of a database, and --from names a table")
    return _of_table(spec, Path(source), column)


def _of_optuna(spec: StudySpec, direction: str, url: str, name: str | None) -> Knowledge:
    trials = finished(url, name)
    origin = f"study {trials.name} of {passwords.hide(url)}"
    if trials.direction != direction:
        raise ConflictError(f"{origin} is to {trials.direction}, and study {spec.name!r} to "
                            f"{direction}")  # fmt: skip
    if trials.metric not in (None, spec.metric):
        raise ConflictError(f"{origin} has {trials.metric} for its value, and study {spec.name!r} "
                            f"{spec.metric}")  # fmt: skip
    knowledge = Knowledge(origin)
    if trials.others:
        knowledge.left_out["that did not complete"] += trials.others
    rows = ((f"{origin}, trial {t.number}", t.params, t.value) for t in trials.trials)
    _fill(knowledge, spec, rows)
    return knowledge


def _of_table(spec: StudySpec, path: Path, column: str | None) -> Knowledge:
    from hpsearch.files import refusals_told
    from hpsearch.sources.table import cells
    from hpsearch.sources.table.reading import ReadOptions

    with refusals_told():
        table = cells.read(path, ReadOptions())
    usual = (spec.metric, *_VALUES, f"validation_{spec.metric}", f"metrics.{spec.metric}")
    goal = column or next((name for name in usual if name in table.names), None)
    if goal is None or goal not in table.names:
        raise StudyFileError(
            f"{path} has no column {goal or spec.metric}: name that of the values with --value, "
            f"one of {', '.join(table.names[:20])}"
        )
    columns = {
        name: next((f"{b}{name}" for b in _PREFIXES if f"{b}{name}" in table.names), None)
        for name in (*spec.space.names, *spec.space.constants)
    }
    state = next((name for name in _STATES if name in table.names), None)
    stage = "stage" if "stage" in table.names else None  # as hpsearch export has it
    wanted = [goal, *filter(None, (state, stage, *columns.values()))]
    lists = {name: _cells(table.column(name)) for name in wanted}
    knowledge = Knowledge(str(path))

    def rows() -> Iterator[tuple[str, Mapping[str, Any], Any]]:
        for at in range(table.rows):
            if state and str(lists[state][at] or "").upper() not in _DONE:
                knowledge.left_out["that did not complete"] += 1
                continue
            if stage and lists[stage][at] == FINAL:
                knowledge.left_out["of a finish, which trains the best again"] += 1
                continue
            params = {name: lists[place][at] for name, place in columns.items()
                      if place is not None and lists[place][at] not in ("", None)}  # fmt: skip
            # Not its line: to find that the file is read again, for each of ten thousand trials.
            yield f"{path}, row {at + 1}", params, lists[goal][at]

    _fill(knowledge, spec, rows())
    return knowledge


def _cells(column: Any) -> Sequence[Any]:
    return column if isinstance(column, tuple) else column.to_pylist()


def _fill(
    knowledge: Knowledge, spec: StudySpec, rows: Iterable[tuple[str, Mapping[str, Any], Any]]
) -> None:  # fmt: skip
    for origin, params, value in rows:
        number = _number(value)
        if number is None:
            knowledge.left_out["without a value"] += 1
            continue
        try:
            values = _fitted(spec, params)
        except ValueError as error:
            knowledge.left_out[str(error)] += 1
            continue
        if len(knowledge.known) == MOST:
            knowledge.left_out[f"beyond the first {MOST:,}"] += 1
            continue
        one = Known(values, number, origin)
        if not one.fits:
            knowledge.left_out[
                "with more in its parameters than a database holds of one trial"
            ] += 1
            continue
        knowledge.known.append(one)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _fitted(spec: StudySpec, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that the study would draw, as JSON; ValueError says what does not fit."""
    values: dict[str, Any] = {}
    for parameter in spec.space:
        if not parameter.active({**spec.space.constants, **values}):
            continue
        if parameter.name not in params:
            raise ValueError(f"without {parameter.name}")
        values[parameter.name] = _value(parameter, params[parameter.name])
    for name, constant in spec.space.constants.items():
        if name in params and not _same(params[name], constant):
            raise ValueError(f"with another {name}, which is {constant} here")
    return {name: [*v] if isinstance(v, tuple) else v for name, v in values.items()}


def _value(parameter: Parameter, raw: Any) -> Any:
    """A value as the parameter has it; ValueError where it is beyond what is searched."""
    domain = parameter.domain
    if isinstance(domain, Choices):
        for own in domain.values:
            if _same(raw, own):
                return own
        raise ValueError(f"with a {parameter.name} that is not searched")
    number = _number(raw)
    if number is None or not isinstance(domain, Range):
        raise ValueError(f"with a {parameter.name} that is no number")
    try:
        return fit(domain, int(number) if domain.integer and number.is_integer() else number)
    except ValueError:
        raise ValueError(f"with a {parameter.name} beyond what is searched") from None


def _same(raw: Any, own: Any) -> bool:
    """Whether a value of elsewhere, perhaps as a text, is one of a study file."""
    if isinstance(raw, (list, tuple)):
        return bool(tuple(raw) == own)
    if isinstance(own, bool) or isinstance(raw, bool):
        return str(raw).lower() == str(own).lower()
    if isinstance(own, (int, float)):
        number = _number(raw)
        return number is not None and number == own
    return str(raw) == str(label(own)) or (own is None and str(raw) in ("None", "null"))
