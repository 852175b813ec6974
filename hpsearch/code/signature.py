"""Functions of a study's own code, read without running any of it.

A study file names one as `FILE.py:FUNCTION`, and its arguments are the settings of what it makes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hpsearch.code.manifest import content_of
from hpsearch.errors import line

__all__ = [
    "TAKEN", "Argument", "SignatureError", "arguments", "is_reference", "named", "parsed",
    "positional", "tree", "written",
]  # fmt: skip

_REFERENCE = re.compile(r"(?:[^/:\\.\s][^/:\\.]*/)*[^/:\\.\s][^/:\\.]*\.py:[^\W\d]\w*")

Kind = Literal["int", "float", "bool", "text", "choice", "sizes"]

TAKEN = frozenset({"device", "folder", "params", "report", "save", "seed"})
"""Names that an argument cannot have: they mean something else to own code."""

_KINDS: dict[str, Kind] = {"int": "int", "float": "float", "bool": "bool", "str": "text"}
_NAMES = {kind: name for name, kind in _KINDS.items()} | {"sizes": "tuple[int, ...]"}
_LISTS = frozenset({"list", "List", "tuple", "Tuple", "Sequence"})
_PLAIN = "int, float, bool, str or a list of int"


class SignatureError(ValueError):
    """A function that cannot be what a study file wants it to be.

    Args:
        expected: What was expected of it.
        got: What there is.
    """

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}; got {got}")
        self.expected, self.got = expected, got


@dataclass(frozen=True)
class Argument:
    """One argument: a setting of what the function makes."""

    name: str
    kind: Kind
    default: Any = None
    """A list as a tuple."""
    required: bool = False
    """Whether it has no default."""
    optional: bool = False
    """Whether it may be None."""
    choices: tuple[str, ...] = ()
    """Of a `choice`, all there are."""

    def __str__(self) -> str:
        shown = f"Literal{list(self.choices)}" if self.kind == "choice" else _NAMES[self.kind]
        annotated = f"{self.name}: {shown}{' | None' if self.optional else ''}"
        return annotated if self.required else f"{annotated} = {self.default!r}"


def is_reference(text: object) -> bool:
    """Whether it names a function of own code: `nets.py:build`, `models/nets.py:build`.

    The path is one below the folder of the code: neither absolute, nor with `..` or `.` in it.
    """
    return isinstance(text, str) and _REFERENCE.fullmatch(text) is not None


def arguments(folder: Path, reference: str) -> tuple[Argument, ...]:
    """The arguments of a function after its first one.

    Args:
        folder: The folder of the code.
        reference: `FILE.py:FUNCTION`; instead of a function a class, whose `__init__` counts.

    Raises SignatureError where there is no such function, or where an argument is none that a study
    file could set.
    """
    return _settings(_function(folder, reference))


def positional(folder: Path, reference: str, names: str, count: int) -> None:
    """Raise SignatureError where there is no such function of `count` arguments.

    Args:
        folder: The folder of the code.
        reference: `FILE.py:FUNCTION`.
        names: What it is called with, such as `outputs, targets`.
        count: How many these are.
    """
    signature = _function(folder, reference)
    own = [*signature.posonlyargs, *signature.args]
    lacking = [a for a, d in zip(signature.kwonlyargs, signature.kw_defaults, strict=True) if not d]
    least = len(own) - len(signature.defaults)
    fits = least <= count and (len(own) >= count or signature.vararg is not None)
    if lacking or not fits:
        name = reference.partition(":")[2]
        raise SignatureError(f"{name}({names})", f"{name}({ast.unparse(signature)})")


def named(folder: Path, reference: str) -> tuple[str, ...] | None:
    """The names of the positional arguments of a function that has no others; None where there is
    no such function."""
    try:
        signature = _function(folder, reference)
    except SignatureError:
        return None
    if signature.kwonlyargs or signature.vararg or signature.kwarg:
        return None
    return tuple(argument.arg for argument in (*signature.posonlyargs, *signature.args))


def written(settings: tuple[Argument, ...]) -> str:
    """Arguments as Python writes them, which `parsed` reads again: `(width: int = 64)`."""
    return f"({', '.join(map(str, settings))})"


def parsed(text: str) -> tuple[Argument, ...]:
    """The arguments that `written` has written; SignatureError for another text."""
    try:
        (statement,) = ast.parse(f"def build(problem, *, {text[1:-1]}): ..." if text != "()" else
                                 "def build(problem): ...").body  # fmt: skip
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SignatureError("arguments", line(error)) from None
    if not isinstance(statement, ast.FunctionDef):
        raise SignatureError("arguments", text)
    return _settings(statement.args)


def _function(folder: Path, reference: str) -> ast.arguments:
    """What a function takes; without `self` where it is a class."""
    file, _, name = reference.partition(":")
    module = tree(folder, file)
    definitions = [node for node in _statements(module.body) if getattr(node, "name", None) == name]
    node = definitions[-1] if definitions else None
    if isinstance(node, ast.FunctionDef):
        return node.args
    if isinstance(node, ast.ClassDef):
        return _constructor(node, file)
    if node is not None:
        raise SignatureError(f"a function {name}", f"an async one in {file}")
    names = [n.name for n in module.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    shown = ", ".join(n for n in names if not n.startswith("_")) or "none"
    raise SignatureError(f"def {name} or class {name} in {file}", shown)


def tree(folder: Path, file: str) -> ast.Module:
    """A file below a folder of code, parsed and not run; SignatureError where it cannot be."""
    folder = folder.resolve()
    path = folder / file
    if not path.resolve().is_relative_to(folder):
        raise SignatureError(f"a file below {folder}", f"{file}, a link that leads out of it")
    try:
        return ast.parse(content_of(path), filename=file)
    except OSError as error:
        got = "which is not there" if isinstance(error, FileNotFoundError) else line(error).lower()
        raise SignatureError(f"a Python file below {folder}", f"{file}, {got}") from None
    except SyntaxError as error:
        place = f"{file}, line {error.lineno}" if error.lineno else file
        raise SignatureError("Python", f"{place}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL; nested too deep
        raise SignatureError("Python", f"{file}: {line(error)}") from None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those inside its `if` and `try` too."""
    for statement in body:
        yield statement
        for part in ("body", "orelse", "handlers", "finalbody"):
            if isinstance(statement, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
                yield from _statements(getattr(statement, part, []))


def _constructor(node: ast.ClassDef, file: str) -> ast.arguments:
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            signature = statement.args
            both = [*signature.posonlyargs, *signature.args][1:]
            return ast.arguments(
                posonlyargs=[], args=both, vararg=signature.vararg, kwonlyargs=signature.kwonlyargs,
                kw_defaults=signature.kw_defaults, kwarg=signature.kwarg,
                defaults=signature.defaults,
            )  # fmt: skip
    raise SignatureError(f"__init__(self, problem, ...) in class {node.name}", f"none in {file}")


def _settings(signature: ast.arguments) -> tuple[Argument, ...]:
    positional = [*signature.posonlyargs, *signature.args]
    if not positional:
        raise SignatureError("problem as the first argument", f"({ast.unparse(signature)})")
    if star := signature.vararg or signature.kwarg:
        raise SignatureError("each setting as an argument of its own", f"*{star.arg}")
    if len(signature.posonlyargs) > 1:
        raise SignatureError("settings by name", f"{signature.posonlyargs[1].arg} before /")
    missing = [None] * (len(positional) - len(signature.defaults))
    pairs = [*zip(positional, [*missing, *signature.defaults], strict=True)][1:]
    pairs += zip(signature.kwonlyargs, signature.kw_defaults, strict=True)
    return tuple(_argument(argument, default) for argument, default in pairs)


def _argument(argument: ast.arg, default: ast.expr | None) -> Argument:
    name = argument.arg
    if name in TAKEN:
        raise SignatureError(f"no argument called {', '.join(sorted(TAKEN))}", name)
    kind, choices, optional = _annotated(argument.annotation)
    if default is None:
        if kind is None:
            raise SignatureError(f"a default or an annotation of {name}: {_PLAIN}", "neither")
        return Argument(name, kind, required=True, optional=optional, choices=choices)
    value = _literal(name, default)
    by_value = _kind_of(value)
    if value is None and kind is not None:
        return Argument(name, kind, None, optional=True, choices=choices)
    if by_value is None:
        raise SignatureError(f"a default of {name}: {_PLAIN}", ast.unparse(default))
    kind = kind or by_value
    if kind == "float" and by_value == "int":
        value, by_value = _float(name, value), "float"
    if by_value != ("text" if kind == "choice" else kind):
        raise SignatureError(f"a default of {name} of its annotation", ast.unparse(default))
    return Argument(name, kind, value, optional=optional, choices=choices)


def _literal(name: str, default: ast.expr) -> Any:
    try:
        value = ast.literal_eval(default)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        got = ast.unparse(default)
        raise SignatureError(f"a plain value as the default of {name}", got) from None
    return tuple(value) if isinstance(value, list) else value


def _float(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise SignatureError(f"a number as the default of {name}", line(error)) from None


def _kind_of(value: object) -> Kind | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, tuple):
        return "sizes" if value and all(type(v) is int for v in value) else None
    return {int: "int", float: "float", str: "text"}.get(type(value))  # type: ignore[return-value]


def _annotated(node: ast.expr | None) -> tuple[Kind | None, tuple[str, ...], bool]:
    """(kind, choices, whether it may be None) by an annotation; no kind for one of another sort."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except (SyntaxError, ValueError):
            return None, (), False
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        sides = [side for side in (node.left, node.right) if not _is_none(side)]
        kind, choices, _ = _annotated(sides[0]) if len(sides) == 1 else (None, (), False)
        return kind, choices, len(sides) == 1
    if isinstance(node, ast.Subscript):
        return _subscripted(_last(node.value), node.slice)
    name = _last(node)
    return ("sizes" if name in _LISTS else _KINDS.get(name)), (), False


def _subscripted(name: str, inside: ast.expr) -> tuple[Kind | None, tuple[str, ...], bool]:
    parts = inside.elts if isinstance(inside, ast.Tuple | ast.List) else [inside]
    if name == "Optional":
        kind, choices, _ = _annotated(inside)
        return kind, choices, True
    if name == "Literal" and all(isinstance(p, ast.Constant) for p in parts):
        values = [p.value for p in parts if isinstance(p, ast.Constant)]
        names = tuple(value for value in values if isinstance(value, str))
        return ("choice" if len(names) == len(values) else None), names, False
    ints = {_last(p) for p in parts if not isinstance(p, ast.Constant)} == {"int"}
    return ("sizes" if name in _LISTS and ints else None), (), False


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _last(node: ast.expr | None) -> str:
    """The name of an annotation, without the modules before it."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
