"""The page of errors quotes messages that the code has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/errors.md"
LEFT_OUT = "…"
"""What stands for a value in a message."""


def template(node: ast.AST) -> str | None:
    """The text of a literal, with what is filled in left out; None of other expressions."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) or LEFT_OUT for part in node.values)
    return None


def messages() -> str:
    """Every literal text of hpsearch, one a line."""
    trees = (ast.parse(path.read_text()) for path in (ROOT / "hpsearch").rglob("*.py"))
    texts = (template(node) for tree in trees for node in ast.walk(tree))
    return "\n".join(" ".join(text.split()) for text in texts if text)


def test_each_message_that_is_quoted_exists_in_the_code() -> None:
    quoted = re.findall(r"^### `(.*)`$", PAGE.read_text(), re.M)
    assert len(quoted) >= 50
    assert len(set(quoted)) == len(quoted)
    there = messages()
    assert [message for message in quoted if message not in there] == []
