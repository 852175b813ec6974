"""Pictures by the real command: drawn once when a study has ended, shown, written, and deleted."""

from __future__ import annotations

import io
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta
from PIL import Image

from hpsearch.store.engine import Database
from hpsearch.store.storage import open_storage
from tests.acceptance.chaos import hooks
from tests.acceptance.conftest import Command, digits
from tests.acceptance.test_dashboard import Dashboard

PARAMETERS = "{learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}}}"
TEXT = digits(parameters=PARAMETERS, budget="{trials: 2, epochs: 2}",
              extra=["final: {top: 1, seeds: 2}"])  # fmt: skip


def drawn(command: Command) -> set[str]:
    (place,) = (command.folder / "checkpoints").iterdir()
    return {path.name for path in place.glob("*.png")}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that has run, with two workers and a finish."""
    folder = tmp_path_factory.mktemp("ended")
    command = Command(folder, f"sqlite:///{folder}/study.db")
    del command.env["HPSEARCH_NO_PICTURES"]
    command.run("run", command.file(TEXT), "--workers", 2)
    return folder


@pytest.fixture
def served(command: Command, ended: Path) -> Command:
    """A command against a copy of it."""
    shutil.copytree(ended, command.folder, dirs_exist_ok=True)
    return command


def test_a_study_that_has_ended_has_its_pictures_once_and_optuna_knows_them(
    served: Command,
) -> None:
    found, best = drawn(served), served.json("best", "s")
    network = best["network"]["number"]
    for number in {network, best["number"]}:
        names = ("curves", "confusion", "errors")
        assert {f"trial-{number}-{name}.png" for name in names} <= found
    finals = {row["number"] for row in served.json("trials", "s") if row["stage"] == "final"}
    assert {f"trial-{number}-curves.png" for number in finals} <= found
    storage = open_storage(Database(served.url))
    study = optuna.load_study(study_name="s", storage=storage)
    metas = [
        meta for trial in study.trials for meta in get_all_artifact_meta(trial, storage=storage)
    ]
    assert sorted(meta.filename for meta in metas) == sorted(found)
    note = json.loads(json.dumps(storage.get_study_system_attrs(study._study_id)))
    assert note["hpsearch:pictures"]["count"] == len(found), "each was drawn once"


def test_they_are_written_where_somebody_wants_them_and_over_nothing(served: Command) -> None:
    said = served.run("pictures", "s", "-o", "shown").stdout.splitlines()
    files = {path.name for path in (served.folder / "shown").iterdir()}
    assert files == drawn(served)
    assert said[0] == f"{len(files)} pictures in shown:"
    assert {line.split()[0] for line in said[1:]} == files
    assert "there already" in served.run("pictures", "s", "-o", "shown", code=5).stderr


@pytest.mark.nightly
def test_what_makes_no_sense_is_refused(served: Command) -> None:
    (place,) = (served.folder / "checkpoints").iterdir()
    assert "checkpoints of study" in served.run("pictures", "s", "-o", place, "--force",
                                                code=5).stderr  # fmt: skip
    assert "name their folder" in served.run("pictures", "s", "--format", "svg", code=2).stderr
    assert "no trial 99; it has" in served.run("pictures", "s", "--trial", 99, code=6).stderr
    assert served.run("pictures", "s", "--format", "gif", code=2).stderr


def test_they_go_with_the_study(served: Command) -> None:
    assert drawn(served)
    served.run("delete", "s", "--yes")
    assert list((served.folder / "checkpoints").iterdir()) == []


def test_the_dashboard_shows_them_and_takes_no_others(served: Command) -> None:
    dashboard = Dashboard(served)
    detail = json.loads(dashboard.ask("GET", "/api/studies/1")[1])
    trial = next(t for t in detail["trials"] if t["artifacts"])
    path = f"/artifacts/1/{trial['trial_id']}/{trial['artifacts'][0]['artifact_id']}"
    status, _, headers = dashboard.ask("GET", path)
    assert (status, headers["content-type"]) == (200, "image/png")
    for method, where in (("DELETE", f"/api{path}"), ("POST", "/api/artifacts/1")):
        status, body, _ = dashboard.ask(method, where)
        assert (status, "none is added or removed by hand" in body) == (409, True)
    for gone in (served.folder / "checkpoints").iterdir():
        shutil.rmtree(gone)
    status, body, _ = dashboard.ask("GET", path)
    assert (status, "hpsearch pictures s draws it" in body) == (404, True)


@pytest.mark.nightly
def test_what_is_missing_is_drawn_without_the_worker(served: Command) -> None:
    before = drawn(served)
    (place,) = (served.folder / "checkpoints").iterdir()
    for picture in place.glob("*.png"):
        picture.unlink()
    rows = served.json("pictures", "s")
    assert drawn(served) == {row["file"] for row in rows}
    number = served.json("best", "s")["number"]  # of the search, whose network is gone by now
    assert before - drawn(served) <= {f"trial-{number}-errors.png"}
    svg = served.json("pictures", "s", "-o", "shown", "--format", "svg")
    assert all(Path(served.folder / row["file"]).read_text().startswith("<?xml") for row in svg)
    shutil.rmtree(place)  # as on a machine that does not reach it
    done = served.run("pictures", "s", "-o", "bare")
    assert "without its network, trial" in done.stderr
    names = {path.name for path in (served.folder / "bare").iterdir()}
    assert names
    assert not any("errors" in name for name in names)


def _dies_at(count: int) -> None:
    """Have the process killed in the middle of the write of that picture."""
    from hpsearch.checkpoints.backend import Folder

    written, write = [0], Folder.write

    def dying(self: Any, name: str, data: bytes) -> None:
        if name.endswith(".png"):
            written[0] += 1
            if written[0] == count:
                (self._folder / f"{name.rpartition('.')[0]}.0a1b.part").write_bytes(data[:9])
                hooks.die()
        write(self, name, data)

    Folder.write = dying  # type: ignore[method-assign]


@pytest.mark.nightly
@pytest.mark.parametrize("count", [1, 3])
def test_a_worker_that_is_killed_over_a_picture_loses_nothing(command: Command, count: int) -> None:
    del command.env["HPSEARCH_NO_PICTURES"]
    command.hooks.append(partial(_dies_at, count))
    command.run("submit", command.file(TEXT))
    process = command.start("worker", "s", "--until-done")
    process.communicate()
    assert process.returncode == -9
    assert command.json("status", "s")["state"] == "done"
    assert len(drawn(command)) == count - 1
    command.hooks.clear()
    rows = command.json("pictures", "s")
    assert len(rows) == len(drawn(command)) > count
    (place,) = (command.folder / "checkpoints").iterdir()
    assert not list(place.glob("*.part"))
    for picture in place.glob("*.png"):
        Image.open(io.BytesIO(picture.read_bytes())).verify()


@pytest.mark.nightly
def test_workers_that_reach_no_checkpoints_end_as_ever(command: Command) -> None:
    del command.env["HPSEARCH_NO_PICTURES"]
    command.run("run", command.file(TEXT), "--workers", 1, "--checkpoints", "one")
    other = command.run("worker", "s", "--until-done", "--checkpoints", "two")
    assert "Traceback" not in other.stderr
    assert not (command.folder / "two").exists()


@pytest.mark.nightly
def test_a_browser_shows_the_pictures_of_study_and_trial(served: Command) -> None:
    """By Debian's chromium and `pip install playwright`."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    dashboard, best = Dashboard(served), served.json("best", "s")
    number = best["network"]["number"]
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1800})
        page.goto(f"http://127.0.0.1:{dashboard.port}/dashboard/studies/1/trials?numbers={number}")
        page.wait_for_selector("img[src*='/artifacts/']")
        page.wait_for_function(
            "[...document.querySelectorAll(`img[src*='/artifacts/']`)].every(i => i.naturalWidth)"
        )
        loaded = page.eval_on_selector_all(
            "img[src*='/artifacts/']", "images => images.map(image => image.naturalWidth)"
        )
        browser.close()
    assert len(loaded) >= 3
    assert min(loaded) > 300
