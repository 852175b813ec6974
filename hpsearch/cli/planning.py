"""plan: what a search will take."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hpsearch.api import planning
from hpsearch.api.checking import described
from hpsearch.cli.checking import describe
from hpsearch.cli.groups import Crew, Overrides, flat
from hpsearch.cli.options import (
    Checkpoints,
    Code,
    FileArgument,
    Json,
    Storage,
    limit_threads,
    open_ledger,
    print_json,
    runs_code,
)  # fmt: skip
from hpsearch.insight.words import about, counted, duration, rough

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.table import Table

    from hpsearch.forecast.pace import Forecast, Pace, Rung, Span
    from hpsearch.spec import StudySpec

__all__ = ["plan"]

_SEEN_S = 0.1
"""A shorter start of a trial is not worth a line."""


@flat
def plan(
    file: FileArgument,
    *,
    crew: Crew,
    overrides: Overrides,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    code: Code = None,
    json_: Json = False,
) -> None:
    """Forecast time, memory and disk of a search, from a dry run of a few seconds."""
    from hpsearch.sources.opening import look

    spec = overrides.load(file, code)
    look(spec, file.parent)
    folder = runs_code(spec, file.parent, code)
    crew.check()
    seats = crew.seats()
    limit_threads(seats[0].threads)
    if spec.train is not None:
        assert folder is not None
        from hpsearch.cli.show import note

        if not json_:
            describe(spec)
        ledger = open_ledger(storage, make=True)
        planned_own = planning.plan_own(spec, file.parent, folder, seats, ledger, checkpoints, note)
        _print_own(spec, planned_own, len(seats), json_=json_)
        return
    import hpsearch.forecast.dry_runs  # noqa: F401  loads PyTorch: before `sized` would
    from hpsearch.cli import show

    ledger = open_ledger(storage, make=True)
    spec = planning.settled(ledger, spec, file.parent, seats[0].device)
    if not json_:
        describe(spec)
        show.note("dry run ...")
    planned = planning.plan(spec, file.parent, seats, ledger.database, checkpoints)
    pace, forecast = planned.pace, planned.forecast
    if json_:
        print_json({**described(spec), "shapes": _shapes(pace), "forecast": asdict(forecast)})
    else:
        _print(pace, forecast)


def _print_own(
    spec: StudySpec, planned: planning.Planned | None, workers: int, *, json_: bool
) -> None:
    """The plan of own training code; where its first epochs take too long, what needs no times."""
    from hpsearch.cli import show
    from hpsearch.forecast.own_runs import LIMIT_S
    from hpsearch.forecast.pace import epochs, rungs

    if planned is not None:
        if json_:
            forecast = asdict(planned.forecast)
            print_json({**described(spec), "shapes": _shapes(planned.pace), "forecast": forecast})
        else:
            _print(planned.pace, planned.forecast)
        return
    if json_:
        facts = {"epochs": asdict(epochs(spec)), "rungs": [asdict(r) for r in rungs(spec)]}
        print_json({**described(spec), "shapes": [], "forecast": {"workers": workers, **facts}})
        return
    why = f"not known: the first takes longer than {LIMIT_S:g} s; once 3 trials of it have " \
          "ended, plan again"  # fmt: skip
    show.out.print("forecast, as far as it needs no times:")
    show.out.print(_table([*_reaching(epochs(spec), rungs(spec)), ("one epoch", why)]))


# --- in words ---------------------------------------------------------------------------------


def _shapes(pace: Pace) -> list[dict[str, Any]]:
    """The shapes that were timed, for JSON."""
    return [
        {
            "shape": shape.words,
            "memory_bytes": shape.candidate_bytes,
            "epoch_seconds": {str(count): seconds for count, seconds in shape.epochs_s},
        }
        for shape in pace.shapes
    ]


def _print(pace: Pace, forecast: Forecast) -> None:
    """The forecast, and where it came from."""
    from hpsearch.cli.show import note, out

    out.print(f"forecast with {counted(forecast.workers, 'worker')} on {forecast.device}:")
    out.print(_table(_lines(pace, forecast)))
    for warning in forecast.warnings:
        note(f"warning: {warning}")


def _table(lines: Iterable[tuple[str, str]]) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, text in lines:
        table.add_row(f"  {name}", text)
    return table


def _reaching(epochs: Span, rungs: Sequence[Rung]) -> Iterator[tuple[str, str]]:
    """What can be told without timing anything."""
    reached = ", ".join(f"{rung.trials:,.0f} epoch {rung.epoch}" for rung in rungs)
    yield "trials reach", f"about {reached}"
    yield "epochs", about(epochs, rough)


def _lines(pace: Pace, forecast: Forecast) -> Iterator[tuple[str, str]]:
    yield from _reaching(forecast.epochs, forecast.rungs)
    yield "one epoch", f"{about(forecast.epoch_s)} for one trial alone"
    if pace.start_s >= _SEEN_S:
        yield "before it", f"about {duration(pace.start_s)} until a trial's first epoch begins"
    shapes = f"{len(set(pace.draws)):,} of {counted(pace.possible, 'shape')}"
    yield "timed", pace.timed or shapes
    yield "memory", _memory(pace, forecast)
    sizes = f"up to {_size(forecast.disk_bytes)} for checkpoints"
    yield (
        "disk",
        sizes if forecast.disk_bytes or not pace.timed else "not known; what run.save holds",
    )
    yield "time", about(forecast.work_s)


def _memory(pace: Pace, forecast: Forecast) -> str:
    """Of own training code that of its processes: what it has on a GPU is not known."""
    if not pace.timed:
        return f"{_size(forecast.candidate_bytes)} a trial, {_size(forecast.stack_bytes)} in all"
    where = " of the machine's; of a GPU's it is not known" if forecast.device != "cpu" else ""
    return (
        f"{_size(forecast.candidate_bytes)} a trial{where}"
        if forecast.candidate_bytes
        else "not known"
    )


def _size(count: int) -> str:
    """Bytes in the unit that makes them readable."""
    power = min(int(math.log(max(count, 1), 1024)), 3)
    return f"{rough(count / 1024**power)} {('B', 'KiB', 'MiB', 'GiB')[power]}"
