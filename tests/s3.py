"""A server that speaks S3, in a process of its own, on loopback: one for all of a run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.shared import Tenants, shared


@dataclass(frozen=True)
class S3:
    """The server's address, and a bucket."""

    url: str
    bucket: str = "bucket"

    @property
    def env(self) -> dict[str, str]:
        """What anyone who uses the server has to have in the environment."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def new_bucket(run: Path) -> S3:
    """An empty bucket of the run's server; skips the test where there can be none."""
    for module in ("s3fs", "moto", "flask", "flask_cors"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    server = S3(shared(run, "tests.s3"), f"b{uuid.uuid4().hex}")
    urlopen(Request(f"{server.url}/{server.bucket}", method="PUT"), timeout=30).close()
    return server


def _serve(place: Path) -> None:
    tenants, log = Tenants(place), place / "s3.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        tenants.open(_address(process, log))
        tenants.wait()
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path, timeout_s: float = 60) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Running on (http://\S+)", log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"the S3 server did not start: {log.read_text()}")


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
