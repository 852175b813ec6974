"""Whether the honest finish is one: its intervals next to what its winners are worth.

    python -m benchmarks.finish [--studies 20] [--seeds 100]

Each study is `studies/finish.yaml` with another seed and another split of the rows, run by the
command. Its winner is then trained many times more, from seeds that no study has used: their mean
on the same test part is taken as the true one. What the file of results has is not run again.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.turns import RESULTS, FailedError, timed, versions, write_json
from hpsearch.spec import StudySpec, load
from hpsearch.spec.settings import Value
from hpsearch.stages.finish import Estimate, estimate

__all__ = ["FILE", "STUDY", "Finished", "Summary", "main", "retrained", "said", "summary"]

STUDY = Path(__file__).parent / "studies" / "finish.yaml"
FILE = RESULTS / "finish.json"

_console = Console(stderr=True)


@dataclass(frozen=True)
class Finished:
    """One study: what its finish said, and what is so. All are accuracies."""

    winner: Mapping[str, Value]
    best_seen: float
    """The best validation value of the search: what a report without a finish would promise."""
    validation: Estimate
    test: Estimate
    again: tuple[float, ...]
    """On the test part, of the winner's networks from other seeds."""

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Finished:
        """The study of its plain values."""
        validation, test = (Estimate(**found[part]) for part in ("validation", "test"))
        return cls(found["winner"], found["best_seen"], validation, test, tuple(found["again"]))

    @functools.cached_property
    def true(self) -> float:
        """The mean of a training of the winner on the test part."""
        return mean(self.again)

    @property
    def holds(self) -> bool:
        """Whether the reported interval holds the true mean."""
        low, high = self.test.low, self.test.high
        return low is not None and high is not None and low <= self.true <= high


@dataclass(frozen=True)
class Summary:
    """What the studies have in common: means over them, with their 95 % intervals."""

    studies: int
    held: int
    """Studies whose interval holds the true mean."""
    seeds: int
    """Trainings that a true mean is taken over: the fewest of any study."""
    optimism: Estimate
    """Best value seen less the winner's mean on the same rows: what the finish reports."""
    promise: Estimate
    """Best value seen less the true mean: how far a report without a finish would be off."""
    error: Estimate
    """Reported mean on the test part less the true one: how far the finish is off."""


def summary(studies: Sequence[Finished]) -> Summary:
    """What is told of two studies or more."""
    return Summary(
        len(studies),
        sum(one.holds for one in studies),
        min(len(one.again) for one in studies),
        estimate([one.best_seen - one.validation.mean for one in studies]),
        estimate([one.best_seen - one.true for one in studies]),
        estimate([one.test.mean - one.true for one in studies]),
    )


def retrained(spec: StudySpec, winner: Mapping[str, Value], seeds: Sequence[int]) -> list[float]:
    """The metric on the test part of networks of one configuration, trained as trials are.

    Raises FailedError where one does not get to its last epoch.
    """
    import torch

    from hpsearch.handover.trained import Trained
    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.opening import open_data, open_test_part
    from hpsearch.training.array import Array

    device, base = torch.device("cpu"), STUDY.parent
    dataset = open_data(spec, base, device)
    part, _ = open_test_part(spec, base, dataset, device)
    settings = spec.settings(winner)
    array = Array(dataset, spec.metric, device, stack=None)
    for key, seed in enumerate(seeds):
        array.add(Candidate(key, spec.family, settings, seed))
    found: dict[int, float] = {}
    while array.keys:
        for report in array.reports():
            if report.failure:
                raise FailedError(f"the winner from another seed: {report.message}")
            if report.finished:
                saved = array.saved(report.key)
                assert saved is not None
                network = Trained(spec.family, settings, saved.state["model"], dataset)
                scores = network.score(network.outputs(part), part.targets, spec.metric)
                found[report.key] = scores[spec.metric]
                array.remove(report.key)
    return [found[key] for key in range(len(seeds))]


def _searched(number: int) -> dict[str, Any]:
    """One run of the study: what its finish said."""
    from hpsearch.insight.reader import Reader
    from hpsearch.store.engine import Database
    from hpsearch.store.ledger import Ledger

    command = [sys.executable, "-m", "hpsearch", "run", STUDY, "--workers", 1, "--json"]
    command += ["--no-pictures"]
    for change in _changes(number):
        command += ["--set", change]
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        storage = f"sqlite:///{folder}/study.db"
        timed([*command, "--storage", storage], Path(folder))
        verdict = Reader(Ledger(Database(storage)), STUDY.stem).snapshot().verdict
    assert verdict is not None
    best_seen = verdict["optimism"] + verdict["validation"]["mean"]
    kept = {name: verdict[name] for name in ("winner", "validation", "test")}
    return {**kept, "best_seen": best_seen, "again": []}


def _changes(number: int) -> list[str]:
    return [f"search.seed={number}", f"data.seed={number}"]


def _again(number: int, found: Mapping[str, Any], seeds: int) -> list[float]:
    """The trainings that are there already, and what is missing of them."""
    from hpsearch.runner.candidate import derived_seed

    missing = [derived_seed(number, "again", at) for at in range(len(found["again"]), seeds)]
    if not missing:
        return list(found["again"])
    return [*found["again"], *retrained(load(STUDY, _changes(number)), found["winner"], missing)]


def main() -> None:
    """Run what the file of results does not have, and print what all of it comes to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=20, metavar="N")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="of each winner")
    parser.add_argument("--output", type=Path, default=FILE)
    options = parser.parse_args()
    path: Path = options.output
    studies = json.loads(path.read_text())["studies"] if path.exists() else {}
    for number in range(options.studies):
        one = studies.get(str(number), {"again": []})
        if len(one["again"]) >= options.seeds:
            continue
        try:
            one = one if "winner" in one else _searched(number)
            one["again"] = _again(number, one, options.seeds)
        except FailedError as error:
            sys.exit(f"study {number}: {error}")
        studies[str(number)] = one
        write_json(path, {"versions": versions(), "studies": studies})
        _console.print(f"study {number}: {_line(Finished.from_json(one))}")
    Console().print(_picture([Finished.from_json(one) for one in studies.values()]))


def _line(one: Finished) -> str:
    held = "holds" if one.holds else "does not hold"
    return f"{said(one.test)} {held} {one.true:.4f}"


def _picture(studies: Sequence[Finished]) -> Table:
    table = Table(title="reported and true", title_justify="left", caption_justify="left")
    for column in ("study", "best seen", "validation", "test, its interval", "true", "held"):
        table.add_column(column, justify="right")
    for number, one in enumerate(studies):
        table.add_row(
            str(number), f"{one.best_seen:.4f}", f"{one.validation.mean:.4f}", said(one.test),
            f"{one.true:.4f}", "yes" if one.holds else "no",
        )  # fmt: skip
    if len(studies) > 1:
        found = summary(studies)
        table.caption = (
            f"the interval holds the true mean in {found.held} of {found.studies}\n"
            f"optimism of the search     {said(found.optimism)}\n"
            f"best seen less true mean   {said(found.promise)}\n"
            f"reported less true mean    {said(found.error)}"
        )
    return table


def said(of: Estimate) -> str:
    """A mean with its interval."""
    return f"{of.mean:.4f} ({of.low:.4f} to {of.high:.4f})"


if __name__ == "__main__":
    main()
