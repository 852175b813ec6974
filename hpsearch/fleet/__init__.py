"""Start workers, see them end, start them again: on this machine, or on a Ray cluster.

A `Fleet` keeps the books, a slot for each seat where a worker belongs. A launcher says where those
seats are and starts a worker on one: `Local` on the devices of this machine, `RayCluster` on the
nodes of a cluster.
"""

from hpsearch.fleet.cluster import RayCluster
from hpsearch.fleet.fleet import Fleet, News
from hpsearch.fleet.local import Local, check_devices, local_devices, spread
from hpsearch.fleet.worker_config import DevicePlace, Launcher, Process, WorkerConfig, new_name
from hpsearch.processes.process import End

__all__ = [
    "DevicePlace",
    "End",
    "Fleet",
    "Launcher",
    "Local",
    "News",
    "Process",
    "RayCluster",
    "WorkerConfig",
    "check_devices",
    "local_devices",
    "new_name",
    "spread",
]  # fmt: skip
