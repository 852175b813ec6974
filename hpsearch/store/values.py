"""What the ledger takes and gives: frozen values that cross the wall between SQL and the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Literal

from hpsearch.code import Manifest
from hpsearch.errors import CodeError, DataError, HpsearchError
from hpsearch.runner.epoch import Epoch
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.settings import JOINT
from hpsearch.spec.weights import Weights

__all__ = [
    "ALLOWED", "BATCH", "CLOCK_S", "CODE", "EVERY", "NOT_BEGUN", "OFF", "STOPPED", "TESTING",
    "TRAINED_BY",
    "UNTRAINABLE",
    "Artifact", "Duty", "Ending", "Hold", "Key", "Known", "Lease", "NewStudy", "Outlook", "Serves",
    "State", "Study", "TimedEpoch", "Work", "Worker", "Write", "command_hash", "lacking", "needed",
    "refusal",
]  # fmt: skip

UNTRAINABLE = "untrainable"
"""User attribute of a failed trial whose settings can never be trained: no retry changes that."""

BATCH = "batch"
"""What a study's sanity has where it follows the recipe: how well one batch was learnt by heart."""

OFF = "off"
"""User attribute of a trial: settings of regularisation at the value that does nothing, where its
parameters or the study's constants do not say so."""

State = Literal["open", "paused", "stopped", "done"]

CLOCK_S = 1.0
"""By so much a clock may be set back without anything being late for it."""

CODE = "code"
"""What is suspected where a study is stopped for its own code, or that of an installed package."""

ALLOWED = "command *"
"""What a worker serves that may run the commands of any study, as `Study.needs` names it."""

TRAINED_BY = "code"
"""User attribute of a trial: the first digits of the hash of the own code that has trained it; of
one that has continued with other code those of both, with a comma between."""

STOPPED = "stopped"
"""Why a trial ended that was under way when its study was stopped."""

NOT_BEGUN = "stopped before it began"
"""Why one ended that a worker had at hand then, and had not begun to train."""

Key = tuple[int, int, int]
"""Of a lease: study_id, the ticket's number, fence."""


@dataclass(frozen=True, kw_only=True)
class NewStudy:
    """A study that is to be made. What its fields mean is said at `Study`."""

    name: str
    direction: str
    digest: str
    document: Mapping[str, Any]
    base: str
    tickets: int
    """With those of its finish."""
    crash_limit: int
    hours: float | None = None
    stage: Mapping[str, Any] = field(
        default_factory=lambda: {"name": JOINT, "first": 0, "count": None}
    )
    """The first one: plain values, of which the ledger reads `name`, `first`, the draw index of its
    first ticket, and `count`, None: all there are. By default the one of a study without stages."""
    early: bool = False
    final: Mapping[str, Any] | None = None
    priority: int = 0
    max_parallel: int | None = None
    code: Manifest | None = None
    """The files of its own code; None: it has none."""


@dataclass(frozen=True)
class Study:
    """A study as the ledger keeps it."""

    study_id: int
    name: str
    uid: str
    """Never used again, even where the database gives a deleted study's id to a new one."""
    direction: str
    """maximize or minimize."""
    digest: str
    document: Mapping[str, Any]
    base: str
    """The study file's folder: relative paths in the document start there."""
    state: State
    priority: int
    max_parallel: int | None
    """The most trials under way at once; None: no limit."""
    crash_limit: int
    """Lost workers in a row, with no new epoch between them, after which a trial FAILs."""
    tickets: int
    """The budget."""
    issued: int
    drawn: int
    """Tickets issued that are not retries."""
    floor: int
    """Every number below it has been issued; above it some may have been, out of their order."""
    floor_origin: int
    """Of the numbers below the floor, how many are not retries."""
    ended: int
    opened: int | None
    """Origins below it belong to stages that have been opened; None: all do."""
    early: bool
    """Whether a ticket of the polish's share may be drawn while the tickets of an earlier stage are
    under way and none is left to issue."""
    finish: Literal["due", "open", "done"] | None
    """How far the finish after the search is; None: there is none."""
    hours: float | None
    active_s: float
    """Seconds in which any worker held a lease."""
    data: Mapping[str, Any] | None
    """What the first worker found: fingerprint of the data, split, sizes."""
    sanity: Mapping[str, Any] | None = None
    """Whether the default configuration learns at all: `suspect`, `said`, `stops`, and the `rate`
    at which it does where its own does not; of one that follows the recipe the `batch` that was
    learnt by heart. None: nobody has looked."""
    final: Mapping[str, Any] | None = None
    """What its finish takes, `top` and `seeds`; None: it has none."""
    code: str | None = None
    """Hash of the files of its own code; None: it has none."""

    @property
    def refused(self) -> str | None:
        """Why nothing can be learnt in it, where it was stopped for that."""
        refused = self.state == "stopped" and self.sanity is not None and self.sanity["stops"]
        return str(self.sanity["said"]) if refused and self.sanity else None

    @property
    def spent(self) -> int:
        """Trials of the budget that have ended. Those that a refusal has ended cost nothing: they
        are run again once it continues."""
        return 0 if self.refused else self.ended

    @property
    def needs(self) -> tuple[str, ...]:
        """What a worker of it has to serve: the study itself, its family, source and task, such as
        `family mlp`, its own code, by the hash of that, and files of weights, by theirs. What a
        damaged document does not name is for its readers to complain of."""
        parts = {
            "family": ("network", "family"), "source": ("data", "source"), "task": ("data", "task"),
        }  # fmt: skip
        needs = [f"study {self.name}"]
        for kind, (section, key) in parts.items():
            content = self.document.get(section)
            name = content.get(key) if isinstance(content, dict) else None
            needs += [f"{kind} {name}"] if isinstance(name, str) else []
        train = self.document.get("train")
        if isinstance(train, dict) and train.get("command") is not None:
            needs.append(f"command {command_hash(train['command'])}")
        needs += [f"code {self.code}"] if self.code else []
        return (*needs, *self._weights)

    @property
    def _weights(self) -> tuple[str, ...]:
        """`weights NAME HASH` of each file that its networks begin with."""
        network = self.document.get("network")
        hashes = network.get("hashes") if isinstance(network, dict) else None
        return Weights(hashes=hashes).needs if isinstance(hashes, dict) else ()

    @property
    def left_s(self) -> float | None:
        """Seconds of its hours of work that are left, not below 0; None: there is no limit, or it
        is in its finish, which has none."""
        if self.hours is None or self.finish == "open":
            return None
        return max(self.hours * 3600 - self.active_s, 0.0)

    @property
    def is_out_of_time(self) -> bool:
        """Whether its hours of work are spent; a finish continues all the same."""
        return self.left_s == 0

    @property
    def left(self) -> int:
        """Tickets of the budget that may be issued now."""
        if self.is_out_of_time:
            return 0
        left = self.tickets - self.issued
        return left if self.opened is None else min(left, self.opened - self.drawn)

    @property
    def awaits_stage(self) -> bool:
        """Whether the next ticket is one of a stage that is not open yet."""
        more = self.issued < self.tickets and (not self.is_out_of_time or self.finish == "due")
        return more and self.left == 0

    @property
    def awaits_verdict(self) -> bool:
        """Whether the trials of a finish have ended, and it remains to look at the test part."""
        return self.finish == "open" and self.ended == self.issued == self.tickets


@dataclass(frozen=True)
class Serves:
    """Which studies a worker serves."""

    studies: tuple[str, ...] = ()
    """Names; none: every one."""
    has: frozenset[str] | None = None
    """Families, sources and tasks that are installed where it runs, the code that it may run, and
    the files of weights that it has looked for and found, as `Study.needs` names them; None:
    all."""

    @property
    def lines(self) -> tuple[str, ...]:
        """All that it serves, as `Study.needs` names it; `family *` is every family."""
        names = [f"study {name}" for name in self.studies or "*"]
        every = ("family *", "source *", "task *", "code *", "weights *", ALLOWED)
        return *names, *sorted(every if self.has is None else self.has)

    def also(self, needs: Collection[str]) -> Serves:
        """The same with more of what studies need."""
        return self if self.has is None else replace(self, has=self.has | {*needs})

    def lacks(self, study: Study) -> tuple[str, ...]:
        """What the study needs and the worker does not have."""
        return lacking(self.lines, study)


def lacking(lines: Collection[str], study: Study) -> tuple[str, ...]:
    """What a study needs, as `Study.needs` names it, and a worker of these `Serves.lines` lacks."""
    return tuple(
        need for need in study.needs
        if need not in lines and f"{need.partition(' ')[0]} *" not in lines
    )  # fmt: skip


def refusal(sanity: Mapping[str, Any]) -> HpsearchError:
    """The error for a study that was stopped before its first trial, by what was found."""
    kind = CodeError if sanity.get("suspect") == CODE else DataError
    return kind(str(sanity["said"]))


def command_hash(words: object) -> str:
    """What a command is known by: a worker of one study file runs that file's and no other."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def needed(needs: Sequence[str]) -> str:
    """What a study needs, in words: `the family vit and its own code (--code DIR)`."""
    return " and ".join(map(_in_words, needs))


def _in_words(need: str) -> str:
    kind, _, name = need.partition(" ")
    if kind == "command":
        return "leave to run commands (--allow-commands)"
    if kind == "code":
        return "its own code (--code DIR)"
    if kind == "weights":
        return f"the weights {name.rpartition(' ')[0]}"
    family = FAMILIES.find(name) if kind == "family" and name in FAMILIES.own else None
    way = f" (pip install 'hpsearch[{family.extra}]')" if family and family.extra else ""
    return f"the {need}{way}"


EVERY = Serves()
"""Every study."""


@dataclass(frozen=True)
class Outlook:
    """What a worker sees that has nothing to do, of the studies that it was started for."""

    waiting: Sequence[Study]
    """The studies that have a ticket to give now, the one to serve first at the head."""
    open: Sequence[Study]
    others: Sequence[Study]
    """Open studies that it has to leave to other workers; they are in neither of those two."""
    abandoned: bool
    """Whether a stopped study has a trial that nobody holds: `Ledger.sweep` ends it."""


@dataclass(frozen=True)
class Work:
    """A ticket that a worker holds."""

    study: str
    trial: int | None
    """Optuna's number; None: it has no parameters yet."""
    epoch: int
    """Epochs reported."""


@dataclass(frozen=True)
class Hold:
    """A stretch of time in which a worker held a ticket, in seconds of the database's clock."""

    worker: str
    begun_s: float
    ended_s: float


@dataclass(frozen=True)
class Worker:
    """A worker process that has signed on."""

    worker: str
    host: str
    pid: int
    device: str
    lease_s: float
    """Seconds of silence after which it loses what it holds."""
    started_at: float
    seen_at: float
    stopped_at: float | None
    silent_s: float
    """Seconds since it was last seen, on the database's clock."""
    work: tuple[Work, ...] = ()
    serves: tuple[str, ...] = EVERY.lines
    """What it serves: `Serves.lines`."""

    @property
    def state(self) -> Literal["working", "idle", "lost", "left"]:
        """What it is at: `left` of its own accord or seen to be dead, `lost` without a word."""
        if self.stopped_at is not None:
            return "left"
        if not -CLOCK_S <= self.silent_s <= self.lease_s:  # seen in the future: the clock went back
            return "lost"
        return "working" if self.work else "idle"

    @property
    def is_there(self) -> bool:
        """Whether it has been heard of within its lease."""
        return self.state in ("working", "idle")

    def of(self, study: str) -> tuple[Work, ...]:
        """What it trains of that study now."""
        return tuple(w for w in self.work if w.study == study) if self.is_there else ()


@dataclass(frozen=True)
class Lease:
    """A worker's lease of a ticket. Its writes carry the fence."""

    study_id: int
    number: int
    fence: int
    worker: str
    trial_id: int | None = None
    """The trial that the ticket became under an earlier lease; None: it has no parameters yet."""
    draw_index: int = 0
    """The number to sample by: tickets that are not retries, counted from 0."""
    retry_of: int | None = None
    """The failed ticket that this one runs again."""
    crashes: int = 0
    """Workers that it lost since its last new epoch; one of them may have been its own doing."""
    left_s: float | None = field(default=None, compare=False)
    """Seconds of its study's hours that were left when it was leased; None: there is no limit."""
    opened: int | None = field(default=None, compare=False)
    """Draw indices below it belonged to stages opened when it was leased; None: all do."""

    @property
    def key(self) -> Key:
        """(study_id, number, fence): one for each lease."""
        return self.study_id, self.number, self.fence


TESTING = "test "
"""What the name of the duty to use a study's test part begins with."""


@dataclass(frozen=True)
class Duty:
    """What one process at a time does for a study beside its tickets."""

    name: str
    worker: str | None
    """Who has it; None: nobody."""
    said: str | None
    """How it stands, in a line."""


@dataclass(frozen=True)
class TimedEpoch:
    """What one epoch of a trial gave, and when."""

    epoch: int
    metrics: Mapping[str, float]
    """`train_loss`, and the metrics of the validation part."""
    at_s: float
    """Seconds since 1970: the beginning of the trial and the time of its epochs so far, as the
    database has them, so that it is the same no matter who asks."""


@dataclass(frozen=True)
class Ending:
    """How a trial ends: COMPLETE, PRUNED or FAIL, its value if it has one, the reason if not."""

    state: IntEnum
    """A `TrialState`, the store's or Optuna's."""
    value: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Write:
    """All that is to be written for one held trial at once."""

    lease: Lease
    trial_id: int
    kept: int | None = None
    """Where the trial continues from an earlier epoch than the one reported last: that epoch. Later
    reports are taken back; with 0 it begins again."""
    reports: Sequence[Epoch] = ()
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    ending: Ending | None = None

    def then(self, later: Write) -> Write:
        """This write and a later one of the same lease as one; of an epoch the later report."""
        before = [r for r in self.reports if later.kept is None or r.epoch <= later.kept]
        reports = {report.epoch: report for report in (*before, *later.reports)}
        return Write(
            self.lease,
            self.trial_id,
            kept=self.kept if later.kept is None else later.kept,
            reports=list(reports.values()),
            user_attrs={**self.user_attrs, **later.user_attrs},
            system_attrs={**self.system_attrs, **later.system_attrs},
            ending=later.ending or self.ending,
        )


@dataclass(frozen=True)
class Known:
    """A trial that was made elsewhere, and that a study's samplers know."""

    params: Mapping[str, Any]
    """Its parameters as JSON, by their names in the study file."""
    value: float
    """The study's metric."""
    origin: str
    """Where it comes from, in words."""

    @property
    def key(self) -> str:
        """What is the same for the same parameters and value, wherever they come from."""
        return json.dumps([dict(self.params), self.value], sort_keys=True)

    @property
    def text(self) -> str:
        """As JSON in ASCII, which is how it is kept."""
        row = {"params": dict(self.params), "value": self.value, "origin": self.origin}
        return json.dumps(row)

    @property
    def fits(self) -> bool:
        """Whether every database holds it: MySQL's TEXT takes 65,535 bytes, its brackets too."""
        return len(self.text) <= 65_000


@dataclass(frozen=True)
class Artifact:
    """A file that belongs to a study or to one of its trials, as Optuna knows it."""

    artifact_id: str
    filename: str
    mimetype: str
    trial: int | None = None
    """Optuna's number; None: it is of the study as a whole."""

    @property
    def key(self) -> str:
        """The system attribute that it is kept under, as `optuna.artifacts.upload_artifact` names
        it."""
        return f"artifacts:{self.artifact_id}"

    @property
    def value(self) -> str:
        """What that attribute says: the fields of `optuna.artifacts.ArtifactMeta` as JSON text."""
        return json.dumps({
            "artifact_id": self.artifact_id, "filename": self.filename, "mimetype": self.mimetype,
            "encoding": None,
        })  # fmt: skip
