"""Wrong passwords, and how long their sender has to wait before the next one."""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Attempts"]

_FREE = 2
"""Wrong passwords in a row without a wait: people mistype."""
_MOST_S = 30.0
_FORGOTTEN_S = 900.0
_CLIENTS = 4096
"""Addresses that are remembered; the one heard of longest ago is forgotten first."""

_log = logging.getLogger(__name__)


@dataclass
class _Client:
    failures: int = 0
    failed_at: float = 0.0
    until: float = 0.0


class Attempts:
    """Counts wrong passwords in a row by address; for any thread, none of which ever waits.

    The wait doubles from the third on, from one second to half a minute, and is forgotten with the
    right password, or after a quarter of an hour.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> int:
        """Whole seconds that this client has to wait still; 0: none."""
        with self._lock:
            client = self._clients.get(_network(address))
            left = client.until - self._clock() if client else 0.0
            return max(-int(-left // 1), 0)

    def failed(self, address: str) -> None:
        """A client has sent a wrong password."""
        now, key = self._clock(), _network(address)
        with self._lock:
            client = self._clients.pop(key, _Client())
            if now - client.failed_at > _FORGOTTEN_S:
                client = _Client()
            client.failures += 1
            client.failed_at = now
            doubled = min(client.failures - _FREE - 1, 16)
            wait_s = min(2.0**doubled, _MOST_S) if client.failures > _FREE else 0.0
            client.until = now + wait_s
            self._clients[key] = client
            while len(self._clients) > _CLIENTS:
                self._clients.popitem(last=False)
        _log.warning(
            "wrong password for the dashboard from %s, %d in a row%s", key, client.failures,
            f"; it is heard again in {wait_s:g} s" if wait_s else "",
        )  # fmt: skip

    def passed(self, address: str) -> None:
        """A client has sent the right password."""
        with self._lock:
            self._clients.pop(_network(address), None)


def _network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that one site has of IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
