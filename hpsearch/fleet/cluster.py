"""Workers on the nodes of a Ray cluster: one a GPU, or one a node where there are none.

An actor, pinned to its node, starts the ordinary `hpsearch worker` as its child and waits for it.
So signals, grace and parent pipe work there as here, and a node needs hpsearch and nothing else.
Ray only says where, and gives each actor its share of GPUs by CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hpsearch.errors import HpsearchError, StudyFileError, WorkerError, line
from hpsearch.fleet.child import Child
from hpsearch.fleet.worker_config import DevicePlace, Process, WorkerConfig, new_name
from hpsearch.processes.process import End, FailedStart

__all__ = ["RayCluster"]

_LOOK_S = 1.0
"""Between looks at the cluster's nodes."""

_REACH_S = 5.0
"""For an address to take a connection. Ray itself tries for a quarter of an hour."""

_AWAY_S = 20.0
"""For which the cluster's head may be away."""

_CONNECT_S = 30.0
"""For Ray to connect to what took it."""


@dataclass(frozen=True)
class _Post:
    """A seat on a node, with what it takes of the node."""

    seat: DevicePlace
    node_id: str
    host: str
    gpus: float
    cpus: float


class RayCluster:
    """Starts workers on a running Ray cluster."""

    def __init__(
        self, address: str, orders: WorkerConfig, *, per_device: int | None = None,
        device: str | None = None, one_node: bool = False,
    ) -> None:  # fmt: skip
        """Connect.

        Args:
            address: auto, HOST:PORT, or ray://HOST:PORT.
            orders: What each worker is told.
            per_device: Workers on each GPU; where there are none, on each node.
            device: cpu or cuda; None: cuda if any node has a GPU now.
            one_node: Whether workers can only be where this process is: SQLite is a local file.

        Raises HpsearchError where Ray is not installed, the cluster does not answer, or has more
        nodes than `one_node` allows.
        """
        if device not in (None, "cpu", "cuda"):
            raise StudyFileError(
                f"--device {device} with --ray: a cluster knows cpu and cuda; Ray numbers the GPUs"
            )
        self._ray = _import_ray()
        _connect(self._ray, address)
        self._orders, self._per_device = orders, per_device or 1
        self._address = address
        self._head = _head(self._ray, address)
        self._looked = self._answered = time.monotonic() - _LOOK_S
        self._posts: dict[str, _Post] = {}
        nodes = self._nodes()
        self._only = self._this_node(nodes) if one_node else None
        self._cuda = device == "cuda" or (device is None and any(map(_gpus, nodes)))

    def _nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive, in an order that stays."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        return sorted(nodes, key=lambda node: str(node["NodeID"]))

    def _this_node(self, nodes: Sequence[dict[str, Any]]) -> str:
        if len(nodes) == 1 and nodes[0]["NodeManagerHostname"] == socket.gethostname():
            return str(nodes[0]["NodeID"])
        self.close()
        raise HpsearchError(
            f"SQLite is a file on this machine, and the Ray cluster has {len(nodes)} "
            f"node{'s' * (len(nodes) != 1)} that cannot all reach it; name a database server: "
            "--storage postgresql://..."
        )

    def seats(self) -> Sequence[DevicePlace]:
        """A seat for each worker, as the nodes are now. Raises WorkerError without a cluster."""
        if time.monotonic() - self._looked >= _LOOK_S:
            self._look()
            self._looked = time.monotonic()
        return [post.seat for post in self._posts.values()]

    def _look(self) -> None:
        """A head that is away may come back, but Ray ends this process after a minute of that."""
        if not self._answers():
            if time.monotonic() - self._answered > _AWAY_S:
                raise WorkerError(
                    f"the Ray cluster at {self._address} is away for {_AWAY_S:g} s; its workers "
                    "leave with it; run again to continue, on any machine"
                )
            return
        self._answered = time.monotonic()
        self._posts = {post.seat.key: post for post in self._find_posts()}

    def _find_posts(self) -> list[_Post]:
        """The first worker of every node, then the second of every node, and so on."""
        nodes = self._nodes()
        if self._only is not None:
            nodes = [node for node in nodes if node["NodeID"] == self._only]
        rows = [self._posts_on(node) for node in nodes]
        deepest = max(map(len, rows), default=0)
        return [row[i] for i in range(deepest) for row in rows if i < len(row)]

    def _posts_on(self, node: dict[str, Any]) -> list[_Post]:
        """One worker a GPU, or so many a GPU; on a node without, if those are used, one a node.

        Workers on GPUs share the node's cores and ask Ray for one each at most. Those on CPUs ask
        for all cores of their node, so that they wait until others have left it. A node with no
        CPUs to give, as heads of clusters often are, gets none.
        """
        gpus = _gpus(node) if self._cuda else 0.0
        cpus = float(node["Resources"].get("CPU", 0))
        count = int(gpus) * self._per_device
        if not count and not self._cuda and cpus:
            count = self._per_device
        share = cpus / max(count, 1)
        asks = min(share, 1.0) if gpus else share if share < 1 else float(int(share))
        host, node_id = str(node["NodeManagerHostname"]), str(node["NodeID"])
        device = "cuda:0" if gpus else "cpu"  # of those that Ray lets the actor see
        where = f"on node {node_id[:6]} ({host})"
        return [
            _Post(
                DevicePlace(f"{node_id}/{i}", device, max(int(share), 1), where),
                node_id, host, 1 / self._per_device if gpus else 0.0, asks,
            )
            for i in range(count)
        ]  # fmt: skip

    def _answers(self) -> bool:
        try:
            _reach(self._address, *self._head)
        except HpsearchError:
            return False
        return True

    def warm_up(self) -> None:
        """There is nothing to do."""

    def launch(self, seat: DevicePlace) -> Process:
        """Start a worker there; it waits where Ray has nothing free on the node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        post = self._posts[seat.key]
        name = new_name(f"{post.host[:33]}-{post.node_id[:6]}")
        if not self._answers():  # Ray would wait for its head until it ends this process
            return FailedStart(name, "the cluster's head does not answer")
        actor = self._ray.remote(
            num_gpus=post.gpus,
            num_cpus=post.cpus,
            max_restarts=0,
            max_concurrency=3,  # `run` waits while `stop` and `kill` come
            scheduling_strategy=NodeAffinitySchedulingStrategy(post.node_id, soft=False),
        )(_Host).remote()
        # URLs go as an argument of a call, which Ray shows nowhere; names and runtime environments
        # stand in its dashboard.
        end = actor.run.remote(name, self._orders.arguments(name, seat), self._orders.env)
        return _Remote(name, self._ray, actor, end)

    def wait(self, timeout_s: float) -> None:
        """So long."""
        time.sleep(timeout_s)

    def close(self) -> None:
        """Leave the cluster; actors that are left end with that."""
        self._ray.shutdown()


class _Remote:
    """A worker under an actor."""

    def __init__(self, name: str, ray: Any, actor: Any, end: Any) -> None:
        self.name = name
        self._ray, self._actor, self._reference = ray, actor, end
        self._end: End | None = None

    def poll(self) -> End | None:
        """How it ended; None while it runs, or waits for its node."""
        if self._end is None:
            ready, _ = self._ray.wait([self._reference], timeout=0)
            if ready:
                self._end = self._result()
                self._ray.kill(self._actor)  # its process holds a GPU
        return self._end

    def _result(self) -> End:
        try:
            end = self._ray.get(self._reference)
        except self._ray.exceptions.RayError as error:
            return End(None, self._why(error))
        assert isinstance(end, End)
        return end

    def _why(self, error: Exception) -> str:
        """In a line. Ray tells of dead actors in many and of those that failed by a traceback."""
        began = getattr(error, "actor_init_failed", False)
        if isinstance(error, self._ray.exceptions.RayActorError) and not began:
            return "its Ray actor died, or the node under it"
        return str(error).strip().rpartition("\n")[2].strip() or type(error).__name__

    def terminate(self) -> None:
        """Ask it to give back what it holds and to leave."""
        self._actor.stop.remote()

    def kill(self) -> None:
        """End it now. A worker whose actor ends leaves too, unless it hangs."""
        with suppress(self._ray.exceptions.RayError):
            self._ray.get(self._actor.kill.remote(), timeout=1.0)
        self._ray.kill(self._actor)


class _Host:
    """The actor: one worker as a child of its process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._stopped = False

    def run(self, name: str, arguments: Sequence[str], env: Mapping[str, str]) -> End:
        """Start the worker and wait for its end."""
        with self._lock:
            if self._stopped:
                return End(0)
            self._child = Child(name, arguments, env)
        return self._child.wait()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.terminate()

    def kill(self) -> None:
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.kill()


def _gpus(node: dict[str, Any]) -> float:
    return float(node["Resources"].get("GPU", 0))


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise HpsearchError(
            "--ray needs Ray, which is not installed; pip install 'hpsearch[ray]'"
        ) from None
    return ray


def _connect(ray: Any, address: str) -> None:
    """Join the cluster as a driver, in bounded time, with Ray's own words kept off the terminal."""
    target = _target(address)
    if address != "auto" and target is None:
        raise StudyFileError(
            f"--ray {address}: expected auto, HOST:PORT (6379 on most clusters) or ray://HOST:10001"
        )
    if target is not None:
        _reach(address, *target)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning a worker

    def init() -> None:
        ray.init(
            address=address,
            namespace="hpsearch",
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )

    _bounded(init, address)
    # Ray's core has put a handler of its own under Python's, which prints a stack and aborts.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _target(address: str) -> tuple[str, int] | None:
    """Host and port."""
    match = re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d+)", address)
    return (match[1], int(match[2])) if match else None


def _head(ray: Any, address: str) -> tuple[str, int]:
    """What of the cluster can be reached from here: its proxy for clients, or its head itself."""
    at = address if address.startswith("ray://") else ray.get_runtime_context().gcs_address
    target = _target(at)
    assert target is not None
    return target


def _reach(address: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), _REACH_S).close()
    except OSError as error:
        raise _no_cluster(address, line(error)) from None


def _bounded(action: Callable[[], None], address: str) -> None:
    """Run it in a thread: Ray waits long in code that no signal reaches, and in the main thread it
    would replace Python's handler of SIGTERM too."""
    failed: list[BaseException] = []

    def attempt() -> None:
        try:
            action()
        except BaseException as error:  # told in the main thread, whatever it is
            failed.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(_CONNECT_S)
    if thread.is_alive():
        raise _no_cluster(address, f"no Ray answers there within {_CONNECT_S:g} s")
    if failed:
        raise _no_cluster(address, line(failed[0])) from failed[0]


def _no_cluster(address: str, why: str) -> HpsearchError:
    return HpsearchError(
        f"no Ray cluster at {address}: {why}; ray start --head starts one, and prints its address"
    )
