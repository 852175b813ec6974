"""Pictures beside the checkpoints: whole or not there, never tidied away, gone with the study."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError
from hpsearch.pictures.gallery import Gallery, Kept, uid_of

UID = "0123456789abcdef0123456789abcdef"


def test_what_is_kept_is_listed_in_order_and_read_again(tmp_path: Path) -> None:
    gallery = Gallery(str(tmp_path / "s"))
    assert gallery.kept() == ()
    wanted = [Kept("importance", None), Kept("curves", 8), Kept("errors", 8), Kept("curves", 11)]
    for kept in reversed(wanted):
        gallery.put(kept, kept.name.encode())
    assert gallery.kept() == tuple(wanted)
    assert [gallery.content(kept) for kept in wanted] == [kept.name.encode() for kept in wanted]
    assert wanted[1].title == "Learning curves, trial 8"
    assert len({kept.artifact_id(UID) for kept in wanted}) == 4
    assert {uid_of(kept.artifact_id(UID)) for kept in wanted} == {UID}
    assert uid_of("../x") is uid_of("") is None


def test_half_a_picture_and_foreign_files_are_not_listed(tmp_path: Path) -> None:
    gallery = Gallery(str(tmp_path))
    (tmp_path / "trial-8-errors.0a1b.part").write_bytes(b"half")
    (tmp_path / "trial-8-unknown.png").write_bytes(b"")
    (tmp_path / "holiday.png").write_bytes(b"")
    assert gallery.kept() == ()
    gallery.put(Kept("errors", 8), b"whole")  # which clears away what a killed process has left
    assert gallery.kept() == (Kept("errors", 8),)
    assert not (tmp_path / "trial-8-errors.0a1b.part").exists()


def test_tidying_leaves_pictures_and_clearing_takes_them(tmp_path: Path) -> None:
    place = tmp_path / "s"
    gallery, checkpoints = Gallery(str(place)), Checkpoints(place)
    gallery.put(Kept("errors", 8), b"a picture")
    (place / "trial-8-maps.0a1b.part").write_bytes(b"half")
    (place / "8.1.pt").write_bytes(b"")
    checkpoints.tidy({8}, set())
    assert gallery.kept() == (Kept("errors", 8),)
    assert checkpoints.clear()
    assert not place.exists()


def test_a_picture_of_a_deleted_study_is_not_kept(tmp_path: Path) -> None:
    gallery = Gallery(str(tmp_path / "s"), is_wanted=lambda: False)
    with pytest.raises(CheckpointError, match="its study has been deleted"):
        gallery.put(Kept("errors", 8), b"")
    assert not (tmp_path / "s").exists()


def test_no_other_name_is_written_or_read(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(ValueError, match="no name of a picture"):
        checkpoints.save_picture("../trial-8-errors.png", b"")
    with pytest.raises(CheckpointError, match=r"cannot read the picture .*trial-8-errors.png"):
        Gallery(str(tmp_path)).content(Kept("errors", 8))
    (tmp_path / "trial-8-errors.png").symlink_to("/etc/hostname")
    with pytest.raises(CheckpointError, match="it is a link"):
        Gallery(str(tmp_path)).content(Kept("errors", 8))
