"""What a report shows of the network that a study hands over. Pure functions of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from hpsearch.insight import remarks, verdicts
from hpsearch.insight.words import counted, number, setting
from hpsearch.reports.answer import measured_on
from hpsearch.spec.settings import FINAL
from hpsearch.spec.space import Choices, label
from hpsearch.stages.finish import ends, estimate
from hpsearch.stages.results import default_point

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.reports.sections import Row
    from hpsearch.spec.space import Parameter

__all__ = ["Chosen", "beside", "chosen", "metrics", "notes", "tables", "verdict"]

_LONGEST_RANGE = 80


@dataclass(frozen=True)
class Chosen:
    """One parameter of the network that the study hands over."""

    name: str
    value: str
    exact: str
    """The value with all its digits."""
    searched: str
    default: str
    group: str
    edge: bool
    """Whether the value is at an edge of what was searched."""


def chosen(snapshot: Snapshot, trial: Trial) -> tuple[Chosen, ...]:
    """The parameters of the trial whose network is handed over."""
    at_edge = {edge.name for edge in snapshot.edges}
    parameters = {parameter.name: parameter for parameter in snapshot.spec.space}
    rows = []
    for name, value in {**trial.params, **trial.off}.items():
        searched = default = group = ""
        if (parameter := parameters.get(name)) is not None:
            searched = _searched(parameter)
            default = "" if parameter.default is None else setting(label(parameter.default))
            group = parameter.group.replace("_", " ")
        if not snapshot.spec.is_grouped:
            group = ""
        row = Chosen(name, setting(value), str(value), searched, default, group, name in at_edge)
        rows.append(row)
    return tuple(rows)


def _searched(parameter: Parameter) -> str:
    """What was searched, in a few words."""
    domain = parameter.domain
    if isinstance(domain, Choices):
        words = ", ".join(setting(label(value)) for value in domain.values)
        return words if len(words) <= _LONGEST_RANGE else f"{len(domain.values)} choices"
    high = "what fits" if domain.auto else setting(domain.high)
    scale = ", by ratio" if domain.log else f", in steps of {domain.step:g}" if domain.step else ""
    return f"{setting(domain.low)} to {high}{scale}"


def metrics(snapshot: Snapshot, trial: Trial) -> tuple[Sequence[str], tuple[Row, ...]]:
    """Heads and rows of the metrics of the network that is handed over, by the rows that they were
    measured on."""
    tested: Mapping[str, float] = {}
    if snapshot.verdict is not None and snapshot.handed is not None:
        tested = snapshot.verdict.get("network") or {}
    part = {"validation": "validation", "test": "test part", "own": "value"}[measured_on(snapshot)]
    heads = ["metric", part, *(["test part"] if tested else [])]
    names = dict.fromkeys((snapshot.metric, *trial.metrics, *tested))
    rows = []
    for name in names:
        row = [snapshot.shown(name), number(trial.metrics.get(name))]
        rows.append(tuple(row + ([number(tested.get(name))] if tested else [])))
    return heads, tuple(rows) if trial.metrics else ()


def beside(snapshot: Snapshot) -> tuple[Sequence[str], tuple[Row, ...]]:
    """Heads and rows of the default settings, the best of the search, and what is handed over."""
    verdict, handed, best = snapshot.verdict, snapshot.handed, snapshot.best
    if verdict is None or handed is None:
        return (), ()
    tested = verdict["test"] is not None
    default = "-" if verdict["default"] is None else verdicts.interval(verdict["default"])
    of_winner = [verdicts.interval(verdict[part]) for part in ("validation", *["test"] * tested)]
    own = [number(verdict["network"].get(snapshot.metric))] * tested
    rows = [
        ("default settings", *[_default(snapshot)] * tested, default),
        (f"best of the search, trial {best.number}" if best else "best of the search",
         number(best.value if best else None), *["-"] * tested),
        ("its winner, trained again", *of_winner),
        (f"handed over, trial {handed.number} of these", number(handed.value), *own),
    ]  # fmt: skip
    searched = "reported" if snapshot.spec.data is None else "validation part"
    return ("", searched, *["test part"] * tested), tuple(rows)


def _default(snapshot: Snapshot) -> str:
    """What the trainings of the default settings in the last finish gave on the validation part."""
    verdict = snapshot.verdict or {}
    finish = [
        t for t in snapshot.trials if t.stage == FINAL and t.number <= verdict["last_trial"]
    ][-verdict.get("asked", 0) :]  # fmt: skip
    point = default_point(snapshot.spec)
    values = [
        t.value for t in finish
        if t.state == "COMPLETE" and t.value is not None and snapshot.values(t) == point
    ]  # fmt: skip
    if not values:
        return "-"
    metric = snapshot.spec.objective
    return verdicts.interval(asdict(estimate(values, *ends(metric, values))))


def notes(snapshot: Snapshot, trial: Trial) -> Iterator[str]:
    """What is to be known of the network that is handed over, a sentence each."""
    best, verdict = snapshot.best, snapshot.verdict
    if verdict is not None and snapshot.handed is not None:
        count = counted(len(verdict["validation"]["values"]), "training")
        where = "by its reports" if snapshot.spec.data is None else "on validation data"
        own = verdict["network"].get(snapshot.metric)
        tested = "" if own is None else f"; its own test {snapshot.metric} is {number(own)}"
        yield f"The best of the winner's {count} {where}{tested}."
        if verdicts.as_good(verdict, snapshot.direction):
            yield f"{verdicts.headline(verdict, snapshot.direction)}."
        if default := remarks.not_the_default(snapshot):
            yield f"{default[:1].upper()}{default[1:]}."
        if best is not None and (trial.params, trial.off) != (best.params, best.off):
            yield (f"Its configuration is not that of trial {best.number}, the best of the search "
                   f"with {number(best.value)}: trained again, it had the best mean.")  # fmt: skip
    if trial.parameters is not None:
        yield f"A network of {trial.parameters:,} parameters."
    if trial.unsaved:
        yield f"Its network was not kept: {trial.unsaved}."
    if remark := snapshot.remark(trial):
        yield f"Trial {trial.number} {remark}."
    if by_other_code := remarks.by_other_code(snapshot):
        yield f"{by_other_code[:1].upper()}{by_other_code[1:]}."
    if summary := snapshot.summary(trial):
        yield f"Trial {trial.number}: {summary}."
    for line in remarks.seen(snapshot):  # one that begins with a parameter keeps its name
        yield f"{line.replace('learning curves:', 'Learning curves:', 1)}."


def tables(snapshot: Snapshot, trial: Trial) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    """What the task shows of a network: title, heads and rows; a matrix is drawn instead."""
    for table in snapshot.tables(trial):
        if not table.crossed:
            note = f", {table.note}" if table.note else ""
            yield f"{table.title}{note}", table.heads, table.rows


def verdict(snapshot: Snapshot) -> tuple[Row, ...]:
    """The figures behind what the finish found."""
    if snapshot.verdict is None:
        return ()
    return tuple(verdicts.figures(snapshot.verdict, snapshot.direction))
