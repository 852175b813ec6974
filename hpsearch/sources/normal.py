"""Which rows are normal and which are strange, where networks learn their own inputs: only normal
rows are trained on, all others are validated and tested on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import DataError
from hpsearch.sources.kinds import check_kinds
from hpsearch.sources.split import Split, divide, latest, stratified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hpsearch.sources.raw import Raw, Rows
    from hpsearch.sources.split import DataSettings
    from hpsearch.spec.source import DataSpec

__all__ = ["divide_kinds", "marked", "reference"]

_MOST_REFERENCE = 2000
"""More do not make a quantile of their errors much surer, and are measured after every epoch."""


def marked(raw: Raw, section: DataSpec) -> Raw:
    """The data with its normal and its strange classes, by the section of the study.

    Without any every row is normal, whatever its target. Raises DataError for classes that the data
    does not have.
    """
    if not section.normal:
        return replace(raw, targets=np.zeros(len(raw.targets), np.int64), classes=())
    check_kinds(section, raw.classes)
    strange = section.strange or tuple(n for n in raw.classes if n not in section.normal)
    return replace(raw, normal=tuple(dict.fromkeys(section.normal)), strange=strange)


def divide_kinds(raw: Raw, settings: DataSettings) -> tuple[Split, list[str]]:
    """The three parts of any data, and notes on them: those of `split.divide`, but that strange
    rows are not in the training part.

    The normal rows are divided as by themselves, and half of the strange rows, each class in equal
    shares, is in the validation part, half in the test part; where the data has a test part of its
    own its strange rows stay there. Of rows in groups, which are never in two parts, all are
    divided together, and strange rows of the training part are left out.

    Raises DataError where there are too few rows.
    """
    normal, strange = _kinds(raw)
    if not len(strange):
        return divide(raw, settings)
    if raw.groups is not None:
        return _divide_groups(raw, settings, normal, strange)
    validation, test = _halves(raw, settings, strange)
    settings, validation, notes = _limited(raw, settings, normal, validation)
    parts, others = divide(_only(raw, normal), settings)
    split = Split(
        normal[parts.train],
        np.sort(np.concatenate([normal[parts.validation], validation])),
        np.sort(np.concatenate([normal[parts.test], test])),
    )
    return split, [*others, *notes]


def _divide_groups(
    raw: Raw, settings: DataSettings, normal: Rows, strange: Rows
) -> tuple[Split, list[str]]:
    both = np.sort(np.concatenate([normal, strange]))
    parts, notes = divide(_only(raw, both), settings)
    train = both[parts.train]
    normal_train = np.intersect1d(train, normal)
    if len(normal_train) < 2:
        raise DataError("fewer than 2 normal rows are left to train on; get more of them, or split "
                        "by another column")  # fmt: skip
    if out := len(train) - len(normal_train):
        notes.append(f"{out} strange rows in groups of the training part left out")
    return Split(normal_train, both[parts.validation], both[parts.test]), notes


def _only(raw: Raw, rows: Rows) -> Raw:
    """What `divide` goes by, of some rows, which rise."""
    test = len(raw.targets) - raw.own_test
    return replace(
        raw,
        targets=raw.targets[rows],
        own_test=int((rows >= test).sum()),
        own_validation=int(((rows >= test - raw.own_validation) & (rows < test)).sum()),
        order=None if raw.order is None else raw.order[rows],
        groups=None if raw.groups is None else raw.groups[rows],
    )


def _halves(raw: Raw, settings: DataSettings, strange: Rows) -> tuple[Rows, Rows]:
    """The strange rows of the validation part and those of the test part."""
    if raw.own_test:
        last = strange >= len(raw.targets) - raw.own_test
    elif not settings.section.test_share:
        last = np.zeros(len(strange), dtype=bool)
    elif raw.order is not None:
        last = latest(raw.order[strange], len(strange) // 2)
    else:
        bits = np.random.PCG64(settings.section.seed)
        last = stratified(raw.targets[strange], len(strange) // 2, bits)
    return strange[~last], strange[last]


def _limited(
    raw: Raw, settings: DataSettings, normal: Rows, validation: Rows
) -> tuple[DataSettings, Rows, list[str]]:
    """The limit that is left to the normal rows that `divide` limits, and the strange validation
    rows within the rest: both in the same share of their number."""
    section = settings.section
    parts = raw.own_validation + raw.own_test
    rest = int((normal < len(raw.targets) - parts).sum())
    if not raw.own_test:
        rest -= round(section.test_share * len(normal))
    if section.limit is None or section.limit >= rest + len(validation):
        return settings, validation, []
    most = round(section.limit * rest / (rest + len(validation)))
    chosen = stratified(
        raw.targets[validation], section.limit - most, np.random.PCG64(section.seed)
    )
    limited = section.model_copy(update={"limit": most})
    note = f"limit: {chosen.sum()} of {len(validation)} strange validation rows used"
    return replace(settings, section=limited), validation[chosen], [note]


def _kinds(raw: Raw) -> tuple[Rows, Rows]:
    """The normal rows and the strange ones; those of other classes are in neither."""
    if not raw.normal:
        return np.arange(len(raw.targets), dtype=np.int64), np.zeros(0, np.int64)
    normal, strange = (_among(raw, names) for names in (raw.normal, raw.strange))
    return np.flatnonzero(normal), np.flatnonzero(strange)


def _among(raw: Raw, names: Sequence[str]) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = np.array([name in names for name in raw.classes])[raw.targets]
    return chosen


def reference(train: Rows) -> Rows:
    """The training rows that are measured beside the validation rows, evenly spread."""
    count = min(len(train), _MOST_REFERENCE)
    return train[np.arange(count) * len(train) // count]
