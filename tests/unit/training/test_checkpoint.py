from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import torch

from hpsearch.errors import CheckpointError
from hpsearch.training.checkpoint import Checkpoints
from tests.zygote import Process, program

if TYPE_CHECKING:
    from pathlib import Path

STATE = {
    "epoch": 3,
    "curve": [{"epoch": 1, "value": None, "metrics": {"loss": 0.5}, "seconds": 0.1}],
    "model": {"weight": torch.arange(6.0).reshape(2, 3)},
}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a" / "study"


@pytest.fixture
def checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder)


@pytest.mark.parametrize("keep", [0, 10, 400, -1])
def test_a_truncated_file_is_said_to_be_damaged(
    checkpoints: Checkpoints, folder: Path, keep: int
) -> None:
    checkpoints.save(1, STATE)
    path = folder / "1.1.pt"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*1\.1\.pt"):
        checkpoints.load(1)


def test_damage_inside_a_file_is_found(checkpoints: Checkpoints, folder: Path) -> None:
    checkpoints.save(1, {"model": torch.ones(100_000)})
    path = folder / "1.1.pt"
    content = bytearray(path.read_bytes())
    content[200_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoints.load(1)


def test_a_file_that_is_no_checkpoint(checkpoints: Checkpoints, folder: Path) -> None:
    checkpoints.save(1, STATE)
    (folder / "1.1.pt").write_bytes(b"hello\n" * 100)
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoints.load(1)


def test_another_version_is_refused(checkpoints: Checkpoints, folder: Path) -> None:
    checkpoints.save(1, STATE)
    for content in ({"version": 99, "state": {}}, [1, 2], {"state": {}}):
        torch.save(content, folder / "1.1.pt")
        with pytest.raises(CheckpointError, match="version"):
            checkpoints.load(1)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_code_in_a_file_is_not_executed(
    checkpoints: Checkpoints, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints.save(1, STATE)
    torch.save({"version": 1, "state": Evil()}, folder / "1.1.pt")
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoints.load(1)
    assert not (tmp_path / "evil").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot write .*file.*Not a directory"):
        Checkpoints(tmp_path / "file" / "study").save(1, STATE)


def test_killed_while_writing_the_last_one_is_whole(checkpoints: Checkpoints, folder: Path) -> None:
    """A process that does nothing but save is killed in the midst of it."""
    checkpoints.save(1, STATE)
    script = f"""
        import sys, torch
        from pathlib import Path
        from hpsearch.training.checkpoint import Checkpoints
        checkpoints = Checkpoints(Path({str(folder)!r}))
        state = {{"model": torch.zeros(2_000_000), "epoch": 4}}
        checkpoints.save(1, state)
        print("ready", flush=True)
        while True:
            checkpoints.save(1, state)
    """
    child = Process(program(script), stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        assert output.readline() == "ready\n"
        while not any(name.endswith(".part") for name in files(folder)):
            pass
        child.kill()
    child.wait()
    loaded = checkpoints.load(1)
    assert loaded is not None
    assert loaded["epoch"] == 4
    checkpoints.remove(1)
    assert files(folder) == []


def test_a_folder_in_its_place(checkpoints: Checkpoints, folder: Path) -> None:
    (folder / "1.1.pt").mkdir(parents=True)
    for attempt in (
        lambda: checkpoints.load(1),
        lambda: checkpoints.save(1, STATE),
        lambda: checkpoints.remove(1),
    ):
        with pytest.raises(CheckpointError, match=r"checkpoint .*1\.1\.pt: .*[;.] \w+"):
            attempt()
    assert files(folder) == ["1.1.pt"]


def test_what_may_not_be_read_is_said(checkpoints: Checkpoints, folder: Path) -> None:
    """As a user for whom permissions count, which the tests' own may not be."""
    as_user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    as_user = as_user if os.getuid() == 0 else []
    if as_user and subprocess.run([*as_user, "true"], check=False, capture_output=True).returncode:
        pytest.skip("root reads everything, and user namespaces are not permitted here")
    checkpoints.save(1, STATE)
    script = f"""
        from pathlib import Path
        from hpsearch.errors import CheckpointError
        from hpsearch.training.checkpoint import Checkpoints
        folder = Path({str(folder)!r})
        checkpoints = Checkpoints(folder)
        def said(attempt, *args):
            try:
                attempt(*args)
            except CheckpointError as error:
                print(error)
        (folder / "1.1.pt").chmod(0)
        said(checkpoints.load, 1)
        folder.chmod(0)
        for attempt in (checkpoints.load, checkpoints.path, checkpoints.remove):
            said(attempt, 1)
        said(checkpoints.numbers)
        said(checkpoints.save, 1, {{}})
        said(checkpoints.clear)
        folder.chmod(0o700)
    """
    done = subprocess.run(
        [*as_user, sys.executable, "-c", textwrap.dedent(script)], check=True, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    for line in lines:
        assert line.startswith("cannot "), line
        assert str(folder) in line
        assert "Permission denied; " in line


def test_a_folder_needs_nothing_of_fsspec_and_a_path_nothing_of_torch(folder: Path) -> None:
    script = f"""
        import sys
        from hpsearch.training.checkpoint import Checkpoints
        checkpoints = Checkpoints({str(folder)!r})
        assert checkpoints.path(1) is None
        assert not {{"fsspec", "s3fs", "torch"}} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True,
                   env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
