"""What hpsearch says is plain English: the phrases of its old dialect do not come back.

Read are the texts of the code, docstrings among them, the documentation and the examples.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EVERYWHERE = {
    "unless said": "by default",
    "puts? aside": "held out",
    "of the first of trials": "stops after 60 trials or 1 hour, whichever comes first",
    "a little too good": "slightly optimistic",
    "learns to tell": "target column",
    "(went|goes|go|gone|going) to (its|their|the) end": "completed",
    "(goes|go|went|gone|going) on": "continues",
    "for ever": "forever",
    "at the (most|utmost)": "at most",
    "be it": "even if",
    "whoever": "who",
    "heed(s|ed)?": "act on",
    "amiss": "wrong",
    "mend(s|ed|ing)?": "fix",
    "(to|cannot) be had": "unavailable",
    "of another patience": "with a different minimum resource",
    "are borne|bears?": "tolerate",
    "test part has been looked at": "the test part has been used",
    "rightly": "correctly",
    "times better": "speed-up",
    "none that was not retried": "no failed trials to retry",
    "may be chance": "no evidence",
    "an epoch of one": "one epoch of one trial",
}
"""Phrase, as a regular expression of whole words -> what to write in its place."""

SHOWN = {"(is|are|was|were|be|been) (told|said)": "is reported", "tells( of)?": "reports"}
"""The same of what is shown: messages and documents, not the docstrings within."""


def refused(text: str, phrases: Mapping[str, str]) -> list[str]:
    """Each phrase that a text has, with what to write."""
    plain = " ".join(text.split())
    return [
        f"{found[0]!r}: write {better!r}"
        for phrase, better in phrases.items()
        if (found := re.search(rf"\b({phrase})\b", plain, re.IGNORECASE))
    ]


def texts(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Line and text of each literal of a module, and whether it stands alone, as docstrings do."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, id(node) in alone


@pytest.mark.parametrize("room", sorted(p.name for p in (ROOT / "hpsearch").glob("[!_]*")))
def test_code_speaks_plain_english(room: str) -> None:
    place = ROOT / "hpsearch" / room
    for path in [place] if place.is_file() else place.rglob("*.py"):
        for line, text, docstring in texts(ast.parse(path.read_text())):
            phrases = EVERYWHERE if docstring else EVERYWHERE | SHOWN
            assert refused(text, phrases) == [], f"{path.relative_to(ROOT)}:{line}"


VAGUE = {"found", "there", "held", "known", "said", "kept"}
"""What says that there is something, and not what."""


@pytest.mark.parametrize("room", sorted(p.name for p in (ROOT / "hpsearch").glob("[!_]*")))
def test_a_local_variable_is_named_for_what_it_is(room: str) -> None:
    place = ROOT / "hpsearch" / room
    for path in [place] if place.is_file() else place.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                nodes = list(ast.walk(function))
                stored = {n.id for n in nodes if isinstance(n, ast.Name)
                          and isinstance(n.ctx, ast.Store)}  # fmt: skip
                own = stored - {n.arg for n in nodes if isinstance(n, ast.arg)}
                assert own & VAGUE == set(), f"{path.relative_to(ROOT)}:{function.lineno}"


def test_documents_and_examples_speak_plain_english() -> None:
    below = (
        path for folder in ("docs", "studies", "deploy") for path in (ROOT / folder).rglob("*")
    )
    for path in (*ROOT.glob("*.md"), *below):
        if path.suffix in {".md", ".yaml", ".yml"}:
            assert refused(path.read_text(), EVERYWHERE | SHOWN) == [], path.relative_to(ROOT)


def test_a_phrase_is_found_across_lines_and_as_a_whole_word_only() -> None:
    assert refused("it goes\n    on", EVERYWHERE) == ["'goes on': write 'continues'"]
    assert refused("forever amended, upon", EVERYWHERE) == []
