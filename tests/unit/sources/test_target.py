"""The target column: classes or numbers, and the rows that have one."""

from __future__ import annotations

import pytest

from hpsearch.errors import DataError
from hpsearch.sources.table.columns import Decision, decide
from hpsearch.sources.table.rules import Override, Overrides
from hpsearch.sources.table.targets import label
from tests.unit.sources.tables import sample, whole


@pytest.fixture(params=[sample, whole], ids=["sample", "whole"])
def decided(request):
    def made(cells, target=None, **override) -> Decision:
        table = request.param(x=["1", "2"] * (len(cells) // 2) + ["3"] * (len(cells) % 2), y=cells)
        return decide(table, "y", Overrides({"y": Override(**override)}), target)

    return made


def halves(count: int) -> list[str]:
    return [f"{13 + n / 2:.1f}" for n in range(count)]


@pytest.mark.parametrize("mark", ["-", "", "NA", "?", "None"])
def test_a_row_without_a_number_is_left_out_and_the_range_is_told(decided, mark):
    made = decided([*halves(3), mark, *halves(196)])
    assert (made.target.kind, made.target.least, made.target.largest) == ("numbers", 13.0, 110.5)
    assert made.target.column.missing == 1
    assert any("1 row without a target left out, the first in line 5" in n for n in made.notes)
    assert any("numbers from 13 to 110.5" in note for note in made.notes)


def test_classes_that_differ_in_case_only_are_noted(decided):
    notes = decided(["Yes", "no", "yes", "NO", "other"] * 10).notes
    assert any(note.endswith("`NO`, `no` differ in case only; if they are one, write them alike")
               for note in notes)  # fmt: skip
    assert sum("in case only" in note for note in notes) == 2
    assert not any("case" in note for note in decided(["yes", "no"] * 10).notes)


@pytest.mark.parametrize("odd", ["oops", "inf", "12kg"])
def test_another_odd_cell_stops_whatever_the_task(decided, odd):
    for task in (None, "numbers", "classes"):
        with pytest.raises(DataError, match=f"column `y`, line 5: `{odd}` is no number"):
            decided([*halves(3), odd, *halves(196)], task)


def test_many_texts_among_many_numbers_are_no_classes(decided):
    with pytest.raises(DataError, match=r"line 2: `oops0` is no number \(one of 30 such"):
        decided([f"oops{n}" for n in range(30)] + halves(100))


@pytest.mark.parametrize("text", ["None", "none", "NA", "?"])
def test_a_mark_among_texts_is_a_class_with_a_note(decided, text):
    made = decided(["Apnea", "Insomnia", text] * 10)
    assert made.target.classes == tuple(sorted(["Apnea", "Insomnia", text]))
    assert any(f"`{text}` is a class, in 10 cells" in note for note in made.notes)
    left = decided(["Apnea", "Insomnia", text] * 10, missing=(text,))
    assert left.target.classes == ("Apnea", "Insomnia")


def test_few_whole_numbers_are_classes_by_size_and_1_is_1_0(decided):
    made = decided(["10", "2", "1.0", "1"] * 10)
    assert (made.target.kind, made.target.classes) == ("classes", ("1", "2", "10"))
    assert label("1.0", made.target) == "1"
    assert decided(["10", "2", "1"] * 10, "numbers").target.kind == "numbers"
    assert decided(["10", "2", "1"] * 10, kind="number").target.kind == "numbers"
    assert decided([str(n) for n in range(30)] * 9).target.kind == "numbers"
    assert decided(["1", "2", "3", "4"] * 4).target.kind == "numbers"
    assert decided(["1.5", "2.5"] * 10, "classes").target.classes == ("1.5", "2.5")
    accounts = (f"{10**20}", f"{10**20 + 1}")  # the same as float64
    assert decided([*accounts] * 10).target.classes == accounts


def test_thousands_in_the_target(decided):
    made = decided(["796", "4,173", "3,828", "204", "1,546"] * 5, "numbers")
    assert (made.target.least, made.target.largest) == (204, 4173)
    assert any("`4,173` is read as 4173" in note for note in made.notes)


@pytest.mark.parametrize(
    ("cells", "task", "says"),
    [
        (["a", "b"] * 10, "numbers", "column `y`, line 2: `a` is no number"),
        (["a"] * 10, None, "is `a` in each row; need two classes"),
        ([f"t{n}" for n in range(50)], None, "too many for classes"),
        ([""] * 10, None, "empty in each row"),
        (["a", "b"], None, "2 rows with a target `y`; give 5 or more"),
        (["1,234", "5,678"] * 10, None, "may be thousands or decimals"),
    ],
)
def test_a_target_that_cannot_be_learnt(decided, cells, task, says):
    with pytest.raises(DataError) as error:
        decided(cells, task)
    assert says in str(error.value)
