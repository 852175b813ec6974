"""The numbers that a script prints, by the words before them: its metrics, and their epoch."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Epoch", "Printed", "printed"]

_LABEL = re.compile(r"([A-Za-z_][\w ./-]*?)\s*[:=]?\s*$")
_SCORE = re.compile(r"(?:.*[^a-z])?(?:acc(?:uracy)?|auc|auroc|f1|r2|score|loss|error|mse|rmse|mae|"
                    r"perplexity|dice|iou|reward)", re.IGNORECASE)  # fmt: skip
_EPOCH_LABEL = re.compile(r"(?:^|[^\w\s]\s*)ep(?:och)?(?:\s*(?:no|nr|number))?\W*$", re.IGNORECASE)
"""The word alone: `per epoch` and `best epoch` stand before other numbers."""
_EPOCH_NAME = re.compile(
    r"(?:i_?|cur(?:rent)?_?|this_?|_)?epoch(?:_?(?:num(?:ber)?|idx|index|i|id|nr|no))?|ep",
    re.IGNORECASE,
)
_NOT_WHOLE = re.compile(r"\.\d|[eEfFgG%]$")
"""A format of numbers with decimals."""
_UNIT = re.compile(r"^[A-Za-z]{1,3}\s+")
"""Right behind a number: `2.5s`."""
_PERCENT = re.compile(r"%(?:\(\w+\))?([-+ #0-9.*]*[hlL]?[diouxXeEfFgGcrsa%])")


@dataclass(frozen=True)
class Epoch:
    """The number of an epoch in a line with a metric."""

    before: str
    """The text right before it; "" where the line begins with it."""
    first: bool
    """Whether it stands before the metric."""


@dataclass(frozen=True)
class Printed:
    """A number that a line has, of what looks like a metric."""

    words: str
    """Before the number."""
    epoch: Epoch | None
    """None: the line names none."""


@dataclass(frozen=True)
class _Number:
    """What is printed that is no fixed text."""

    value: ast.expr | None
    """None: another sort of expression than one that is looked at."""
    whole: bool = True
    """Whether its format may be that of a whole number."""


_Piece = str | _Number


def printed(call: ast.Call) -> Iterator[Printed]:
    """The metrics of the line that a call of `print`, or of a logger's `info`, writes."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(
        call.func, "id", "")  # fmt: skip
    to = next((k.value for k in call.keywords if k.arg == "file"), None)
    if function not in ("print", "info") or (to and getattr(to, "attr", "")[:3] != "std"):
        return
    line = _merged(_logged(call.args) if function == "info" else _beside(call.args))
    epochs = [(at, number) for at, number in _numbers(line) if _is_epoch(line, at, number)]
    at_epoch, before = (epochs[0][0], _before(line, epochs[0][0])) if epochs else (-1, "")
    if at_epoch > 0 and not before.strip():
        at_epoch = -1  # behind another number: nothing shows where it begins
    for at, _ in _numbers(line):
        text = _UNIT.sub("", _before(line, at)) if at > 1 else _before(line, at)
        label = _LABEL.search(text.rpartition(",")[2])
        words = label[1].strip() if label else ""
        if at != at_epoch and words and _SCORE.fullmatch(words.split()[-1]):
            epoch = Epoch(before, at_epoch < at) if at_epoch >= 0 else None
            yield Printed(words, epoch)


def _numbers(line: Sequence[_Piece]) -> Iterator[tuple[int, _Number]]:
    return ((at, piece) for at, piece in enumerate(line) if isinstance(piece, _Number))


def _before(line: Sequence[_Piece], at: int) -> str:
    """The text right before a piece."""
    piece = line[at - 1] if at else ""
    return piece if isinstance(piece, str) else ""


def _is_epoch(line: Sequence[_Piece], at: int, number: _Number) -> bool:
    value = number.value
    if isinstance(value, ast.BinOp) and isinstance(value.right, ast.Constant):
        value = value.left
    name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
    named = _EPOCH_NAME.fullmatch(name) or _EPOCH_LABEL.search(_before(line, at))
    return number.whole and named is not None


def _merged(pieces: Iterator[_Piece]) -> list[_Piece]:
    """The same with texts that follow each other as one."""
    merged: list[_Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if isinstance(piece, str) and isinstance(last, str):
            merged[-1] = last + piece
        elif piece != "":
            merged.append(piece)
    return merged


def _beside(arguments: Sequence[ast.expr]) -> Iterator[_Piece]:
    for number, argument in enumerate(arguments):
        if number:
            yield " "
        yield from _pieces(argument)


def _logged(arguments: Sequence[ast.expr]) -> Iterator[_Piece]:
    """Of a logger's call: its first argument is the format of the others."""
    first = arguments[0] if arguments else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str) and arguments[1:]:
        return _percent(first.value, arguments[1:])
    return _beside(arguments[:1])


def _pieces(node: ast.expr) -> Iterator[_Piece]:
    """Texts and numbers of an expression, in the order in which they are printed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield from _pieces(part)
    elif isinstance(node, ast.FormattedValue):
        spec = "".join(p for p in _pieces(node.format_spec) if isinstance(p, str)) if (
            node.format_spec) else ""  # fmt: skip
        yield _Number(node.value, not _NOT_WHOLE.search(spec))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _has_text(node):
        yield from _pieces(node.left)
        yield from _pieces(node.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and (
        isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
    ):  # fmt: skip
        values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        yield from _percent(node.left.value, values)
    elif isinstance(node, ast.Call):
        yield from _called(node)
    else:
        yield _Number(node)


def _has_text(node: ast.BinOp) -> bool:
    """Whether texts are added, and no numbers."""
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        or (isinstance(side, ast.BinOp) and _has_text(side))
        for side in sides
    )


def _called(call: ast.Call) -> Iterator[_Piece]:
    """`str(epoch)`, and `"{} {}".format(epoch, loss)`."""
    function = call.func
    if isinstance(function, ast.Name) and function.id in ("str", "round") and call.args:
        yield from _pieces(call.args[0])
    elif (
        isinstance(function, ast.Attribute) and function.attr == "format"
        and isinstance(function.value, ast.Constant) and isinstance(function.value.value, str)
    ):  # fmt: skip
        yield from _formatted(function.value.value, call)
    else:
        yield _Number(call)


def _formatted(text: str, call: ast.Call) -> Iterator[_Piece]:
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    following = iter(call.args)
    try:
        fields = [*string.Formatter().parse(text)]
    except ValueError:
        return
    for before, field, spec, _ in fields:
        yield before
        if field is None:
            continue
        value = next(following, None) if field == "" else named.get(field)
        if field.isdecimal() and int(field) < len(call.args):
            value = call.args[int(field)]
        yield _Number(value, not _NOT_WHOLE.search(spec or ""))


def _percent(text: str, values: Sequence[ast.expr]) -> Iterator[_Piece]:
    following, end = iter(values), 0
    for match in _PERCENT.finditer(text):
        yield text[end : match.start()]
        end = match.end()
        if match[1].endswith("%"):
            yield "%"
        else:
            yield _Number(next(following, None), not _NOT_WHOLE.search(match[1]))
    yield text[end:]
