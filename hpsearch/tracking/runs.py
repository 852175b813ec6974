"""MLflow's runs: the one module that speaks with MLflow.

MLflow's client repeats a request that seems lost, which makes a second run where the first request
did arrive. Here nothing is repeated blindly: anyone who gets an error looks at what there is first.
"""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from hpsearch import passwords
from hpsearch.errors import TrackingError, line
from hpsearch.tracking.facts import ENDED, STUDY, Point
from hpsearch.tracking.target import MISSING, Target, installed, refusal, silence

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Run", "Runs"]

P = ParamSpec("P")
T = TypeVar("T")

_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What MLflow's client reads from the environment, for the whole process."""

_USUAL = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
"""The same, where the user has not said otherwise."""

_PAGE = 1000
_POINTS, _PARAMS, _TAGS = 800, 100, 100
"""MLflow takes at most 1000 entries a request, and so many of a kind."""

_STATUS = re.compile(r"\b(?:error code|status code:?|too many) (\d{3})\b")


@dataclass(frozen=True)
class Run:
    """A run that is there."""

    run_id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: frozenset[str]
    """The keys of its metrics."""
    status: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing is to come to it any more."""
        return self.status in ENDED


def _told(body: Callable[Concatenate[Runs, P], T]) -> Callable[Concatenate[Runs, P], T]:
    """Make one line of whatever MLflow's client raises."""

    @functools.wraps(body)
    def telling(self: Runs, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return body(self, *args, **kwargs)
        except TrackingError:
            raise
        except Exception as error:
            raise TrackingError(_words(self.target, error)) from error

    return telling


class Runs:
    """The runs of one experiment. Every method raises TrackingError where MLflow is of no use."""

    def __init__(self, target: Target) -> None:
        """Nothing is asked of it yet. TrackingError where MLflow's client is not installed."""
        if not installed():
            raise TrackingError(MISSING)
        passwords.learn(target.uri)
        os.environ.update(_SETTINGS)
        for name, value in _USUAL.items():
            os.environ.setdefault(name, value)
        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.target = target
        self._client: Any = None
        self._experiment: str | None = None

    @property
    @_told
    def client(self) -> Any:
        """MLflow's own client: to load it takes seconds, and a SQLite file is made by it."""
        if self._client is None:
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=self.target.uri)
        return self._client

    @property
    @_told
    def experiment(self) -> str:
        """The id of the experiment, which is made where it is not there."""
        if self._experiment is None:
            self._experiment = self._known() or self._made()
        return self._experiment

    def _known(self) -> str | None:
        experiment = self.client.get_experiment_by_name(self.target.experiment)
        if experiment is not None and experiment.lifecycle_stage != "active":
            raise TrackingError(
                f"MLflow's experiment {self.target.experiment!r} at {self.target.name} is deleted: "
                "restore it there, or name another one: track.experiment"
            )
        return None if experiment is None else str(experiment.experiment_id)

    def _made(self) -> str:
        try:
            made = self.client.create_experiment(self.target.experiment, self.target.artifacts)
        except Exception:
            if (experiment := self._known()) is not None:  # another has made it just now
                return experiment
            raise
        return str(made)

    @_told
    def of_study(self, uid: str) -> list[Run]:
        """All runs of a study, its own and those of its trials; deleted ones are left out."""
        return [_run(one) for one in self._pages(f"tags.`{STUDY}` = '{uid}'")]

    def _pages(self, where: str) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], filter_string=where, max_results=_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    @_told
    def points(self, run: Run) -> set[Point]:
        """Every metric that a run has."""
        return {
            Point(key, float(one.value), int(one.timestamp), int(one.step))
            for key in run.metrics for one in self.client.get_metric_history(run.run_id, key)
        }  # fmt: skip

    @_told
    def create(self, name: str, started_ms: int, tags: Mapping[str, str]) -> Run:
        """Make a run with these tags, at once or not at all."""
        made = self.client.create_run(self.experiment, started_ms, dict(tags), name)
        return _run(made)

    @_told
    def add(
        self, run_id: str, points: Sequence[Point], params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Add metrics, parameters and tags to a run, in as few requests as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = _parts([Metric(p.key, p.value, p.at_ms, p.step) for p in points], _POINTS)
        named = _parts([Param(*item) for item in (params or {}).items()], _PARAMS)
        tagged = _parts([RunTag(*item) for item in (tags or {}).items()], _TAGS)
        while metrics or named or tagged:
            parts = {"metrics": metrics, "params": named, "tags": tagged}
            self.client.log_batch(run_id, **{k: v.pop(0) for k, v in parts.items() if v})

    @_told
    def end(self, run_id: str, status: str, ended_ms: int) -> None:
        """End a run, or change how it has ended."""
        self.client.set_terminated(run_id, status, ended_ms)

    @_told
    def reopen(self, run_id: str) -> None:
        """Have a run that had ended continue."""
        self.client.update_run(run_id, status="RUNNING")

    @_told
    def delete(self, run_id: str) -> None:
        """Put a run into MLflow's bin."""
        self.client.delete_run(run_id)

    @_told
    def put_folder(self, run_id: str, folder: Path, name: str) -> None:
        """Put the files of a folder below `name` among a run's files, over those of the same
        names."""
        self.client.log_artifacts(run_id, str(folder), name)

    @_told
    def files(self, run_id: str, folder: str) -> dict[str, int]:
        """The files of a run in a folder: name -> bytes."""
        artifacts = self.client.list_artifacts(run_id, folder)
        return {one.path.rpartition("/")[2]: int(one.file_size or 0) for one in artifacts}

    def page(self, run_id: str) -> str | None:
        """Where a browser shows a run; None: MLflow has no server."""
        if not self.target.uri.startswith(("http://", "https://")):
            return None
        return f"{self.target.name}/#/experiments/{self.experiment}/runs/{run_id}"


def _run(one: Any) -> Run:
    data = one.data
    return Run(
        one.info.run_id, dict(data.tags), dict(data.params), frozenset(data.metrics),
        one.info.status,
    )  # fmt: skip


def _parts(items: Iterable[Any], size: int) -> list[list[Any]]:
    every = list(items)
    return [every[i : i + size] for i in range(0, len(every), size)]


def _words(target: Target, error: Exception) -> str:
    """What has gone wrong, in a line."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno is not None and cause.strerror:
            if not _is_of_a_server(target):
                break
            return silence(target.name, line(cause))
    text = str(error)
    if (status := _status(error)) is not None and _is_of_a_server(target):
        why = "" if status in (401, 403) else f": {_first(text)}"
        return refusal(target.name, status) + passwords.hide(why)
    if any("timed out" in str(cause).lower() for cause in causes) and _is_of_a_server(target):
        return silence(target.name, "no answer in time")
    return passwords.hide(f"MLflow at {target.name}: {_first(text) or type(error).__name__}")


def _is_of_a_server(target: Target) -> bool:
    return target.uri.startswith(("http://", "https://"))


def _status(error: Exception) -> int | None:
    """The HTTP status of an error's answer; None: it has none, or it is no fault of a server."""
    if match := _STATUS.search(str(error)):
        return int(match[1])
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it: MLflow's client wraps it, and so do its libraries."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [other for other in inner if isinstance(other, BaseException)]


def _first(text: str) -> str:
    """The first sentence or line, without what MLflow's errors begin with."""
    first = text.strip().partition("\n")[0]
    first = re.sub(r"^[A-Z_]{4,}: ", "", first)
    return first if len(first) <= 200 else f"{first[:200]} ..."
