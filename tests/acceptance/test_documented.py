"""Who types what the tutorial says gets what it says."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import Command
from tests.acceptance.documented import lacking, steps

DOCS = Path(__file__).parents[2] / "docs"


def follow(command: Command, page: Path) -> None:
    """Write the files and run the commands of a page, in a folder of their own."""
    # The page is for a folder of one's own, with no settings.
    del command.env["HPSEARCH_STORAGE"], command.env["HPSEARCH_CHECKPOINTS"]
    for step in steps(page):
        if step.file:
            command.file(step.output, step.file)
            continue
        program, *words = shlex.split(step.command)
        if program == "hpsearch":
            done = command.run(*words)
        else:
            assert program == "python", step.command
            done = subprocess.run(
                [sys.executable, *words], cwd=command.folder, check=True, text=True,
                capture_output=True,
            )  # fmt: skip
        said = done.stderr + done.stdout
        assert lacking(step.output, said) == [], f"$ {step.command}\n{said}"


def test_the_tutorial_ends_with_a_network_that_predicts(command: Command) -> None:
    follow(command, DOCS / "tutorial.md")
    assert (command.folder / "net/model.safetensors").exists()


def test_a_line_that_is_not_printed_is_found() -> None:
    assert lacking("a 1\n...\nc ... 3", "a 2\nb\nc of 4\nd") == []
    assert lacking("a 1\nc", "c\na 1") == ["c"]
