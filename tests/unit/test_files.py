"""What is read has to be a file; what is written replaces nothing."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from hpsearch import files
from hpsearch.errors import ConflictError, HpsearchError


def opened(path: Path) -> bytes:
    with files.open_regular(path) as file:
        return file.read()


READS = [files.content, opened]


def nobody(_path: Path) -> None:
    return None


def put(path: Path | None, text: str = "new", **options: bool) -> None:
    with files.written(path, nobody, **options) as stream:
        stream.write(text)


@pytest.mark.parametrize("read", READS)
def test_a_file_is_read_be_it_behind_a_link(tmp_path: Path, read) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to("a")
    assert read(tmp_path / "a") == read(tmp_path / "b") == b"text"


@pytest.mark.parametrize("read", READS)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, read) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    for path, words in (
        (tmp_path / "pipe", "a pipe and not a file"),
        (tmp_path / "link", "a pipe and not a file"),
        (Path("/dev/zero"), "a device and not a file"),
        (tmp_path / "socket", "a socket and not a file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
    ):
        with pytest.raises(OSError, match=words):
            read(path)


def test_a_link_is_none_where_none_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="a link and not a file"):
        files.open_regular(tmp_path / "b", follow=False)


def test_no_more_is_read_than_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.touch()
    os.truncate(file, 1 << 40)  # a sparse file takes no room
    with pytest.raises(OSError, match="at most 17,179,869,184 are read"):
        files.content(file)
    os.truncate(file, 10)
    assert len(files.content(file, at_most=10)) == 10
    with pytest.raises(OSError, match="at most 9 are read"):
        files.content(file, at_most=9)


def test_what_a_shell_has_opened_may_be_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"a,b\n")
    os.close(writer)
    assert files.content(Path(f"/dev/fd/{reader}"), stream=True) == b"a,b\n"
    with pytest.raises(OSError, match="a pipe and not a file"):
        files.content(Path(f"/dev/fd/{reader}"))
    os.close(reader)


def test_a_new_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    stream = files.written(file, nobody)
    stream.__enter__().write("half")
    assert not stream.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert list(tmp_path.iterdir()) == []
    put(file)
    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "folder"])
def test_nothing_is_written_over(tmp_path: Path, kind: str) -> None:
    file, other = tmp_path / "out.csv", tmp_path / "other"
    other.write_text("mine")
    if kind == "file":
        file.write_text("mine")
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("other" if kind == "link" else "none")
    with pytest.raises(ConflictError):
        put(file)
    assert other.read_text() == "mine"
    assert not (tmp_path / "none").exists()
    assert kind != "file" or file.read_text() == "mine"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_another_writer_may_be_faster(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    with pytest.raises(ConflictError, match="there already"), files.written(file, nobody):
        file.write_text("mine")
    assert file.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    put(tmp_path / "out.csv")
    with pytest.raises(ConflictError):
        put(tmp_path / "out.csv", "newer")
    assert (tmp_path / "out.csv").read_text() == "new"


def test_with_force_a_file_is_replaced_and_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    file, link, twin = tmp_path / "out.csv", tmp_path / "link", tmp_path / "twin"
    file.write_text("old")
    file.chmod(0o640)
    twin.hardlink_to(file)
    link.symlink_to("out.csv")
    put(link, force=True)
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert twin.read_text() == "old", "anyone who has the same file by another name keeps it"
    with pytest.raises(ConflictError, match="no file that can be written over"):
        put(tmp_path, force=True)


def test_what_is_somebody_s_is_kept_even_with_force(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("mine")
    (tmp_path / "link").symlink_to("data.csv")

    def owner(path: Path) -> str | None:
        return "the data of study 's'" if path.name == "data.csv" else None

    for name in ("data.csv", "link"):
        with (
            pytest.raises(ConflictError, match="is the data of study 's', and never written over"),
            files.written(tmp_path / name, owner, force=True),
        ):
            pass
    assert (tmp_path / "data.csv").read_text() == "mine"


def test_streams_are_written_to_as_they_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe, heard = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    listener = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    listener.start()
    put(pipe, "through")
    listener.join(10)
    assert heard == ["through"]
    put(Path("/dev/null"))
    put(Path("/dev/stdout"), "plain ")
    assert capfd.readouterr().out == "plain "
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_standard_output_by_its_other_names(capsys: pytest.CaptureFixture[str]) -> None:
    put(None, "one ")
    put(Path("-"), "two")
    assert capsys.readouterr().out == "one two"


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    put(tmp_path / "new" / "er" / "out.csv")
    files.put(tmp_path / "other" / "a.png", b"new", nobody)
    assert (tmp_path / "new" / "er" / "out.csv").read_text() == "new"
    assert (tmp_path / "other" / "a.png").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("file/out.csv", "the folder .*/file cannot be made: a file is in its place"),
        ("file/new/out.csv", "the folder .*/file/new cannot be made: a file is in its place or ab"),
        (f"{'x' * 300}/out.csv", "cannot be made: File name too long"),
        ("x" * 300, "cannot be written: File name too long"),
    ],
)
def test_where_nothing_can_be_written_is_one_line(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HpsearchError, match=words):
        put(tmp_path / place)


def test_a_name_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert files.free("wine-trials", ".csv") == "wine-trials.csv"
    Path("wine-trials.csv").touch()
    Path("wine-trials-2.csv").symlink_to("none")
    Path("wine.v1-net").mkdir()
    assert files.free("wine-trials", ".csv") == "wine-trials-3.csv"
    assert files.free("wine.v1-net") == "wine.v1-net-2"
