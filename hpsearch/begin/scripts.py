"""The first study file of a training script: a function that takes a run, or a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpsearch.begin.draft import LEFT_OPEN, Draft, listed, relative
from hpsearch.begin.ranges import guess, is_known
from hpsearch.code import SignatureError
from hpsearch.code.printed import Printed
from hpsearch.code.uses import Option, Script, TrainFunction, script, train_functions
from hpsearch.errors import StudyFileError
from hpsearch.spec.dialects import translated
from hpsearch.spec.settings import EPOCHS

__all__ = ["draft"]

_BETTER = re.compile(
    r".*(?:acc|auc|auroc|f1|r2|score|dice|iou|precision|recall|reward|bleu).*", re.I
)
_JUDGED = re.compile(r".*(?:val|valid|validation|test|eval|dev).*", re.I)
_TRAINING = re.compile(r".*train.*", re.I)
_EPOCHS = 30
_TRIALS = 30
_NUMBER = r"[-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|nan|inf)"
_OUTPUT = re.compile(
    r"(?:.*_)?(?:out(?:puts?)?|saved?|ckpts?|checkpoints?|results?|logs?|exp(?:eriment)?|work)"
    r"(_?(?:dir|path|file|folder|to))?",
    re.I,
)
_PLACE = re.compile(r"(?:.*_)?out(?:puts?)?|runs|checkpoints?|results|logs", re.I)
"""An output by its name alone, or by that of its default, as `--log INFO` and `--exp base` are
not."""
_PATH = re.compile(r"/|\.\w+$")
_FOLDER = re.compile(r"dir|director(?:y|ies)|folders?", re.I)
_FILE = re.compile(r"files?|weights|csv|json|txt|pt|pth", re.I)
_ENDINGS = (
    (r"csv", ".csv"), (r"json", ".json"), (r"txt|logs?", ".txt"),
    (r"models?|weights|checkpoints?|ckpts?|state", ".pt"),
)  # fmt: skip
"""Of a file, by the words about it."""
_ONLY_WITH = re.compile(r"\bonly\b[^.;]*?--([\w-]+)(?: |=| is )['\"]?([\w.-]+)", re.I)
"""A help that names a condition: `only with --optimizer sgd`."""
_KEPT = "{checkpoint} is a folder that is kept with its trial; {folder} is removed after the trial"
_GIVEN = ("seed", "device")
_NAMES = ("train", "main", "run", "fit", "objective")


def draft(path: Path, folder: Path) -> Draft:
    """A study of a script in the folder of the study file, or below it.

    Raises StudyFileError for one that is elsewhere, is no Python, or has nothing to search.
    """
    file = relative(path, folder)
    if file.startswith(".."):
        raise StudyFileError(
            f"{path} is not below {folder}: code lies in the folder of its study file; write that "
            f"beside it, -o {path.parent / 'study.yaml'}"
        )
    try:
        functions = train_functions(folder, file)
        if functions:
            return _of_function(file, functions)
        return _of_script(file, script(folder, file))
    except SignatureError as error:
        raise StudyFileError(f"{path}: {error}") from None


def _of_function(file: str, functions: Sequence[TrainFunction]) -> Draft:
    ranked = sorted(functions, key=lambda f: _NAMES.index(f.name) if f.name in _NAMES else 9)
    chosen = ranked[0]
    if not chosen.parameters:
        raise StudyFileError(
            f"{file}: {chosen.name} reads no parameter of its run, such as run.lr: nothing can be "
            "searched"
        )
    draft = Draft(
        {"train": {"function": f"{file}:{chosen.name}"}, "metric": _metric(chosen.metrics)},
        [f"{file}: the function {chosen.name}, which is called with a run."],
    )
    _parameters(draft, {name: guess(name, default) for name, default in chosen.parameters.items()})
    _judged(draft, chosen.metrics, f"of what {chosen.name} reports ({listed(chosen.metrics)})")
    _budget(draft, None)
    return draft


def _of_script(file: str, uses: Script) -> Draft:
    if uses.suggests and not uses.options:
        return _of_optuna(file, uses)
    chosen = [o for o in uses.options if _is_searched(o)]
    if not chosen:
        raise StudyFileError(
            f"{file} has neither a function of one argument that calls its report, such as "
            "def train(run), nor options by argparse that could be searched, such as --lr; "
            "docs/guides/own-loop.md shows both"
        )
    words = ["python", file]
    for option in chosen:
        words += [option.flag, f"{{{option.name}}}"]
    others = [option for option in uses.options if option not in chosen]
    for option in others:
        words += _given(option, uses, words)
    train: dict[str, Any] = {"command": words}
    draft = Draft({"train": train}, [f"{file}: a command, with the options that it has."])
    names = _reported(draft, train, uses)
    draft.content["metric"] = _metric(names)
    _parameters(draft, {o.name: _guessed(o, chosen) for o in chosen})
    rest = [o.flag for o in others if o.flag and o.flag not in words]
    if rest:
        draft.note(("train",), f"left at their defaults: {listed(rest, 10)}")
    if flags := [o for o in uses.options if o.kind == "bool" and o.flag in rest]:
        one = flags[0]
        are = "is a flag: to search it" if flags == [one] else "are flags: to search one"
        draft.note(("train",), f'{listed([o.flag for o in flags])} {are}, add "{{{one.name}}}" '
                   f"behind {file}, and {one.name}: {{values: [null, {one.flag}]}} to "
                   "parameters")  # fmt: skip
    for option in others:
        _say_given(draft, option, uses)
    epochs = next((o.default for o in uses.options if "epoch" in o.name), None)
    _budget(draft, epochs if isinstance(epochs, int) and epochs > 0 else None)
    return draft


def _guessed(option: Option, searched: Sequence[Option]) -> tuple[Any, str]:
    """A parameter for an option, with the condition that its help names."""
    raw, comment = guess(option.name, option.default, option.choices)
    if (named := _ONLY_WITH.search(option.help)) is None or not isinstance(raw, dict):
        return raw, comment
    other = next((one for one in searched if one.flag == f"--{named[1]}"), None)
    value = next((c for c in other.choices if str(c) == named[2].rstrip(".")), None) if (
        other and other is not option) else None  # fmt: skip
    if other is None or value is None:
        return raw, comment
    return {**raw, "when": {other.name: value}}, comment


def _given(option: Option, uses: Script, words: Sequence[str]) -> list[str]:
    """The words that give an option which is not searched, behind others; none: its default."""
    if option.name in _GIVEN and option.flag:
        return [option.flag, f"{{{option.name}}}"]
    if option.required:
        return [*filter(None, [option.flag]), _for_required(option, uses)]
    return [option.flag, _own_place(option, uses, words)] if _is_output(option, uses) else []


def _for_required(option: Option, uses: Script) -> str:
    """The word that a required option is given."""
    if option.name == EPOCHS.name:
        return f"{{{EPOCHS.name}}}"
    if _OUTPUT.fullmatch(option.name) is None:
        return LEFT_OPEN
    return "{checkpoint}" if _is_folder(option, uses) else f"{{checkpoint}}/{_file(option, uses)}"


def _is_folder(option: Option, uses: Script) -> bool:
    """Whether what an option names is a folder: by its name, what is done with it, or its help."""
    name = option.name.split("_")
    for words in (name[-1:], name, re.findall(r"[a-z]+", option.help.lower())):
        if any(map(_FOLDER.fullmatch, words)):
            return True
        if option.name in uses.written or any(map(_FILE.fullmatch, words)):
            return False
    return True


def _file(option: Option, uses: Script) -> str:
    """A name for the file that an option names."""
    name = re.sub(r"_?(?:file|path|to)$", "", option.name) or "file"
    words = re.findall(r"[a-z]+", f"{option.name} {option.help}".lower())
    ending = next((end for pattern, end in _ENDINGS
                   if any(re.fullmatch(pattern, word) for word in words)), "")  # fmt: skip
    return name + (ending or (".pt" if uses.written.get(option.name) == "save" else ""))


def _say_given(draft: Draft, option: Option, uses: Script) -> None:
    """Say why an option that is not searched is given what it is."""
    name = option.flag or option.name
    if option.name in _GIVEN and option.flag:
        return
    if not option.required:
        if _is_output(option, uses):
            draft.note(("train",), f"{name}, by default {option.default} in every trial: {_KEPT}")
    elif (word := _for_required(option, uses)) == LEFT_OPEN:
        draft.note(("train",), f"TO DO: {name} is required; write its value in the place of "
                   f"{{{LEFT_OPEN}}}")  # fmt: skip
    elif word.startswith("{checkpoint}"):
        draft.note(("train",), f"{name}: {_KEPT}")


def _is_output(option: Option, uses: Script) -> bool:
    """Whether an option says where a script writes, and is the same for all trials by default."""
    path, named = option.default, _OUTPUT.fullmatch(option.name)
    if not isinstance(path, str) or path in ("", "-") or option.choices:
        return False
    is_path = _PATH.search(path) is not None
    is_written = uses.written.get(option.name, "open") != "open"
    if is_written or option.name in uses.loaded:
        return is_written and (is_path or named is not None)
    if named is None:
        return False
    return is_path or named[1] is not None or any(map(_PLACE.fullmatch, (option.name, path)))


def _own_place(option: Option, uses: Script, words: Sequence[str]) -> str:
    """Where each trial writes what an option names; not to a file that is among the words."""
    path = Path(option.default)
    if _FOLDER.fullmatch(option.name.rpartition("_")[2]) or (
        not path.suffix and _is_folder(option, uses)
    ):  # fmt: skip
        return "{checkpoint}"
    file = f"{{checkpoint}}/{path.name}"
    return f"{{checkpoint}}/{option.name}{path.suffix}" if file in words else file


def _of_optuna(file: str, uses: Script) -> Draft:
    """Of a script that asks Optuna's trials: the ranges are known, and the loop has to change."""
    ranges = {n: told.ours for n, call in uses.suggests.items() if (told := translated(call))}
    raise StudyFileError(
        f"{file} asks an Optuna trial: make a function of it that takes a run, def train(run), "
        f"with run.{next(iter(uses.suggests))} in the place of what the trial suggests and "
        "run.report(accuracy=...) once an epoch, and run hpsearch init again; its ranges are "
        f"{'; '.join(f'{name}: {raw}' for name, raw in ranges.items())}"
    )


def _is_searched(option: Option) -> bool:
    """Whether an option is one that a search varies: by its name, or as it has choices."""
    if option.name in (EPOCHS.name, *_GIVEN) or not option.flag.startswith("--"):
        return False
    if len(option.choices) > 1:
        return True
    return option.kind in ("int", "float") and is_known(option.name)


def _reported(draft: Draft, train: dict[str, Any], uses: Script) -> list[str]:
    """What the script reports, by name; how that is read stands in `train` then."""
    if uses.json_metrics:
        names = [*dict.fromkeys(uses.json_metrics)]
        _judged(draft, names, f"of what it prints as JSON ({listed(names)})")
        return names
    if uses.printed:
        name, train["metrics"], words = _pattern(uses.printed)
        draft.note(("metric",), f"read from the lines that it prints: the number behind `{words}`, "
                   "once an epoch")  # fmt: skip
        if "(?P<epoch>" not in train["metrics"]:
            draft.note(("metric",), "these lines name no epoch, so they are counted: print it with "
                       "the metric if your script saves what it does not read back")  # fmt: skip
        return [name]
    draft.note(
        ("metric",),
        "TO DO: nothing that it prints looks like a metric. Let it print a line of JSON an epoch,",
        '    print(json.dumps({"epoch": epoch, "accuracy": accuracy}), flush=True)',
        "or call hpsearch tell accuracy=0.93 --epoch 3. If it is not to be changed:",
        "    docs/guides/any-command.md#a-program-that-prints-nothing",
    )
    return ["accuracy"]


def _pattern(lines: Sequence[Printed]) -> tuple[str, str, str]:
    """(metric, the regular expression that reads it, the words before it) of the best metric."""
    words = sorted((one.words for one in lines), key=_rank)[0]
    name = re.sub(r"\W+", "_", words).strip("_").lower()
    longer = dict.fromkeys(one.words[: -len(words)] for one in lines
                           if one.words != words and one.words.endswith(words))  # fmt: skip
    others = "".join(f"(?<!{re.escape(before)})" for before in longer)
    label = r"\s+".join(map(re.escape, words.split()))
    metric = rf"{others}{label}\s*[:=]?\s*(?P<{name}>{_NUMBER})"
    epochs = [*dict.fromkeys(one.epoch for one in lines if one.words == words and one.epoch)]
    if not epochs:
        return name, metric, words
    befores = [*dict.fromkeys(_anchor(epoch.before) for epoch in epochs)]
    before = befores[0] if len(befores) == 1 else f"(?:{'|'.join(befores)})"
    epoch, orders = rf"{before}(?P<epoch>\d+)", {epoch.first for epoch in epochs}
    if orders == {True}:
        return name, f"{epoch}.*?{metric}", words
    if orders == {False}:
        return name, f"{metric}.*?{epoch}", words
    return name, f"^(?=.*?{epoch}).*?{metric}", words


def _anchor(before: str) -> str:
    """A pattern of the end of the text before a number: its last word, and what follows that."""
    word, signs = re.findall(r"(\w*)(\W*)$", before)[0]
    parts = [word, *signs.split()] if word else signs.split()
    return "".join(rf"{re.escape(part)}\s*" for part in parts) or r"^\s*"


def _rank(name: str) -> tuple[bool, bool, bool]:
    """The smaller, the better a metric steers a search."""
    return (_TRAINING.match(name) is not None, _JUDGED.match(name) is None,
            _BETTER.match(name) is None)  # fmt: skip


def _metric(names: Sequence[str]) -> dict[str, str]:
    name = sorted(names, key=_rank)[0] if names else "loss"
    return {"name": name, "direction": "maximize" if _BETTER.match(name) else "minimize"}


def _judged(draft: Draft, names: Sequence[str], what: str) -> None:
    metric = _metric(names)
    grows = "grow" if metric["direction"] == "maximize" else "shrink"
    draft.note(("metric",), f"{metric['name']}, {what}; by its name it is to {grows}")


def _parameters(draft: Draft, parameters: dict[str, tuple[Any, str]]) -> None:
    draft.content["parameters"] = {name: raw for name, (raw, _) in parameters.items()}
    for name, (_, comment) in parameters.items():
        if comment:
            draft.note(("parameters", name), comment)


def _budget(draft: Draft, epochs: int | None) -> None:
    draft.content["budget"] = {"trials": _TRIALS, "epochs": epochs or _EPOCHS}
    why = "the default of the script" if epochs else "the most that a trial may report"
    draft.note(
        ("budget",),
        f"an epoch is one report; {epochs or _EPOCHS} is {why}. Your own code is not timed: begin "
        "with --trials 3, and hpsearch status says what an epoch takes",
    )
