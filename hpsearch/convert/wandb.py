"""A W&B sweep -> a study whose trials run its program.

Its keys are described at docs.wandb.ai/guides/sweeps/sweep-config-keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hpsearch.convert.parts import EPOCHS, TRIALS, Converted, Names, Program, study_name
from hpsearch.spec.dialects import number

__all__ = ["convert", "is_sweep"]

_METHODS = {"grid": "grid", "random": "random", "bayes": "bayesian"}
_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
"""What W&B runs where a file has no command."""
_ARGUMENTS = {
    "${args}": ("--NAME=VALUE",),
    "${args_no_boolean_flags}": ("--NAME=VALUE",),
    "${args_no_hyphens}": ("NAME=VALUE",),
    "${args_no_equals}": ("--NAME", "VALUE"),
}
_KNOWN = frozenset({
    "program", "command", "method", "metric", "parameters", "name", "description", "run_cap",
    "early_terminate", "version",
})  # fmt: skip
_WHY = {
    "project": "hpsearch keeps studies in a database of yours, --storage URL",
    "entity": "hpsearch keeps studies in a database of yours, --storage URL",
    "job": "hpsearch runs commands, and no jobs of W&B Launch",
    "image_uri": "the command runs where a worker runs",
    "scheduler": "search.sampler draws the trials",
    "controller": "search.sampler draws the trials",
    "imports": "nothing has to be imported",
}


def is_sweep(content: Mapping[str, Any]) -> bool:
    """Whether a file may be a sweep: it has two of the keys that one has, and says what varies."""
    return len(_KNOWN & content.keys()) > 1 and bool(
        content.keys() & {"parameters", "method", "run_cap"}
    )


def convert(content: Mapping[str, Any], stem: str) -> Converted:
    """The study of a sweep; `stem` is its file's name, where it has none of its own."""
    return _Sweep(content, stem).study()


class _Sweep:
    """One sweep on its way."""

    def __init__(self, content: Mapping[str, Any], stem: str) -> None:
        self._sweep, self._stem = content, stem
        self._found = Converted("a W&B sweep")
        self._program = Program(self._found, Names())
        self._order: list[str] = []
        """The parameters in their order, by their own names."""

    def study(self) -> Converted:
        study, converted = self._found.content, self._found
        study["name"] = study_name(self._sweep.get("name"), self._stem)
        for name, raw in _flat(self._sweep.get("parameters")):
            self._order.append(name)
            self._program.add(name, raw)
        study["train"] = {"command": self._command()}
        study["metric"] = self._metric()
        study["search"] = {"sampler": self._sampler(), "pruner": "none"}
        study["budget"] = self._budget()
        study["parameters"] = self._program.parameters
        self._program.settle_epochs(study["budget"]["epochs"])
        if not study["parameters"]:
            converted.lost.insert(
                0, "parameters: the file has none, and a study searches one or more"
            )
        for key in (key for key in self._sweep if key not in _KNOWN):  # in the file's order
            converted.lost.append(f"{key}: {_WHY.get(key, 'hpsearch has no such key')}")
        return converted

    def _command(self) -> list[str]:
        program = self._sweep.get("program")
        given = self._sweep.get("command")
        if not program and not given:
            self._found.lost.append(
                "program: the file names none, and train.py stands for it; where a function is "
                "trained (wandb.agent), say train: {function: FILE.py:FUNCTION}"
            )
        words = given.split() if isinstance(given, str) else given or _COMMAND
        file = str(program or "train.py")
        command = [new for word in words for new in self._words(str(word), file)]
        whole = " ".join(command)
        unused = [n for n in self._order if self._program.word(n, "VALUE") not in whole]
        if unused:
            self._found.lost.append(
                f"{', '.join(unused)}: no part of the command; a program that reads wandb.config "
                "finds them in the JSON file that HPSEARCH_PARAMS names"
            )
        return command

    def _words(self, word: str, program: str) -> Iterator[str]:
        """The words of a command that one of the sweep's becomes."""
        forms = _ARGUMENTS.get(word)
        if word == "${env}":
            return
        if word == "${args_no_boolean_flags}":
            self._flags()
        if forms is not None:
            for name in self._order:
                yield from (self._program.word(name, form) for form in forms)
        elif "${args_json}" in word:
            pairs = (f"{json.dumps(n)}: {self._json(n)}" for n in self._order)
            yield word.replace("${args_json}", f"{{{', '.join(pairs)}}}")
        elif word == "${args_dict}" or "${args_json_file}" in word:
            return
        else:
            plain = word.replace("${interpreter}", "python").replace("${program}", program)
            if rest := re.findall(r"\$\{[^}]*\}", plain):
                self._found.lost.append(f"{', '.join(rest)} in the command: nothing is put there")
            yield plain

    def _json(self, name: str) -> str:
        """The value within JSON: a text needs its quotes."""
        literal = self._program.literals.get(name)
        raw = _at(self._sweep, name)
        values = raw.get("values", [raw.get("value")]) if isinstance(raw, Mapping) else [raw]
        is_text = any(isinstance(value, str) for value in values)
        shown = self._program.word(name, "VALUE")
        return shown if literal is not None or not is_text else f'"{shown}"'

    def _flags(self) -> None:
        for name in self._order:
            raw = _at(self._sweep, name)
            values = raw.get("values", [raw.get("value")]) if isinstance(raw, Mapping) else []
            if any(isinstance(value, bool) for value in values):
                self._found.lost.append(
                    f"{name}: the command has --{name}=true or =false, and no flag that may be "
                    "left out"
                )

    def _metric(self) -> dict[str, str]:
        metric = self._sweep.get("metric")
        metric = metric if isinstance(metric, Mapping) else {}
        if not metric.get("name"):
            self._found.lost.append(
                "metric: the file names none, and loss stands for it, which is to shrink"
            )
        if "target" in metric:
            self._found.lost.append("metric.target: a study does not end at a value")
        better = "maximize" if str(metric.get("goal")).startswith("max") else "minimize"
        return {"name": str(metric.get("name") or "loss"), "direction": better}

    def _sampler(self) -> str:
        method = self._sweep.get("method")
        if method not in _METHODS:
            self._found.lost.append("method: the file names none that is known; bayesian stands")
        sampler = _METHODS.get(str(method), "bayesian")
        endless = [n for n, raw in self._program.parameters.items() if _is_endless(raw)]
        if sampler == "grid" and endless:
            self._found.lost.append(
                f"method: a grid wants lists of values, and {', '.join(endless)} is a range; "
                "random stands for it"
            )
            return "random"
        return sampler

    def _budget(self) -> dict[str, int]:
        """Trials and epochs; the pruner goes by the epochs."""
        stop = self._sweep.get("early_terminate")
        stop = stop if isinstance(stop, Mapping) else {}
        reach = number(stop.get("max_iter"))
        least, eta = number(stop.get("min_iter")), int(number(stop.get("eta")) or 3)
        brackets = int(number(stop.get("s")) or 0)
        if least is None and reach is not None:
            least = max(reach // eta ** max(brackets, 1), 1)
        epochs = int(reach or self._program.epochs() or 0)
        if not epochs:
            epochs = EPOCHS
            self._found.lost.append(
                f"budget.epochs: nothing says how often a trial reports; {EPOCHS} is the most"
            )
        epochs = max(epochs, int(least or 1))
        if stop:
            rungs = {"min_resource": int(least or 1), "reduction_factor": max(eta, 2)}
            self._found.content["search"]["pruner"] = {"name": "asha", **rungs}
            if stop.get("strict"):
                self._found.lost.append("early_terminate.strict: asha keeps one trial in eta")
            if stop.get("type", "hyperband") != "hyperband":
                self._found.lost.append(f"early_terminate: {stop['type']}; asha stands for it")
        trials = number(self._sweep.get("run_cap"))
        if trials is None and self._found.content["search"]["sampler"] == "grid":
            return {"epochs": epochs}  # a grid ends by itself
        if trials is None:
            self._found.lost.append(f"run_cap: the file has none; {TRIALS} trials stand")
        return {"trials": int(trials or TRIALS), "epochs": epochs}


def _flat(parameters: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters by their names; those of a nested part by its name, a dot and their own."""
    if not isinstance(parameters, Mapping):
        return
    for name, raw in parameters.items():
        if isinstance(raw, Mapping) and isinstance(raw.get("parameters"), Mapping):
            yield from _flat(raw["parameters"], f"{before}{name}.")
        else:
            yield f"{before}{name}", raw if isinstance(raw, Mapping) else {"value": raw}


def _at(sweep: Mapping[str, Any], name: str) -> Any:
    return dict(_flat(sweep.get("parameters")))[name]


def _is_endless(raw: Any) -> bool:
    """Whether a range has no end of values: real numbers without steps."""
    ranged = isinstance(raw, Mapping) and "max" in raw and "step" not in raw
    return ranged and not all(isinstance(raw[key], int) for key in ("min", "max"))
