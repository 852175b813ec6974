"""What the pictures of a report leave out is worse than all that they show, and counted."""

from __future__ import annotations

import pytest

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
    assert words[-1] == "26.59 or worse"
    assert len(set(words)) == len(words)
    assert lines._limits([0.9, 0.8, 0.7]).beyond is None
