from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError
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
    contents: list[object] = [{"version": 99, "state": {}}, [1, 2], {"state": {}}]
    for content in contents:
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
        from hpsearch.checkpoints.checkpoint import Checkpoints
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
    checkpoints.tidy({1}, ())
    assert files(folder) == []


def test_a_folder_in_its_place(checkpoints: Checkpoints, folder: Path) -> None:
    (folder / "1.1.pt").mkdir(parents=True)
    for attempt in (
        lambda: checkpoints.load(1),
        lambda: checkpoints.save(1, STATE),
        lambda: checkpoints.tidy({1}, ()),
    ):
        with pytest.raises(CheckpointError, match=r"checkpoint .*1\.1\.pt: .*[;.] \w+"):
            attempt()
    assert files(folder) == ["1.1.pt"]


@pytest.mark.parametrize("kind", ["pipe", "link", "link to a pipe", "device", "socket"])
def test_what_is_no_file_is_not_waited_for(
    checkpoints: Checkpoints, folder: Path, kind: str
) -> None:
    """Anyone who can write to the folder could hang its workers, or have them read another's
    file."""
    checkpoints.save(2, STATE)
    place = folder / "1.1.pt"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
    else:
        os.mkfifo(folder / "pipe")
        place.symlink_to({"link": "2.1.pt", "link to a pipe": "pipe", "device": "/dev/zero"}[kind])
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*not a file"):
        checkpoints.load(1)
    checkpoints.save(1, STATE)
    assert checkpoints.load(1)["epoch"] == 3


def test_a_file_too_large_is_not_read(checkpoints: Checkpoints, folder: Path) -> None:
    checkpoints.save(1, STATE)
    os.truncate(folder / "1.1.pt", 1 << 40)
    with pytest.raises(CheckpointError, match="at most 17,179,869,184 are read"):
        checkpoints.load(1)


def test_a_file_that_unpacks_into_more_is_not_read(checkpoints: Checkpoints, folder: Path) -> None:
    checkpoints.save(1, {"model": torch.zeros(1_000_000)})
    with zipfile.ZipFile(folder / "1.1.pt") as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(folder / "1.1.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in entries.items():
            packed.writestr(name, data)
    with pytest.raises(CheckpointError, match="it is packed"):
        checkpoints.load(1)


@pytest.mark.parametrize("place", ["file/study", "/proc/nope/study", "/dev/null/study", "full"])
def test_a_place_that_cannot_be_written_is_found_when_it_is_tried(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an OSError in place of death
    resource.setrlimit(resource.RLIMIT_FSIZE, (0 if place == "full" else before[0], before[1]))
    checkpoints = Checkpoints(tmp_path / place)
    try:
        with pytest.raises(CheckpointError, match=r"cannot write checkpoints to .*study|full: "):
            checkpoints.try_out()
        with pytest.raises(CheckpointError) as refused:
            checkpoints.save(1, STATE)
        assert "unharmed" not in str(refused.value), "there was none before"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    if place == "full":
        assert files(tmp_path / "full") == []
        checkpoints.save(1, STATE)
        (tmp_path / "full").rename(tmp_path / "moved")
        (tmp_path / "full").touch()
        with pytest.raises(CheckpointError, match="the one before is unharmed"):
            checkpoints.save(1, STATE)


def test_what_a_link_leads_to_is_not_cleared(tmp_path: Path) -> None:
    theirs = Checkpoints(tmp_path / "theirs")
    theirs.save(1, STATE)
    (tmp_path / "mine").symlink_to("theirs")
    with pytest.raises(CheckpointError, match="it is a link to another folder"):
        Checkpoints(tmp_path / "mine").clear()
    assert theirs.load(1)["epoch"] == 3
    (tmp_path / "theirs/2.1.pt").symlink_to(tmp_path / "notes")
    (tmp_path / "notes").touch()
    (tmp_path / "theirs/3.1.pt").mkdir()
    assert not theirs.clear(), "a folder is none of ours"
    assert files(tmp_path / "theirs") == ["3.1.pt"]
    assert (tmp_path / "notes").exists()


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
        from hpsearch.checkpoints.checkpoint import Checkpoints
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
        for attempt in (checkpoints.load, checkpoints.path):
            said(attempt, 1)
        said(checkpoints.tidy, {{1}}, ())
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
        from hpsearch.checkpoints.checkpoint import Checkpoints
        checkpoints = Checkpoints({str(folder)!r})
        assert checkpoints.path(1) is None
        assert not {{"fsspec", "s3fs", "torch"}} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True,
                   env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
