"""What holds of checkpoints wherever they lie: in a folder, in memory, in a bucket."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.checkpoints import backend
from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError
from tests.s3 import S3
from tests.zygote import Process, program

STATE: dict[str, Any] = {
    "epoch": 3, "curve": [{"epoch": 1, "value": None}], "model": {"w": torch.arange(6.0)},
}  # fmt: skip


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[S3], str]:
    """Makes a server the one that this process uses; a URL that nobody else has."""

    def use(server: S3) -> str:
        from s3fs import S3FileSystem

        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()  # they remember where the server is
        return f"s3://{server.bucket}/{uuid.uuid4().hex}/study"

    return use


@pytest.fixture(params=["folder", "files", "memory", "s3"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    connect: Callable[[S3], str],
) -> str:
    match request.param:
        case "folder":
            return str(tmp_path / "a" / "study")
        case "files":  # stands for what has folders and renames, such as sftp
            monkeypatch.setattr("hpsearch.checkpoints.backend.urls.folder", lambda _: None)
            return f"file://{tmp_path}/a/study"
        case "memory":
            return f"memory://{tmp_path}/study"
        case _:
            return connect(request.getfixturevalue("s3"))


@pytest.fixture
def checkpoints(place: str) -> Checkpoints:
    return Checkpoints(place)


def names(place: str) -> list[str]:
    return sorted(backend.shelf(place).names())


def test_what_is_saved_is_loaded(checkpoints: Checkpoints, place: str) -> None:
    checkpoints.save(5, STATE)
    loaded = checkpoints.load(5)
    assert loaded is not None
    assert torch.equal(loaded.pop("model")["w"], STATE["model"]["w"])
    assert loaded == {k: v for k, v in STATE.items() if k != "model"}
    assert names(place) == ["5.1.pt"]
    assert checkpoints.path(5) == f"{place}/5.1.pt"


def test_saved_over_what_was_there(checkpoints: Checkpoints, place: str) -> None:
    for epoch in (1, 2):
        checkpoints.save(5, {"epoch": epoch})
    assert checkpoints.load(5) == {"epoch": 2}
    assert names(place) == ["5.1.pt"]


def test_none_where_there_is_none(checkpoints: Checkpoints) -> None:
    assert (checkpoints.load(5), checkpoints.path(5), checkpoints.numbers()) == (None, None, set())
    checkpoints.save(5, STATE)
    assert (checkpoints.load(6), checkpoints.path(6), checkpoints.numbers()) == (None, None, {5})


def test_a_late_holder_does_not_write_over_its_successor(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, {"epoch": 5}, fence=9)
    checkpoints.save(1, {"epoch": 7}, fence=10)
    checkpoints.save(1, {"epoch": 6}, fence=9)
    assert checkpoints.load(1) == {"epoch": 7}


def test_removing(checkpoints: Checkpoints, place: str) -> None:
    checkpoints.tidy({1}, ())  # nothing there yet
    for number in (1, 2, 11):
        checkpoints.save(number, STATE)
    checkpoints.save(1, STATE, fence=2)
    for name in ("1.1.left.part", "11.1.left.part", "notes.txt"):
        backend.shelf(place).write(name, b"x")
    assert checkpoints.numbers() == {1, 2, 11}
    checkpoints.tidy({1}, ())
    assert names(place) == ["11.1.left.part", "11.1.pt", "2.1.pt", "notes.txt"]


def test_clearing_leaves_nothing_there_and_all_beside_it(place: str) -> None:
    mine, beside = Checkpoints(place), Checkpoints(f"{place}2")
    mine.clear()  # nothing there yet
    for checkpoints in (mine, beside):
        checkpoints.save(1, STATE)
    mine.try_out()
    for name in ("notes.txt", "1.1.pt.bak", "1.left.part"):
        backend.shelf(place).write(name, b"x")
    for name in ("1.2.left.part", f"try-{'0' * 32}.pt", f"try-{'0' * 32}.left.part"):
        backend.shelf(place).write(name, b"x")
    assert not mine.clear(), "there are things of others in it"
    assert names(place) == ["1.1.pt.bak", "1.left.part", "notes.txt"]
    for name in names(place):
        backend.shelf(place).remove(name)
    assert mine.clear()
    assert names(place) == []
    assert mine.numbers() == set()
    assert beside.numbers() == {1}
    mine.save(1, {"epoch": 1})
    assert mine.load(1) == {"epoch": 1}


def test_what_has_ended_keeps_its_last_checkpoint_at_most(
    checkpoints: Checkpoints, place: str
) -> None:
    """A trial that has had two holders has two; one of them may have died while it wrote."""
    for number, fence in ((1, 1), (1, 2), (1, 10), (2, 1), (3, 1), (3, 2), (30, 1)):
        checkpoints.save(number, STATE, fence)
    for name in ("1.10.left.part", "3.2.left.part", "30.1.left.part", "notes.txt"):
        backend.shelf(place).write(name, b"x")
    checkpoints.tidy(ended={1, 2}, kept={1, 3})
    beside = ["3.1.pt", "3.2.left.part", "3.2.pt", "30.1.left.part", "30.1.pt", "notes.txt"]
    assert names(place) == sorted(["1.10.pt", *beside])


def test_a_place_is_tried(checkpoints: Checkpoints, place: str) -> None:
    for _ in range(2):
        checkpoints.try_out()
        assert names(place) == []


def test_a_bucket_that_is_not_there_is_found_when_it_is_tried(
    s3: S3, connect: Callable[[S3], str]
) -> None:
    connect(s3)
    with pytest.raises(CheckpointError, match=r"checkpoints to s3://none/x: .*bucket"):
        Checkpoints("s3://none/x").try_out()


def test_a_deleted_study_s_place_is_not_made_again(place: str) -> None:
    """But in an object store, which has no folders: there who deletes has to look once more."""
    gone = Checkpoints(place, is_wanted=lambda: False)
    if place.startswith(("s3", "memory")):
        gone.save(1, STATE)
        assert gone.clear()
        return
    for attempt in (gone.try_out, lambda: gone.save(1, STATE)):
        with pytest.raises(CheckpointError, match="its study has been deleted"):
            attempt()
        assert not Path(place.removeprefix("file://")).exists()
    Checkpoints(place).save(1, STATE)  # as where it was there before
    gone.save(1, STATE)
    assert gone.clear()
    with pytest.raises(CheckpointError, match="its study has been deleted"):
        gone.save(1, STATE)


def test_damage_is_found(checkpoints: Checkpoints, place: str) -> None:
    checkpoints.save(1, STATE)
    with backend.shelf(place).open("1.1.pt") as file:
        whole = file.read()
    for content in (b"", whole[:400], b"hello\n" * 100):
        backend.shelf(place).write("1.1.pt", content)
        with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*1\.1\.pt"):
            checkpoints.load(1)


@pytest.mark.parametrize("place", ["folder", "files"], indirect=True)
def test_a_write_that_fails_half_way_leaves_the_last_one(
    checkpoints: Checkpoints, place: str
) -> None:
    """A limit on the size of files stands for a full disk: write() fails half-way in both."""
    resource = pytest.importorskip("resource")
    checkpoints.save(1, {"epoch": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an OSError in place of death
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot write .*1\.1\.pt: File too large;"):
            checkpoints.save(1, {"model": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert names(place) == ["1.1.pt"]
    assert checkpoints.load(1) == {"epoch": 1}


def test_what_others_do_is_seen_at_once(s3: S3, connect: Callable[[S3], str]) -> None:
    from s3fs import S3FileSystem

    place = connect(s3)
    mine = Checkpoints(place)
    mine.save(1, {"epoch": 1})
    assert mine.numbers() == {1}
    with backend.shelf(place).open("1.1.pt") as file:
        other = S3FileSystem(skip_instance_cache=True)  # as another process: nothing in common
        other.pipe_file(f"{place}/2.1.pt", file.read())
    assert mine.numbers() == {1, 2}
    assert mine.load(2) == {"epoch": 1}


def test_killed_while_sending_the_last_one_is_whole(s3: S3, connect: Callable[[S3], str]) -> None:
    """A process that does nothing but send 8 MB is killed in the midst of it, three times."""
    place = connect(s3)
    script = f"""
        import torch
        from hpsearch.checkpoints.checkpoint import Checkpoints
        checkpoints = Checkpoints({place!r})
        epoch = 0
        while True:
            epoch += 1
            checkpoints.save(1, {{"model": torch.full((2_000_000,), epoch), "epoch": epoch}})
            print(epoch, flush=True)
    """
    for fraction in (0.1, 0.5, 0.9):
        child = Process(program(script, env={**os.environ, **s3.env}), stdout=subprocess.PIPE)
        assert child.stdout is not None
        with child.stdout as output:
            output.readline()
            began = time.monotonic()
            saved = int(output.readline())
            time.sleep(fraction * (time.monotonic() - began))  # that part of a save
            child.kill()
        child.wait()
        loaded = Checkpoints(place).load(1)
        assert loaded is not None
        assert loaded["epoch"] >= saved
        assert (loaded["model"] == loaded["epoch"]).all()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def attempts(place: str) -> list[Callable[[], object]]:
    checkpoints = Checkpoints(place)
    return [
        lambda: checkpoints.save(1, STATE),
        lambda: checkpoints.load(1),
        lambda: checkpoints.tidy({1}, ()),
        checkpoints.clear,
    ]


def check_refusal(attempt: Callable[[], object], within_s: float) -> str:
    """That it is refused in one line and in time, and without the secret key."""
    began = time.monotonic()
    with pytest.raises(CheckpointError) as refused:
        attempt()
    assert time.monotonic() - began < within_s
    said = str(refused.value)
    assert re.fullmatch(r"cannot .*s3://.*: .*; check that the place exists .*", said), said
    assert "\n" not in said
    assert "s3cret" not in said
    return said


def test_a_server_that_is_not_there(
    connect: Callable[[S3], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    place = connect(S3(f"http://127.0.0.1:{free_port()}"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    for attempt in attempts(place)[:2]:
        assert "Could not connect" in check_refusal(attempt, 25)


def test_a_server_that_takes_connections_and_says_nothing(
    connect: Callable[[S3], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    monkeypatch.setattr(backend, "LIMIT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = connect(S3(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        for attempt in attempts(place):
            assert "no answer within 1 s" in check_refusal(attempt, 10)


def test_calls_that_hang_hold_up_neither_others_nor_the_end() -> None:
    """Of a file system without coroutines: nothing can end its calls but the process."""
    script = """
        import time, fsspec
        from fsspec.implementations.memory import MemoryFileSystem
        from hpsearch.checkpoints import backend

        class Stuck(MemoryFileSystem):
            protocol = "stuck"
            def ls(self, *_args, **_kwargs):
                time.sleep(600)

        fsspec.register_implementation("stuck", Stuck)
        backend.LIMIT_S = 0.1
        place = backend.Remote("stuck://x")
        for _ in range(50):  # an executor has fewer threads
            try:
                place.names()
            except OSError as error:
                said = str(error)
        backend.LIMIT_S = 30
        place.make()
        place.write("1.1.pt", b"whole")
        print(said, place.open("1.1.pt").read())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, text=True, timeout=60,
        capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout == "no answer within 0 s b'whole'\n"
    assert done.stderr == ""


def test_a_bucket_that_is_not_there_is_not_made(s3: S3, connect: Callable[[S3], str]) -> None:
    connect(s3)
    other = Checkpoints("s3://other-bucket/study")
    for _ in range(2):
        said = check_refusal(lambda: other.save(1, STATE), 25)
        assert "bucket does not exist" in said
    assert other.numbers() == set()


def test_a_password_in_a_url_is_not_shown(s3: S3, connect: Callable[[S3], str]) -> None:
    connect(s3)
    checkpoints = Checkpoints("s3://me:s3cret@bucket/study")
    assert checkpoints.place == "s3://me:***@bucket/study"
    check_refusal(lambda: checkpoints.save(1, STATE), 25)


def test_what_a_library_says_of_a_password_is_not_shown() -> None:
    """Python's parser of URLs takes what stands before the slash for a port, and quotes it."""
    with pytest.raises(CheckpointError, match=r"ftp://me:\*\*\*@host/study .*\*\*\*'$") as refused:
        Checkpoints("ftp://me:s3cret/pass@host/study")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("place", "said"),
    [("s3://bucket/x", r"Install s3fs .*\(pip install s3fs\)"), ("nope://x", "not known: nope")],
)
def test_what_cannot_be_used_is_said_at_once(place: str, said: str) -> None:
    script = f"""
        import sys
        sys.modules["s3fs"] = None
        from hpsearch.errors import CheckpointError
        from hpsearch.checkpoints.checkpoint import Checkpoints
        try:
            Checkpoints({place!r})
        except CheckpointError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert re.fullmatch(f"cannot use {place} for checkpoints: .*{said}\n", done.stdout)


def test_logs_of_all_holders_in_their_order(checkpoints: Checkpoints, place: str) -> None:
    for fence, content in ((2, b"second"), (10, b" last"), (1, b"first ")):
        checkpoints.save_log(5, content, fence)
    checkpoints.save_log(50, b"another's")
    checkpoints.save_log(5, b"second again", 2)
    assert checkpoints.log(5) == b"first second again last"
    assert checkpoints.log(6) == b""
    checkpoints.tidy({5, 50}, set())
    assert len(names(place)) == 4, "a trial that has ended keeps its log"
    assert checkpoints.clear()
