"""Judge what `hpsearch export STUDY --format json` wrote, with nothing but the standard library.

python3 exact.py FILE TRIALS
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any


def faults(trials: list[dict[str, Any]], budget: int) -> list[str]:
    """What is wrong with the trials of a finished study; nothing where it is exact."""
    found = []
    tickets = sorted(trial["ticket"] for trial in trials)
    if tickets != list(range(tickets[0], tickets[0] + budget)):
        found.append(f"expected {budget} tickets, each once; got {tickets}")
    for trial in trials:
        epochs = [int(epoch) for epoch in trial["curve"]]
        if trial["state"] not in ("COMPLETE", "PRUNED"):
            found.append(f"trial {trial['number']} is {trial['state']}")
        if epochs != list(range(1, len(epochs) + 1)) or not epochs:
            found.append(f"trial {trial['number']} has the epochs {epochs}")
    return found


def main(file: str, budget: str) -> None:
    trials = json.loads(Path(file).read_text())
    found = faults(trials, int(budget))
    if found:
        sys.exit("\n".join(found))
    states = Counter(trial["state"].lower() for trial in trials)
    again = sum(trial["attempts"] > 1 for trial in trials)
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    print(f"{Path(file).stem}: {len(trials)} trials, {said}; {again} were taken over")


if __name__ == "__main__":
    main(*sys.argv[1:])
