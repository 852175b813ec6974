"""Whether a study names what its own code reads and reports, as far as that is to be seen without
running it. Where it is not sure, nothing is said."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.code.options import flags, options, required
from hpsearch.code.reads import Reads, reads
from hpsearch.spec.faults import nearest
from hpsearch.spec.own_training import PLACEHOLDER
from hpsearch.spec.settings import EPOCHS
from hpsearch.spec.train import JSON

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec

__all__ = ["misnamed"]

_PYTHON = re.compile(r"(?:.*/)?python[0-9.]*")
_INTERPRETER = re.compile(r"(?:.*/)?(?:python[0-9.]*|(?:ba|da|z)?sh|Rscript|julia|node|perl|ruby)")
_SCRIPT = re.compile(r"[^{}]+\.(?:py|sh|R|jl|js|pl|rb)")
_PROGRAMS = ("python", "python3", "sh", "bash", "env")
"""What a misspelt program may be meant to be."""
_PARAMS = "HPSEARCH_PARAMS"
_MOST_BYTES = 1 << 20
"""Of a file in which that name is looked for."""


def misnamed(spec: StudySpec, code: Path) -> list[str]:
    """Parameters that a study's own code never reads and what it reads that is none, options that
    its script has not, and a metric that it never reports; a line each.

    Args:
        spec: The study.
        code: The folder of its code.
    """
    train = spec.train
    if train is None:
        return []
    if train.function is not None:
        seen = reads(code, train.function)
        return [] if seen is None else [*_parameters(spec, train.function, seen),
                                        *_reported(spec, train.function, seen, code)]  # fmt: skip
    commands = ("train.command", train.command or ()), ("train.evaluate", train.evaluate or ())
    return [
        *(line for key, words in commands for line in _absent(key, words, code)),
        *_unnamed(spec, train.command or (), code),
        *(line for key, words in commands for line in _options(spec, key, words, code)),
        *_matched(spec, train.metrics),
    ]


def _absent(key: str, words: Sequence[str], code: Path) -> Iterator[str]:
    """A program and a script that are not here; a worker elsewhere may have them."""
    program = words[0] if words else "{}"
    path = code / program
    if "/" in program and path.is_file() and not os.access(path, os.X_OK):
        yield f"{key}: {program} is not executable (chmod +x {program})"
    elif "{" not in program and shutil.which(path if "/" in program else program) is None:
        yield f"{key}: there is no program {program} here{_hint(program, _PROGRAMS)}"
    for at, word in enumerate(words):
        before = [*itertools.takewhile(lambda one: one.startswith("-"), reversed(words[:at]))]
        by = words[at - len(before) - 1] if at > len(before) else ""
        if (
            _SCRIPT.fullmatch(word) and _INTERPRETER.fullmatch(by)
            and not {"-m", "-c"} & {*before} and not (code / word).is_file()
        ):  # fmt: skip
            yield f"{key}: there is no file {word} in {code}"
            return


def _unnamed(spec: StudySpec, words: Sequence[str], code: Path) -> Iterator[str]:
    """Parameters that are in no place of the command, where its program reads them from nowhere
    else."""
    used = {name for word in words for name in PLACEHOLDER.findall(word)}
    used |= {condition.parameter for p in spec.space for condition in p.when}
    idle = [f"{{{name}}}" for name in spec.space.names if name not in used]
    named = [code / word for word in words if "{" not in word]
    read = [path for path in named if path.is_file() and path.stat().st_size < _MOST_BYTES]
    if any(path.suffix == ".py" for path in read):
        read += code.glob("*.py")
    texts = [*words, *(path.read_text(encoding="utf-8", errors="replace") for path in read)]
    if not idle or any(_PARAMS in text for text in texts):
        return
    which = f"train.command has no {', '.join(idle)}"
    if read:
        yield f"{which}, and {read[0].name} does not read {_PARAMS}: the values make no difference"
    else:
        yield f"{which}: the values make no difference, unless the program reads {_PARAMS}"


def _parameters(spec: StudySpec, function: str, seen: Reads) -> Iterator[str]:
    has = {*spec.space.names, *spec.space.constants, EPOCHS.name}
    # One that others depend on decides by that.
    used = {*seen.names, EPOCHS.name, *(c.parameter for p in spec.space for c in p.when)}
    idle = [name for name in spec.space.names if name not in used] if seen.all_names else []
    for name in sorted(seen.names - has):
        meant = nearest(name, idle)
        if meant is not None:
            idle.remove(meant)
            yield (f"{function} never reads the parameter {meant}; it reads {name}, which is no "
                   f"parameter: did you mean {name}?")  # fmt: skip
        elif name in seen.needed:
            yield (f"{function} reads run.{name}, which is no parameter of the study"
                   f"{_hint(name, has)}")  # fmt: skip
    for name in idle:
        yield f"{function} never reads the parameter {name}: its values make no difference"


def _reported(spec: StudySpec, function: str, seen: Reads, code: Path) -> Iterator[str]:
    if seen.all_metrics and not seen.metrics:
        text = (code / function.partition(":")[0]).read_text(encoding="utf-8", errors="replace")
        if "report" not in text:
            yield (f"{function} never reports the metric {spec.metric}: call "
                   f"run.report({spec.metric}=...) after each epoch")  # fmt: skip
    if seen.all_metrics and seen.metrics and spec.metric not in seen.metrics:
        yield (f"{function} reports {', '.join(seen.metrics)}, and never the metric "
               f"{spec.metric}{_hint(spec.metric, seen.metrics)}")  # fmt: skip


def _options(spec: StudySpec, key: str, words: Sequence[str], code: Path) -> Iterator[str]:
    """Options that a Python script is given and has not, and those that it needs and is not
    given."""
    at = next((n for n, word in enumerate(words) if word.endswith(".py")), None)
    before = words[:at]
    if at is None or (before and not _PYTHON.fullmatch(before[0])) or (
        any(not word.startswith("-") or word == "-m" for word in before[1:])
    ):  # fmt: skip
        return
    has = options(code, words[at])
    if has is None:
        return
    given = [*itertools.takewhile(lambda word: word != "--", words[at + 1 :])]
    if not _searches_options(spec):
        for names in required(code, words[at]):
            if not any(_gives(word, name) for word in given for name in names):
                name = max(names, key=len)
                yield f"{key}: {words[at]} requires the option {name}, which is not among the words"
    takes_none = flags(code, words[at])
    for word, following in itertools.pairwise([*given, ""]):
        option, equals, rest = word.partition("=")
        value = rest if equals else following
        own = f"{{{option.lstrip('-').replace('-', '_')}}}"  # another one may be an argument
        if option in takes_none and PLACEHOLDER.fullmatch(value) and (equals or value == own):
            yield (f"{key}: {option} of {words[at]} takes no value; in the place of {option} and "
                   f"{value} give {value} alone, with values: [null, {option}]")  # fmt: skip
        # An option may be cut short.
        if option.startswith("--") and "{" not in option and (
            not any(one.startswith(option) for one in has)
        ):  # fmt: skip
            yield f"{key}: {words[at]} has no option {option}{_hint(option, has)}"


def _gives(word: str, name: str) -> bool:
    """Whether a word is an option of that name, which may be cut short, or `-n3` for `-n`."""
    if not name.startswith("--"):
        return word.startswith(name) and not word.startswith("--")
    option = word.partition("=")[0]
    return option.startswith("--") and name.startswith(option)


def _searches_options(spec: StudySpec) -> bool:
    """Whether a parameter may stand for an option: `{values: [--fast, --exact]}`."""
    values = [*spec.space.constants.values()]
    values += [value for p in spec.space for value in getattr(p.domain, "values", ())]
    return any(isinstance(value, str) and value.startswith("-") for value in values)


def _matched(spec: StudySpec, metrics: str) -> Iterator[str]:
    groups = [] if metrics == JSON else [*re.compile(metrics).groupindex]
    if groups and spec.metric not in groups:
        yield (f"train.metrics has no group (?P<{spec.metric}>...), which is the metric"
               f"{_hint(spec.metric, groups)}")  # fmt: skip


def _hint(word: str, names: Iterable[str]) -> str:
    meant = nearest(word, names)
    return f"; did you mean {meant}?" if meant else ""
