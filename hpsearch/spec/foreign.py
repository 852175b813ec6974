"""Words of other programs in a study file: each is one fault, which says ours.

What is noted is also put into `content` in our words, so that nothing else is said of it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hpsearch.code import is_reference
from hpsearch.spec.dialects import called, number, theirs, translated, written
from hpsearch.spec.faults import printable, show
from hpsearch.spec.settings import GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.faults import Faults, Path

__all__ = ["PRUNERS", "SAMPLERS", "note_foreign", "program_of"]

SAMPLERS: Mapping[str, str] = {
    "bayes": "bayesian", "bayesianoptimization": "bayesian", "bayesopt": "bayesian",
    "gp": "bayesian", "gpsampler": "bayesian", "ax": "bayesian", "botorch": "bayesian",
    "tpesampler": "tpe", "multivariate-tpe": "tpe", "hyperopt": "tpe", "optuna": "tpe",
    "hyperband": "tpe", "bohb": "tpe", "pbt": "tpe",
    "randomsampler": "random", "randomsearch": "random", "random_search": "random",
    "gridsampler": "grid", "gridsearch": "grid", "grid_search": "grid", "brute": "grid",
    "cmaessampler": "cmaes", "cma-es": "cmaes", "cma_es": "cmaes",
    "qmcsampler": "qmc", "sobol": "qmc",
}  # fmt: skip
"""A sampler or a search algorithm elsewhere, in small letters -> ours."""

PRUNERS: Mapping[str, str] = {
    "medianpruner": "median", "medianstop": "median", "medianstoppingrule": "median",
    "successivehalvingpruner": "asha", "successive_halving": "asha", "sha": "asha",
    "ashascheduler": "asha", "asynchyperband": "asha", "asynchyperbandscheduler": "asha",
    "hyperbandpruner": "hyperband", "hyperbandscheduler": "hyperband", "hyperbandforbohb": "asha",
    "percentilepruner": "percentile", "patientpruner": "patient", "wilcoxonpruner": "median",
    "thresholdpruner": "threshold", "noppruner": "none", "fifo": "none", "fifoscheduler": "none",
}  # fmt: skip
"""A pruner, scheduler or rule of early stopping elsewhere, in small letters -> ours."""

_LONGEST = 160
"""Characters of a fault that come from the file."""

_TRIALS = ("n_trials", "num_trials", "num_samples", "max_trials", "maxTrialCount", "run_cap",
           "maxTrialNumber", "max_evals", "trial_budget", "max_num_trials")  # fmt: skip
_EPOCHS = ("max_epochs", "num_epochs", "n_epochs", "max_iter", "max_t")
_SECONDS = ("timeout", "time_budget_s", "maxExperimentDuration")
_PARALLEL = ("n_jobs", "max_concurrent_trials", "max_concurrent", "parallelTrialCount",
             "trialConcurrency", "parallel_trial_count")  # fmt: skip
_DIRECTIONS = ("direction", "directions", "mode", "goal", "optimize_mode")
_SPACES = ("search_space", "searchSpace", "config", "space", "hyperparameters", "params",
           "param_space")  # fmt: skip
_BELOW: Mapping[str, str] = {
    **dict.fromkeys(("trials", "epochs", "hours", "stop_after"), "budget"),
    **dict.fromkeys(("sampler", "pruner", "seed", "strategy", "stages", "slots"), "search"),
}
"""Our own keys that stand where none of them belongs -> their section."""
_NAMES: Mapping[str, str] = {
    "learning_rate": "lr", "learningRate": "lr", "learning-rate": "lr", "wd": "weight_decay",
    "weightDecay": "weight_decay", "batchsize": "batch_size", "batchSize": "batch_size",
    "bs": "batch_size", "dropout_rate": "dropout", "drop_rate": "dropout", "optim": "optimizer",
    "lr_scheduler": "schedule", "scheduler": "schedule", "grad_clip": "clip",
}  # fmt: skip
"""Settings of training as others call them -> ours."""


_METRICS: Mapping[str, str] = {
    "acc": "accuracy", "auc": "auroc", "roc_auc": "auroc", "f1_score": "f1", "f1-score": "f1",
    "mean_squared_error": "mse", "mean_absolute_error": "mae", "r2_score": "r2",
    "root_mean_squared_error": "rmse",
}  # fmt: skip
"""Metrics as others call them, in small letters and without `val_` -> ours."""
_DATA: Mapping[str, str] = {
    **dict.fromkeys(("label", "labels", "label_column", "target_column", "y", "output"), "target"),
    **dict.fromkeys(("file", "filename", "csv", "data_path", "url", "folder"), "path"),
}  # fmt: skip
"""Keys of a table's section as others call them -> ours."""
_SECTIONS: Mapping[str, str] = {"dataset": "data", "model": "network", "net": "network"}
"""Sections as others call them -> ours."""


def program_of(content: object) -> str:
    """The program that a whole file is of, `a W&B sweep` or `a Katib experiment`; "" for ours."""
    if not isinstance(content, dict):
        return ""
    kubernetes = str(content.get("apiVersion", "")).startswith("kubeflow.org/")
    if kubernetes and content.get("kind", "Experiment") == "Experiment":
        return "a Katib experiment"
    parameters = isinstance(content.get("parameters"), dict)
    sweep = content.get("method") in ("grid", "random", "bayes") or "program" in content
    if parameters and sweep and not content.keys() & {"data", "network", "train"}:
        return "a W&B sweep"
    return ""


def note_foreign(content: dict[str, Any], faults: Faults, source: str) -> None:
    """Note the words of other programs in a file, and put ours into `content`.

    Raises StudyFaultsError, with that one fault, for a file that is another program's as a whole.
    """
    if program := program_of(content):
        command = f"hpsearch import {source} -o STUDY.yaml makes a study file of it"
        faults.add((), "a study file", f"{program}: {command}")
        faults.stop(source)
    _Reader(content, faults).read()


class _Reader:
    """Reads one file for words that are not ours."""

    def __init__(self, content: dict[str, Any], faults: Faults) -> None:
        self._content, self._faults = content, faults

    def read(self) -> None:
        for key in [*self._content]:
            self._top(key)
        self._short()
        self._data()
        self._metric()
        self._budget()
        self._search()
        self._parameters()

    def _note(self, path: Path, expected: str, got: object = None, *fixed: Path) -> None:
        """One fault; nothing else is said of `path`, nor of what it says in other words."""
        wording = got if isinstance(got, str) else show(path[-1])
        expected = printable(
            expected if len(expected) <= _LONGEST else f"{expected[:_LONGEST]} ..."
        )
        self._faults.add(path, expected, wording)
        self._faults.quiet(path, *fixed)

    def _put(self, section: str, key: str, value: object) -> None:
        """What a word means, where it belongs."""
        if self._content.get(section) is None:  # `budget:`, and its keys as far to the left
            self._content[section] = {}
        target = self._content[section]
        if isinstance(target, dict):
            target.setdefault(key, value)

    def _below(self, key: str, section: str, name: str, value: object, got: object = None) -> None:
        """Note a key at the top whose meaning stands in a section."""
        shown = f"{section}: {{{name}: {written(value)}}}"
        self._note((key,), shown, got, (section, name))
        self._put(section, name, value)

    def _top(self, key: str) -> None:
        value = self._content[key]
        if key in _BELOW:
            got = f"{show(key)} outside of {_BELOW[key]}"
            self._below(key, _BELOW[key], key, value, got)
        elif key in _TRIALS:
            self._below(key, "budget", "trials", value)
        elif key in _EPOCHS:
            self._below(key, "budget", "epochs", value)
        elif key in _SECONDS and (seconds := number(value)):
            self._below(key, "budget", "hours", round(seconds / 3600, 4))
        elif key in ("method", "algorithm", "search_alg"):
            self._below(key, "search", "sampler", _sampler(value) or "bayesian")
        elif key in ("early_terminate", "earlyStopping", "early_stopping", "scheduler"):
            self._below(key, "search", "pruner", _pruner(value) or "hyperband")
        elif key in _PARALLEL:
            self._note((key,), "nothing: hpsearch run FILE --workers N says it")
        elif key == "program":
            self._note((key,), f"train: {{command: [python, {written(value)}]}}", None, ("train",))
            self._content.setdefault("train", {"command": ["python", str(value)]})
        elif key in _DIRECTIONS and key not in ("config",):
            self._direction(key, value)
        elif key in _SPACES and isinstance(value, dict) and "parameters" not in self._content:
            self._note((key,), "parameters", None, ("parameters",))
            self._content["parameters"] = value
        elif key in _SECTIONS and isinstance(value, dict) and not self._content.get(_SECTIONS[key]):
            self._note((key,), _SECTIONS[key], None, (_SECTIONS[key],))
            self._content[_SECTIONS[key]] = value
        else:
            return
        del self._content[key]

    def _short(self) -> None:
        """Sections that are given by their one most important value."""
        for section, key in (("network", "family"), ("data", "source"), ("train", "command"),
                             ("budget", "trials"), ("search", "sampler")):  # fmt: skip
            value = self._content.get(section)
            if not isinstance(value, (str, int)) or isinstance(value, bool):
                continue
            ours: dict[str, Any] = {key: value}
            if section == "train":
                is_function = is_reference(value)
                ours = {"function": value} if is_function else {"command": str(value).split()}
                if str(value).endswith(".py"):
                    ours = {"command": ["python", value]}
            elif section == "data" and isinstance(value, str) and "." in value:
                ours = {"source": "table", "path": value, "target": "COLUMN"}
            self._note((section,), f"{section}: {written(ours)}", show(value))
            self._content[section] = ours

    def _direction(self, key: str, value: object) -> None:
        """A direction at the top; of a metric of ours it is known."""
        metric, word = self._content.get("metric"), _direction(value)
        named = metric if isinstance(metric, str) else "NAME"
        shown = f"metric: {{name: {named}, direction: {word}}}"
        if isinstance(metric, str) and "train" not in self._content:
            shown = f"nothing, as {metric} has its direction"
        elif isinstance(metric, str):
            self._content["metric"] = {"name": metric, "direction": word}
            self._faults.quiet(("metric",))
        self._note((key,), shown)

    def _data(self) -> None:
        """A table's file and target by other names."""
        data = self._content.get("data")
        if not isinstance(data, dict) or data.get("source") not in ("table", "csv"):
            return
        for key in [*data]:
            ours = _DATA.get(key)
            if ours is not None and ours not in data:
                self._note(("data", key), ours, None, ("data", ours))
                data[ours] = data.pop(key)

    def _metric(self) -> None:
        metric = self._content.get("metric")
        if isinstance(metric, str) and "train" not in self._content:
            ours = _METRICS.get(metric.lower().removeprefix("val_"))
            if ours is not None:
                self._note(("metric",), ours, show(metric))
                self._content["metric"] = ours
        if not isinstance(metric, dict) or "direction" in metric:
            return
        for key in ("goal", "mode", "optimize_mode", "type"):
            if key in metric:
                word = _direction(metric[key])
                self._note(("metric", key), f"direction: {word}", None, ("metric", "direction"))
                self._content["metric"] = {k: v for k, v in metric.items() if k != key} | {
                    "direction": word}  # fmt: skip
                return

    def _budget(self) -> None:
        budget = self._content.get("budget")
        if not isinstance(budget, dict):
            return
        for key in [*budget]:
            ours, value = ("trials" if key in _TRIALS else "epochs"), budget[key]
            if key in _SECONDS and (seconds := number(value)):
                ours, value = "hours", round(seconds / 3600, 4)
            elif key not in (*_TRIALS, *_EPOCHS):
                continue
            self._note(("budget", key), f"{ours}: {written(value)}", None, ("budget", ours))
            del budget[key]
            budget.setdefault(ours, value)

    def _search(self) -> None:
        search = self._content.get("search")
        if not isinstance(search, dict):
            return
        for key, words in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            value = search.get(key)
            ours = words.get(value.lower()) if isinstance(value, str) else None
            if ours is not None and ours != value:
                self._note(("search", key), ours, show(value))
                search[key] = ours

    def _parameters(self) -> None:
        parameters = self._content.get("parameters")
        if isinstance(parameters, list):
            self._content["parameters"] = parameters = self._listed(parameters)
        if not isinstance(parameters, dict):
            return
        _rejoin(parameters)
        for name in [*parameters]:
            raw = parameters[name]
            if (
                name == "optimizer"
                and isinstance(raw, dict)
                and {"type", "name", "_target_"} & raw.keys()
            ):
                self._parameter(parameters, name, ("parameters", name))
            elif name in GROUPS and isinstance(raw, dict) and not _is_one(raw):
                for inner in [*raw]:
                    self._parameter(raw, inner, ("parameters", name, inner))
            else:
                self._parameter(parameters, name, ("parameters", name))

    def _listed(self, parameters: list[Any]) -> dict[str, Any]:
        """A list of parameters, as Katib, Ax and Vizier have it, by name."""
        by_name = {
            str(one["name"]): one for one in parameters if isinstance(one, dict) and "name" in one
        }
        named = {
            name: {k: v for k, v in one.items() if k != "name"} for name, one in by_name.items()
        }
        ours = {n: (t.ours if (t := translated(raw)) else raw) for n, raw in named.items()}
        example = next(iter(ours.items()), ("lr", {"min": 1e-4, "max": 1e-1}))
        self._note(("parameters",), f"parameters by name, such as {example[0]}: "
                   f"{written(example[1])}", "a list of them")  # fmt: skip
        return ours

    def _parameter(self, target: dict[str, Any], name: str, path: Path) -> None:
        raw = target[name]
        if name == "optimizer" and isinstance(raw, dict):
            kind = raw.get("type", raw.get("name", raw.get("_target_")))
            if isinstance(kind, str):  # {type: Adam, lr: 0.1}
                kind = kind.rpartition(".")[2].lower()
                self._note(path, f"{kind}, and its settings beside it", f"keys {', '.join(raw)}")
                target[name] = kind
                return
        translation = translated(raw)
        if translation is not None:
            lost = f" ({translation.lost} is lost)" if translation.lost else ""
            got = show(raw) if called(raw) else f"another program's keys, {', '.join(theirs(raw))}"
            self._note(path, f"{written(translation.ours)}{lost}", got)
            target[name] = raw = translation.ours
        elif called(raw):
            self._note(path, "{min: ..., max: ...} or {values: [...]}", show(raw))
            target[name] = raw = None
        if name in _NAMES and "train" not in self._content and _NAMES[name] not in target:
            is_group = name in GROUPS and isinstance(raw, dict) and not _is_one(raw)
            own = isinstance(self._content.get("network"), dict) and (
                "module" in self._content["network"]
            )
            if is_group or (own and name not in GROUPS):
                return
            self._note(path, _NAMES[name])
            target[_NAMES[name]] = target.pop(name)
            self._faults.quiet((*path[:-1], _NAMES[name]))


def _rejoin(parameters: dict[str, Any]) -> None:
    """Put together a call that stands in braces without quotes: to YAML what is behind its comma is
    another key."""
    names = [*parameters]
    for name, after in itertools.pairwise(names):
        whole = f"{parameters[name]}, {after}"
        if parameters[after] is None and after.endswith(")") and called(whole):
            parameters[name] = whole
            del parameters[after]


def _is_one(raw: dict[str, Any]) -> bool:
    """Whether a mapping is one parameter and no group of them."""
    ours = {"min", "max", "values", "step", "log"}
    return bool(raw.keys() & ours) or translated(raw) is not None


def _direction(value: object) -> str:
    first = value[0] if isinstance(value, list) and value else value
    return "maximize" if str(first).lower().startswith("max") else "minimize"


def _named(value: object) -> str:
    """The name in a word, or in a mapping that has one."""
    if isinstance(value, dict):
        keys = ("name", "type", "algorithmName", "algorithm", "builtinTunerName")
        value = next((value[key] for key in keys if key in value), "")
    return str(value).lower()


def _sampler(value: object) -> str | None:
    name = _named(value)
    return name if name in ("grid", "random", "tpe", "cmaes") else SAMPLERS.get(name)


def _pruner(value: object) -> str | None:
    name = _named(value)
    return name if name in ("hyperband", "asha", "median") else PRUNERS.get(name)
