"""The sections of a study file that have fixed keys. Ranges stand here or in the catalogue.

The docstring under a field is what an editor shows for it, through the JSON Schema. What two
fields have to agree on is checked in `checks`, so that every fault shows at once.
"""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    SkipValidation,
    Strict,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from hpsearch.spec import settings, versions
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.keys import Count, Positive, Section, Text, declared, one_of
from hpsearch.spec.source import DataSpec
from hpsearch.spec.task import TASKS
from hpsearch.spec.train import ResourcesSpec, TrainSpec
from hpsearch.spec.weights import NONE

__all__ = [
    "KEEPS",
    "MOST_TRIALS",
    "STRATEGIES",
    "AshaPruner",
    "BudgetSpec",
    "FinalSpec",
    "HyperbandPruner",
    "MedianPruner",
    "MetricSpec",
    "NetworkSection",
    "NoPruner",
    "PatientPruner",
    "PercentilePruner",
    "PrunerSpec",
    "RetrySpec",
    "SearchSpec",
    "StageSpec",
    "StoredNetworkSection",
    "StudySections",
    "ThresholdPruner",
    "TrackSpec",
]

MOST_TRIALS = 1_000_000
"""A guard against a slip of the keyboard: more tickets than a study can spend."""

MOST_HOURS = 1_000_000
"""The same of its hours: more than a century."""

MOST_SLOTS = 1024
"""Candidates that may be asked to be trained as one."""

STRATEGIES = (settings.JOINT, "staged", settings.RECIPE)
KEEPS = ("best", "last")


def _family(value: object) -> object:
    """Accepts the name of a family; others are looked for only where it is none of ours."""
    return declared(value, FAMILIES, "family")


def _metric(value: object) -> object:
    """Accepts the name of a metric of any task; that it suits the study's is checked later."""
    for installed in (False, True):
        tasks = TASKS.all(installed=installed).values()
        names = tuple(dict.fromkeys(m.name for task in tasks for m in task.metrics))
        if isinstance(value, str) and value in names:
            return value
    by_task = (
        f"{', '.join(metric.name for metric in task.metrics)} for {task.name}"
        for task in sorted(tasks, key=lambda task: not task.usual)
    )
    expected = f"one of {'; '.join(by_task)}"
    raise PydanticCustomError("expected", "a metric", {"expected": expected, "names": names})


def _stack(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value in ("auto", "off") or (whole and 1 <= value <= MOST_SLOTS):  # type: ignore[operator]
        return value
    expected = f"auto, off, or a whole number of 1 to {MOST_SLOTS}"
    raise PydanticCustomError("expected", "auto, off or a number", {"expected": expected})


StackSize = Annotated[
    str | int,
    PlainValidator(
        _stack,
        json_schema_input_type=Literal["auto", "off"] | Annotated[int, Field(ge=1, le=MOST_SLOTS)],
    ),
]
FamilyName = Annotated[str, PlainValidator(_family, json_schema_input_type=str)]
MetricName = Annotated[str, PlainValidator(_metric, json_schema_input_type=str)]
KeepName = Annotated[str, one_of(KEEPS)]
DirectionName = Annotated[str, one_of(get_args(settings.Direction))]
StrategyName = Annotated[str, one_of(STRATEGIES)]
PrunerName = Annotated[str, one_of(settings.PRUNERS)]


class MetricSpec(Section):
    """A metric, with the direction that it is improved in."""

    name: MetricName
    """One of the task's metrics."""
    direction: DirectionName
    """Whether it is to grow or to shrink: what the metric itself says."""


class NetworkSection(Section):
    """The networks that are searched: those of a `family`, or those that a function of your own
    builds, `module: FILE.py:FUNCTION`; other keys beside it are constants for that function
    (docs/guides/own-module.md)."""

    family: FamilyName
    """Family of networks; its settings are what `parameters` can name."""
    weights: Text = NONE
    """What networks begin with, but for their last layer: `none` (drawn weights), `pretrained`
    (those that the makers of a model publish), a file of weights, or a folder that `hpsearch best
    --save` made (docs/guides/fine-tuning.md). A path is relative to this file."""


class StoredNetworkSection(NetworkSection):
    """The section as the database keeps it."""

    hashes: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file of weights: see `hpsearch.spec.weights.Weights`."""


class PrunerSpec(Section):
    """A pruner: what stops a weak trial early. Options have Optuna's names and meanings."""

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Option -> value, all of them, under Optuna's names."""
        return {key: getattr(self, key) for key in type(self).model_fields if key != "name"}

    def steps(self, version: int) -> dict[str, Any]:
        """The options as Optuna takes them, whose `n_warmup_steps` is the first step that it may
        stop at. Ours are numbered from 1: studies of version 1 spared one epoch less.
        """
        options = self.options
        if version > versions.FIRST and "n_warmup_steps" in options:
            options["n_warmup_steps"] += 1
        return options


class AshaPruner(PrunerSpec):
    """Asynchronous successive halving (Optuna's SuccessiveHalvingPruner)."""

    name: Literal["asha"]
    min_resource: Positive = 1
    """Epochs before the first halving."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """Each halving keeps one trial in this many."""
    min_early_stopping_rate: Count = 0
    """Halvings to leave out at the start."""
    bootstrap_count: Count = 0
    """Trials that must reach a halving before it stops any."""


class HyperbandPruner(PrunerSpec):
    """Several successive halvings side by side, each with a different minimum resource."""

    name: Literal["hyperband"]
    min_resource: Positive = 1
    """Epochs before the first halving."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """Each halving keeps one trial in this many."""
    bootstrap_count: Count = 0
    """Trials that must reach a halving before it stops any."""


class MedianPruner(PrunerSpec):
    """Stops a trial whose best value is worse than the median of the others at that epoch."""

    name: Literal["median"]
    n_startup_trials: Count = 5
    """Trials that must be complete before any is stopped."""
    n_warmup_steps: Count = 0
    """Epochs in which no trial is stopped: with 3 the first that may be is the fourth."""
    interval_steps: Positive = 1
    """Epochs between checks."""
    n_min_trials: Positive = 1
    """Values that an epoch needs before it is used for a check."""


class PercentilePruner(PrunerSpec):
    """Stops a trial whose best value is not among the best `percentile` at that epoch."""

    name: Literal["percentile"]
    percentile: Annotated[float, Field(ge=0, le=100)] = 25.0
    """Percentage of trials that continue."""
    n_startup_trials: Count = 5
    """Trials that must be complete before any is stopped."""
    n_warmup_steps: Count = 0
    """Epochs in which no trial is stopped: with 3 the first that may be is the fourth."""
    interval_steps: Positive = 1
    """Epochs between checks."""
    n_min_trials: Positive = 1
    """Values that an epoch needs before it is used for a check."""


class PatientPruner(PrunerSpec):
    """Lets another pruner stop a trial only after epochs without a better value."""

    name: Literal["patient"]
    patience: Count
    """Epochs allowed without a better value."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """How much better a value has to be."""
    wrapped: "AnyPruner | None" = None
    """The pruner that decides then; with `none`, every such trial is stopped."""


class ThresholdPruner(PrunerSpec):
    """Stops a trial whose value leaves the bounds, or is not a number."""

    name: Literal["threshold"]
    lower: float | None = None
    """Smallest value that continues."""
    upper: float | None = None
    """Largest value that continues."""
    n_warmup_steps: Count = 0
    """Epochs in which no trial is stopped: with 3 the first that may be is the fourth."""
    interval_steps: Positive = 1
    """Epochs between checks."""


class NoPruner(PrunerSpec):
    """Every trial trains all its epochs."""

    name: Literal["none"]


def _named(value: object) -> object:
    """A pruner's name alone is the pruner with its defaults."""
    return {"name": value} if isinstance(value, str) else value


_Pruners = Annotated[
    AshaPruner
    | HyperbandPruner
    | MedianPruner
    | PercentilePruner
    | PatientPruner
    | ThresholdPruner
    | NoPruner,
    Field(discriminator="name"),
]
AnyPruner = Annotated[
    _Pruners, BeforeValidator(_named, json_schema_input_type=PrunerName | _Pruners)
]
PatientPruner.model_rebuild()


StageName = Annotated[str, one_of((settings.WARMUP, *settings.GROUPS, settings.POLISH))]
GroupName = Annotated[str, one_of(settings.GROUPS)]


class StageSpec(Section):
    """One stage of a staged search."""

    stage: StageName
    """`warmup`, a priority group, or `polish`."""
    share: Annotated[float, Field(gt=0, le=1_000_000)]
    """Share of the trials, relative to the other stages' shares."""
    retune: Annotated[tuple[Text, ...], Strict(False)] = ()
    """Parameters of other groups that the stage searches too, in a narrow range."""


class SearchSpec(Section):
    """How trials are proposed and stopped."""

    strategy: StrategyName = "joint"
    """`joint`: the parameters of all groups are searched together. `staged`: a joint warm-up, a
    short stage for each group in order of priority, and a joint polish around the winner.
    `recipe`: the training rows are learnt by heart, then regularisation and smaller networks are
    searched, then what is left around the winner."""
    priority: Annotated[tuple[GroupName, ...], Strict(False)] = ()
    """Order of the groups' stages, the most important first; it names all groups that are
    searched."""
    stages: Annotated[tuple[StageSpec, ...], Strict(False)] = ()
    """Your own list of stages for a staged search."""
    carry: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of best configurations that a group's stage is searched around."""
    widen: bool = False
    """Whether the polish may leave a range once, if the winner is at its edge."""
    overlap: bool = False
    """Without effect; kept for files of hpsearch 0.1. A worker that finds nothing left in a stage
    begins with the polish."""
    sampler: Annotated[
        dict[str, str],
        WithJsonSchema(
            {
                "anyOf": [
                    {"enum": list(settings.SAMPLERS)},
                    {
                        "type": "object",
                        "propertyNames": {"enum": list(settings.GROUPS)},
                        "additionalProperties": {"enum": list(settings.SAMPLERS)},
                    },
                ],
                "default": "bayesian",
            }
        ),
    ] = Field(default_factory=dict)
    """What proposes parameters: one sampler, or one for each group. By default `bayesian`; `auto`
    of a staged search, `random` of the recipe."""
    pruner: AnyPruner = AshaPruner(name="asha")
    """What stops weak trials early: its name, or its name and options; by default `asha`."""
    stack: StackSize = "auto"
    """Number of trials of one shape (network, batch size, optimizer, loss) that a device trains as
    one: `auto`, as many as pay off in a short dry run and fit into memory; `off`; or a number."""
    sanity: bool = True
    """Whether the default configuration has to learn a handful of training rows by heart before the
    first trial. A study in which nothing can be learnt stops, with the reason."""
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    """Seed of the samplers, and of every trial's first weights and order of rows."""

    @property
    def slots(self) -> int | None:
        """The most candidates to train as one; None: as many as pay."""
        if isinstance(self.stack, int):
            return self.stack
        return 1 if self.stack == "off" else None


class BudgetSpec(Section):
    """What the study may spend."""

    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = None
    """Number of trials. Optional if the sampler is `grid`: then all cells."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    """Most epochs that a trial runs. With `train` it has no default."""
    hours: Annotated[float, Field(gt=0, le=MOST_HOURS)] | None = None
    """Hours by the clock in which at least one worker trains the study; by default no limit. When
    they are spent no trial begins, and those under way end after their current epoch: COMPLETE if
    one is the best so far, else PRUNED. A finish is not counted, nor is time in which no worker
    serves the study, except the rest of the lease of a worker that died."""
    stop_after: Positive | None = None
    """Epochs without a better value after which a trial ends, as COMPLETE; by default it trains to
    its last epoch."""


class RetrySpec(Section):
    """What happens to a trial whose worker dies."""

    crash: Annotated[int, Field(ge=1, le=1000)] = 3
    """How often in a row a trial may lose its worker without finishing a new epoch; then it ends as
    FAIL, so that it does not take down one worker after another. A worker that gives a trial back
    does not count. A stack loses its worker as a whole: with 2 or more, each of its trials then
    trains its next epoch alone, so that only the one to blame fails."""


class FinalSpec(Section):
    """The honest finish: the best few again, then the test part once."""

    top: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of best completed trials that are trained again, beside the default configuration."""
    seeds: Annotated[int, Field(ge=2, le=1000)] = 5
    """How often each is trained, every time from other first weights and with the rows in another
    order. The winner has the best mean on validation data."""


class TrackSpec(Section):
    """Where the study can be followed beside hpsearch's own commands."""

    mlflow: Text
    """MLflow's tracking server, `http://HOST:5000`, or its database, such as
    `sqlite:///mlflow.db`, whose relative path starts at this file. Without a password."""
    experiment: Text = "hpsearch"
    """MLflow's experiment for the runs; it is made if it does not exist."""


class StudySections(Section):
    """A study: what is searched, on which data, how, and at which cost."""

    # The sections are checked one by one, so that a fault in one hides nothing in the others.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Name of the study in the database: letters, digits, and . _ - after the first."""
    data: SkipValidation[DataSpec | None] = None
    network: SkipValidation[NetworkSection | None] = None
    train: SkipValidation[TrainSpec | None] = None
    """Your own training code, in place of `data` and `network` (docs/guides/own-loop.md)."""
    resources: SkipValidation[ResourcesSpec] = ResourcesSpec()
    metric: (
        Annotated[str, PlainValidator(_metric, json_schema_input_type=str | MetricSpec)] | None
    ) = None
    """What the search improves, measured on validation data after every epoch: a name, or name and
    direction. `accuracy` by default; required for tables, arrays, series and data of your own. The
    direction follows from the name."""
    keep: KeepName = "best"
    """Which epoch gives a trial its value and its network: the `best` one, or the `last`."""
    parameters: Any
    start: Any = ()
    search: SkipValidation[SearchSpec] = SearchSpec()
    budget: SkipValidation[BudgetSpec] = BudgetSpec()
    retry: SkipValidation[RetrySpec] = RetrySpec()
    final: SkipValidation[FinalSpec | None] = None
    """What happens after the search; by default nothing."""
    checkpoints: Text | None = None
    """Where checkpoints lie, for all workers of the study: a folder, relative to this file, or a
    URL that fsspec knows, such as `s3://bucket/prefix`; by default beside the SQLite file, else in
    the user's data folder."""
    track: SkipValidation[TrackSpec | None] = None
    """MLflow, which gets parameters, metrics, pictures and the best network while the study runs
    (docs/guides/mlflow.md); by default none. `HPSEARCH_MLFLOW` overrides it."""
