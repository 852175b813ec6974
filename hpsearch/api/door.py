"""Where Python calls hpsearch: errors advise calls in place of commands, and are short.

An error says what to do as a command, since the same error reaches the command line and the
database: `hpsearch delete churn`, `--force`. Commands and their options are regular enough for the
calls to be made of them: `study.delete()`, `force=True`. What has no call stays a command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from hpsearch.errors import HpsearchError

__all__ = ["door", "in_python", "through"]

_CALLS = {
    "best": "save", "check": "check", "delete": "delete", "export": "to_mlflow",
    "extend": "extend", "final": "finish", "importance": "importance",
    "import-trials": "import_trials", "logs": "logs", "lr": "learning_rates", "next": "next",
    "pause": "pause", "pictures": "pictures", "plan": "plan", "report": "report",
    "resume": "resume", "retry": "retry", "run": "run", "schedule": "schedule", "stop": "stop",
    "submit": "submit", "trials": "trials_dataframe", "watch": "watch",
}  # fmt: skip
"""Commands of one study, by the methods that do the same."""

_FLAGS = {
    "accept-code": "accept_code=True", "again": "again=True", "force": "force=True",
}  # fmt: skip

_ARGUMENTS = {
    "checkpoints": "checkpoints", "code": "code", "device": "device", "epochs": "epochs",
    "from": "source", "hours": "hours", "max-parallel": "max_parallel", "priority": "priority",
    "save": "", "seeds": "seeds", "storage": "storage", "study": "study", "test": "moved",
    "top": "top", "trials": "trials", "uri": "uri", "value": "column", "workers": "workers",
}  # fmt: skip
"""Options with a value, by the arguments that take it; empty: the first one, which has no name."""

_IMPLIED = ("to", "failed")
_WORKERS = ("until-done", "allow-commands")
"""Options that no method has, as it does nothing else."""

_PHRASES = {"the study file": "the study"}

_VALUE = r"(?:'[^'\n]*'|[^\s,;:()`&]*[^\s,;:()`&.])"
"""A word of a command, without what follows it in a sentence."""
_LIKELY = r"[A-Z]+\b|-?\d[\w.]*|\w+://[^\s,;()]*[^\s,;().]|'[^'\n]*'"
"""What is a value of an option that stands alone, and not the next word of the sentence."""


def _options(value: str) -> str:
    flags, others = "|".join([*_FLAGS, *_WORKERS]), "|".join([*_ARGUMENTS, *_IMPLIED])
    return rf"--(?:({flags})\b|({others})\b(?:[ =]({value}))?)"


_COMMAND = re.compile(
    rf"hpsearch ({'|'.join([*sorted(_CALLS, reverse=True), 'workers?', 'status'])})\b"
    rf"( (?!--){_VALUE})?( \d+\b)?((?: {_options(_VALUE)})*)"
)
_OPTION = re.compile(_options(_VALUE))
_ALONE = re.compile(rf"(?<![\w-]){_options(_LIKELY)}")
_FINAL = re.compile(r"--set final\.top=(\d+) --set final\.seeds=(\d+)")
_SET = re.compile(rf"--set ([\w.]+)(?:(=)(\.\.\.|{_VALUE})?)?")
_SHORT = {"budget", "search"}
"""Sections whose keys are arguments of `Study` themselves."""

_TABLE = re.compile(r"(?:/[^:;\n]*?[./]tables/)?\b[0-9a-f]{24}\.(parquet|npz)\b")
"""The file that a table or arrays in memory have been written to."""


def in_python(text: str) -> str:
    """A message with calls in place of commands, and without the files of tables in memory."""
    text = _COMMAND.sub(_call, text).replace(" && ", ", then ")
    text = _FINAL.sub(r'final={"top": \1, "seeds": \2}', text)
    text = _ALONE.sub(_alone, _SET.sub(_key, text))
    for phrase, other in _PHRASES.items():
        text = text.replace(phrase, other)
    text = _TABLE.sub(lambda file: "the table" if file[1] == "parquet" else "the data", text)
    return text.replace("the table: the table ", "the table ")


def _call(command: re.Match[str]) -> str:
    verb, name, number, options = command.groups()[:4]
    arguments = [argument for option in _OPTION.finditer(options)
                 if (argument := _argument(option))]  # fmt: skip
    if verb == "status":  # of one study no error advises it: what follows belongs to the sentence
        return f"hp.studies(){name or ''}"
    if verb == "workers":
        return f"study.workers{name or ''}"
    if verb == "worker":
        own = [argument for argument in arguments if argument.startswith("code=")]
        call = f"hp.Study.load({', '.join([_literal((name or ' NAME')[1:]), *own])}).run()"
        return call if "--until-done" in options else command[0]
    if verb == "best" and not options:
        return "study.best"
    if number:
        arguments.insert(0, number.strip())
    return f"study.{_CALLS[verb]}({', '.join(arguments)})"


def _argument(option: re.Match[str]) -> str:
    """An option as an argument; where it is named alone, the argument's name."""
    flag, name, value = option.groups()
    if flag is not None:
        return _FLAGS.get(flag, "")
    key = _ARGUMENTS.get(name, "")
    return _named(key, value) if value and name in _ARGUMENTS else key


def _alone(option: re.Match[str]) -> str:
    return _argument(option) or option[0]


def _key(option: re.Match[str]) -> str:
    """`--set budget.trials=20` as the argument that has the value: `trials=20`."""
    path, given, value = option.groups()
    section, _, key = path.partition(".")
    name = key if section in _SHORT and key else path
    return _named(name, value or "None") if given else name


def _named(name: str, value: str) -> str:
    return f"{name}={_literal(value)}" if name else _literal(value)


def _literal(value: str) -> str:
    """A word of a command as Python has it: numbers and what stands for a value as they are."""
    bare = re.fullmatch(r"-?\d+(\.\d+)?|[A-Z]+|None|\.\.\.", value)
    return value if bare or value[:1] in "'\"" else f'"{value}"'


# --- calls ------------------------------------------------------------------------------------

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Class = TypeVar("_Class", bound=type)


def through(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """A function whose errors are hpsearch's end at its call, without the frames within."""

    @wraps(function)
    def called(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except HpsearchError as error:
            error.args = (in_python(str(error)), *error.args[1:])
            raise error.with_traceback(None) from None
        except KeyboardInterrupt as error:
            raise error.with_traceback(None) from None

    return called


def door(cls: _Class) -> _Class:
    """A class whose public methods and properties are called `through`."""
    for name, member in vars(cls).copy().items():
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, property) and member.fget is not None:
            setattr(cls, name, property(through(member.fget)))
        elif isinstance(member, classmethod):
            setattr(cls, name, classmethod(through(member.__func__)))
        elif callable(member):
            setattr(cls, name, through(member))
    return cls
