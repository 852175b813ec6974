"""Crews for tests that harm them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.chaos.harness import Crew
from tests.conftest import Servers

MakeCrew = Callable[..., Crew]


@pytest.fixture
def make_crew(tmp_path: Path) -> Iterator[MakeCrew]:
    """Crews on databases of the test's choice, each in a folder of its own."""
    made: list[Crew] = []

    def make(url: str, lease_s: float = 1.0) -> Crew:
        made.append(Crew(tmp_path / f"crew{len(made)}", url, lease_s))
        return made[-1]

    yield make
    for crew in made:
        crew.clear()


def on(first: str, name: str = "crew") -> pytest.MarkDecorator:
    """On one database every time, on the other at night: for what costs seconds and is about the
    worker, the disk or the study rather than the database."""
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[first]
    values = [first, pytest.param(other, marks=pytest.mark.nightly)]
    return pytest.mark.parametrize(name, values, indirect=name == "crew")


@pytest.fixture(params=["sqlite", "postgresql"])
def crew(
    request: pytest.FixtureRequest, tmp_path: Path, servers: Servers, make_crew: MakeCrew
) -> Crew:
    """A crew on an empty database, in turn on SQLite and on PostgreSQL."""
    return make_crew(servers.new_database(request.param, tmp_path))
