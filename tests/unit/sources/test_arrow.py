"""Texts read all at once are what they are one by one."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from hpsearch.errors import DataError
from hpsearch.sources.table import arrow
from hpsearch.sources.table.column import Column
from hpsearch.sources.table.dates import FORMATS, Format
from hpsearch.sources.table.numbers import Style
from tests.unit.sources.tables import Rows

DATES = [
    "2020-02-29", "2021-02-29", "2020-1-5 6:30 PM", "2020/12/31T23:59:60Z", "0000-01-01",
    "2020-13-01",
    "31.12.69", "31.12.68", "1/2/2020 12:00 am", "1/2/2020 12:05 p.m.", "2/1/2020 13:00 PM",
    "29 Feb 2020", "Mon, 3 August 2020 06:07:08", "3 Nonsense 2020", "Dec 31, 1969", "2020-07",
    "07/2020", "23:59:59.9", "24:00", "20200229", "20210229", "", "text",
    "1999-12-31 00:00:00.25+02:00",
]  # fmt: skip
NUMBERS = [
    "1", "-1.5", "+2", "\u22123", ".5", "5.", "1e3", "1E-3", "1e999", "inf", "nan", "", "-",
    "1,234",
    "1,234,567.5", "12,34,567", "1,23", "1.234,5", "1 234", "1\u00a0234,5", "1'234", "1\u2019234.5",
    "5%", "5 %", "$1,200", "-$5", "$-5", "$", "1.2.3", "0x10", "5 kg", "5kg",
    "-1,234.5 kg", "kg 5", "5 g", "120 km/h", "1e5 kg", "21.5°C", "Rs. 500", "Rs.1,500", "5 kg kg",
    "1_000", "\u0663",
]  # fmt: skip


@pytest.mark.parametrize("order", FORMATS)
def test_dates(order):
    one_by_one = [Format(order).value(text) for text in DATES]
    assert any(value is not None for value in one_by_one)
    expected = [math.nan if value is None else value for value in one_by_one]
    np.testing.assert_array_equal(arrow.seconds(pa.array(DATES), Format(order)), expected)


@pytest.mark.parametrize("sign", ["", "%", "$", "kg", "km/h", "°C", "Rs."])
@pytest.mark.parametrize("marks", [".", ".,", ". ", ".'", ",", ",.", ", ", ",'"])
def test_numbers(marks, sign):
    style = Style(marks[0], marks[1:], sign)
    expected = [math.nan if (v := style.value(text)) is None else v for text in NUMBERS]
    np.testing.assert_array_equal(arrow.floats(pa.array(NUMBERS), style), expected)


def test_years_of_two_digits_are_from_1969_to_2068():
    values = arrow.seconds(pa.array(["31.12.69", "31.12.68"]), Format("day-month-year"))
    years = values.astype("datetime64[s]").astype("datetime64[Y]").astype(str)
    assert years.tolist() == ["1969", "2068"]


@pytest.mark.parametrize(
    ("decimal", "text", "number"),
    [(",", "1.045,5", 1045.5), (",", "1.045", 1045.0), (".", "1,045.5", 1045.5),
     (".", "1,045", None), (",", "1.04,5", None), (",", "1.045.5", None)],
)  # fmt: skip
def test_thousands_that_came_later_are_read_where_the_decimal_mark_is_sure(decimal, text, number):
    assert Style(decimal).of_new(text) == number
    cells = pa.array(["12,5".replace(",", decimal), text], pa.string()).dictionary_encode()
    x = Column("x", "number", "", decimal=decimal)
    if number is None:
        with pytest.raises(DataError, match="is no number"):
            arrow.numbers_of(x, Rows({"x": cells}), None)
    else:
        assert arrow.numbers_of(x, Rows({"x": cells}), None).tolist() == [12.5, number]
        floats = Rows({"x": pa.array([12.5, None])}, {"x": {1: text}})
        assert arrow.numbers_of(x, floats, None).tolist() == [12.5, number]
