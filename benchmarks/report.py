"""Make docs/performance.md, and the tables in the README and in docs/strategy.md, from what the
benchmarks have written.

    python -m benchmarks.report [--check]

With --check nothing is written, and the exit code is 1 where one of them is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

from benchmarks.finish import Finished, said, summary
from benchmarks.regret import SHARES, Summary, interval, summaries
from benchmarks.strategy import TRIALS
from benchmarks.turns import IDLE, RESULTS, ROOT, UNITS, Measured

__all__ = ["made", "main"]

HEAD = """\
# How fast it is

Each benchmark is one command in a clone of this repository with `pip install -e '.[bench]'`. It
runs hpsearch and what it is compared with in turn (A B A B ...), five times unless a line says
otherwise, each side a fresh process, and writes every single figure to
`benchmarks/results/NAME.json`. This page and the README's table are made of these files by
`python -m benchmarks.report`. Figures are medians; `--quick` tries a benchmark out, `--only CASE`
runs one line of it. On a machine with other work they say little: each prints a warning there.
"""

TRAINING = """\
## Training: `python -m benchmarks.training`

A random search over learning rate, weight decay and dropout, with Adam and without pruning, on
SQLite; wall clock from the command to its result, start-up included. The studies are those in
`benchmarks/studies`, run as users run them: `hpsearch run STUDY --storage sqlite:///study.db`.

- **plain Optuna** is what its tutorial for PyTorch shows (`benchmarks/plain.py`,
  `benchmarks/problems.py`): a training loop a trial, a `DataLoader` without worker processes (the
  fastest for data that fits in memory), `trial.report` after each epoch, `RandomSampler`, the
  same SQLite database, all cores. Fashion-MNIST is read as there: torchvision's data set with
  `ToTensor`. Beside it the same loop in as many processes as there are cores, as Optuna's tutorial
  on distribution shows it, once: hpsearch starts a worker a core by itself.
- **Ray Tune** (`benchmarks/tune.py`) trains by the same loop, one CPU a trial and its own
  scheduler. It starts a process for each trial, so it is given no more than 32 trials, and one
  round; compare the time of one.

Data, network, batch size, epochs and ranges are the same on all sides, which a test checks, and of
digits and tables the very rows; images are split in the same sizes. The accuracies are the medians
and quartiles of all trials' last ones in the first run of each side: that they agree shows that
the same is trained.
"""

TRAINING_BOUND = """\
What bounds it: with networks this small PyTorch's time goes into calling kernels and not into
arithmetic, on a CPU as on a GPU. A `DataLoader` adds to that a Python call for each row. Start-up
is a fixed part of hpsearch's time, see below: it counts for much where the search is short, and is
most of it on the 124 training rows of the wine table and the 399 of breast cancer. Of the rest of a
tiny network's time a tenth goes into checkpoints, one a candidate and second.

With wider networks PyTorch's kernels take over, and the figures come closer to each other. Of a
step of the dense network for Fashion-MNIST, 2.5 ms by itself on two cores, `torch.profiler` finds
44 % in matrix products, at 200 billion operations a second, 19 % in Adam and 3 % in dropout's
random numbers; a worker a core takes 1.6 ms. Of a step of the convolutional one, 3.1 ms in a stack
of four, 33 % are convolutions, 29 % BatchNorm and 9 % pooling, as in plain Optuna's loop.
"""

TRAINING_GPU = """\
### On a GPU

The same command on a machine with an NVIDIA H100: single runs, of fewer trials. hpsearch's time is
start-up there: 8 trials of digits took 13.4 s from command to result, 256 took 15.0 s.
"""

TRAINING_GPU_BOUND = """\
A step of a stack is recorded once and launched as a whole (a CUDA graph, `training/recording.py`).
For one step, launched kernel by kernel and recorded, in ms:

| network, batch | slots | kernel by kernel | recorded | of one candidate |
| --- | --- | --- | --- | --- |
| dense 64-64-64-10, 64 | 1 | 2.77 | 0.21 | 0.21 |
| | 8 | 3.06 | 0.23 | 0.029 |
| | 64 | 3.19 | 0.40 | 0.0062 |
| dense 784-512-512-10, 128 | 1 | 2.56 | 0.20 | 0.20 |
| | 64 | 3.85 | 2.66 | 0.042 |
| convolutions of 8 and 16 channels, 64 | 1 | 4.16 | 0.45 | 0.45 |
| | 8 | 6.11 | 0.90 | 0.11 |
| | 64 | 8.33 | 5.08 | 0.079 |

PyTorch's own modules and Adam, one candidate by itself, take 2.2, 1.8 and 3.5 ms. What bounds it:
the dense network for Fashion-MNIST is read from memory, 5.4 MB a candidate and step; the others are
launches still. In convolutions a sixth goes into keeping what is not finite in one slot out of the
others, which cuDNN does not do by itself.
"""

DISPATCH = """\
## Dispatch: `python -m benchmarks.dispatch`

Trials that train nothing: five parameters, up to ten reports, random sampling, ASHA. hpsearch
runs its real worker loop with all that it keeps (leases, checkpoints, learning curves), only its
array is one whose epochs cost nothing (`benchmarks/noop.py`). **Plain Optuna** calls `ask`,
`report`, `should_prune`, `tell` on `RDBStorage` with `RandomSampler` and
`SuccessiveHalvingPruner`. All workers are processes that begin together; the time runs from the
first trial's start to the last one's end as the database has them. PostgreSQL runs with its own
defaults on the same machine. Statements and commits are counted by SQLAlchemy's events, on both
sides.
"""

DISPATCH_BOUND = """\
What bounds it: Python in the workers, which share the cores with the database and, on SQLite, its
one writer. Of the time of 8 workers on PostgreSQL `py-spy`, on a machine with other work, finds
39 % in waiting for answers, 25 % in SQLAlchemy, 22 % in proposing and pruning, and 10 % in
checkpoints. ASHA ends most trials early; how many, and so how many reports a trial has, depends on
the order in which they are reported and differs between the sides: the column shows it. What a
worker sends once, when it comes and goes, is shared out over its trials.
"""

STARTUP = """\
## Start-up: `python -m benchmarks.startup`

`hpsearch --help`, and `hpsearch run studies/digits.yaml` on a new database until the first
epoch's report can be read there. The floor beside it is `python -c "import optuna, torch"`, where
any search with these two begins.
"""

STARTUP_BOUND = """\
What bounds it: importing. `hpsearch run` starts its workers before it makes the study, so that
they load PyTorch meanwhile. What a worker loads beside PyTorch is scikit-learn and SciPy (1 s,
for the data and its split), `torch._dynamo` (1.3 s, wherever `torch.optim.Optimizer` is used) and
SQLAlchemy with Alembic and Optuna (0.5 s).
"""

GROWTH = """\
## Growth: `python -m benchmarks.growth`

A fresh process's first proposal on a study of 10,000 trials that have ended, by TPE, and the
memory that reading them takes; **plain Optuna** by `load_study` and `ask` on the same SQLite
database. What a claim costs by the number of tickets is counted and not timed:
`tests/integration/test_ledger_cost.py`.
"""

NAMES = ("training", "dispatch", "startup")


def main() -> None:
    """Write both, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether they are up to date")
    check = parser.parse_args().check
    for path, text in made().items():
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            sys.exit(f"{path.relative_to(ROOT)} is out of date: python -m benchmarks.report")
        if not check:
            path.write_text(text, encoding="utf-8")


def made() -> dict[Path, str]:
    """Path -> content."""
    found = {name: _measured(name) for name in NAMES}
    parts = [
        (ROOT / "README.md", "benchmarks", _readme_table(found)),
        (ROOT / "docs" / "strategy.md", "strategy", _strategies()),
        (ROOT / "docs" / "strategy.md", "real", _real()),
        (ROOT / "docs" / "strategy.md", "finish", _finish()),
    ]
    pages = {ROOT / "docs" / "performance.md": "\n".join(_page(found))}
    for path, name, text in parts:
        pages[path] = _with(pages.get(path) or path.read_text(encoding="utf-8"), name, text)
    return pages


def _with(page: str, name: str, text: str) -> str:
    """The page with that text between its two marks of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}{end}", page, flags=re.S)


def _strategies() -> str:
    """Regret of the strategies on the tables."""
    path = RESULTS / "strategy.json"
    if not path.exists():
        return "No figures of this version yet; `python -m benchmarks.strategy` makes them.\n"
    found = summaries(json.loads(path.read_text()), TRIALS)
    head = ("strategy", "seeds", *(f"regret at {share:.0%}" for share in SHARES),
            "wins against TPE", "trials that random search's end takes")  # fmt: skip
    rows = [
        (s.strategy, str(s.runs), *(f"{middle:.2f} ± {half:.2f}" for middle, half in s.regret),
         f"{s.wins[-1]:.0%}", _trials_needed(s)) for s in found
    ]  # fmt: skip
    tables = list(found[0].tables)
    each = [(table, *(f"{s.tables[table]:.2f}" for s in found)) for table in tables]
    return f"{_table(head, rows)}\n{_table(('table', *(s.strategy for s in found)), each)}"


def _real() -> str:
    """The best values of the strategies on real training, and the work behind them."""
    path = RESULTS / "real.json"
    if not path.exists():
        return "No figures of this version yet; `python -m benchmarks.real` makes them.\n"
    rows = [
        (problem, strategy, str(len(runs)),
         " ± ".join(f"{v:.4f}" for v in interval([run["best"] for run in runs.values()])),
         f"{mean(run['trials'] for run in runs.values()):.0f}",
         f"{mean(run['seconds'] for run in runs.values()):.0f}")
        for problem, of in json.loads(path.read_text()).items() for strategy, runs in of.items()
    ]  # fmt: skip
    return _table(
        ("study", "strategy", "seeds", "best accuracy", "trials", "seconds of work"), rows
    )


def _trials_needed(of: Summary) -> str:
    within = f"{of.reached:.0%} reach it"
    return f"more than {TRIALS} ({within})" if of.needed > TRIALS else f"{of.needed:.0f} ({within})"


def _finish() -> str:
    """What the intervals of the finish, and the optimism of the search, have come to."""
    path = RESULTS / "finish.json"
    if not path.exists():
        return "No figures of this version yet; `python -m benchmarks.finish` makes them.\n"
    found = summary(
        [Finished.from_json(s) for s in json.loads(path.read_text())["studies"].values()]
    )
    rows = [
        ("the interval of the finish holds the true mean", f"{found.held} of {found.studies}"),
        ("best value of the search, less the winner's mean on the same rows (its optimism)",
         said(found.optimism)),
        ("best value of the search, less the true mean", said(found.promise)),
        ("mean that the finish reports, less the true mean", said(found.error)),
    ]  # fmt: skip
    return _table(
        (f"{found.studies} studies, each winner trained {found.seeds} times more", ""), rows
    )


def _measured(name: str) -> list[Measured]:
    path = RESULTS / f"{name}.json"
    cases = json.loads(path.read_text())["cases"] if path.exists() else []
    return [Measured.from_json(case) for case in cases]


def _page(found: Mapping[str, Sequence[Measured]]) -> Iterator[str]:
    yield HEAD
    sections = (
        (TRAINING, TRAINING_BOUND, _training_columns),
        (DISPATCH, DISPATCH_BOUND, _dispatch_columns),
        (STARTUP, STARTUP_BOUND, None),
    )
    for name, (head, bound, more) in zip(NAMES, sections, strict=True):
        yield head
        yield from _results(found[name], more)
        yield bound
        if name == "training":
            yield TRAINING_GPU
            yield from _results(_measured("training-gpu"), more)
            yield TRAINING_GPU_BOUND
    yield GROWTH
    yield _growth()


def _growth() -> str:
    path = RESULTS / "growth.json"
    if not path.exists():
        return "No figures of this version yet; the command measures on your machine.\n"
    rows = [
        (case.replace("-", ", ") + " trials", side, _number(of["seconds"]), _number(of["mb"]))
        for case, found in json.loads(path.read_text()).items()
        for side, of in found["medians"].items()
    ]
    return _table(("what", "side", "median, s", "memory, MB"), rows)


Columns = Callable[[Measured, str], Mapping[str, str]]


def _results(cases: Sequence[Measured], more: Columns | None) -> Iterator[str]:
    if not cases:
        yield "No figures of this version yet; the command measures on your machine.\n"
        return
    rows = [row for case in cases for row in _rows(case, more)]
    yield _table(list(rows[0]), ([row[key] for key in rows[0]] for row in rows))
    yield "".join(f"- {line}\n" for line in dict.fromkeys(map(_circumstances, cases)))


def _rows(case: Measured, more: Columns | None) -> Iterator[dict[str, str]]:
    for side, runs in case.sides.items():
        values = [run[case.figure] for run in runs]
        yield {
            "what": f"{case.title}" if side == "hpsearch" else "",
            "side": side,
            f"median, {UNITS[case.figure]}": _number(case.middle(side)),
            "least to most": f"{_number(min(values))} to {_number(max(values))}",
            **(more(case, side) if more else {}),
            "hpsearch is": _verdict(case) if side == "hpsearch" else _times(case, side),
        }
    for side, why in case.skipped.items():
        empty = dict.fromkeys(more(case, "hpsearch") if more else (), "")
        yield {"what": "", "side": side, f"median, {UNITS[case.figure]}": "", "least to most": "",
               **empty, "hpsearch is": f"not run: {why}"}  # fmt: skip


def _times(case: Measured, peer: str) -> str:
    """Of a figure with a goal of its own, the other side is only a floor."""
    if case.goal is not None and case.goal.seconds is not None:
        return ""
    return f"{case.times(peer):.1f} times better"


def _verdict(case: Measured) -> str:
    return f"(goal: {case.goal})" if case.goal else ""


def _training_columns(case: Measured, side: str) -> dict[str, str]:
    run = case.sides[side][0]
    low, high = run["accuracy_quartiles"]
    return {
        "in all, s": _number(case.middle(side, "seconds")),
        "trials": f"{run['trials']}",
        "accuracy": f"{run['accuracy']:.3f} ({low:.3f} to {high:.3f})",
    }


def _dispatch_columns(case: Measured, side: str) -> dict[str, str]:
    return {
        "reports a trial": f"{case.middle(side, 'reports_per_trial'):.1f}",
        "statements a trial": f"{case.middle(side, 'statements_per_trial'):.1f}",
        "commits a trial": f"{case.middle(side, 'commits_per_trial'):.1f}",
    }


def _circumstances(case: Measured) -> str:
    machine = case.machine
    runs = max(len(runs) for runs in case.sides.values())
    versions = ", ".join(f"{name} {number}" for name, number in case.versions.items())
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return (
        f"`{case.command}`, {runs} {'round' if runs == 1 else 'rounds'}, {case.when}; "
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB{gpu}; "
        f"{'' if case.load < IDLE else 'which did other work too; '}{versions}"
    )


def _readme_table(found: Mapping[str, Sequence[Measured]]) -> str:
    rows = [
        (case.title, _figure(case, "hpsearch"), *_against(case), f"`python -m benchmarks.{name}`")
        for name, cases in found.items() for case in cases
        if name != "dispatch" or ", 8 workers" in case.title  # the page has them all
    ]  # fmt: skip
    at = len(found["training"])
    rows[at:at] = [
        (f"{case.title}; {case.machine['gpu']}", _figure(case, "hpsearch"), *_against(case),
         "`python -m benchmarks.training`") for case in _measured("training-gpu")
    ]  # fmt: skip
    if not rows:
        return "No figures of this version yet; `python -m benchmarks.training` measures yours.\n"
    return _table(("what", "hpsearch", "beside", "times better", "command"), rows)


def _against(case: Measured) -> tuple[str, str]:
    """The first peer, and how it compares; of start-up, there is only a floor."""
    if not case.peers:
        return "", ""
    peer = case.peers[0]
    floor = case.goal is not None and case.goal.seconds is not None
    return f"{peer}: {_figure(case, peer)}", "" if floor else f"{case.times(peer):.1f}"


def _figure(case: Measured, side: str) -> str:
    return f"{_number(case.middle(side))} {UNITS[case.figure]}"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
