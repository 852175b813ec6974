"""Who types what a page says gets what it says: the tutorial every time, the guides at night."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.documented import lacking, steps
from tests.acceptance.readers import BELONGINGS, DOCS, NOT_FOLLOWED, RUN_BEFORE
from tests.zygote import Process, program

PAGES = {
    page.stem.lower(): page
    for folder in ("..", "guides", "explanation")
    for page in sorted((DOCS / folder).glob("*.md"))
    if re.search(r"^ *```(sh|console)$", page.read_text(), re.M)
}
SERVING = ("hpsearch dashboard", "hpsearch fleet", "hpsearch worker")
"""Commands that run until they are stopped."""
FORESEEING = ("hpsearch check", "hpsearch plan")
"""What trains nothing, or seconds, and prints the budget that the page has."""
MOST = {"trials": 6, "epochs": 3, "seeds": 2}
"""Of a budget: a page is followed for whether it works, not for its results."""
MORE = {"python": {"trials": 30}}
"""What a page shows needs more of it: importance takes ten trials that can be compared."""


def follow(page: Path, folder: Path, typed: Callable[[str], str]) -> None:
    """Write the files and type the commands of a page."""
    for step in steps(page):
        if step.file:
            (folder / step.file).write_text(step.output)
            continue
        printed = typed(step.command)
        assert lacking(step.output, printed) == [], f"$ {step.command}\n{printed}"


def test_the_tutorial_ends_with_a_network_that_predicts(command: Command) -> None:
    # The page is for a folder of one's own, with no settings.
    del command.env["HPSEARCH_STORAGE"], command.env["HPSEARCH_CHECKPOINTS"]

    def typed(line: str) -> str:
        program, *words = shlex.split(line)
        if program == "hpsearch":
            done = command.run(*words)
        else:
            assert program == "python", line
            (script,) = words
            done = run_script(command, (command.folder / script).read_text())
        return done.stderr + done.stdout

    follow(DOCS / "tutorial.md", command.folder, typed)
    assert (command.folder / "net/model.safetensors").exists()


def run_script(command: Command, text: str) -> subprocess.CompletedProcess[str]:
    """What `python FILE` does, in its folder."""
    job = replace(program(text, env=command.env), cwd=command.folder)
    process = Process(job, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return subprocess.CompletedProcess(process.args, 0, stdout, stderr)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(PAGES.keys() - NOT_FOLLOWED.keys()))
def test_a_guide_can_be_followed(name: str, tmp_path: Path) -> None:
    for belonging in BELONGINGS.get(name, ()):
        belonging(tmp_path)
    shell = Shell(tmp_path, {**MOST, **MORE.get(name, {})})
    try:
        for line in RUN_BEFORE.get(name, ()):
            shell.type(line)
        follow(PAGES[name], tmp_path, shell.type)
    finally:
        shell.close()


def test_what_is_not_followed_has_commands() -> None:
    assert NOT_FOLLOWED.keys() <= PAGES.keys()
    assert BELONGINGS.keys() | RUN_BEFORE.keys() <= PAGES.keys() - NOT_FOLLOWED.keys()


def test_a_line_that_is_not_printed_is_found() -> None:
    assert lacking("a 1\n...\nc ... 3", "a 2\nb\nc of 4\nd") == []
    assert lacking("a 1\nc", "c\na 1") == ["c"]


class Shell:
    """Where a reader types: bash, in a folder with no settings and small budgets."""

    def __init__(self, folder: Path, most: Mapping[str, int]) -> None:
        self._folder, self._most = folder, most
        bin_ = Path(sys.executable).parent
        self._env: Mapping[str, str] = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HPSEARCH_")},
            "HPSEARCH_DATA": os.environ.get("HPSEARCH_DATA", ""),
            "HPSEARCH_NO_PICTURES": "1",
            "COLUMNS": "80",
            "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        }
        self._serving: list[subprocess.Popen[bytes]] = []

    def type(self, line: str) -> str:
        """What a command prints; it has to end well, or to begin to serve."""
        if not line.startswith(FORESEEING):
            for file in (*self._folder.rglob("*.yaml"), *self._folder.glob("*.py")):
                file.write_text(_smaller(file.read_text(), self._most))
        if line.startswith(SERVING):
            self._serve(line)
            return ""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], cwd=self._folder, env=self._env,
            text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"$ {line}\n{done.stdout}"
        assert "Traceback" not in done.stdout, f"$ {line}\n{done.stdout}"
        return done.stdout

    def close(self) -> None:
        """End what still serves."""
        for process in self._serving:
            process.terminate()
        for process in self._serving:
            process.communicate(timeout=60)

    def _serve(self, line: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"], cwd=self._folder, env=self._env,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._serving.append(process)
        assert process.stdout is not None
        assert process.stdout.readline(), f"$ {line}: ended with {process.wait()}"


def _smaller(text: str, most: Mapping[str, int]) -> str:
    """A study file, or a script with a study, with no more than that of its budget."""

    def less(match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}{min(int(match[3]), most[match[1]])}"

    return re.sub(rf"\b({'|'.join(most)})(: |=)(\d+)", less, text)
