"""A Katib experiment -> a study whose trials run the command of its container.

Its fields are described at kubeflow.org/docs/components/katib.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hpsearch.convert.parts import EPOCHS, TRIALS, Converted, Names, Program, study_name
from hpsearch.errors import StudyFileError
from hpsearch.spec.dialects import number
from hpsearch.spec.foreign import SAMPLERS

__all__ = ["convert", "is_experiment"]

_PARAMETER = re.compile(r"\$\{trialParameters\.([^}]+)\}")
_OF_TRIAL = re.compile(r"\$\{trialSpec\.[^}]*\}")
_NUMBER = r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"
_BLOCK = re.compile(
    r"\{\{-?\s*(?:with|range)[^}]*HyperParameters.*?\}\}.*\{\{-?\s*end\s*-?\}\}", re.DOTALL
)
"""Where a template of Katib's first versions lists the parameters."""


def is_experiment(content: Mapping[str, Any]) -> bool:
    """Whether a file is an experiment."""
    return str(content.get("apiVersion", "")).startswith("kubeflow.org/") and (
        content.get("kind") == "Experiment"
    )


def convert(content: Mapping[str, Any], stem: str) -> Converted:
    """The study of an experiment; StudyFileError for one that searches architectures."""
    spec = content.get("spec")
    spec = spec if isinstance(spec, Mapping) else {}
    if "nasConfig" in spec or _named(spec.get("algorithm")) in ("enas", "darts"):
        raise StudyFileError(
            "nasConfig: a search of architectures by ENAS or DARTS has no counterpart; hpsearch "
            "searches depths, widths and kinds of layers as parameters (docs/reference/families)"
        )
    return _Experiment(content, spec, stem).study()


class _Experiment:
    """One experiment on its way."""

    def __init__(self, content: Mapping[str, Any], spec: Mapping[str, Any], stem: str) -> None:
        metadata = content.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        self._spec = spec
        self._found = Converted("a Katib experiment")
        self._names = Names()
        self._program = Program(self._found, self._names)
        self._name = study_name(metadata.get("name"), metadata.get("generateName"), stem)

    def study(self) -> Converted:
        study, converted = self._found.content, self._found
        study["name"] = self._name
        parameters = [p for p in self._spec.get("parameters") or () if isinstance(p, Mapping)]
        self._order = [str(p.get("name")) for p in parameters]
        for name, parameter in zip(self._order, parameters, strict=True):
            self._program.add(name, {k: v for k, v in parameter.items() if k != "name"})
        study["train"] = {"command": self._command()}
        study["metric"] = self._metric()
        study["search"] = self._search()
        epochs = self._program.epochs()
        if epochs is None:
            epochs = EPOCHS
            converted.lost.append(
                f"budget.epochs: nothing says how often a trial reports; {EPOCHS} is the most"
            )
        trials = number(self._spec.get("maxTrialCount"))
        if trials is None:
            converted.lost.append(f"maxTrialCount: the file has none; {TRIALS} trials stand")
        study["budget"] = {"trials": int(trials or TRIALS), "epochs": epochs}
        study["parameters"] = self._program.parameters
        self._program.settle_epochs(epochs)
        if not study["parameters"]:
            converted.lost.insert(
                0, "parameters: the file has none, and a study searches one or more"
            )
        self._more()
        return converted

    def _metric(self) -> dict[str, str]:
        objective = self._spec.get("objective")
        objective = objective if isinstance(objective, Mapping) else {}
        name = str(objective.get("objectiveMetricName") or "loss")
        if "goal" in objective:
            self._found.lost.append("objective.goal: a study does not end at a value")
        strategies = objective.get("metricStrategies") or ()
        if any(s.get("name") == name and s.get("value") == "latest" for s in strategies):
            self._found.content["keep"] = "last"
        better = "maximize" if objective.get("type") == "maximize" else "minimize"
        return {"name": self._reported(name), "direction": better}

    def _reported(self, name: str) -> str:
        """How the metric is called in reports. Katib's own collector finds `NAME=VALUE` in what is
        printed, and so does a regular expression."""
        collector = self._spec.get("metricsCollectorSpec")
        collector = collector if isinstance(collector, Mapping) else {}
        kind = (collector.get("collector") or {}).get("kind", "StdOut")
        if kind == "StdOut":
            plain = re.sub(r"\W", "_", name)
            pattern = rf"{re.escape(name)}\s*=\s*(?P<{plain}>{_NUMBER})"
            self._found.content["train"]["metrics"] = pattern
            if (collector.get("source") or {}).get("filter"):
                self._found.lost.append("metricsCollectorSpec.source.filter: train.metrics looks "
                                        f"for {name}=NUMBER in what is printed")  # fmt: skip
            return plain
        self._found.lost.append(
            f"metricsCollectorSpec: {kind}; the command prints a line of JSON an epoch, such as "
            f'{{"epoch": 1, "{name}": 0.5}}, or calls hpsearch tell'
        )
        return name

    def _search(self) -> dict[str, Any]:
        algorithm = self._spec.get("algorithm")
        name, settings = _named(algorithm), _settings(algorithm)
        search: dict[str, Any] = {"pruner": "none"}
        plain = name in ("grid", "random", "tpe", "cmaes")
        search["sampler"] = name if plain else SAMPLERS.get(name, "bayesian")
        endless = [n for n, raw in self._program.parameters.items() if _is_endless(raw)]
        if search["sampler"] == "grid" and endless:
            self._found.lost.append(f"algorithm: a grid wants steps, and {', '.join(endless)} has "
                                    "none; random stands for it")  # fmt: skip
            search["sampler"] = "random"
        if (seed := number(settings.pop("random_state", None))) is not None:
            search["seed"] = int(seed)
        if name in ("hyperband", "pbt"):
            word = "hyperband" if name == "hyperband" else "none"
            self._found.lost.append(f"algorithm: {name} as a sampler; tpe stands for it, with the "
                                    f"pruner {word}")  # fmt: skip
            search["pruner"] = word
        elif settings:
            self._found.lost.append(f"algorithmSettings: {', '.join(settings)}")
        if "earlyStopping" in self._spec:
            search["pruner"] = self._pruner()
        return search

    def _pruner(self) -> dict[str, Any]:
        rule = self._spec["earlyStopping"]
        settings = _settings(rule)
        if _named(rule) != "medianstop":
            self._found.lost.append(f"earlyStopping: {_named(rule)}; median stands for it")
        return {
            "name": "median",
            "n_startup_trials": int(number(settings.get("min_trials_required")) or 3),
            "n_warmup_steps": 0,
        }

    def _command(self) -> list[str]:
        template = self._spec.get("trialTemplate")
        template = template if isinstance(template, Mapping) else {}
        body = template.get("trialSpec") or _of_go(template, self._order, self._found)
        containers = [*_containers(body)]
        primary = template.get("primaryContainerName")
        named = [c for c in containers if c.get("name") == primary]
        filled = [c for c in containers if _PARAMETER.search(str(c))]
        chosen = next(iter((*named, *filled, *containers)), {})
        words = [*_texts(chosen.get("command")), *_texts(chosen.get("args"))]
        if not words:
            self._found.lost.append(
                "trialTemplate: the command is not in the file; python train.py stands for it"
            )
            arguments = [self._program.word(name, "--NAME=VALUE") for name in self._order]
            return ["python", "train.py", *arguments]
        references = {
            str(one.get("name")): str(one.get("reference"))
            for one in template.get("trialParameters") or () if isinstance(one, Mapping)
        }  # fmt: skip
        words = [*self._environment(chosen), *words]
        words = [self._filled(word, references) for word in words]
        unused = [n for n in self._order if self._names.placeholder(n) not in " ".join(words)]
        if unused and not self._program.literals:
            self._found.lost.append(f"{', '.join(unused)}: no part of the command")
        if chosen.get("image"):
            self._found.lost.append(
                f"image {chosen['image']}: the command runs where a worker runs; start workers in "
                "that image"
            )
        return words

    def _environment(self, container: Mapping[str, Any]) -> list[str]:
        """What sets the variables of a container that have a value."""
        variables = [v for v in container.get("env") or () if isinstance(v, Mapping)]
        values = [f"{v['name']}={v['value']}" for v in variables if "name" in v and "value" in v]
        if any("valueFrom" in v for v in variables):
            self._found.lost.append("env: variables from secrets and fields of a pod")
        return ["env", *values] if values else []

    def _filled(self, word: str, references: Mapping[str, str]) -> str:
        """A word with our placeholders in the place of Katib's."""

        def ours(match: re.Match[str]) -> str:
            name = references.get(match[1], match[1])
            if name in self._order:
                return self._program.word(name, "VALUE")
            if not name.startswith("${trialSpec."):
                self._found.lost.append(f"trialParameters.{match[1]}: no parameter of that name")
            return self._of_trial(name)

        return _OF_TRIAL.sub(lambda m: self._of_trial(m[0]), _PARAMETER.sub(ours, word))

    def _of_trial(self, name: str) -> str:
        """What a study has in the place of what Kubernetes knows of a trial."""
        if name == "${trialSpec.Name}":
            return self._name
        sentence = f"{name}: nothing of Kubernetes is known of a trial"
        if sentence not in self._found.lost:
            self._found.lost.append(sentence)
        return ""

    def _more(self) -> None:
        """What says how trials are run, which is no part of a study."""
        at_once = self._spec.get("parallelTrialCount")
        if at_once is not None:
            self._found.lost.append(f"parallelTrialCount: hpsearch run FILE --workers {at_once}")
        if "maxFailedTrialCount" in self._spec:
            self._found.lost.append("maxFailedTrialCount: failed trials do not end a study")
        template = self._spec.get("trialTemplate")
        kind = ((template or {}).get("trialSpec") or {}).get("kind", "Job")
        if kind != "Job":
            self._found.lost.append(f"trialSpec: a {kind} of several pods; one process runs here")


def _of_go(template: Mapping[str, Any], names: list[str], converted: Converted) -> Any:
    """The specification that a template of Katib's first versions becomes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    go = template.get("goTemplate")
    raw = go.get("rawTemplate") if isinstance(go, Mapping) else None
    if not isinstance(raw, str):
        return {}
    line = next((one for one in raw.splitlines() if ".Name" in one and ".Value" in one), "")
    indent = line[: len(line) - len(line.lstrip())]
    item = re.sub(r"^\s*-\s*", "", line).strip().strip("\"'")
    item = re.sub(r"\{\{-?\s*\$?[\w.]*\.Name\s*-?\}\}", "NAME", item)
    item = re.sub(r"\{\{-?\s*\$?[\w.]*\.Value\s*-?\}\}", "VALUE", item)
    words = [item.replace("NAME", n).replace("VALUE", f"${{trialParameters.{n}}}") for n in names]
    listed = "\n".join(f'{indent}- "{word}"' for word in words)
    text = _BLOCK.sub(lambda _: f"\n{listed}\n", raw)
    text = re.sub(r"\{\{[^}]*\}\}", "trial", text)
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        converted.lost.append("goTemplate: the template cannot be read")
        return {}


def _containers(body: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every container below a specification."""
    if depth > 20:
        return
    parts = body.values() if isinstance(body, Mapping) else body if isinstance(body, list) else ()
    if isinstance(body, Mapping) and isinstance(body.get("containers"), list):
        yield from (one for one in body["containers"] if isinstance(one, Mapping))
    for part in parts:
        yield from _containers(part, depth + 1)


def _texts(words: Any) -> list[str]:
    if isinstance(words, str):
        return [words]
    return [str(word) for word in words or ()]


def _named(algorithm: Any) -> str:
    return str(algorithm.get("algorithmName", "")) if isinstance(algorithm, Mapping) else ""


def _settings(algorithm: Any) -> dict[str, Any]:
    listed = algorithm.get("algorithmSettings") if isinstance(algorithm, Mapping) else None
    return {str(s.get("name")): s.get("value") for s in listed or () if isinstance(s, Mapping)}


def _is_endless(raw: Any) -> bool:
    ranged = isinstance(raw, Mapping) and "max" in raw and "step" not in raw
    return ranged and not all(isinstance(raw[key], int) for key in ("min", "max"))
