"""The options that a script surely has, by `argparse`, read without running it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from hpsearch.code.signature import SignatureError, tree

__all__ = ["flags", "options", "required"]

_OF_A_PARSER = frozenset({
    "add_argument", "add_argument_group", "add_mutually_exclusive_group", "error", "exit",
    "parse_args", "print_help", "print_usage", "set_defaults",
})  # fmt: skip
"""What may be done with a parser that adds no options other than those that are written out."""
_MAKERS = frozenset({"ArgumentParser", "add_argument_group", "add_mutually_exclusive_group"})


def options(folder: Path, file: str) -> frozenset[str] | None:
    """All long options of a script, such as `--lr`; None where it may have others: another library
    reads its command line, its parser is handed on, or an option's name is computed."""
    try:
        body = tree(folder, file)
    except SignatureError:
        return None
    nodes = [*ast.walk(body)]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    made = [call for call in calls if _called(call) in _MAKERS]
    parsers = {
        target.id for node in nodes if isinstance(node, ast.Assign) and node.value in made
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    first = [call for call in made if _called(call) == "ArgumentParser"]
    names = _of_argparse(nodes)
    if len(first) != 1 or ast.unparse(first[0].func) not in names or len(made) != len(parsers):
        return None
    allowed = {
        call.func.value for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in _OF_A_PARSER
    }  # fmt: skip
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in parsers and isinstance(node.ctx, ast.Load):
            if node not in allowed:
                return None
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.argv":
            return None
    flags = [_flags(call) for call in calls]
    if any(one is None for one in flags):
        return None
    return frozenset({"--help"}.union(*(one for one in flags if one is not None)))


def required(folder: Path, file: str) -> list[tuple[str, ...]]:
    """The options that a script, of which `options` are known, cannot be without: the names of
    each."""
    calls = [node for node in ast.walk(tree(folder, file)) if isinstance(node, ast.Call)]
    return [
        names for call in calls
        if _called(call) == "add_argument" and (names := _texts(call))
        and all(name.startswith("-") for name in names)
        and any(k.arg == "required" and ast.unparse(k.value) == "True" for k in call.keywords)
    ]  # fmt: skip


def flags(folder: Path, file: str) -> frozenset[str]:
    """The options of a script, of which `options` are known, that take no value."""
    calls = [node for node in ast.walk(tree(folder, file)) if isinstance(node, ast.Call)]
    return frozenset(
        name for call in calls if _called(call) == "add_argument" for name in _texts(call)
        if name.startswith("-") and any(
            k.arg == "action" and isinstance(k.value, ast.Constant)
            and k.value.value in ("store_true", "store_false", "store_const", "count")
            for k in call.keywords
        )
    )  # fmt: skip


def _texts(call: ast.Call) -> tuple[str, ...]:
    values = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    return tuple(value for value in values if isinstance(value, str))


def _of_argparse(nodes: Sequence[ast.AST]) -> set[str]:
    """What a file calls `argparse.ArgumentParser`: other libraries have parsers of that name."""
    names = set[str]()
    for node in nodes:
        for alias in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
            name = alias.asname or alias.name
            if isinstance(node, ast.Import) and alias.name == "argparse":
                names.add(f"{name}.ArgumentParser")
            elif isinstance(node, ast.ImportFrom) and (node.module, alias.name) == (
                "argparse", "ArgumentParser"
            ):  # fmt: skip
                names.add(name)
    return names


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _flags(call: ast.Call) -> list[str] | None:
    """Long options that a call adds; None where it may add others."""
    name, keywords = _called(call), {keyword.arg for keyword in call.keywords}
    if name == "ArgumentParser":
        return None if keywords & {"parents", "prefix_chars", "fromfile_prefix_chars", None} else []
    if name == "parse_args":
        return None if call.args or keywords else []
    if name != "add_argument":
        return []
    flags = _texts(call)
    if len(flags) < len(call.args) or None in keywords:
        return None
    long = [flag for flag in flags if flag.startswith("--")]
    action = next((ast.unparse(k.value) for k in call.keywords if k.arg == "action"), "")
    if action.endswith("BooleanOptionalAction"):
        long += [f"--no-{flag[2:]}" for flag in long]
    return long
