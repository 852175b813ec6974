"""Two hosts in network namespaces: one is cut off for longer than its lease, then healed.

No namespace of the machine's own is touched: the server and each host have one, with a cable
between the server and each host.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import MakeCrew
from tests.acceptance.chaos.harness import Crew, study, until
from tests.acceptance.chaos.invariants import assert_invariants
from tests.postgres import Postgres

LEASE_S, TRIALS, EPOCHS, SLOTS = 2.0, 12, 6, 2
HOSTS = ("a", "b")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Network:
    """A server and two hosts, by the names of their namespaces."""

    tag: str
    server: Postgres

    def cable(self, host: str, state: str) -> None:
        """Pull the cable of a host, or plug it in: up or down."""
        ip("-n", f"{self.tag}{host}", "link", "set", "eth0", state)

    def url(self, host: str) -> str:
        """The server's, as that host reaches it."""
        return self.server.url.replace(self.server.host, address(host, 1))


def address(host: str, end: int) -> str:
    return f"10.77.{HOSTS.index(host)}.{end}"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    if os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip (iproute2)")
    tag = f"hps{os.getpid()}"
    names = [f"{tag}{host}" for host in ("db", *HOSTS)]
    try:
        _lay_cables(tag, names)
    except subprocess.CalledProcessError as error:
        _remove(names)
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.strip()}")
    server = Postgres(
        tmp_path / "postgresql", host="0.0.0.0", inside=["ip", "netns", "exec", f"{tag}db"]
    )
    with (tmp_path / "postgresql" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.77.0.0/16 trust\n")
    server.start()
    yield Network(tag, server)
    server.stop()
    _remove(names)


def _lay_cables(tag: str, names: list[str]) -> None:
    for name in names:
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
    for host in HOSTS:
        far, near = f"{tag}{host}", f"eth{host}"
        ip("-n", f"{tag}db", "link", "add", near, "type", "veth",
           "peer", "name", "eth0", "netns", far)  # fmt: skip
        for name, device, end in ((f"{tag}db", near, 1), (far, "eth0", 2)):
            ip("-n", name, "address", "add", f"{address(host, end)}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")


def _remove(names: list[str]) -> None:
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def test_a_host_that_is_cut_off_comes_back(network: Network, make_crew: MakeCrew) -> None:
    crew: Crew = make_crew(network.server.socket_url, LEASE_S)
    crew.submit(study(trials=TRIALS, epochs=EPOCHS, stack=SLOTS))
    slow, gate = partial(hooks.pace, 0.4), crew.folder / "here waits"
    here, there = (
        crew.worker(slow, *more, partial(hooks.enter_network, f"{network.tag}{h}"),
                    url=network.url(h))
        for h, more in zip(HOSTS, ([partial(hooks.hold_while, gate)], []), strict=True)
    )  # fmt: skip
    reported = "SELECT DISTINCT trial_id FROM hpsearch_epochs"
    until(lambda: len(crew.rows(reported)) == 2 * SLOTS, what="both hosts at work")
    cut = crew.held(there)
    assert len(cut) == SLOTS
    network.cable("b", "down")
    for lease in cut:
        find = partial(crew.leases, number=lease.number, fence=2)
        assert until(find, what="the cut-off ticket's next")[0].worker == here.name
    assert there.alive
    gate.touch()  # how soon a connection that was cut comes back is the kernel's affair
    network.cable("b", "up")
    healed_at = crew.now()
    until(
        lambda: [one for one in crew.leases(worker=there.name) if one.taken_at > healed_at],
        what="the healed host at work",
    )
    gate.unlink()
    crew.finish(180)
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
    assert "has another holder" in there.said
