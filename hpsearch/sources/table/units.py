"""Units beside numbers: `2.9 kg`, `168cm`, `USD 12`.

A word counts as a unit only where it is sure to be none of an identifier. After a number and a
space that is any word but a multiplier or a half of the day; glued to a number, or before it, only
a unit of the list: `A12`, `12B`, `Q3 2020`, `Room 12` and `5K` have none.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hpsearch.sources.table.tally import Shape, Text

__all__ = ["unit_of", "units"]

_CURRENCIES = "USD EUR GBP JPY CHF CNY INR AUD CAD SEK NOK DKK PLN BRL RUB Rs Rs."
_LISTED = """
kg g mg \u00b5g \u03bcg lb lbs oz km cm mm \u00b5m \u03bcm nm mi ft inch inches yd mL ml cl dl l L
sec secs ms min mins h hr hrs hours days years months weeks minutes seconds km² m² cm² m³ cm³
km/h kph mph m/s °C °F ° Hz kHz MHz GHz V kV mV mA kW MW kWh Wh hp bhp PS Nm N/m Pa hPa kPa MPa bar
mbar psi dB cal kcal kJ kB KB MB GB TB px pt rpm cc CC mg/dl mg/dL mmol/l mmol/L g/l g/L g/cm³ kmpl
km/kg mmHg bpm ppm
"""
_OTHERS = """
e E k K M B T bn Bn mn mln Mn mio Mio mrd Mrd million millions Million billion Billion thousand
am pm AM PM a.m. p.m. A.M. P.M. Uhr
"""
"""Words after a number that change what it is worth, or are of no unit."""
_BEFORE_NUMBERS = frozenset(_CURRENCIES.split())
_KNOWN = _BEFORE_NUMBERS | frozenset(_LISTED.split())
_NONE = frozenset(_OTHERS.split())
_MAIN_SHARE = 0.95
_MOST_UNITS = 10
_MOST_TEXTS = 2_000
"""Distinct texts that are looked at, the commonest."""

_BLANK = "[ \u00a0\u2009\u202f]"
_NUMBER = rf"[+\-\u2212]?[.,]?[0-9](?:(?:[0-9.,'\u2019]|{_BLANK})*[0-9])?"
_WORD = "[A-Za-z\u00b5\u03bcΩ°][A-Za-z\u00b5\u03bcΩ°²³/.]{0,11}"
_AFTER = re.compile(rf"{_NUMBER}(?P<gap>{_BLANK}?)(?P<unit>{_WORD})")
_BEFORE = re.compile(rf"(?P<unit>[A-Za-z]{{2,3}}\.?){_BLANK}?{_NUMBER}")


def unit_of(text: str) -> str:
    """The unit of a text that is a number with one; else ""."""
    if match := _AFTER.fullmatch(text):
        unit = match["unit"]
        return unit if unit in _KNOWN or (match["gap"] and unit not in _NONE) else ""
    match = _BEFORE.fullmatch(text)
    return match["unit"] if match and match["unit"] in _BEFORE_NUMBERS else ""


def units(shapes: Sequence[Shape], texts: Callable[[int], Sequence[Text]]) -> tuple[str, ...]:
    """The unit of a column; several, the commonest first, where it has known ones of several kinds;
    none where it is not a column of numbers with units.

    Args:
        shapes: Its shapes, the commonest first: the first has the unit where there is one.
        texts: So many of its distinct texts, the commonest first; asked for only where a shape has
            a unit, as a table may have thousands of columns.
    """
    if not any(unit_of(shape.example) for shape in shapes[:3]):
        return ()
    cells: Counter[str] = Counter()
    for text in texts(_MOST_TEXTS):
        if any(c in "0123456789" for c in text.text):
            cells[unit_of(text.text)] += text.cells
    enough = _MAIN_SHARE * sum(cells.values())
    ordered = [unit for unit, _ in cells.most_common() if unit]
    if cells[ordered[0]] >= enough:
        return (ordered[0],)
    several = sum(cells[unit] for unit in ordered) >= enough and len(ordered) <= _MOST_UNITS
    return tuple(ordered) if several and _KNOWN.issuperset(ordered) else ()
