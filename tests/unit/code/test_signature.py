"""Functions of own code are read without running them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.code import Argument, SignatureError, arguments, is_reference
from hpsearch.code.signature import parsed, positional, written


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("nets.py:build", True), ("models/deep nets.py:build", True), ("nets.py:Net2", True),
        ("nets:build", False), ("nets.py", False), ("/nets.py:build", False),
        ("../nets.py:build", False), ("a/../nets.py:build", False), ("./nets.py:build", False),
        (".hidden/nets.py:build", False), ("a\\nets.py:build", False), ("nets.py:2", False),
        ("nets.py:a.b", False), ("C:/nets.py:build", False), (3, False), (None, False),
    ],
)  # fmt: skip
def test_what_names_a_function(text: object, is_one: bool) -> None:
    assert is_reference(text) is is_one


def read(folder: Path, head: str, source: str = "") -> tuple[Argument, ...]:
    (folder / "nets.py").write_text(f"import torch_is_not_imported\n{source}\n{head}\n")
    return arguments(folder, "nets.py:build")


EVERY = """def build(problem, *, width: int = 64, rate: float = 1, deep: bool = False,
    act: Literal["relu", "gelu"] = "relu", name="a b", sizes: list[int] = [8, 4],
    units: "Sequence[int]" = (2,), cut: float | None = None, depth: int, share: Optional[float]=.5,
    x=1e-3, y=-2, more=(1, 2)):
    raise SystemExit"""


def test_kinds_come_from_annotations_and_defaults(tmp_path: Path) -> None:
    found = read(tmp_path, EVERY)
    assert [(a.name, a.kind, a.default, a.required) for a in found] == [
        ("width", "int", 64, False), ("rate", "float", 1.0, False), ("deep", "bool", False, False),
        ("act", "choice", "relu", False), ("name", "text", "a b", False),
        ("sizes", "sizes", (8, 4), False), ("units", "sizes", (2,), False),
        ("cut", "float", None, False), ("depth", "int", None, True),
        ("share", "float", 0.5, False), ("x", "float", 1e-3, False), ("y", "int", -2, False),
        ("more", "sizes", (1, 2), False),
    ]  # fmt: skip
    assert parsed(written(found)) == found, "all that is known of it without its code"
    assert parsed(written(())) == ()


def test_a_class_is_read_by_its_constructor(tmp_path: Path) -> None:
    head = "class build(nn.Module):\n    def __init__(self, problem, width: int): ..."
    assert [a.name for a in read(tmp_path, head)] == ["width"]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("def other(): ...", "expected def build or class build in nets.py; got other"),
        ("async def build(problem): ...", "expected a function build; got an async one"),
        ("def build(): ...", r"expected problem as the first argument; got \(\)"),
        ("def build(problem, **more): ...", r"each setting as an argument of its own; got \*more"),
        ("def build(problem, width): ...", "a default or an annotation of width.*; got neither"),
        ("def build(problem, width=W): ...", "a plain value as the default of width; got W"),
        ("def build(problem, width: int = 0.5): ...", "a default of width of its annotation; got"),
        ("def build(problem, sizes=[]): ...", r"a default of sizes: .*; got \[\]"),
        (f"def build(problem, rate: float = {10**400}): ...", "a number as the default of rate"),
        ("def build(problem, seed=1): ...", "no argument called device, .*; got seed"),
        ("def build(problem, params=1): ...", "no argument called device, .*; got params"),
        ("class build: ...", r"expected __init__\(self, problem, ...\) in class build; got none"),
        ("def build(problem", r"expected Python; got nets.py, line 3: '\(' was never closed"),
        ("x = '\0'", "expected Python; got nets.py: source code string cannot contain null bytes"),
    ],
)
def test_what_is_no_function_for_it_is_one_line(tmp_path: Path, head: str, line: str) -> None:
    with pytest.raises(SignatureError, match=line):
        read(tmp_path, head)


def test_a_file_has_to_be_below_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    with pytest.raises(SignatureError, match=r"got nets.py, which is not there"):
        arguments(folder, "nets.py:build")
    (tmp_path / "nets.py").write_text("def build(problem): ...")
    (folder / "nets.py").symlink_to(tmp_path / "nets.py")
    with pytest.raises(SignatureError, match=r"got nets.py, a link that leads out of it"):
        arguments(folder, "nets.py:build")


@pytest.mark.parametrize(
    ("head", "fits"),
    [
        ("def f(a, b): ...", True), ("def f(a, b, *, gamma=2.0): ...", True),
        ("def f(*all): ...", True), ("def f(a, b, c=1): ...", True), ("def f(a): ...", False),
        ("def f(a, b, c): ...", False), ("def f(a, b, *, c): ...", False),
    ],
)  # fmt: skip
def test_a_loss_takes_outputs_and_targets(tmp_path: Path, head: str, fits: bool) -> None:
    (tmp_path / "l.py").write_text(head)
    if fits:
        positional(tmp_path, "l.py:f", "outputs, targets", 2)
        return
    with pytest.raises(SignatureError, match=r"expected f\(outputs, targets\); got f\(a"):
        positional(tmp_path, "l.py:f", "outputs, targets", 2)
