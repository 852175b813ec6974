"""What hpsearch starts runs nothing of the folder that it is started in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import hpsearch
from hpsearch.processes.interpreter import python


def test_names_of_others_in_the_current_folder(tmp_path: Path) -> None:
    for name in ("hpsearch", "random", "torch", "runpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run')")
    subprocess.run(python("hpsearch._version"), cwd=tmp_path, check=True, timeout=60)


def test_python_is_started_in_no_other_way() -> None:
    package = Path(hpsearch.__file__).parent
    files = [p.name for p in package.rglob("*.py") if "sys.executable" in p.read_text()]
    assert files == ["interpreter.py"]
