"""What counts as a study's own code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpsearch.code import manifest
from hpsearch.code.manifest import Manifest, manifest_of
from hpsearch.errors import CodeError


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")


def test_it_is_every_python_file_below_but_caches_environments_and_what_is_hidden(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "code"
    write(folder, "nets.py", "models/a/deep.py", "notes.txt")
    write(folder, ".git/hook.py", "__pycache__/nets.py", "node_modules/x.py", "env/lib/torch.py")
    write(folder, "env/pyvenv.cfg")
    assert [*manifest_of(folder).files] == ["models/a/deep.py", "nets.py"]


def test_a_link_counts_where_it_leads_to_a_file_below(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    write(folder, "real/nets.py")
    write(tmp_path, "elsewhere/out.py")
    (folder / "nets.py").symlink_to(folder / "real" / "nets.py")
    (folder / "out.py").symlink_to(tmp_path / "elsewhere" / "out.py")
    (folder / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe.py")
    files = manifest_of(folder).files
    assert [*files] == ["nets.py", "real/nets.py"]
    assert files["nets.py"] == files["real/nets.py"]


def test_it_depends_on_contents_and_paths_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(one, "a.py", "b/c.py")
    write(two, "b/c.py", "a.py")
    assert manifest_of(one).digest == manifest_of(two).digest
    (two / "a.py").write_text("# other\n")
    assert manifest_of(one).digest != manifest_of(two).digest


def test_files_that_were_touched_are_read_again(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    known: dict[str, tuple[tuple[int, ...], str]] = {}
    before = manifest_of(tmp_path, known)
    assert manifest_of(tmp_path, known) == before
    (tmp_path / "a.py").write_text("# b.py\n")  # of the same size
    assert manifest_of(tmp_path, known) != before


def test_differences_are_named() -> None:
    old = Manifest({"a.py": "1", "b.py": "2", "c.py": "3"})
    new = Manifest({"a.py": "1", "b.py": "0", "d.py": "4"})
    assert old.differences(new) == "b.py differs, c.py is missing, d.py is new"
    assert old.differences(new, more=False) == "b.py differs, c.py is missing"
    assert old.differences(old) == ""
    assert old.differences(Manifest({})) == "a.py is missing, b.py is missing, c.py is missing"
    many = Manifest({f"{n}.py": "" for n in range(5)})
    assert Manifest({}).differences(many) == "0.py is new, 1.py is new, 2.py is new, 2 more"


def test_too_much_is_no_folder_of_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.py", "b.py", "c.py")
    monkeypatch.setattr(manifest, "MOST_FILES", 2)
    with pytest.raises(CodeError, match="more than 2 Python files"):
        manifest_of(tmp_path)
    monkeypatch.setattr(manifest, "_MOST_ENTRIES", 2)
    with pytest.raises(CodeError, match="too many files"):
        manifest_of(tmp_path)
    with pytest.raises(CodeError, match="is not there"):
        manifest_of(tmp_path / "a.py")
