"""The source `series`: windows in order of time, nothing of a later part in an earlier one, and
simple forecasts beside the network's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpsearch.errors import DataError
from hpsearch.sources import dataset as datasets
from hpsearch.sources.dataset import Dataset, load
from hpsearch.sources.raw import Raw
from hpsearch.sources.read import read
from hpsearch.sources.series import SeriesSpec
from hpsearch.sources.series.inputs import SeriesInputs
from hpsearch.sources.series.read import look
from hpsearch.sources.split import DataSettings, divide
from hpsearch.spec.source import SOURCES
from hpsearch.testing import check_source

R = 100
CPU = torch.device("cpu")
WAVE = np.sin(np.arange(R) / 3) * 5 + 20


def write(folder: Path, values: Any = WAVE, **columns: Any) -> Path:
    columns = {**columns, "x": values}
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    (folder / "s.csv").write_text("\n".join(lines) + "\n")
    return folder / "s.csv"


def settings(folder: Path, **keys: Any) -> DataSettings:
    return DataSettings.of("series", folder, **{"path": "s.csv", "target": "x", "window": 8} | keys)


def fitted(raw: Raw) -> Any:
    return raw.fit(np.arange(len(raw.targets)))[0]


@pytest.mark.parametrize("horizon", [1, 4])
def test_a_window_has_the_rows_before_what_it_predicts(tmp_path: Path, horizon: int) -> None:
    write(tmp_path, np.arange(R))
    raw = read(settings(tmp_path, horizon=horizon))
    assert len(raw.targets) == R - 8 - horizon + 1
    inputs = fitted(raw)
    assert inputs.shape == (8, 1)
    windows = inputs(raw.take(np.array([0, 5])))
    scale = inputs.encoder.encodings[0].scale
    assert windows[1, :, 0] * scale.deviation + scale.mean == pytest.approx(np.arange(5, 13))
    assert raw.targets[5] == 12 + horizon
    check_source(SOURCES["series"], tmp_path, path="s.csv", target="x", window=8, horizon=horizon)


@pytest.mark.parametrize("horizon", [1, 4])
def test_nothing_of_a_later_part_is_in_an_earlier_one(tmp_path: Path, horizon: int) -> None:
    """Changing all that is from a part's first target on changes no row of an earlier part."""
    write(tmp_path)
    asked = settings(tmp_path, horizon=horizon)
    split, _ = divide(read(asked), asked)
    # The place in time of each part's first and last target.
    first = {name: rows[0] + 7 + horizon for name, rows in vars(split).items()}
    last = {name: rows[-1] + 7 + horizon for name, rows in vars(split).items()}
    assert last["train"] < first["validation"] - (horizon - 1) <= last["train"] + 1
    assert first["validation"] - horizon >= last["train"], "nothing is forecast before it is over"
    assert first["test"] - horizon >= last["validation"]
    before = load(asked, CPU)
    changed = WAVE.copy()
    changed[last["train"] + 1 :] *= 1e3
    write(tmp_path, changed)
    after = load(asked, CPU)
    assert all(torch.equal(*pair) for pair in zip(rows(before), rows(after), strict=True))
    assert scale(before) == scale(after)
    assert (before.target_mean, before.target_std) == (after.target_mean, after.target_std)


def scale(dataset: Dataset) -> Any:
    inputs: Any = dataset.preprocessing
    return inputs.encoder.encodings[0].scale


def rows(dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    return dataset.train.batch(torch.arange(dataset.record["rows"]["train"]))


def test_a_window_of_validation_reaches_back_into_training_rows(tmp_path: Path) -> None:
    write(tmp_path, np.arange(R))
    asked = settings(tmp_path)
    raw = read(asked)
    split, _ = divide(raw, asked)
    assert split.validation[0] == split.train[-1] + 1
    windows = fitted(raw)(raw.take(split.validation[:1]))
    known = fitted(raw)(raw.take(split.train[-1:]))
    assert np.array_equal(windows[0, :-1], known[0, 1:])


def test_rows_are_put_in_order_of_time_and_gaps_are_noted(tmp_path: Path) -> None:
    days = np.datetime64("2020-01-01") + np.arange(R)
    days[60:] += 5
    write(tmp_path, day=days)
    whole = read(settings(tmp_path, time="day"))
    assert any("`day`: 1 gap in time, the first after line 61" in note for note in whole.notes)
    mixed = np.random.default_rng(0).permutation(R)
    write(tmp_path, WAVE[mixed], day=days[mixed])
    raw = read(settings(tmp_path, time="day"))
    assert np.array_equal(raw.targets, whole.targets)
    assert "rows were put in order by column `day`" in raw.notes
    assert fitted(raw).shape == (8, 1), "time is no input"


def test_months_are_even_steps(tmp_path: Path) -> None:
    write(tmp_path, month=np.datetime64("2012-01") + np.arange(R))
    assert not any("gap" in note for note in read(settings(tmp_path, time="month")).notes)


def test_other_columns_are_inputs_or_are_chosen(tmp_path: Path) -> None:
    write(tmp_path, a=np.arange(R) % 7 * 0.5, b=np.array(["u", "v", "w"])[np.arange(R) % 3])
    assert fitted(read(settings(tmp_path))).shape == (8, 5)
    assert fitted(read(settings(tmp_path, columns=["a"]))).shape == (8, 1)
    assert fitted(read(settings(tmp_path, columns=["x", "b"]))).shape == (8, 4)


def test_a_missing_target_is_predicted_by_no_window(tmp_path: Path) -> None:
    values = [*WAVE[:50], "", *WAVE[51:]]
    write(tmp_path, values)
    raw = read(settings(tmp_path))
    assert len(raw.targets) == R - 8 - 1
    assert np.isfinite(fitted(raw)(raw.take(np.arange(len(raw.targets))))).all()
    names = [baseline.name for baseline in raw.baselines(np.arange(60), np.arange(60, 80))]
    assert names == ["last value", "linear autoregression"]


def test_the_baselines_are_what_they_say(tmp_path: Path) -> None:
    write(tmp_path)
    raw = read(settings(tmp_path, horizon=2))
    train, part = np.arange(60), np.arange(62, 80)
    last, linear = raw.baselines(train, part)
    off = raw.targets[part] - WAVE[part + 7]
    assert last.values["rmse"] == pytest.approx((off**2).mean() ** 0.5)
    assert last.values["mae"] == pytest.approx(abs(off).mean())
    assert linear.values["rmse"] < 0.05 * last.values["rmse"], "a sine is linear in its past"
    record = load(settings(tmp_path), CPU).record
    assert [found["name"] for found in record["baselines"]] == [
        "last value",
        "linear autoregression",
    ]


def test_those_of_the_test_part_come_with_it(tmp_path: Path) -> None:
    write(tmp_path)
    asked = settings(tmp_path)
    dataset = load(asked, CPU)
    part, (mean, last, _) = datasets.test_part(asked, dataset, dataset.record, CPU)
    assert mean.name == "mean of the target"
    off = WAVE[-len(part.targets) :] - WAVE[-len(part.targets) - 1 : -1]
    assert last.values["rmse"] == pytest.approx((off**2).mean() ** 0.5)


@pytest.mark.parametrize("horizon", [1, 3])
def test_predictions_reach_beyond_the_end_of_a_file(tmp_path: Path, horizon: int) -> None:
    path = write(tmp_path, year=np.arange(1900, 2000))
    inputs = fitted(read(settings(tmp_path, horizon=horizon, time="year")))
    given = inputs.of_files([path])
    assert given.inputs.shape == (R - 7, 8, 1)
    assert given.named == "year"
    assert given.names[0] == str(1907 + horizon)
    assert given.names[-horizon - 1 :] == ("1999", *(f"+{n + 1}" for n in range(horizon)))
    assert given.known is not None
    assert np.array_equal(given.known.rows, np.arange(R - 7 - horizon))
    assert given.known.targets == pytest.approx(WAVE[7 + horizon :])
    in_memory = [{"year": 1900 + row, "x": value} for row, value in enumerate(WAVE)]
    assert np.array_equal(inputs.of_rows(in_memory).inputs, given.inputs)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x\n1\n2\n", "2 rows; the network predicts from 8 rows, the window"),
        ("y\n" + "1.5\n2\n" * 8, "x"),
        ("x\n" + "1\nabc\n" * 8, "abc"),
    ],
)
def test_files_that_cannot_be_predicted_are_one_line(
    tmp_path: Path, content: str, words: str
) -> None:
    write(tmp_path)
    inputs: SeriesInputs = fitted(read(settings(tmp_path)))
    path = tmp_path / "new.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=words) as error:
        inputs.of_files([path])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("columns", "keys", "words"),
    [
        ({}, {"target": "z"}, "no column `z`"),
        ({}, {"time": "z"}, "no column `z`, which data.time names"),
        ({}, {"columns": ["z"]}, "no column `z`"),
        ({}, {"window": 200}, "100 rows hold no window of 200 rows with a target 1 after it"),
        ({"t": np.arange(R) // 2}, {"time": "t"}, "lines 2 and 3 are of one time"),
        ({"t": ["a", "b"] * 50}, {"time": "t"}, "neither of dates nor of numbers"),
        ({"t": ["", *range(1, R)]}, {"time": "t"}, "line 2: no value, and data.time puts rows"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, columns: dict[str, Any], keys: dict[str, Any], words: str
) -> None:
    write(tmp_path, **columns)
    with pytest.raises(DataError, match=words) as error:
        read(settings(tmp_path, **keys))
    assert "\n" not in str(error.value)


def test_parts_that_a_far_horizon_leaves_without_rows_say_so(tmp_path: Path) -> None:
    write(tmp_path)
    far = settings(tmp_path, horizon=R // 3)
    with pytest.raises(DataError, match=r"too few rows behind the .*; predict fewer rows ahead"):
        divide(read(far), far)


def test_a_word_among_the_targets_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, [*WAVE[:50], "broken", *WAVE[51:]])
    with pytest.raises(DataError, match="line 52: `broken`"):
        read(settings(tmp_path))


def test_check_shows_what_is_predicted(tmp_path: Path) -> None:
    write(tmp_path, day=np.datetime64("2020-01-01") + np.arange(R))
    section = settings(tmp_path, time="day", horizon=7).section
    assert isinstance(section, SeriesSpec)
    seen = look(section, tmp_path)
    assert seen.title == "s.csv: 100 rows, predicted from windows of 8: x, 7 rows later"
    assert any("its own history" in line for line in seen.lines)
