"""Lines over epochs: where they go, what the axes say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.reports.plots import (
    FOOT,
    HEAD,
    HEIGHT,
    LEFT,
    WIDTH,
    Curves,
    class_colours,
    draw_curves,
    ticks,
)


def colour_at(picture, share_across, share_up, panel=0):
    """The colour at a place within a panel's axes."""
    top = panel * (HEAD + HEIGHT + FOOT) + HEAD
    y, x = top + round(HEIGHT * (1 - share_up)), LEFT + round(WIDTH * share_across)
    return tuple(picture[y, x].tolist())


def test_a_line_goes_through_its_values_in_a_colour_of_its_own():
    lines = {"sar": [1.0, 1.0, 1.0], "eo": [4.0, 2.0, 4.0]}
    picture = draw_curves([Curves("norms", lines)])
    sar, eo = class_colours(2)
    for across in (0.25, 0.5, 0.75):
        assert colour_at(picture, across, 1 / 4) == sar
    assert colour_at(picture, 0.5, 2 / 4) == colour_at(picture, 0.25, 3 / 4) == eo
    assert colour_at(picture, 0.25, 2 / 4) == (255, 255, 255)


def test_a_name_has_one_colour_in_all_panels():
    first = Curves("a", {"sar": [1.0, 1.0], "eo": [2.0, 2.0]})
    second = Curves("b", {"eo": [1.0, 1.0], "more": [4.0, 4.0]})
    picture = draw_curves([first, second])
    assert len(picture) > 2 * (HEAD + HEIGHT)
    assert colour_at(picture, 0.5, 1) == (0, 0, 0)  # the frame
    assert colour_at(picture, 0.5, 1 / 4, panel=1) == class_colours(3)[1]
    alone = draw_curves([second])
    assert colour_at(alone, 0.5, 1 / 4) == class_colours(2)[0]


def test_a_missing_value_leaves_a_gap():
    picture = draw_curves([Curves("norms", {"sar": [1.0, 1.0, None, 1.0, 2.0]})])
    (sar,) = class_colours(1)
    found = [colour_at(picture, across, 1 / 2) == sar for across in (0.125, 0.375, 0.5, 0.625)]
    assert found == [True, False, False, False]


def test_a_level_is_drawn_across():
    plain, level = (draw_curves([Curves("ratios", {"sar": [2.0, 2.0]}, at)]) for at in (None, 1.0))
    assert colour_at(plain, 0.5, 0.5) == (255, 255, 255)
    assert colour_at(level, 0.5, 0.5) == (200, 200, 200)


@pytest.mark.parametrize("line", [[0.7], [None, None], [-0.3, 0.2], [0.0, 0.0]])
def test_any_history_can_be_drawn(line):
    picture = draw_curves([Curves("weights", {"joint head": line})])
    assert (picture != 255).any(axis=2).sum() > 2 * (WIDTH + HEIGHT)


@given(st.floats(-1e6, 0), st.floats(0, 1e6))
def test_ticks_enclose_a_range_evenly(low, high):
    marks = ticks(low, high)
    slack = 1e-6 * max(high - low, 1e-3)
    assert marks[0] <= low + slack and marks[-1] >= high - slack
    assert 2 <= len(marks) <= 10
    steps = np.diff(marks)
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
