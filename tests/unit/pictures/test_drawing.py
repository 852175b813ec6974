"""Each picture drawn once, of plain values; which ones a study has; what drawing leaves."""

from __future__ import annotations

import ast
import io
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import hpsearch
from hpsearch.pictures import catalog
from hpsearch.pictures.canvas import inline, rendered, short
from hpsearch.pictures.catalog import Facts
from hpsearch.spec.registry import named
from tests.unit.pictures.contents import CONTENTS, confusion

FIRST = {picture: name for name, (picture, _) in reversed(CONTENTS.items())}
"""One content for each picture."""
EVERY = [
    pytest.param(name, id=name, marks=[] if name in FIRST.values() else [pytest.mark.nightly])
    for name in CONTENTS
]


def drawn(name: str, content: Any, format_: Any = "png") -> bytes:
    return rendered(named(f"hpsearch.pictures.{name}:draw"), content, format_)


def test_every_picture_has_a_content_here() -> None:
    assert set(FIRST) == {picture.name for picture in catalog.PICTURES}


@pytest.mark.parametrize("name", EVERY)
def test_a_picture_is_drawn(name: str) -> None:
    picture, content = CONTENTS[name]
    data = drawn(picture, content)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    assert 300 < image.width < 1200
    assert 100 < image.height < 1200
    assert len(data) < 150_000


@pytest.mark.nightly
@pytest.mark.parametrize("name", CONTENTS)
def test_a_picture_is_drawn_as_svg(name: str) -> None:
    picture, content = CONTENTS[name]
    assert ET.fromstring(drawn(picture, content, "svg")).tag.endswith("svg")


def test_a_picture_in_a_page_has_the_colours_of_the_page_and_touches_nothing_else() -> None:
    draw = named("hpsearch.pictures.confusion:draw")
    svg = inline(draw, confusion(2, "</text><script>{}</script>"))
    found = ET.fromstring(svg)
    assert found.tag.endswith("svg")
    assert not [one for one in found.iter() if one.tag.endswith(("style", "script", "metadata"))]
    assert "fill: var(--ink)" in svg
    assert "#0b0c" not in svg
    ids = {one.get("id") for one in found.iter()} - {None}
    assert ids == {one for one in ids if f"#{one}" in svg}, "others may be in the page already"


def test_names_are_no_formulas_and_the_same_content_gives_the_same_bytes() -> None:
    content = confusion(2, "$x_{{{}}}^$\x1b[31m")  # as a formula it is a fault
    assert drawn("confusion", content, "svg") == drawn("confusion", content, "svg")
    assert short("\x1b[31mred", 20) == "\\x1b[31mred"
    assert short("a name that is long", 9) == "a na…long"


@pytest.mark.nightly
@pytest.mark.parametrize("classes", [2, 8, 20, 21, 50])
def test_many_classes_with_long_names_have_room(classes: int) -> None:
    data = drawn("confusion", confusion(classes, "a class with a very long name, number {}"))
    assert Image.open(io.BytesIO(data)).width <= 1300


def test_drawing_leaves_nothing_of_matplotlib_behind() -> None:
    import matplotlib as mpl

    before, had = dict(mpl.rcParams), "matplotlib.pyplot" in sys.modules
    drawn(*CONTENTS["fit"])
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == had


def test_matplotlib_is_loaded_by_none_of_our_modules() -> None:
    """Only functions import it, so that nothing is slower before a picture is drawn."""
    for path in Path(hpsearch.__path__[0]).rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names]
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not any(name.startswith("matplotlib") for name in names), path
                if "worker" in path.parts:  # nor does a worker load what draws
                    assert not any(name.startswith("hpsearch.pictures") for name in names), path


def names(facts: Facts) -> set[str]:
    return {picture.name for picture in catalog.of_trial(facts)}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts("classes", "images", (1, 8, 8), 10), {"curves", "confusion", "errors"}),
        (Facts("classes", "images", (1, 8, 8), 10, convolves=True),
         {"curves", "confusion", "errors", "filters", "maps"}),
        (Facts("classes", "tokens", (20,), 2, convolves=True), {"curves", "confusion", "errors"}),
        (Facts("classes", "rows", (2,), 2), {"curves", "confusion", "errors", "boundary"}),
        (Facts("classes", "rows", (2,), 9), {"curves", "confusion", "errors"}),
        (Facts("numbers", "rows", (1,), 0), {"curves", "errors", "fit", "residuals"}),
        (Facts("numbers", "sequences", (28, 3), 0, convolves=True),
         {"curves", "errors", "residuals", "filters", "maps"}),
        (Facts("inputs", "rows", (2,), 2), {"curves", "reconstructions", "scores"}),
    ],
)  # fmt: skip
def test_which_pictures_there_are_follows_from_task_inputs_and_network(
    facts: Facts, expected: set[str]
) -> None:
    assert names(facts) == expected
