"""The notebook of the docs runs: its cells by themselves, and at night in a kernel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.test_python import Python

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
SMALLER = {"trials=12": "trials=3", "trials=10": "trials=3", "epochs=9": "epochs=2",
           "seeds=5": "seeds=2", "workers=2": "workers=1"}  # fmt: skip


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_its_cells_run(command: Command) -> None:
    text = "\n".join(code_cells())
    for usual, fewer in SMALLER.items():
        assert usual in text
        text = text.replace(usual, fewer)
    stdout, stderr = Python(command).run(text)
    assert "Test accuracy" in stdout
    assert "study sine is done: 3 of 3 trials" in stderr
    assert "Test error" in stdout


@pytest.mark.nightly
def test_it_runs_in_a_kernel_and_shows_a_bar(
    tmp_path: Path, make_command: Callable[[str], Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    command = make_command(f"sqlite:///{tmp_path}/study.db")
    for name, value in command.env.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output.output_type == "error"]
    pages = [output.data.get("text/html", "") for output in shown if "data" in output]
    assert any("<progress" in page and 'value="12"' in page for page in pages)
    assert any("train is a function of this session" in page for page in pages)
    assert "sine" in command.run("status").stdout
