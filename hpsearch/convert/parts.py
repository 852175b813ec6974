"""What the study files of other programs' have in common: names, parameters, budgets."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpsearch.code.signature import TAKEN
from hpsearch.spec.dialects import translated

__all__ = ["EPOCHS", "TRIALS", "Converted", "Names", "Program", "is_seed", "largest", "study_name"]

TRIALS, EPOCHS = 50, 100
"""The budget of a study whose file has none: trials, and the most epochs of one."""

_EPOCHS = re.compile(r"(?:num_?|n_?|max_?|train_?)*(?:epochs?|iters?|iterations)", re.I)
"""Parameters that say how long a trial trains."""


@dataclass
class Converted:
    """A study in the making."""

    program: str
    """`a W&B sweep` or `a Katib experiment`."""
    content: dict[str, Any] = field(default_factory=dict)
    """The study file as plain values."""
    lost: list[str] = field(default_factory=list)
    """What of the file has no counterpart, a sentence each, the key first."""


class Names:
    """Parameters by the names that they have elsewhere -> names that a run can have."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Our name for one; another one's is never given twice."""
        if name not in self._ours:
            plain = re.sub(r"\W", "_", name).strip("_") or "parameter"
            plain = f"p_{plain}" if plain[0].isdigit() else plain
            while plain in self._ours.values() or keyword.iskeyword(plain) or plain in TAKEN:
                plain += "_"
            self._ours[name] = plain
        return self._ours[name]

    def placeholder(self, name: str) -> str:
        """What stands for it in a command."""
        return f"{{{'seed' if is_seed(name) else self[name]}}}"


def is_seed(name: str) -> bool:
    """Whether it is what hpsearch gives each trial by itself."""
    return name.lstrip("-").replace("-", "_").lower() in ("seed", "random_seed", "random_state")


class Program:
    """A command, and the parameters that it is given."""

    def __init__(self, converted: Converted, names: Names) -> None:
        self._found, self._names = converted, names
        self.parameters: dict[str, Any] = {}
        """By our names, as a study file has them."""
        self.literals: dict[str, str] = {}
        """By their names elsewhere: constants that no parameter can hold, as a command has them."""

    def add(self, name: str, raw: Any) -> None:
        """A parameter as the other program has it."""
        if is_seed(name):
            self._found.lost.append(
                f"{name}: hpsearch gives each trial a seed of its own, {{seed}} in the command"
            )
            return
        told = translated(raw)
        ours = raw if told is None else told.ours
        if told is not None and told.lost:
            self._found.lost.append(f"{name}: {told.lost}")
        if not isinstance(ours, Mapping):
            self._constant(name, ours)
        elif "values" in ours:
            values = [*dict.fromkeys(map(_plain, ours["values"]))]
            self.parameters[self._names[name]] = {"values": values}
        elif {"min", "max"} <= ours.keys():
            self.parameters[self._names[name]] = dict(ours)
        else:
            self._found.lost.append(f"{name}: {json.dumps(raw, default=str)} is no range of values")

    def _constant(self, name: str, value: Any) -> None:
        plain = _plain(value)
        if plain != value or isinstance(value, (dict, list)):
            self.literals[name] = str(plain)
        else:
            self.parameters[self._names[name]] = value

    def word(self, name: str, form: str) -> str:
        """An argument of the command: `form` with the parameter in the place of its value."""
        value = self.literals.get(name, self._names.placeholder(name))
        return form.replace("NAME", name).replace("VALUE", value)

    def epochs(self) -> int | None:
        """How long trials train at most, where a parameter says so."""
        largest_values = [
            largest(raw) for name, raw in self.parameters.items() if _EPOCHS.fullmatch(name)
        ]
        counts = [int(n) for n in largest_values if n is not None and 1 <= n <= 100_000]
        return max(counts, default=None)

    def settle_epochs(self, most: int) -> None:
        """A parameter called `epochs` has to be whole numbers within the budget: else it gets
        another name."""
        raw = self.parameters.get("epochs")
        values = raw.get("values", [raw.get("min"), raw.get("max")]) if isinstance(raw, dict) else [
            raw]  # fmt: skip
        fits = all(type(value) is int and 1 <= value <= most for value in values)
        if raw is not None and not fits:
            self.parameters["epochs_"] = self.parameters.pop("epochs")
            command = self._found.content.get("train", {}).get("command", [])
            command[:] = [word.replace("{epochs}", "{epochs_}") for word in command]


def largest(raw: Any) -> float | None:
    """The largest number that a parameter, or a constant, can have."""
    values = raw.get("values", [raw.get("max")]) if isinstance(raw, Mapping) else [raw]
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return max(numbers, default=None)


def _plain(value: Any) -> Any:
    """A value that a parameter can have; anything else as JSON."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return json.dumps(value, default=str)


def study_name(*names: object) -> str:
    """The first of these that can be a study's name, with dashes for what cannot stand in it."""
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", str(name or "")).strip("-._")[:100]
        if plain:
            return plain
    return "study"
