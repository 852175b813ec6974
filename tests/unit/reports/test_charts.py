"""What the pictures of a report leave out is worse than all that they show, and counted."""

from __future__ import annotations

import pytest

from hpsearch.pictures.canvas import figure, logarithmic, widen
from hpsearch.reports import charts, lines

NEAR = tuple((at, 26.4 + at / 100) for at in range(20))
FAR = ((20, 37.5),)
PRUNED = ((21, 38.0), (22, 26.5))
FINAL = ((23, 25.8), (24, 37.4))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_axis_has_all_that_is_better_and_what_is_cut_off_is_counted(sign: int) -> None:
    near, far, pruned, final = (
        tuple((at, sign * value) for at, value in points) for points in (NEAR, FAR, PRUNED, FINAL)
    )
    content = charts.Course("rmse", sign < 0, (*near, *far), pruned, final, near[:1], (), final[0])
    (axes,) = charts.draw_course(content).axes
    low, high = axes.get_ylim()
    inside = [v for _, v in (*near, *pruned[1:], *final[:1]) if low <= v <= high]
    assert len(inside) == len(near) + 2
    assert axes.get_xlabel() == "trial (3 worse trials outside the picture)"
    assert "handed over" in axes.get_legend_handles_labels()[1]


def test_what_is_handed_over_is_in_the_picture_however_bad() -> None:
    content = charts.Course("rmse", False, NEAR, PRUNED, FAR, NEAR[:1], (), FAR[0])
    (axes,) = charts.draw_course(content).axes
    assert axes.get_ylim()[1] > FAR[0][1]


def test_of_few_trials_only_the_wildly_bad_leave_the_picture() -> None:
    values = [0.1, 0.11, 0.12, 0.12, 0.13, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.9, 1.2]
    few = tuple(enumerate(values))
    (axes,) = charts.draw_course(charts.Course("loss", False, few, (), (), few[:1], (), None)).axes
    assert axes.get_ylim()[1] > 1.2
    assert axes.get_xlabel() == "trial"
    wild = (*few, (14, 80.0))
    (axes,) = charts.draw_course(charts.Course("loss", False, wild, (), (), few[:1], (), None)).axes
    assert axes.get_xlabel() == "trial (1 worse trial outside the picture)"


def test_the_default_is_in_the_picture_where_others_are_not() -> None:
    many = (*tuple((at, 1 + at / 100) for at in range(40)), (40, 4.0), (41, 90.0))
    content = charts.Course("loss", False, many, (), (), many[:1], (), None, 4.0)
    (axes,) = charts.draw_course(content).axes
    assert 4.0 < axes.get_ylim()[1] < 90.0


def test_values_that_are_one_are_drawn_as_one() -> None:
    same = tuple((at, 1 + at * 1.2e-8) for at in range(9))
    made = charts.draw_course(charts.Course("auroc", True, same, (), (), same[:1], (), None))
    widen(made)
    low, high = made.axes[0].get_ylim()
    assert high - low > 1e-3
    assert made.axes[0].get_xlabel() == "trial (all have the same value, 1)"
    scale = lines._limits([1.00000012, 1.0000001, 1.0])
    assert [word for _, word in scale.ticks()] == ["1"]


@pytest.mark.parametrize(("low", "high"), [(0.0015, 0.0045), (1e-4, 0.03), (0.002, 0.05)])
def test_a_ratio_has_two_marks_or_more(low: float, high: float) -> None:
    _, (axes,) = figure("")
    axes.plot([low, high], [0, 1])
    axes.set_xscale("log")
    logarithmic(axes.xaxis)
    assert len([mark for mark in axes.get_xticks() if low <= mark <= high]) > 1


@pytest.mark.parametrize("rising", [False, True])
def test_curves_leave_the_picture_at_the_worse_end_alone(rising: bool) -> None:
    worse = -1 if rising else 1
    values = [worse * (1 - at / 100) for at in range(100)] + [worse * 1e6] * 2
    points = tuple((float(at), value) for at, value in enumerate(values))
    (axes,) = charts.draw_curves(charts.Curves("m", rising, (("trial 0", points),), ())).axes
    low, high = axes.get_ylim()
    assert max(abs(low), abs(high)) < 2
    assert low < worse * 0.01 < high


def test_a_far_value_is_marked_at_the_end_of_its_axis() -> None:
    scale = lines._limits([26.38, 26.42, 26.45, 26.5, 37.53])
    words = [word for _, word in scale.ticks()]
    assert words[-1] == "26.9 or worse"
    assert len(set(words)) == len(words)
    assert lines._limits([0.9, 0.8, 0.7]).beyond is None
