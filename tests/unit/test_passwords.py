"""Passwords are hidden in their place, and those that are known wherever they stand."""

from __future__ import annotations

import subprocess
import sys
import time
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa

from hpsearch import passwords
from hpsearch.passwords import hide, hide_in, learn
from hpsearch.store.engine import Database


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_known", frozenset())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at postgresql://me:a@db:5432/x now", "at postgresql://me:***@db:5432/x now"),
        ("mysql+pymysql://me:@db/x", "mysql+pymysql://me:***@db/x"),
        ("postgresql://me:p%40s%2Fs@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me:p@s/s:1@db/x", "postgresql://me:***@db/x"),
        ("'s3://key:secret@bucket/a', 2", "'s3://key:***@bucket/a', 2"),
        ("S3://KEY:secret@bucket", "S3://KEY:***@bucket"),
        ("postgresql://:a@/x", "postgresql://:***@/x"),
        ("postgresql://db/x?user=me&password=a&z=1", "postgresql://db/x?user=me&password=***&z=1"),
        ("x?sslpassword=a%20b&aws_token=b#c", "x?sslpassword=***&aws_token=***#c"),
        ("host=db password=a dbname=x", "host=db password=*** dbname=x"),
        ("password='a b' dbname=x", "password=*** dbname=x"),
    ],
)
def test_a_password_in_its_place_is_hidden_whether_known_or_not(text: str, shown: str) -> None:
    assert hide(text) == shown
    assert hide(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "dashboard at http://127.0.0.1:8080/ (me@example.org may)",
        "sqlite:////home/a@b/hpsearch.db",
        "sqlite:///C:/x/hpsearch.db",
        "postgresql://me@db:5432/x?sslmode=require",
        "password authentication failed for user 'me'",
        "hpsearch dashboard --password-file=/run/secrets/pw",
        "HPSEARCH_DASHBOARD_PASSWORD_FILE=/run/secrets/pw",
        "checkpoints at s3://bucket/folder",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert hide(text) == text


@pytest.mark.parametrize("password", ["sesame", "p@ss w+rd", "a/b:c%d", "sésame", "back\\sl'ash\""])
def test_a_known_password_is_hidden_in_every_form(password: str) -> None:
    url = sa.URL.create("postgresql", "me", password, "db").render_as_string(hide_password=False)
    learn(url, None, "")
    for form in (password, quote(password), quote(password, safe=""), quote_plus(password),
                 quote(password, safe=" +"), repr(password)[1:-1]):  # fmt: skip
        assert hide(f"failed: {form}") == "failed: ***"
        assert hide(f"x({form})") == "x(***)"


def test_a_password_in_the_query_is_known_too() -> None:
    learn("postgresql://db/x?user=me&password=open%20sesame")
    assert hide("tried open sesame, open%20sesame and open+sesame") == "tried ***, *** and ***"


def test_a_password_that_nobody_encoded_is_known_in_its_parts() -> None:
    learn("postgresql://me:open@sesame/street@db/x")
    assert (
        hide('no host "sesame/street@db", no host "sesame"')
        == 'no host "***/***@db", no host "***"'
    )


def test_a_short_password_is_hidden_as_a_word_and_a_very_short_one_in_its_place() -> None:
    learn("mysql://me:cat@db/x")
    assert hide("the cat at mysql://me:cat@db/x") == "the cat at mysql://me:***@db/x"
    learn("mysql://me:mice@db/x")
    assert hide("mice, mice's, dormice, mice9") == "***, ***'s, dormice, mice9"
    learn("mysql://me:elephants@db/x")
    assert hide("2elephants9") == "2***9"


def test_a_password_that_the_url_shows_anyway_is_hidden_in_its_place() -> None:
    """Else no message could be read, and the *** in them would tell what it is."""
    learn("postgresql://hpsearch:hpsearch@postgres/postgres", "mysql://postgres:postgres@db/x")
    text = "hpsearch: postgresql+psycopg://postgres:postgres@postgres/postgres failed"
    assert hide(text) == "hpsearch: postgresql+psycopg://postgres:***@postgres/postgres failed"
    learn("mysql://me:password@db/x")
    assert hide("password authentication failed") == "password authentication failed"


def test_data_for_programs_keeps_its_words() -> None:
    learn("postgresql://hp:test@db/hp")
    data = {"rows": {"train": 1, "test": 270}, "why": ["a test", None, 1.5, True]}
    assert hide_in(data) == data
    assert hide_in({"test": ("at mysql://me:a@db", {"x": "password=b"})}) == {
        "test": ["at mysql://me:***@db", {"x": "password=***"}]
    }


@pytest.mark.parametrize("url", ["postgresql://me:sesame@db/x?password=simsim", "sqlite:///x.db"])
def test_a_database_shows_its_name_without(url: str) -> None:
    name = Database(url).name
    assert "sesame" not in name
    assert "simsim" not in name
    assert "x" in name
    assert hide("sesame simsim") == ("*** ***" if "sesame" in url else "sesame simsim")


PROGRAM = """
import logging, sys, threading, warnings
from hpsearch import passwords
passwords.install()
passwords.install()
passwords.learn("postgresql://me:sesame@db/x")

def fail():
    try:
        raise KeyError("first sesame")
    except KeyError as error:
        error.add_note("a note of sesame")
        raise ValueError("sesame, and mysql://me:a@db") from error

class Late:
    def __del__(self):
        fail()
"""

CASES = {
    "an exception": "fail()",
    "a thread": "t = threading.Thread(target=fail); t.start(); t.join()",
    "a destructor": "late = Late(); del late",
    "a log record": "logging.warning('it is %s', 'sesame')",
    "a log record of a library": """
log = logging.getLogger("library"); log.propagate = False; log.addHandler(logging.StreamHandler())
log.error("sesame", stack_info=True)
try: fail()
except ValueError: log.exception("it was %(what)s", {"what": "sesame"})
""",
    "a warning": "warnings.warn('sesame is weak', stacklevel=1)",
}


@pytest.mark.parametrize("case", CASES)
def test_python_itself_writes_none(case: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + CASES[case]], text=True, capture_output=True, check=False
    )
    assert "***" in done.stderr
    assert "sesame" not in done.stderr.replace("sesame@db", "").replace(CASES[case], "")
    assert ":a@" not in done.stderr
    assert done.returncode == (1 if case == "an exception" else 0)
    if "an exception" in case:
        assert "Traceback" in done.stderr
        assert "The above exception was the direct cause" in done.stderr


def test_long_arguments_take_no_time():
    start = time.process_time()
    passwords.learn("x" * 1500)
    assert time.process_time() - start < 1
