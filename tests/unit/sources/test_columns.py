"""What columns are, decided alike for a whole table and for a sample in plain lists."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hpsearch.errors import DataError
from hpsearch.sources.table.columns import Column, Decision, decide
from hpsearch.sources.table.rules import Override, Overrides
from hpsearch.sources.table.tally import Shape, Text
from hpsearch.sources.table.units import units
from tests.unit.sources.tables import Rows, sample, whole

Make = Callable[..., Rows]
draw = random.Random(0)


@pytest.fixture(params=[sample, whole], ids=["sample", "whole"])
def table(request: pytest.FixtureRequest) -> Make:
    return request.param


def column(made: Rows, **override: object) -> Column:
    """What `x` is, without a target."""
    return decision(made, **override).columns[0]


def decision(made: Any, **override: object) -> Decision:
    overrides = Overrides({"x": Override(**override)} if override else {})
    return decide(made, None, overrides)


def numbers(count: int = 200) -> list[str]:
    return [f"{draw.uniform(10, 90):.2f}" for _ in range(count)]


def with_cells(cells: list[str], *odd: str) -> list[str]:
    """With these in place of the cells from row 7 on, which is line 9."""
    return [*cells[:7], *odd, *cells[7 + len(odd) :]]


@pytest.mark.parametrize("mark", ["-", "#N/A", "#DIV/0!", "?", "NA", "None", "\\N", ".."])
def test_a_known_mark_among_numbers_is_missing_and_named(table, mark):
    made = decision(table(x=with_cells(numbers(), mark)))
    (x,) = made.columns
    assert (x.kind, x.missing, x.marks) == ("number", 1, (mark,))
    assert any(f"`{mark}` is read as missing in 1 cell, first in line 9" in n for n in made.notes)


@pytest.mark.parametrize(
    "odd", ["inf", "-inf", "∞", "1e999", "1.8e308", "12kg", "5 %", "$5", "1.2.3", "1,5,2"]
)
def test_another_odd_cell_among_numbers_stops_with_its_line_and_the_keys(table, odd):
    with pytest.raises(DataError) as error:
        decide(table(x=with_cells(numbers(), odd)), None, Overrides())
    message = str(error.value)
    assert "\n" not in message
    assert f"column `x`, line 9: `{odd}`" in message
    assert json.dumps([odd], ensure_ascii=False) in message
    assert 'kind: "category"' in message


@pytest.mark.parametrize(("odd", "shown"), [("1\n2", "`1 2` is"), ("9" * 999, f"`{'9' * 60}…` is")])
def test_an_odd_cell_of_several_lines_or_very_long_is_one_line(table, odd, shown):
    with pytest.raises(DataError, match=shown) as error:
        column(table(x=with_cells(numbers(), odd)))
    assert "\n" not in str(error.value)


def test_up_to_three_odd_texts_are_odd_and_more_are_codes(table):
    with pytest.raises(DataError, match="line 9: `a` is no number"):
        column(table(x=with_cells(["1", "2"] * 60, "a", "b", "c")))
    assert column(table(x=with_cells(["1", "2"] * 60, "a", "b", "c", "d"))).kind == "category"


def test_what_the_study_file_says_makes_an_odd_cell_missing_or_the_column_a_category(table):
    cells = with_cells(numbers(), "inf")
    x = column(table(x=cells), missing=("inf",))
    assert (x.kind, x.missing, x.marks) == ("number", 1, ("inf",))
    assert column(table(x=cells), kind="category").kind == "category"
    assert column(table(x=cells), kind="ignore").kind == "ignore"
    everywhere = decide(table(x=cells), None, Overrides(missing=("inf",)))
    assert everywhere.columns[0].missing == 1


THOUSANDS = {
    ",": ["796", "4,173", "3,828", "204"],
    ".": ["796", "4.173", "3.828", "204"],
    " ": ["796", "4 173", "3 828", "204"],
    "'": ["796", "4'173", "3'828", "204"],
}


@pytest.mark.parametrize("mark", THOUSANDS)
def test_thousands_beside_whole_numbers_below_1000(table, mark):
    made = decision(table(x=THOUSANDS[mark] * 10))
    (x,) = made.columns
    assert (x.kind, x.thousands) == ("number", mark)
    assert x.style.value(THOUSANDS[mark][1]) == 4173
    assert any(" is read as 4173" in note for note in made.notes)


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (["1.234.567", "2.345.678", "12"], 1234567),
        (["1,234.50", "2,345.10", "12.75"], 1234.5),
        (["1.234,50", "2.345,10", "12,75"], 1234.5),
        (["1 234,50", "2\u202f345,10", "12,75"], 1234.5),
        (["12,34,567", "1,23,456", "12"], 1234567),
        (["1.5", "2.25", "1.234"], 1.5),
        (["1,5", "2,25", "1,234"], 1.5),
        (["0.615", "1.181", "-1.296"], 0.615),
        (["0.615", "1.181", "796"], 0.615),
        (["1.234", "5.678", "0"], 1.234),
        (["1.234", "5.678", "12345"], 1.234),
        (["1.234e+05", "5.678e+03", "9.012e+02", "796"], 123400),
        (["\u22125.5", "+2.5", "1e-3"], -5.5),
        (["-.5", "5.", "7"], -0.5),
    ],
)
def test_how_numbers_are_written_is_decided_over_the_column(table, cells, value):
    x = column(table(x=cells * 10))
    assert x.kind == "number"
    assert x.style.value(cells[0]) == value


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["1,234", "5,678", "9,012"], "`1,234` may be thousands or decimals"),
        (["1,5", "1.5", "2,5", "2.5"], "are both decimal separators"),
        (["1,234,567", "2,345,678", "1234"], "and `1234` has none"),
        (["12.50", "13.25", "1,234", "7.5"], "only one number has `,` between thousands"),
    ],
)
def test_what_only_the_user_knows_is_asked(table, cells, says):
    with pytest.raises(DataError, match="column `x`, line") as error:
        column(table(x=cells * 10))
    assert says in str(error.value)
    assert 'decimal: "."' in str(error.value)


def test_what_is_open_in_one_column_is_settled_by_the_others(table):
    cells = ["1,234", "5,678", "9,012"] * 10
    kinds = decide(table(x=cells, y=["1,5", "2,25", "3,75"] * 10), None, Overrides()).columns
    assert (kinds[0].decimal, kinds[0].thousands) == (",", "")
    kinds = decide(table(x=cells, y=["1.5", "2.25", "3.75"] * 10), None, Overrides()).columns
    assert (kinds[0].decimal, kinds[0].thousands) == (".", ",")


def test_the_study_file_says_how_numbers_are_written(table):
    cells = ["1,234", "5,678", "9,012"] * 10
    assert column(table(x=cells), decimal=",").style.value("1,234") == 1.234
    assert column(table(x=cells), thousands=",").style.value("1,234") == 1234
    assert column(table(x=cells), decimal=".").style.value("1,234") == 1234
    assert decide(table(x=cells), None, Overrides(decimal=",")).columns[0].decimal == ","


@pytest.mark.parametrize(
    ("cells", "value"),
    [(["5 %", "7.5%", "12%"], 5), (["$1,200", "$950", "-$3,000"], 1200), (["5,5 €", "7 €"], 5.5)],
)
def test_a_sign_of_nearly_all_numbers_is_stripped(table, cells, value):
    x = column(table(x=cells * 30))
    assert x.kind == "number"
    assert x.style.value(cells[0]) == value


def test_a_sign_of_some_numbers_is_part_of_a_text(table):
    assert column(table(x=["5%", "7%", "12", "0.5"] * 30)).kind == "category"


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (["2.9 kg", "3.1kg", "-12 kg"], 2.9),
        (["78 min", "1,120 min", "1,200 min"], 78),
        (["21,5 °C", "7 °C"], 21.5),
        (["3 stars", "4.5 stars", "2 stars"], 3),
        (["120 km/h", "80 km/h", "95.5 km/h"], 120),
        (["25 \u00b5g", "3.5 \u00b5g"], 25),
        (["USD 1,200", "USD 950", "USD 3,000"], 1200),
        (["12g", "7.5g", "120g"], 12),
    ],
)
def test_a_unit_of_nearly_all_numbers_is_stripped(table, cells, value):
    made = decision(table(x=[*cells * 40, "77"]))
    (x,) = made.columns
    assert x.kind == "number"
    assert x.style.value(cells[0]) == value
    assert any(f"numbers with the unit `{x.sign}`" in note for note in made.notes)
    assert Decision.from_json(json.loads(json.dumps(made.as_json()))) == made
    assert column(table(x=cells * 40), kind="category").kind == "category"


@pytest.mark.parametrize(
    "cells",
    [
        ["A12", "A13", "A7"], ["12B", "13B", "7B"], ["Q3 2020", "Q3 2021", "Q3 2022"],
        ["E11.9", "E11.1", "E10.2"], ["10M", "5M", "7M"], ["5K", "12K", "7.5K"],
        ["10 M", "5 M", "7 M"], ["1990s", "1980s", "1970s"], ["1st", "21st", "31st"],
        ["7 am", "9 am", "11 am"], ["Room 12", "Room 101", "Room 7"], ["4G", "5G", "3G"],
        ["No. 5", "No. 12", "No. 7"], ["SKU12", "SKU13", "SKU7"], ["3x4", "5x4", "7x4"],
        ["0x1", "0x2", "0x3"], ["12-kg", "13-kg", "7-kg"], ["5 kg", "7 kg", "12", "8"],
    ],
)  # fmt: skip
def test_what_looks_like_a_unit_and_is_none_stays_a_text(table, cells):
    made = decision(table(x=cells * 30))
    assert made.columns[0].kind == "category"
    assert not any("unit" in note for note in made.notes)


def test_several_units_are_a_category_with_a_note(table):
    cells = ["2.9 kg", "350 g", "3.5 kg", "1.2 kg", "900 g"]
    made = decision(table(x=cells * 30))
    assert made.columns[0].kind == "category"
    assert any("several units: kg, g; as numbers it needs one" in note for note in made.notes)
    with pytest.raises(
        DataError,
        match=r"`2.9 kg` is no number without its unit `kg` \(one of 150 such cells\); if",
    ):
        column(table(x=cells * 30), kind="number")
    with pytest.raises(DataError, match=r"line 9: `350 g` is no number without its unit `g`, and"):
        column(table(x=with_cells([f"{number} kg" for number in numbers()], "350 g")))


def test_leading_zeros_are_codes(table):
    made = decision(table(x=["00501", "10115", "02139", "90210"] * 10))
    assert made.columns[0].kind == "category"
    assert any("leading zeros" in note for note in made.notes)
    assert column(table(x=["00501", "10115"] * 10), kind="number").kind == "number"
    assert column(table(x=["0", "0.5", "10"] * 10)).kind == "number"


def test_whole_numbers_of_few_values_stay_numbers_with_a_hint(table):
    made = decision(table(x=["1", "2", "3"] * 10))
    assert made.columns[0].kind == "number"
    assert any("3 to 20 values are read as numbers" in note for note in made.notes)
    assert not decision(table(x=["1", "2", "3"] * 10), kind="number").notes, "it was said"


@pytest.mark.parametrize("name", ["column_1", "index", "id", "Unnamed: 0", "PassengerId", "row_id"])
def test_what_numbers_the_rows_is_left_out(table, name):
    made = decide(table(**{name: [str(n) for n in range(5, 45)]}), None, Overrides())
    assert (made.columns[0].kind, made.columns[0].inputs) == ("row number", 0)
    assert made.notes


def test_row_numbers_are_such_where_rows_without_a_target_are_left_out(table):
    made = table(column_1=[str(n) for n in range(60)], y=["a", "", "b"] * 20)
    assert decide(made, "y", Overrides()).columns[0].kind == "row number"
    typed = Rows({**made.columns, "column_1": pa.array(range(60))})
    if not isinstance(made.columns["y"], list):
        assert decide(typed, "y", Overrides()).columns[0].kind == "row number"


def test_what_only_looks_like_row_numbers_stays_with_a_warning(table):
    rising = [str(n) for n in range(40)]
    for cells, name in ((rising, "height"), (rising[::-1], "customer_id")):
        made = decide(table(**{name: cells}), None, Overrides())
        assert made.columns[0].kind == "number"
        assert "data.ignore" in made.warnings[0]
    uneven = [str(n * n) for n in range(40)]
    assert not decide(table(height=uneven), None, Overrides()).warnings


def test_constant_and_empty_columns(table):
    made = decide(
        table(a=[""] * 10, b=["x"] * 10, c=["x", ""] * 5, d=["7", "NA"] * 5), None, Overrides()
    )
    assert [c.kind for c in made.columns] == ["empty", "constant", "constant", "constant"]
    assert [c.inputs for c in made.columns] == [0, 0, 1, 1]


def test_a_thousand_columns_alike_share_a_sentence(table):
    made = decide(table(**{f"c{n}": [""] * 10 for n in range(1000)}), None, Overrides())
    (note,) = made.notes
    assert note.startswith("1,000 columns, `c0`, `c1`, `c2`, `c3`, `c4` and 995 more: left out")


@pytest.mark.parametrize("pair", [("none", "person"), ("NA", "b"), ("?", "x"), ("yes", "no")])
def test_two_texts_are_one_input_whatever_they_are(table, pair):
    x = column(table(x=[*pair] * 20))
    assert (x.kind, x.values, x.inputs, x.missing) == ("boolean", tuple(sorted(pair)), 1, 0)


def test_a_boolean_with_gaps_has_an_input_for_them(table):
    assert column(table(x=["Attached", "Detached", "", ""] * 20)).inputs == 2


@pytest.mark.parametrize("odd", ["none", "NA", "?", "None"])
def test_marks_among_texts_are_values(table, odd):
    x = column(table(x=["a", "b", odd, ""] * 20))
    assert (x.kind, x.distinct, x.missing, x.inputs) == ("category", 3, 20, 4)


DATES = {
    "year-month-day": ["2020-01-31", "2020-02-28", "2020-03-01"],
    "day-month-year": ["31/01/2020", "28/02/2020", "01/03/2020"],
    "month-day-year": ["01/31/2020", "02/28/2020", "03/01/2020"],
    "day-name-year": ["31 Jan 2020", "28 Feb 2020", "1 March 2020"],
    "name-day-year": ["Jan 31, 2020", "Feb 28, 2020", "March 1, 2020"],
}
JANUARY_31 = 1580428800


@pytest.mark.parametrize("order", DATES)
def test_dates(table, order):
    x = column(table(x=DATES[order] * 10))
    assert (x.kind, x.date, x.inputs) == ("date", order, 5)
    assert x.format.value(DATES[order][0]) == JANUARY_31


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2020-01-31T06:30:00Z", 23400),
        ("2020-01-31 06:30", 23400),
        ("2020-01-31T06:30:00.123456+02:00", 23400),
        ("31.01.2020 06:30:15", 23415),
        ("31.1.20", 0),
        ("1/31/2020 6:30 PM", 66600),
        ("2020/1/31", 0),
    ],
)
def test_dates_with_times_short_years_and_zones(table, text, seconds):
    cells = [text, text.replace("31", "30"), text.replace("31", "29")] * 10
    x = column(table(x=cells))
    assert x.kind == "date"
    assert x.format.value(text) == JANUARY_31 + seconds
    assert x.inputs == (7 if seconds else 5)


@pytest.mark.parametrize("cells", [["01/02/2020", "03/04/2021"], ["1-2-20", "3-4-21"]])
def test_day_or_month_first_is_asked_where_no_part_is_above_12(table, cells):
    made = table(x=[*cells, "05/06/2022"] * 10)
    with pytest.raises(
        DataError, match=r"line 2: .* may have the day or the month first.*dayfirst"
    ):
        column(made)
    assert column(made, dayfirst=False).date == "month-day-year"
    assert column(made, dayfirst=True).date == "day-month-year"


def test_dotted_dates_have_the_day_first(table):
    assert column(table(x=["01.02.2020", "03.04.2020", "05.06.2020"] * 9)).date == "day-month-year"


def test_times_of_day(table):
    cells = [f"{hour:02}.00.00" for hour in range(24)] * 2
    x = column(table(x=cells))
    assert (x.kind, x.date, x.inputs) == ("date", "time of day", 2)


def test_an_odd_cell_among_dates_stops_and_a_mark_is_missing(table):
    cells = [f"2020-01-{day:02}" for day in range(1, 31)] * 5
    with pytest.raises(DataError, match="line 9: `2020-02-30` is no date"):
        column(table(x=with_cells(cells, "2020-02-30")))
    x = column(table(x=with_cells(cells, "NA")))
    assert (x.kind, x.missing, x.marks) == ("date", 1, ("NA",))


def test_dates_in_order_advise_validation_on_later_rows(table):
    cells = [f"2020-01-{day:02}" for day in range(1, 31)]
    assert 'data.split: {by: "x"}' in decision(table(x=cells)).warnings[0]
    assert not decision(table(x=cells[::-1])).warnings


@pytest.mark.parametrize("order", ["192.168.1.1", "1.2.3", "1-800-555", "99/19/9999", "12:75"])
def test_what_has_only_the_shape_of_a_date_or_number_is_neither(table, order):
    x = column(table(x=[order, order.replace("1", "2"), "9" + order] * 10))
    assert x.kind == "category"


def test_sentences_are_left_out_or_given_to_a_network_that_reads_them(table):
    cells = [f"message number {n} see you at home" for n in range(60)]
    made = decision(table(x=cells))
    assert (made.columns[0].kind, made.columns[0].inputs) == ("text", 0)
    assert "sentences of 6 words" in made.notes[0], "a number is no word"
    assert 'data.text: "x"' in made.notes[0]
    forced = decision(table(x=cells), kind="text")
    assert (forced.columns[0].inputs, len(forced.notes)) == (0, 1)
    both = table(x=cells, y=["1,5", "2.5", "2.000"] * 20)  # of which nobody needs to know
    read = decide(both, None, Overrides(text="x", text_length=9))
    assert [column.inputs for column in read.columns] == [9, 0]
    assert read.notes == ("column `y`: left out, as data.text reads `x` alone",)
    assert column(table(x=cells[:3] * 20)).kind == "category"


def test_numbers_in_groups_are_no_sentences(table):
    phones = [f"+41 44 {n:03} 00 00" for n in range(100)]
    assert column(table(x=phones)).kind == "identifier"


def test_identifiers_are_left_out_with_the_key_that_keeps_them(table):
    made = decision(table(x=[f"C{n:05}" for n in range(100)]))
    assert (made.columns[0].kind, made.columns[0].inputs) == ("identifier", 0)
    assert made.notes[0].endswith("100 different texts in 100 rows"), "nothing repeats to be kept"
    some = decision(table(x=[f"C{max(n, 9):05}" for n in range(100)]))
    assert some.columns[0].kind == "identifier"
    assert 'kind: "category"' in some.notes[0]
    few = decision(table(x=[f"C{max(n, 8):05}" for n in range(100)]))
    assert few.notes[0].endswith("92 different texts in 100 rows"), "none has an input"


def test_rows_that_are_copies_are_counted(table):
    ids, numbers = [f"C{n:05}" for n in range(100)], [f"{n % 60}.5" for n in range(100)]
    assert not decision(table(x=ids, y=numbers)).warnings
    rows = [*range(100), 3, 3, 4]
    made = decision(table(x=[ids[n] for n in rows], y=[numbers[n] for n in rows]))
    (copies,) = made.warnings
    assert copies.startswith("3 rows are a copy of another, the same in all columns")
    assert 'data.split: {group: "x"}' in copies
    numbers = [numbers[n] for n in rows[:-3]] + ["0.1", "0.2", "0.3"]
    assert not decision(table(x=[ids[n] for n in rows], y=numbers)).warnings
    assert column(table(x=[f"C{n:05}" for n in range(20)])).kind == "category"


def test_rare_values_of_a_category_share_an_input(table):
    surnames = [f"name{n % 1200:04}" for n in range(4000)]
    x = column(table(x=surnames))
    assert (x.kind, x.inputs, x.reason) == ("category", 0, "left out: no frequent value")
    towns = [f"town{n % 30}" for n in range(900)] + [f"hamlet{n}" for n in range(50)]
    made = decision(table(x=towns))
    assert made.columns[0].inputs == 31
    assert "share one input" in made.notes[0]
    x = column(table(x=[f"C{n}" for n in range(30)] * 2 + [""] * 40))
    assert (x.inputs, x.reason) == (1, "whether there is a value")
    many = [f"town{n % 200}" for n in range(4000)]
    assert column(table(x=many)).inputs == 64


def test_counts_are_over_rows_with_a_target(table):
    cells = ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    made = decide(table(x=cells, y=["0", "1"] * 20 + [""] * 20), "y", Overrides())
    assert (made.columns[0].kind, made.columns[0].values) == ("boolean", ("a", "b"))
    assert "20 rows without a target left out, the first in line 42" in made.notes[0]


def test_a_name_that_is_no_column_is_told_with_what_was_meant(table):
    with pytest.raises(DataError, match="no column `lenght`; did you mean `length`"):
        decide(table(length=["1"]), "lenght", Overrides())
    with pytest.raises(DataError, match="no column `colour`"):
        decide(table(length=["1"]), None, Overrides({"colour": Override("ignore")}))


def test_a_decision_is_plain_values(table):
    made = decide(
        table(x=["1,5", "2,5", "NA"] * 10, d=DATES["day-month-year"] * 10, y=["a", "b", "c"] * 10),
        "y",
        Overrides(),
    )
    assert Decision.from_json(json.loads(json.dumps(made.as_json()))) == made


def test_first_rows_that_settle_nothing_are_a_warning(table):
    made = replace(table(x=["1,234", "5,678"] * 10, y=["a"] * 20, z=["1"] * 20), complete=False)
    first = decide(made, "y", Overrides())
    assert [column.kind for column in first.columns] == ["open", "constant"]
    assert (first.target, first.complete) == (None, False)
    assert first.warnings[0].startswith("in the first rows: the target `y` is `a` in each row")
    assert first.warnings[1].startswith("in the first rows: column `x`, line 2: `1,234` may be")
    with pytest.raises(DataError, match="no column `w`"):
        decide(made, "w", Overrides())


def test_a_sample_is_decided_without_arrow_and_numpy():
    code = (
        "import sys\n"
        "from hpsearch.sources.table.columns import decide\n"
        "from hpsearch.sources.table.rules import Overrides\n"
        "class Table:\n"
        "    names, rows, odd, complete = ('x', 'd', 'y'), 9, {}, True\n"
        "    def column(self, name):\n"
        "        return {'x': ['1,5'], 'd': ['31.12.2020'], 'y': ['a', 'b', 'c']}[name] * 9\n"
        "    def line_of(self, row):\n"
        "        return row\n"
        "decide(Table(), 'y', Overrides())\n"
        "sys.exit(' '.join({'numpy', 'pyarrow', 'torch'} & {*sys.modules}))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.stderr == "\n"


def typed(values: Sequence[object], kind: pa.DataType, odd: dict[int, str] | None = None) -> Rows:
    return Rows({"x": pa.array(values, kind)}, {"x": odd} if odd else {})


def test_typed_columns():
    assert column(typed([1.5, None, 2.5] * 10, pa.float64())).inputs == 2
    assert column(typed([*range(30)], pa.int64())).kind == "number"
    assert column(typed([True, False, None], pa.bool_())).kind == "boolean"
    times = np.arange("2020-01-01", "2020-02-01", dtype="datetime64[D]").astype("datetime64[us]")
    assert column(Rows({"x": pa.array(times)})).kind == "date"
    assert column(typed([1, 2, 3] * 10, pa.int64()), kind="category").kind == "category"
    assert column(typed([1.0] * 10, pa.float64())).kind == "constant"


def test_odd_cells_of_a_column_that_came_as_numbers():
    values = [float(n) for n in range(100)]
    values[7] = None
    x = column(typed(values, pa.float64(), {7: "NA"}))
    assert (x.kind, x.missing, x.marks) == ("number", 1, ("NA",))
    with pytest.raises(DataError, match="column `x`, line 9: `oops` is no number"):
        column(typed(values, pa.float64(), {7: "oops"}))
    values[7] = float("inf")
    with pytest.raises(DataError, match="column `x`, line 9: `inf` is no number"):
        column(typed(values, pa.float64()))


def test_the_texts_of_a_column_are_asked_for_only_where_a_shape_has_a_unit() -> None:
    """A table may have thousands of columns, each of thousands of texts."""

    def texts(_most: int) -> Sequence[Text]:
        raise AssertionError("asked for")

    assert units([Shape("0.0", 9, 9, "1.5")], texts) == ()
    with pytest.raises(AssertionError, match="asked for"):
        units([Shape("0.0 aa", 9, 9, "1.5 kg")], texts)


def test_years_of_which_too_many_are_a_word_are_texts_with_a_warning(table):
    years = [str(1950 + i % 60) for i in range(380)]
    made = decision(table(x=[*years, *["k.A."] * 24]))
    assert made.columns[0].kind == "category"
    (warning,) = made.warnings
    assert (
        "380 of 404 cells are numbers, but it is read as texts, as 24 are not (`k.A.`)" in warning
    )
    assert 'data.columns: {"x": {missing: ["k.A."]}} makes it numbers' in warning
    assert (
        decision(table(x=[*years, *["k.A."] * 24]), missing=("k.A.",)).columns[0].kind == "number"
    )
    assert not decision(table(x=[*years, *["k.A."] * 24]), kind="category").warnings
    tickets = [*years, *(f"A/{i}" for i in range(24))]
    assert not decision(table(x=tickets)).warnings


def test_marks_among_texts_are_named_in_one_note_for_all_columns(table):
    texts = ["red", "blue", "NA", "?", "unknown", "green"] * 20
    notes = decide(table(x=texts, z=texts, a=["u", "v"] * 60), None, Overrides()).notes
    assert notes == (
        "2 columns, `x`, `z`: `?`, `NA`, `unknown` are values as any other; data.missing: "
        '["?", "NA", "unknown"] reads them as missing',
    )


def test_marks_among_numbers_are_named_in_one_note(table):
    notes = decision(table(x=with_cells(numbers(), "NA", "?", "-"))).notes
    assert notes == (
        "column `x`: `NA`, `?`, `-` are read as missing in 3 cells, first in line 9; "
        'data.columns: {"x": {kind: "category"}} makes it a value',
    )


def test_each_column_with_a_cell_that_does_not_fit_is_named(table):
    made = table(x=with_cells(numbers(), "unknown"), y=with_cells(numbers(), "oops"), z=numbers())
    with pytest.raises(DataError, match="2 columns have cells that only you can read") as caught:
        decide(made, None, Overrides())
    first, second = str(caught.value).splitlines()[1:]
    assert first.startswith("  column `x`, line 9: `unknown` is no number")
    assert second.startswith("  column `y`, line 9: `oops` is no number")


def test_a_column_that_is_left_out_and_described_is_named(table):
    overrides = Overrides({"x": Override(missing=("unknown",))}, ignore=("x",))
    (warning,) = decide(table(x=numbers(), z=numbers()), None, overrides).warnings
    assert warning == ("column `x`: left out by data.ignore, so data.columns has no effect on it")


def test_no_other_reading_is_offered_where_both_separators_are_there(table):
    prices = [f"$1,{100 + i}.{10 + i % 80}" for i in range(200)]
    (note,) = decision(table(x=prices)).notes
    assert note == "column `x`: `$1,100.10` is read as 1100.1, with `,` between thousands"
