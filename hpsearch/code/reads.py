"""What a training function surely reads of its run and reports to it, read without running it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hpsearch.code.signature import TAKEN, SignatureError, tree

__all__ = ["Reads", "reads"]

_OTHERS = frozenset({*TAKEN, "epochs"})
"""What a run has that is no parameter."""
_FORKS = (
    ast.IfExp, ast.BoolOp, ast.Try, ast.While, ast.Match, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda,
)  # fmt: skip
"""What is inside may be left out."""


@dataclass
class Reads:
    """What a function reads and reports, as far as that is sure."""

    names: set[str] = field(default_factory=set)
    """Parameters that it may read."""
    needed: dict[str, None] = field(default_factory=dict)
    """Those that it reads in any case, and without a default."""
    metrics: dict[str, None] = field(default_factory=dict)
    """What it reports, by name."""
    all_names: bool = True
    """Whether it can read no others: none by a name that is computed, or elsewhere."""
    all_metrics: bool = True
    """Whether it can report nothing else."""


def reads(folder: Path, reference: str) -> Reads | None:
    """What the function that `FILE.py:FUNCTION` names does with its run; None where that is not to
    be seen: it is no plain function of one argument, or its name for the run means something else
    later."""
    file, _, name = reference.partition(":")
    try:
        body = tree(folder, file).body
    except SignatureError:
        return None
    functions = _functions(body)
    node = functions.get(name)
    if node is None or not (arguments := [*node.args.posonlyargs, *node.args.args]):
        return None
    reader = _Reader(arguments[0].arg, functions, Reads())
    return reader.reads if reader.follow(node) else None


def _functions(body: Sequence[ast.stmt]) -> dict[str, ast.FunctionDef]:
    """Plain functions of a file whose names mean nothing else anywhere in it."""
    names = Counter(name for statement in body for node in ast.walk(statement)
                    if (name := _named(node)))  # fmt: skip
    return {
        node.name: node for node in body
        if isinstance(node, ast.FunctionDef) and not node.decorator_list and names[node.name] == 1
    }  # fmt: skip


def _named(node: ast.AST) -> str | None:
    """The name that a piece of code gives a meaning to."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name
    if isinstance(node, ast.alias):
        return node.asname or node.name
    if isinstance(node, ast.arg):
        return node.arg
    return node.id if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) else None


class _Reader(ast.NodeVisitor):
    """Follows the run through one function, and into those that it is handed to."""

    def __init__(
        self, run: str, functions: Mapping[str, ast.FunctionDef], reads: Reads, *,
        certain: bool = True,
    ) -> None:  # fmt: skip
        self._run, self._functions, self.reads = run, functions, reads
        self._certain = certain
        """Whether what is looked at is done in any case."""
        self._in_epochs = False
        """Whether what is looked at is in a loop over the epochs."""
        self._is_plain = True
        """Whether its name for the run is nothing else."""

    def follow(self, node: ast.FunctionDef) -> bool:
        """Look at a function; whether its name for the run means the run throughout."""
        for statement in node.body:
            self.visit(statement)
        return self._is_plain

    @contextmanager
    def _maybe(self) -> Iterator[None]:
        before, self._certain = self._certain, False
        yield
        self._certain = before

    def visit(self, node: ast.AST) -> None:
        """Look at one piece of code."""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            own = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            self._is_plain &= all(argument.arg != self._run for argument in own)
        if isinstance(node, _FORKS) or _is_suppressed(node):
            with self._maybe():
                super().visit(node)
        else:
            super().visit(node)
        if isinstance(node, (ast.If, ast.For, *_FORKS)) and any(
            isinstance(part, (ast.Return, ast.Raise, ast.Break, ast.Continue))
            for part in ast.walk(node)
        ):
            self._certain = False  # what follows may be left out

    def visit_If(self, node: ast.If) -> None:
        """Of its parts only the condition is certain."""
        self.visit(node.test)
        with self._maybe():
            for statement in (*node.body, *node.orelse):
                self.visit(statement)

    def visit_For(self, node: ast.For) -> None:
        """A loop over the epochs has one at least, and in it one over batches; a number of times
        may be 0."""
        self.visit(node.target)
        self.visit(node.iter)
        over = node.iter.func if isinstance(node.iter, ast.Call) else None
        is_epochs = over is not None and self._is_of_run(over, "epochs")
        is_sure = is_epochs or (self._in_epochs and getattr(over, "id", "") != "range")
        before = self._certain, self._in_epochs
        self._certain, self._in_epochs = self._certain and is_sure, self._in_epochs or is_epochs
        for statement in (*node.body, *node.orelse):
            self.visit(statement)
        self._certain, self._in_epochs = before

    def visit_Name(self, node: ast.Name) -> None:
        """The run itself, in a place that is not followed."""
        if node.id == self._run:
            self._is_plain &= isinstance(node.ctx, ast.Load)
            self.reads.all_names = self.reads.all_metrics = False

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """`run.lr`, and what of the run is handed on as a whole."""
        if not (isinstance(node.value, ast.Name) and node.value.id == self._run):
            self.generic_visit(node)
        elif node.attr == "params":
            self.reads.all_names = False
        elif node.attr == "report":
            self.reads.all_metrics = False
        elif node.attr not in _OTHERS and not node.attr.startswith("_"):
            self._is_plain &= isinstance(node.ctx, ast.Load)  # else it is an attribute of its own
            self._note(node.attr, needed=True)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """`run.params["lr"]`."""
        name = _text(node.slice)
        if name is None or not self._is_of_run(node.value, "params"):
            self.generic_visit(node)
        else:
            self._note(name, needed=True)

    def visit_Call(self, node: ast.Call) -> None:
        """`run.params.get("lr", 0.1)`, `getattr(run, "lr", 0.1)`, `run.report(...)`, and a function
        that the run is handed to."""
        func, args = node.func, node.args
        name = getattr(func, "id", "")
        if isinstance(func, ast.Attribute) and func.attr == "get" and (
            self._is_of_run(func.value, "params") and args and (key := _text(args[0]))
        ):  # fmt: skip
            self._note(key, needed=False)
            self._rest(args[1:], node)
        elif name == "getattr" and len(args) > 1 and self._is_run(args[0]) and (
            key := _text(args[1])
        ):  # fmt: skip
            self._note(key, needed=len(args) == 2)
            self._rest(args[2:], node)
        elif self._is_of_run(func, "report"):
            self._report(node)
            self._rest(args, node)
        elif name in self._functions:
            self._hand_on(self._functions[name], node)
        elif self._is_of_run(func, "save"):
            self._rest(args, node)
        else:
            self.generic_visit(node)

    def _rest(self, args: Iterable[ast.expr], node: ast.Call) -> None:
        for part in (*args, *(keyword.value for keyword in node.keywords)):
            self.visit(part)

    def _report(self, node: ast.Call) -> None:
        self.reads.metrics |= {k.arg: None for k in node.keywords if k.arg}
        if node.args or any(k.arg is None for k in node.keywords):
            self.reads.all_metrics = False

    def _hand_on(self, function: ast.FunctionDef, node: ast.Call) -> None:
        own = [*function.args.posonlyargs, *function.args.args]
        given = [*zip((argument.arg for argument in own), node.args, strict=False)]
        given += [(k.arg, k.value) for k in node.keywords if k.arg]
        names = [name for name, value in given if self._is_run(value)]
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        if len(names) == sum(map(self._is_run, parts)):
            parts = [part for part in parts if not self._is_run(part)]
        if any(isinstance(part, ast.Starred) for part in parts):
            names, parts = [], [*node.args, *parts]  # nobody knows which argument it is
        for part in parts:
            self.visit(part)
        others = {name: one for name, one in self._functions.items() if one is not function}
        for name in names:
            inner = _Reader(name, others, self.reads, certain=self._certain)
            self._is_plain &= inner.follow(function)

    def _note(self, name: str, *, needed: bool) -> None:
        self.reads.names.add(name)
        if needed and self._certain:
            self.reads.needed[name] = None

    def _is_run(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self._run

    def _is_of_run(self, node: ast.expr, attribute: str) -> bool:
        return (
            isinstance(node, ast.Attribute)
            and node.attr == attribute
            and self._is_run(node.value)
        )  # fmt: skip


def _is_suppressed(node: ast.AST) -> bool:
    """Whether a block lets errors pass."""
    calls = [item.context_expr for item in node.items] if isinstance(node, ast.With) else []
    return any("suppress" in ast.unparse(call) for call in calls)


def _text(node: ast.expr) -> str | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None
