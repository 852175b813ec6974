"""Draw docs/images/live.svg: the live view of a search under way, half a minute on two cores.

python docs/draw_live.py
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from hpsearch.cli.live import Picture
from hpsearch.cli.options import open_ledger
from hpsearch.cli.progress import Progress
from hpsearch.errors import NotFoundError
from hpsearch.insight.reader import Reader

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot

ROOT = Path(__file__).parents[1]
STUDY, SHOWN_AT = "digits-staged", 40
"""What is searched, and how many trials have ended when the picture is taken."""


class Still(Progress):
    """The last picture of a live view."""

    def update(self, snapshot: Snapshot) -> None:
        """Take it."""
        self.picture = Picture(self._view(snapshot), snapshot.study.active_s)


def main() -> None:
    """Run the study, and draw it on its way."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/study.db"
        command = [sys.executable, "-m", "hpsearch", "run", f"studies/{STUDY}.yaml"]
        env = {**os.environ, "HPSEARCH_STORAGE": url, "HPSEARCH_NO_PICTURES": "1"}
        search = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
        try:
            picture = watched(url, search)
        finally:
            search.send_signal(signal.SIGINT)
            search.wait()
    console = Console(record=True, width=80, height=24, file=io.StringIO(), force_terminal=True)
    console.print(picture)
    drawn = console.export_svg(title=f"hpsearch run {STUDY}.yaml")
    # A picture asks no other server for its font.
    drawn = re.sub(r" *@font-face \{.*?\}\n", "", drawn, flags=re.S)
    (ROOT / "docs/images/live.svg").write_text(drawn, encoding="utf-8")


def watched(url: str, search: subprocess.Popen[bytes]) -> Picture:
    """The live view once enough trials have ended."""
    while search.poll() is None:
        time.sleep(0.5)
        if not Path(url.removeprefix("sqlite:///")).exists():
            continue
        with suppress(NotFoundError):
            ledger = open_ledger(url)
            reader = Reader(ledger, STUDY)
            break
    with Still(reader.snapshot(), reader.workers) as still:
        while search.poll() is None:
            time.sleep(0.3)
            snapshot = reader.snapshot()
            still.update(snapshot)
            if snapshot.study.ended >= SHOWN_AT and len(snapshot.running) > 2:
                return still.picture
    raise SystemExit("the search has ended too early")


if __name__ == "__main__":
    main()
