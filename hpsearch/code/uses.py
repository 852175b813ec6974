"""What own training code uses of its parameters and reports, read without running any of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.code.printed import Printed, printed
from hpsearch.code.signature import TAKEN, tree

__all__ = ["Option", "Script", "TrainFunction", "script", "train_functions"]

_WRITES = frozenset({"open", "save", "savez", "savefig", "to_csv", "to_json", "write_csv"})
"""Calls that are given the name of a file."""

_RUN = frozenset({*TAKEN, "epochs", "stopped", "resumed"})
"""What a run has that is no parameter."""


@dataclass(frozen=True)
class TrainFunction:
    """A function that is called with a run."""

    name: str
    parameters: dict[str, Any]
    """Attributes of the run that it reads, or that functions and classes of the file read which it
    hands the run to; and the default of each where there is one."""
    metrics: tuple[str, ...]
    """What it reports, by name."""


@dataclass(frozen=True)
class Option:
    """An option of a script: `--lr`, a float by default 0.01."""

    flag: str
    """"" for one that is known by its place."""
    name: str
    """How the script calls its value."""
    kind: str
    """int, float, str or bool."""
    default: Any = None
    choices: tuple[Any, ...] = ()
    required: bool = False
    help: str = ""


@dataclass
class Script:
    """A script that is run by a command line."""

    options: list[Option] = field(default_factory=list)
    json_metrics: list[str] = field(default_factory=list)
    """Keys of the objects that it prints as JSON, or tells hpsearch of."""
    printed: list[Printed] = field(default_factory=list)
    """Numbers that it prints, of what looks like a metric."""
    suggests: dict[str, str] = field(default_factory=dict)
    """Parameters that an Optuna trial suggests, and the call of each."""
    loaded: set[str] = field(default_factory=set)
    """Names whose value it loads, such as `start` in `torch.load(args.start)`."""
    written: dict[str, str] = field(default_factory=dict)
    """Names that it uses for a file, such as `out` in `torch.save(net, args.out)`, and the call of
    each."""


def train_functions(folder: Path, file: str) -> list[TrainFunction]:
    """The functions of a file that take one argument and use it as a run; SignatureError where the
    file cannot be parsed."""
    body = tree(folder, file).body
    helpers = {helper.name: helper for node in body if (helper := _as_helper(node)) is not None}
    functions = (node for node in body if isinstance(node, ast.FunctionDef))
    return [train for node in functions if (train := _as_train(node, helpers)) is not None]


@dataclass(frozen=True)
class _Helper:
    """A function of the file, or a class by its `__init__`: what the run may be handed to."""

    name: str
    node: ast.FunctionDef
    arguments: tuple[str, ...]


def _as_helper(node: ast.stmt) -> _Helper | None:
    if isinstance(node, ast.FunctionDef):
        return _Helper(node.name, node, tuple(one.arg for one in node.args.args))
    if not isinstance(node, ast.ClassDef):
        return None
    methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
    init = next((method for method in methods if method.name == "__init__"), None)
    if init is None:
        return None
    return _Helper(node.name, init, tuple(one.arg for one in init.args.args[1:]))


def _as_train(node: ast.FunctionDef, helpers: Mapping[str, _Helper]) -> TrainFunction | None:
    arguments = [*node.args.posonlyargs, *node.args.args]
    if len(arguments) - len(node.args.defaults) != 1 or node.args.kwonlyargs:
        return None
    run = arguments[0].arg
    reports = [c for c in _calls(node) if _is_of(c.func, run, "report")]
    if not reports:
        return None
    parameters: dict[str, Any] = {}
    for name, default in _read_below(node, run, helpers):
        if parameters.get(name) is None:
            parameters[name] = default
    metrics = [k.arg for call in reports for k in call.keywords if k.arg]
    metrics += [key for call in reports for k in call.keywords if k.arg is None
                for key in _keys(k.value)]  # fmt: skip
    return TrainFunction(node.name, parameters, tuple(dict.fromkeys(metrics)))


def _read_below(
    node: ast.FunctionDef, run: str, helpers: Mapping[str, _Helper]
) -> Iterator[tuple[str, Any]]:
    """Parameters that a function reads from the run, or a helper that it hands the run to."""
    for part in ast.walk(node):
        yield from _read(part, run)
        if not isinstance(part, ast.Call) or not isinstance(part.func, ast.Name):
            continue
        if (helper := helpers.get(part.func.id)) is None:
            continue
        others = {name: one for name, one in helpers.items() if one is not helper}
        handed = [*zip(helper.arguments, part.args, strict=False)]
        handed += [(k.arg, k.value) for k in part.keywords if k.arg]
        for name, value in handed:
            if isinstance(value, ast.Name) and value.id == run:
                yield from _read_below(helper.node, name, others)


def _read(part: ast.AST, run: str) -> Iterator[tuple[str, Any]]:
    """Parameters that a piece of code reads from the run: `run.lr`, `run.params["lr"]`,
    `run.params.get("lr", 0.1)`, `getattr(run, "lr", 0.1)`."""
    if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
        if part.value.id == run and part.attr not in _RUN and not part.attr.startswith("_"):
            yield part.attr, None
    elif isinstance(part, ast.Subscript) and _is_of(part.value, run, "params"):
        if isinstance(part.slice, ast.Constant) and isinstance(part.slice.value, str):
            yield part.slice.value, None
    elif isinstance(part, ast.Call):
        func, args = part.func, part.args
        named = isinstance(func, ast.Name) and func.id == "getattr" and len(args) > 1
        if named and isinstance(args[0], ast.Name) and args[0].id == run:
            args = args[1:]
        elif not (isinstance(func, ast.Attribute) and func.attr == "get"
                  and _is_of(func.value, run, "params")):  # fmt: skip
            return
        if args and isinstance(args[0], ast.Constant) and isinstance(args[0].value, str):
            yield args[0].value, _plain(args[1]) if len(args) > 1 else None


def script(folder: Path, file: str) -> Script:
    """The options of a script, by `argparse`, and what it prints; SignatureError where the file
    cannot be parsed."""
    uses = Script()
    for call in _calls(tree(folder, file)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(
            call.func, "id", "")  # fmt: skip
        if name == "add_argument" and (option := _option(call)) is not None:
            uses.options.append(option)
        elif name == "dumps" and call.args:
            uses.json_metrics += [k for k in _keys(call.args[0]) if k != "epoch"]
        elif name.startswith("suggest_") and call.args:
            key = _plain(call.args[0])
            if isinstance(key, str):
                uses.suggests[key] = ast.unparse(call)
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        attributes = [one.attr for one in arguments if isinstance(one, ast.Attribute)]
        if name in _WRITES:
            uses.written |= dict.fromkeys(attributes, name)
        elif name == "load":
            uses.loaded.update(attributes)
        uses.printed += printed(call)
    return uses


def _option(call: ast.Call) -> Option | None:
    flags = [_plain(one) for one in call.args]
    texts = [flag for flag in flags if isinstance(flag, str)]
    long = next((text for text in texts if text.startswith("--")), None)
    more = {k.arg: k.value for k in call.keywords if k.arg}
    words = _plain(more.get("help"))
    words = words if isinstance(words, str) else ""
    if long is None:
        return _required(texts, more, words)
    if isinstance(_plain(more.get("action")), str) and _plain(more["action"]).startswith("store_"):
        return Option(long, long[2:].replace("-", "_"), "bool", False, help=words)
    default, choices = _default(more.get("default")), _plain(more.get("choices"))
    kind = getattr(more.get("type"), "id", None) or (
        type(default).__name__ if default is not None else "str"
    )
    name = _plain(more.get("dest")) or long[2:].replace("-", "_")
    chosen = tuple(choices) if isinstance(choices, (list, tuple)) else ()
    needed = _plain(more.get("required")) is True
    return Option(long, str(name), str(kind), default, chosen, required=needed,
                  help=words)  # fmt: skip


def _required(texts: Sequence[str], more: Mapping[str, ast.expr], words: str) -> Option | None:
    """An argument without a long name, where a script cannot be without it: one that is known by
    its place, or `-o`."""
    if len(texts) != 1:
        return None
    text, is_placed = texts[0], not texts[0].startswith("-")
    is_needed = _plain(more.get("nargs")) not in ("?", "*") if is_placed else (
        _plain(more.get("required")) is True)  # fmt: skip
    name = str(_plain(more.get("dest")) or text.lstrip("-").replace("-", "_"))
    flag = "" if is_placed else text
    return Option(flag, name, "str", required=True, help=words) if is_needed else None


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    return (part for part in ast.walk(node) if isinstance(part, ast.Call))


def _is_of(node: ast.expr, name: str, attribute: str) -> bool:
    """Whether it is `name.attribute`."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    )


def _keys(node: ast.expr) -> list[str]:
    """The keys of a dict that is written out, by `{...}` or `dict(...)`."""
    if isinstance(node, ast.Dict):
        return [k.value for k in node.keys
                if isinstance(k, ast.Constant) and isinstance(k.value, str)]  # fmt: skip
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dict":
        return [k.arg for k in node.keywords if k.arg]
    return []


def _default(node: ast.expr | None) -> Any:
    """The default of an option: of a path that is put together, such as `ROOT / "out"`, its end."""
    if isinstance(node, ast.Call) and node.args:
        if re.search(r"\b(?:Path|join)$", ast.unparse(node.func)):
            return _plain(node.args[-1])
    elif isinstance(node, ast.BinOp) and isinstance(end := _plain(node.right), str):
        return end
    return _plain(node)


def _plain(node: ast.expr | None) -> Any:
    """A value that is written out; None where it is none."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
