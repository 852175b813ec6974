from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import torch

from hpsearch.errors import CheckpointError
from hpsearch.training.checkpoint import Checkpoints

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
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "a" / "study")


def test_what_is_saved_is_loaded(checkpoints: Checkpoints) -> None:
    checkpoints.save(5, STATE)
    loaded = checkpoints.load(5)
    assert loaded is not None
    assert torch.equal(loaded.pop("model")["weight"], STATE["model"]["weight"])
    assert loaded == {k: v for k, v in STATE.items() if k != "model"}
    assert files(checkpoints.path(5).parent) == ["5.1.pt"]


def test_none_where_there_is_none(checkpoints: Checkpoints) -> None:
    assert checkpoints.load(5) is None
    checkpoints.save(5, STATE)
    assert checkpoints.load(6) is None


def test_removing(checkpoints: Checkpoints) -> None:
    checkpoints.remove(1)  # nothing there yet
    for number in (1, 2, 11):
        checkpoints.save(number, STATE)
    folder = checkpoints.path(1).parent
    (folder / "1.1.left.part").touch()
    (folder / "11.1.left.part").touch()
    (folder / "notes.txt").touch()
    checkpoints.remove(1)
    assert files(folder) == ["11.1.left.part", "11.1.pt", "2.1.pt", "notes.txt"]


def test_a_late_holder_does_not_write_over_its_successor(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, {"epoch": 5}, fence=9)
    checkpoints.save(1, {"epoch": 7}, fence=10)
    checkpoints.save(1, {"epoch": 6}, fence=9)
    assert checkpoints.load(1) == {"epoch": 7}


@pytest.mark.parametrize("keep", [0, 10, 400, -1])
def test_a_truncated_file_is_said_to_be_damaged(checkpoints: Checkpoints, keep: int) -> None:
    checkpoints.save(1, STATE)
    path = checkpoints.path(1)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*1\.1\.pt"):
        checkpoints.load(1)


def test_damage_inside_a_file_is_found(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, {"model": torch.ones(100_000)})
    path = checkpoints.path(1)
    content = bytearray(path.read_bytes())
    content[200_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoints.load(1)


def test_a_file_that_is_no_checkpoint(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, STATE)
    checkpoints.path(1).write_bytes(b"hello\n" * 100)
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoints.load(1)


def test_another_version_is_refused(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, STATE)
    for content in ({"version": 99, "state": {}}, [1, 2], {"state": {}}):
        torch.save(content, checkpoints.path(1))
        with pytest.raises(CheckpointError, match="version"):
            checkpoints.load(1)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_code_in_a_file_is_not_executed(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints.save(1, STATE)
    torch.save({"version": 1, "state": Evil()}, checkpoints.path(1))
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoints.load(1)
    assert not (tmp_path / "evil").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot write .*file.*Not a directory"):
        Checkpoints(tmp_path / "file" / "study").save(1, STATE)


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file sizes here")
def test_a_write_that_fails_half_way_leaves_the_last_one(checkpoints: Checkpoints) -> None:
    """A limit on the size of files stands for a full disk: write() fails half-way in both."""
    checkpoints.save(1, STATE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an OSError in place of death
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(
            CheckpointError, match=r"cannot write .*1\.1\.pt: File too large.*space"
        ):
            checkpoints.save(1, {"model": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert files(checkpoints.path(1).parent) == ["1.1.pt"]
    loaded = checkpoints.load(1)
    assert loaded is not None
    assert loaded["epoch"] == 3


def test_killed_while_writing_the_last_one_is_whole(checkpoints: Checkpoints) -> None:
    """A process that does nothing but save is killed in the midst of it."""
    checkpoints.save(1, STATE)
    folder = checkpoints.path(1).parent
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
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert child.stdout is not None
    with child.stdout as output:
        assert output.readline() == b"ready\n"
        while not any(name.endswith(".part") for name in files(folder)):
            pass
        child.kill()
    child.wait()
    loaded = checkpoints.load(1)
    assert loaded is not None
    assert loaded["epoch"] == 4
    checkpoints.remove(1)
    assert files(folder) == []
