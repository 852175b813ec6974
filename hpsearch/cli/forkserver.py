"""`python -m hpsearch.cli.forkserver` is what `processes.forkserver` starts, a socket as its input.

It loads what a worker needs; what it forks then runs the command line.
"""

import os
import signal

from hpsearch import passwords
from hpsearch.cli.options import limit_threads, loading

__all__ = ["main"]


def main() -> None:
    """Load, and serve until the socket ends."""
    # Who asks all processes to leave asks this one too, and it has workers to tell of: see `serve`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    passwords.learn(*(v for name, v in os.environ.items() if name.startswith("HPSEARCH_")))
    passwords.install()
    limit_threads(None)
    with loading():
        import hpsearch.worker  # noqa: F401  # what is loaded here, no worker loads
        from hpsearch.cli import main as command
        from hpsearch.processes.forkserver import serve
    serve(lambda _: command())


if __name__ == "__main__":
    main()
