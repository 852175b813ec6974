"""Commands that are printed for a study: with all that a worker of it needs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.code import Manifest, manifest_of
from hpsearch.insight import commands
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study
from tests.studies import A_STUDY

OWN = Manifest({"train.py": "a"})
NETWORK = {"network": {"family": "mlp"}, "data": {"source": "digits"}}


def a_study(url: str, document: Mapping[str, object], code: Manifest | None, base: str) -> Study:
    new = replace(A_STUDY, document={"metric": "loss", **document}, code=code, base=base)
    return Ledger(Database(url)).create(new)[0]


@pytest.mark.parametrize(
    ("document", "code", "options", "save"),
    [
        (NETWORK, None, "", ""),
        ({"network": {"family": "nets.py:Net"}}, OWN, " --code DIR", " --code DIR"),
        ({"train": {"function": "train.py:train"}}, OWN, " --code DIR", ""),
        ({"train": {"command": ["sh", "train.sh"]}}, Manifest({}),
         " --code DIR --allow-commands", ""),
    ],
)  # fmt: skip
def test_a_worker_gets_the_options_that_it_needs(
    sqlite_url: str, document: dict[str, object], code: Manifest | None, options: str, save: str
) -> None:
    study = a_study(sqlite_url, document, code, "/")
    assert commands.worker(study) == f"worker s{options}"
    assert commands.worker(study, until_done=True) == f"worker s --until-done{options}"
    assert commands.fleet(study) == f"fleet{options}"
    assert commands.save(study, "s-net") == f"best s --save s-net{save}"


def test_the_folder_of_the_code_is_named_while_it_has_it(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text("")
    monkeypatch.chdir(tmp_path)
    document = {"train": {"function": "train.py:train"}}
    study = a_study(sqlite_url, document, manifest_of(tmp_path), str(tmp_path))
    folder = commands.code_folder(study)
    assert shlex.split(commands.worker(study, code=folder)) == ["worker", "s", "--code", "."]
    (tmp_path / "look.py").write_text("it is new")
    assert commands.code_folder(study) == "."
    for file in tmp_path.iterdir():
        file.unlink()
    assert commands.code_folder(study) == "DIR"
    assert commands.code_folder(replace(study, base="/nowhere")) == "DIR"
