from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.api.submit import submit
from hpsearch.checkpoints.places import checkpoint_place, owner, stays_here
from hpsearch.errors import DamagedError, StudyFileError
from hpsearch.spec import StudySpec, load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study

DIGITS = Path(__file__).parents[2] / "studies" / "digits.yaml"


@pytest.fixture
def database(sqlite_url: str) -> Database:
    return Database(sqlite_url)


@pytest.fixture
def study(database: Database, tmp_path: Path) -> Study:
    spec: StudySpec = load(DIGITS, ["name=s"])
    base = tmp_path / "base"
    base.mkdir()
    return submit(Ledger(database, make=True), spec, base)[0]


@pytest.mark.parametrize(
    ("configured", "place"),
    [
        ("/mnt/c", "/mnt/c/"),
        ("file:///mnt/c", "/mnt/c/"),
        ("c", "{base}/c/"),
        ("~/c", "{home}/c/"),
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/p/", "s3://bucket/p/"),
        (None, "{file}.checkpoints/"),
    ],
)
def test_a_place_of_the_study(
    database: Database, study: Study, tmp_path: Path, configured: str | None, place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    own = f"s-{study.uid[:8]}"
    expected = (
        place.format(base=tmp_path / "base", home=tmp_path / "home", file=tmp_path / "study") + own
    )
    configured_so = replace(study, document={**study.document, "checkpoints": configured})
    assert checkpoint_place(database, configured_so) == expected
    if configured:
        assert checkpoint_place(database, study, configured) == expected


def test_the_option_goes_before_the_study_file(database: Database, study: Study) -> None:
    configured = replace(study, document={**study.document, "checkpoints": "/a"})
    assert checkpoint_place(database, configured, "s3://b").startswith("s3://b/s-")


def test_a_server_s_studies_lie_with_the_user(study: Study, monkeypatch: pytest.MonkeyPatch,
                                              tmp_path: Path) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    server = Database("postgresql://user:password@host/name")
    place = Path(checkpoint_place(server, study))
    assert place.is_relative_to(tmp_path / "data" / "hpsearch")
    assert place.name == f"s-{study.uid[:8]}"


def test_what_stays_on_its_machine(database: Database) -> None:
    server = Database("postgresql://user@host/name")
    assert stays_here(server, None)
    assert stays_here(server, None, "s3://b", None)
    assert not stays_here(server, None, "s3://b")
    assert not stays_here(server, "s3://b", None)
    assert not stays_here(database, None)


@pytest.mark.parametrize(
    ("name", "uid"),
    [("my", "app"), ("my", "a" * 31 + "/"), ("my", ""), ("../my", "a" * 32), ("a/b", "a" * 32)],
)
def test_a_row_that_names_no_folder_of_ours(
    database: Database, study: Study, name: str, uid: str
) -> None:
    """Anyone who can write a row has neither any folder cleared nor written to."""
    with pytest.raises(DamagedError, match="is damaged: no folder can be named after it"):
        checkpoint_place(database, replace(study, name=name, uid=uid), "/srv")


@pytest.mark.parametrize("place", [3, 0, {}, {"a": 1}, ["x"], True, "/srv/a\0b", "s3://b/\0"])
def test_a_row_with_a_place_that_is_none(database: Database, study: Study, place: object) -> None:
    with pytest.raises(DamagedError, match="where its checkpoints lie is not known"):
        checkpoint_place(database, replace(study, document={"checkpoints": place}))


@pytest.mark.parametrize(
    "place", ["~nobody-of-that-name/x", "file://~nobody-of-that-name", "a\ud800"]
)
def test_a_place_that_is_not_on_this_machine(
    database: Database, study: Study, tmp_path: Path, place: str
) -> None:
    """Other studies of the database are no worse for it."""
    lost = replace(study, name="lost", document={**study.document, "checkpoints": place})
    with pytest.raises(StudyFileError, match=r"the checkpoints of study 'lost': .*; (write|name)"):
        checkpoint_place(database, lost)
    mnist = {"source": "mnist", "path": None, "root": place}
    csv = {"source": "csv", "path": "a\0b", "root": None}
    others = [replace(study, document={"data": data}) for data in (mnist, csv)]
    find = owner(database, [lost, *others, replace(study, base="a\0b"), study])
    assert find(tmp_path / "out.csv") is None
    own = tmp_path / f"study.checkpoints/s-{study.uid[:8]}/1.1.pt"
    assert find(own) == "a place of checkpoints of study 's'"


def test_whose_a_file_is(database: Database, study: Study, tmp_path: Path) -> None:
    base = tmp_path / "base"
    data = {"source": "csv", "path": "t.csv", "root": None}
    mnist = {"source": "mnist", "path": None, "root": "images"}
    studies = [
        replace(study, document={**study.document, "data": data}),
        replace(study, name="m", document={**study.document, "data": mnist}),
        replace(study, name="damaged", uid="app", document={"data": 3}),
    ]
    find = owner(database, studies)
    assert find(base / "t.csv") == "the data of study 's'", "though it is not there now"
    (base / "t.csv").write_text("a,b\n")
    (tmp_path / "link").symlink_to("base/t.csv")
    (tmp_path / "twin").hardlink_to(base / "t.csv")
    (tmp_path / "there").symlink_to("base")
    for name in ("link", "twin", "there/t.csv", "there/../base/t.csv"):
        assert find(tmp_path / name) == "the data of study 's'", name
    assert find(base / "images/MNIST/raw/train-images-idx3-ubyte") == "the data of study 'm'"
    assert find(base / "images/out.csv") is None
    for name in ("study.db", "study.db-wal", "study.db-shm"):
        assert find(tmp_path / name) == "the database"
    checkpoints = f"study.checkpoints/s-{study.uid[:8]}/3.1.pt"
    assert find(tmp_path / checkpoints) == "a place of checkpoints of study 's'"
    assert find(base) == "the folder of the data of study 's'"
    assert find(base / "t-trials.csv") is None


@pytest.mark.parametrize(
    ("document", "code", "files"),
    [
        ({"train": {"function": "own.py:train"}}, "d", ["own.py", "more/helper.py"]),
        ({"network": {"module": "nets.py:build"}}, "d", ["nets.py"]),
        ({"train": {"command": ["python", "fit.py", "./go.sh"]}}, None, ["fit.py", "go.sh"]),
    ],
)
def test_code_is_a_study_s_own(
    database: Database, study: Study, tmp_path: Path, document, code, files
) -> None:
    base = tmp_path / "base"
    (base / "more").mkdir(parents=True, exist_ok=True)
    for name in (*files, "page.html"):
        (base / name).write_text("1\n")
    find = owner(database, [replace(study, document=document, code=code)])
    for name in files:
        assert find(base / name) == "the code of study 's'", name
    assert find(base / "page.html") is None
    assert find(base / "new.py") is None
    assert owner(database, [study])(base / files[0]) is None


def test_checkpoints_at_a_place_that_was_said_are_a_study_s_own(
    database: Database, study: Study, tmp_path: Path
) -> None:
    own = f"s-{study.uid[:8]}"
    find = owner(database, [study], str(tmp_path / "said"))
    for place in ("said", "study.checkpoints"):
        assert find(tmp_path / place / own / "x.txt") == "a place of checkpoints of study 's'"
    assert find(tmp_path / "said/x.txt") is None


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("c/s-0123abcd/0.1.pt", "a checkpoint"),
        ("c/gone-2.b-0123abcd/12.34.pt", "a checkpoint"),
        ("link/0.1.pt", "a checkpoint"),
        ("c/s-0123abcd/out.csv", None),
        ("c/s-0123abcd/best.pt", None),
        ("c/s-0123abc/0.1.pt", None),
        ("c/0.1.pt", None),
    ],
)
def test_what_is_named_as_a_checkpoint_is_one(
    database: Database, study: Study, tmp_path: Path, path: str, whose: str | None
) -> None:
    """Wherever it lies: its workers may have been started with another place."""
    (tmp_path / "link").symlink_to("c/s-0123abcd")
    assert owner(database, [study])(tmp_path / path) == whose


def test_whose_a_study_file_is(database: Database, study: Study, tmp_path: Path) -> None:
    find, file = owner(database, [study]), tmp_path / "base/a.txt"
    file.write_text(DIGITS.read_text())
    assert find(file) is None, "nobody has run it"
    file.write_text("name: s\ndata: {}\nnetwork: {}\n")
    assert find(file) == "the file of study 's' until `hpsearch delete s`"
    (tmp_path / "link").symlink_to("base")
    assert find(tmp_path / "link/a.txt") == find(file)
    copy = tmp_path / "copy.txt"
    copy.write_text(file.read_text())
    assert find(copy) is None, "the study began in another folder"
    assert owner(database, [])(file) is None
    assert owner(database, [replace(study, base="a\0b")])(file) is None, "a damaged row"
    for unnamed in (
        DIGITS.read_text().replace("\nname: digits", "\n#"),
        "# A comment\n\n---\ndata: {}\nnetwork: {}\n",
        "parameters: {}\n",
        "{budget: {trials: 3}, 'search': {}}\n",
        '{"data": {}, "metric": "f1"}',
    ):
        file.write_text(unnamed)
        assert find(file) == "the file of a study", unnamed
    for other in (
        "data,network\n1,2\n",
        "name: [",
        "name: s\nx: data network\n",
        "\ufeff",
        '[{"data": 1, "name": 2}]',
        "- parameters: 1\n",
    ):
        file.write_text(other)
        assert find(file) is None
    file.write_bytes(b"\xff data network")
    assert find(file) is None
