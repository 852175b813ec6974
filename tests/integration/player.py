"""A study played through by one process that trains nothing: each result is made up.

What is tested with it is the ledger, the plan and the search together, in milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.api.submit import submit
from hpsearch.runner.epoch import Epoch
from hpsearch.search import Search
from hpsearch.spec import StudySpec, load
from hpsearch.stages import outline
from hpsearch.stages.finish import verdict
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Ending, Lease, Study, Write
from hpsearch.worker import finish
from hpsearch.worker.staging import Staging

Result = Callable[[FrozenTrial], TrialState]
"""How a trial ends."""


def completes(_trial: FrozenTrial) -> TrialState:
    return TrialState.COMPLETE


class Player:
    """Plays the study of a file on an empty database."""

    def __init__(self, url: str, folder: Path, text: str, result: Result = completes) -> None:
        file = folder / "s.yaml"
        file.write_text(text)
        self.spec: StudySpec = load(file)
        self.ledger = Ledger(Database(url))
        submit(self.ledger, self.spec, folder)
        self.ledger.sign_on("w", "host", 1, "cpu")
        self.result = result
        self.luck = 0.0
        """What each training of a finish has more than its configuration had in the search."""
        self.reports = False
        """Whether each trial that completes has an epoch."""
        self.mirror = Mirror(self.ledger.database, self.study.study_id, "s", self.spec.direction)
        self.search = Search(self.spec, self.mirror)
        self.staging = Staging(self.ledger, self.study, self.spec, self.search, self.mirror)

    @property
    def study(self) -> Study:
        return self.ledger.study("s")

    def play(self) -> None:
        """To the end: all trials, and a verdict where one is due."""
        while self.study.state == "open":
            self.step()

    def step(self) -> None:
        """Run one ticket, or open the next stage, or give the verdict."""
        self.staging.follow()
        leases = self.ledger.claim("w", self.study.study_id, 1)
        if leases:
            self.train(leases[0])
        elif not self.staging.advance(idle=False) and self.study.awaits_verdict:
            self.conclude()

    def conclude(self) -> None:
        """Give the verdict, as `worker.closing` does: test figures are those on validation data."""
        stage = self.search.stages[-1]
        self.mirror.refresh()
        entries = finish._entries(stage, finish._trials_of(stage, self.mirror))
        if not any(entry.whole for entry in entries):
            self.ledger.end_finish(self.study)
            return
        use = self.ledger.begin_verdict(self.study)
        assert use is not None
        found = verdict(
            entries, None, self.spec.objective,
            lambda repeat, _: {self.spec.metric: repeat.value or 0.0}, 9, use, stage.count or 0,
        )  # fmt: skip
        self.ledger.end_verdict(self.study, use, found.as_json())

    def finish_again(self, top: int = 3, seeds: int = 5) -> None:
        """What `hpsearch final` does."""
        final = {"top": top, "seeds": seeds}
        due = outline.final_tickets(self.spec.with_final(self.study.final))
        tickets = outline.final_tickets(self.spec.with_final(final))
        self.ledger.finish_again("s", tickets, final, due)

    def train(self, lease: Lease) -> None:
        """The ticket's trial from its beginning to its end."""
        self.mirror.refresh()
        (proposal,) = self.search.propose([lease])
        (begun,) = self.ledger.begin([(lease, proposal)])
        assert begun is not None
        trial = self.mirror.adopt(proposal, *begun)
        state = self.result(trial)
        value = self.value(trial.params) if state is TrialState.COMPLETE else None
        if value is not None and trial.user_attrs["stage"] == "final":
            value += self.luck
        epoch = [Epoch(1, value, {self.spec.metric: value}, 0.1)] if value is not None else []
        ending = Ending(state, value)
        reports = epoch if self.reports else ()
        assert not self.ledger.record([Write(lease, begun[0], reports=reports, ending=ending)])
        self.mirror.end(begun[0], state, value)

    def value(self, params: Mapping[str, Any]) -> float:
        """Made up, and different for each configuration."""
        return sum(float(v) for v in params.values() if not isinstance(v, str)) / 100

    def trials(self, stage: str | None = None) -> list[FrozenTrial]:
        self.mirror.refresh()
        found = self.mirror.trials()
        return [t for t in found if stage in (None, t.user_attrs["stage"])]

    def cells(self) -> Counter[tuple[Any, ...]]:
        """How often each combination was tried by the search."""
        searched = [t for t in self.trials() if t.user_attrs["stage"] != "final"]
        return Counter(tuple(t.params.values()) for t in searched)
