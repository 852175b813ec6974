"""Make the tables in the README and in docs/ from what the benchmarks have written.

    python -m benchmarks.report [--check]

With --check nothing is written, and the exit code is 1 where one of them is out of date. A table
stands between two marks, `<!-- name -->` and `<!-- /name -->`; all else is written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

from benchmarks import real
from benchmarks.finish import Finished, said, summary
from benchmarks.lessons import page as lessons
from benchmarks.regret import SHARES, Summary, summaries
from benchmarks.strategy import FILE, STRATEGIES, TIMED, TRIALS, VARIANTS
from benchmarks.turns import IDLE, RESULTS, ROOT, UNITS, Measured

__all__ = ["made", "main", "write"]


def main() -> None:
    """Write them, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether they are up to date")
    if not parser.parse_args().check:
        write()
        return
    for path, text in made().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.relative_to(ROOT)} is out of date: python -m benchmarks.report")


def write() -> None:
    """Write them."""
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")


def made() -> dict[Path, str]:
    """Path -> content."""
    found = {name: _measured(name) for name in _COLUMNS}
    speed = {name: _results(cases, _COLUMNS[name]) for name, cases in found.items()}
    tables = {
        ROOT / "README.md": {"benchmarks": _readme_table(found)},
        ROOT / "docs/explanation/lessons.md": {"lessons": lessons.tables()},
        ROOT / "docs/explanation/performance.md": {**speed, "growth": _growth()},
        ROOT / "docs/explanation/stages.md": {
            "strategy": _strategies(), "timed": _timed(), "shares": _shares(), "real": _real(),
        },
        ROOT / "docs/explanation/finish.md": {"finish": _finish()},
    }  # fmt: skip
    pages = {path: path.read_text(encoding="utf-8") for path in tables}
    for path, of in tables.items():
        for name, text in of.items():
            pages[path] = _with(pages[path], name, text)
    return pages


def _with(page: str, name: str, text: str) -> str:
    """The page with that text between its two marks of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}{end}", page, flags=re.S)


def _strategies() -> str:
    """Regret of the strategies on the tables."""
    found = _summaries(list(STRATEGIES))
    if not found:
        return "No figures of this version yet; `python -m benchmarks.strategy` makes them.\n"
    each = [(table, *(f"{s.tables[table]:.2f}" for s in found)) for table in found[0].tables]
    tables = _table(("table", *(s.strategy for s in found)), each)
    return f"{_regrets(found)}\n{tables}"


def _timed() -> str:
    """The same with a budget of training time: trials are not counted."""
    found = _summaries(list(STRATEGIES), TIMED)
    if not found:
        return (
            "No figures of this version yet; `python -m benchmarks.strategy --timed` makes them.\n"
        )
    return _table(_REGRET_HEAD, [_regret_row(s) for s in found])


def _shares() -> str:
    """Regret of staged search with other shares, on the tables that all of them have searched."""
    found = _summaries(["staged", *VARIANTS])
    if not found:
        return "No figures of this version yet; `python -m benchmarks.strategy` makes them.\n"
    return f"{_regrets(found)}\nOn {', '.join(found[0].tables)}.\n"


def _summaries(strategies: Sequence[str], path: Path = FILE) -> list[Summary]:
    """Of those of them that have been run; none where there is no result."""
    found = json.loads(path.read_text()) if path.exists() else {"runs": {}}
    run = [name for name in strategies if name in found["runs"]]
    return summaries(found, TRIALS, run) if len(run) > 1 else []


_REGRET_HEAD = ("strategy", "seeds", *(f"regret at {share:.0%}" for share in SHARES),
                "wins against TPE, at each")  # fmt: skip


def _regret_row(of: Summary) -> tuple[str, ...]:
    regret = (f"{middle:.2f} ± {half:.2f}" for middle, half in of.regret)
    return of.strategy, str(of.runs), *regret, ", ".join(f"{share:.0%}" for share in of.wins)


def _regrets(found: Sequence[Summary]) -> str:
    head = (*_REGRET_HEAD, "trials that random search's end takes")
    return _table(head, [(*_regret_row(s), _trials_needed(s)) for s in found])


def _real() -> str:
    """Regret of the strategies on real training, and the work behind it."""
    if not real.FILE.exists():
        return "No figures of this version yet; `python -m benchmarks.real` makes them.\n"
    runs = json.loads(real.FILE.read_text())
    progress = {
        strategy: {problem: {seed: run["better"] for seed, run in of.items()}
                   for problem, of in problems.items()}
        for strategy, problems in runs.items()
    }  # fmt: skip
    problems = [name for name in real.PROBLEMS if all(name in of for of in progress.values())]
    best = {
        problem: min(better[-1][1] for of in progress.values() for better in of[problem].values())
        for problem in problems
    }
    found = summaries({"best": best, "runs": progress}, TRIALS, list(runs))
    rows = [
        (s.strategy, str(s.runs), f"{s.regret[-1][0]:.2f} ± {s.regret[-1][1]:.2f}",
         f"{s.wins[-1]:.0%}", *(f"{s.tables[problem]:.2f}" for problem in problems),
         *(f"{mean(run['seconds'] for run in runs[s.strategy][problem].values()):.0f}"
           for problem in problems))
        for s in found
    ]  # fmt: skip
    work = [f"seconds of work on {problem}" for problem in problems]
    return _table(
        ("strategy", "seeds", "regret at the end", "wins against TPE", *problems, *work), rows
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


def _results(cases: Sequence[Measured], more: Columns | None) -> str:
    if not cases:
        return "No figures of this version yet; the command measures on your machine.\n"
    units = {UNITS[case.figure] for case in cases}
    unit = next(iter(units)) if len(units) == 1 else None
    rows = [row for case in cases for row in _rows(case, more, unit)]
    of = dict[str, list[str]]()
    for case in cases:
        of.setdefault(_circumstances(case), []).append(case.name)
    lines = "".join(f"- {', '.join(names)}: {line}\n" for line, names in of.items())
    return f"{_table(list(rows[0]), ([row[key] for key in rows[0]] for row in rows))}\n{lines}"


def _rows(case: Measured, more: Columns | None, unit: str | None) -> Iterator[dict[str, str]]:
    """`unit` is that of all cases of the table; None: they differ, and each figure has its own."""
    middle, own = (f"median, {unit}", "") if unit else ("median", f" {UNITS[case.figure]}")
    for side, runs in case.sides.items():
        values = [run[case.figure] for run in runs]
        yield {
            "what": f"{case.title}" if side == "hpsearch" else "",
            "side": side,
            middle: f"{_number(case.middle(side))}{own}",
            "least to most": f"{_number(min(values))} to {_number(max(values))}",
            "runs": f"{len(runs)}",
            **(more(case, side) if more else {}),
            "speed-up": _verdict(case) if side == "hpsearch" else _times(case, side),
        }
    for side, why in case.skipped.items():
        empty = dict.fromkeys(more(case, "hpsearch") if more else (), "")
        yield {"what": "", "side": side, middle: "", "least to most": "",
               "runs": "0", **empty, "speed-up": f"not run: {why}"}  # fmt: skip


def _times(case: Measured, peer: str) -> str:
    """Of a figure with a goal of its own, the other side is only a floor."""
    if case.goal is not None and case.goal.seconds is not None:
        return ""
    return f"{case.times(peer):.1f}"


def _verdict(case: Measured) -> str:
    return f"(goal: {case.goal})" if case.goal else ""


def _training_columns(case: Measured, side: str) -> dict[str, str]:
    run = case.sides[side][0]
    low, high = run["accuracy_quartiles"]
    return {
        "in all, s": _number(case.middle(side, "seconds")),
        "trials": f"{run['trials']}",
        "accuracy": f"{run['accuracy']:.3f} ({low:.3f} to {high:.3f})",
        "of the peak": f"{case.middle(side, 'share_of_peak'):.0%}"
        if "share_of_peak" in run
        else "",
    }


def _dispatch_columns(case: Measured, side: str) -> dict[str, str]:
    return {
        "reports a trial": f"{case.middle(side, 'reports_per_trial'):.1f}",
        "statements a trial": f"{case.middle(side, 'statements_per_trial'):.1f}",
        "commits a trial": f"{case.middle(side, 'commits_per_trial'):.1f}",
    }


def _race_columns(case: Measured, side: str) -> dict[str, str]:
    ends = [run["reached"] for run in case.sides[side] if "reached" in run]
    return {
        "reached": f"{sum(ends)} of {len(ends)}" if ends else "",
        "best accuracy": f"{case.middle(side, 'best'):.4f}",
        "trials": f"{case.middle(side, 'trials'):.0f}",
        "epochs": f"{case.middle(side, 'epochs'):.0f}",
        "GFLOP/s": _number(case.middle(side, "gflop_per_s")),
        "workers busy": f"{case.middle(side, 'busy'):.0%}",
    }


_COLUMNS: Mapping[str, Columns | None] = {
    "race": _race_columns,
    "training": _training_columns,
    "training-gpu": _training_columns,
    "dispatch": _dispatch_columns,
    "storage": _dispatch_columns,
    "functions": None,
    "startup": None,
}
"""Benchmark -> what its table shows beside what is compared."""


def _circumstances(case: Measured) -> str:
    machine = case.machine
    versions = ", ".join(f"{name} {number}" for name, number in case.versions.items())
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return (
        f"`{case.command}`, {case.when}; "
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB{gpu}; "
        f"{'' if case.load < IDLE else 'which did other work too; '}{versions}"
    )


_IN_README = (
    "to the final accuracy of Optuna's search",
    "digits, ",
    "Fashion-MNIST, ",
    "postgresql, 8 workers; 1600",
    "hpsearch run ",
)
"""How the titles of the cases begin that the README shows; docs/explanation/performance.md has
all."""


def _readme_table(found: Mapping[str, Sequence[Measured]]) -> str:
    rows = [
        (_titled(case), _figure(case, "hpsearch"), *_against(case),
         f"`python -m benchmarks.{name.removesuffix('-gpu')}`")
        for name, cases in found.items() for case in cases
        if case.title.startswith(_IN_README)
    ]  # fmt: skip
    if not rows:
        return "No figures of this version yet; `python -m benchmarks.training` measures yours.\n"
    return _table(("what", "hpsearch", "compared with", "speed-up", "command"), rows)


def _titled(case: Measured) -> str:
    return f"{case.title}; {gpu}" if (gpu := case.machine["gpu"]) else case.title


def _against(case: Measured) -> tuple[str, str]:
    """The peers, and how each compares; of start-up, there is only a floor."""
    floor = case.goal is not None and case.goal.seconds is not None
    peers = "; ".join(f"{peer}: {_figure(case, peer)}" for peer in case.peers)
    return peers, "" if floor else "; ".join(f"{case.times(peer):.1f}" for peer in case.peers)


def _figure(case: Measured, side: str) -> str:
    reached = [run.get("reached", True) for run in case.sides[side]]
    less = "" if all(reached) else f" (reached in {sum(reached)} of {len(reached)} runs)"
    return f"{_number(case.middle(side))} {UNITS[case.figure]}{less}"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
