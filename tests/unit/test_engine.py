from __future__ import annotations

import pytest

from hpsearch import passwords
from hpsearch.errors import StorageError
from hpsearch.store.engine import Database


@pytest.mark.parametrize(
    ("url", "driver", "name"),
    [
        ("postgres://u@h/n", "postgresql+psycopg", "postgresql://u@h/n"),
        ("postgresql+psycopg2://u:sesame@h/n", "postgresql+psycopg", "postgresql://u:***@h/n"),
        ("mariadb://u@h/n", "mysql+pymysql", "mysql://u@h/n"),
        ("sqlite:////tmp/n.db", "sqlite", "sqlite:////tmp/n.db"),
    ],
)
def test_a_database_is_named_without_the_driver(url: str, driver: str, name: str) -> None:
    database = Database(url)
    assert database.url.startswith(f"{driver}://")
    assert database.name == name


def test_the_hint_for_a_url_that_cannot_be_read_has_nothing_to_hide() -> None:
    with pytest.raises(StorageError) as caught:
        Database("foo")
    said = str(caught.value)
    assert "sqlite:///foo" in said
    assert "postgresql://USER@HOST/NAME" in said
    assert passwords.hide(said) == said


def test_a_file_that_no_system_can_have_is_one_line() -> None:
    with pytest.raises(StorageError, match="cannot be opened: File name too long; name another"):
        Database(f"sqlite:///{'x' * 400}.db")
