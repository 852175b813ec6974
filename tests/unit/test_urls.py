from __future__ import annotations

import pytest

from hpsearch import urls
from hpsearch.errors import StudyFileError


@pytest.mark.parametrize(
    ("place", "scheme", "folder"),
    [
        ("s3://bucket/prefix", "s3", None),
        ("simplecache::s3://bucket", "simplecache::s3", None),
        ("file:///mnt/x", "file", "/mnt/x"),
        ("local://x", "local", "x"),
        ("/mnt/x", None, "/mnt/x"),
        ("x", None, "x"),
        ("c:/x", None, "c:/x"),
        ("/odd/a://b", None, "/odd/a://b"),
        ("", None, ""),
    ],
)
def test_what_is_a_folder(place: str, scheme: str | None, folder: str | None) -> None:
    assert (urls.scheme(place), urls.folder(place)) == (scheme, folder)


def test_below() -> None:
    assert (
        urls.below("s3://bucket/p/", "x") == urls.below("s3://bucket/p", "x") == "s3://bucket/p/x"
    )
    assert urls.below("s3://bucket", "x") == "s3://bucket/x"
    assert urls.below("s3://", "x") == "s3:///x", "it must not become the path of a folder"


def test_home_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert str(urls.local("~/x")) == "/home/me/x"
    assert str(urls.local("a/~/x")) == "a/~/x"
    with pytest.raises(StudyFileError, match="no home folder ~nobody-of-that-name; write the"):
        urls.local("~nobody-of-that-name/x")
    for path in ("~a\0b/x", "a\0b", "\ud800"):
        with pytest.raises(StudyFileError, match="no path can have; name another folder"):
            urls.local(path)
