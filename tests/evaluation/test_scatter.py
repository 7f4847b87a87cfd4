"""Panels of points: who stands where, in which colour."""

from __future__ import annotations

import numpy as np

from comptool.reports.plots import (
    GAP,
    SCATTER_HEAD,
    SCATTER_SIDE,
    Panel,
    class_colours,
    draw_scatter,
)

CORNERS = np.array([[0.0, 0.0], [4.0, 4.0]])


def panel(points=CORNERS, targets=(0, 1)):
    return Panel("a run", "PCA", np.asarray(points, float), np.array(targets))


def colour_near(picture, x, y, side=4):
    """The colour farthest from white in a small square."""
    square = picture[y - side : y + side, x - side : x + side].reshape(-1, 3).astype(int)
    return square[square.sum(axis=1).argmin()]


def hue(colour):
    return int(np.argmax(colour)), int(np.argmin(colour))


def test_a_point_stands_where_its_numbers_say_in_the_colour_of_its_class():
    picture = draw_scatter([panel()], ["ship", "tank"])
    low = colour_near(picture, GAP + 7, SCATTER_HEAD + SCATTER_SIDE - 7)  # left and below
    high = colour_near(picture, GAP + SCATTER_SIDE - 7, SCATTER_HEAD + 7)  # right and above
    ship, tank = class_colours(2)
    assert hue(low) == hue(ship)
    assert hue(high) == hue(tank)
    assert hue(ship) != hue(tank)
    assert (picture[SCATTER_HEAD + SCATTER_SIDE // 2, GAP + SCATTER_SIDE // 2] == 255).all()


def test_both_directions_have_one_scale():
    flat = panel([[0, 0], [10, 0], [5, 1]], (0, 0, 1))
    picture = draw_scatter([flat], ["a", "b"])
    inside = picture[
        SCATTER_HEAD + 2 : SCATTER_HEAD + SCATTER_SIDE - 2, GAP + 2 : GAP + SCATTER_SIDE - 2
    ]
    rows = np.flatnonzero((inside < 255).any(axis=(1, 2)))
    assert np.ptp(rows) < SCATTER_SIDE / 5


def test_points_that_are_all_the_same_stand_in_the_middle():
    picture = draw_scatter([panel([[3, 3], [3, 3]], (0, 0))], ["a", "b"])
    assert hue(
        colour_near(picture, GAP + SCATTER_SIDE // 2, SCATTER_HEAD + SCATTER_SIDE // 2)
    ) == hue(class_colours(2)[0])


def test_what_is_not_highlighted_is_paler():
    plain, chosen = class_colours(4), class_colours(4, {2})
    assert chosen[2] == plain[2]
    for index in (0, 1, 3):
        assert min(chosen[index]) >= 127 > min(plain[index])


def test_colours_differ_for_many_classes():
    assert len(set(class_colours(60))) == 60


def test_a_fifth_panel_begins_a_new_row_and_names_take_the_lines_that_they_need():
    four, five = (draw_scatter([panel()] * number, ["a", "b"]) for number in (4, 5))
    assert four.shape[1] == five.shape[1] == GAP + 4 * (SCATTER_SIDE + GAP)
    assert five.shape[0] - four.shape[0] == SCATTER_HEAD + SCATTER_SIDE + GAP
    many = draw_scatter([panel()], [f"a rather long class {number}" for number in range(9)])
    assert many.shape[1] == GAP + SCATTER_SIDE + GAP
    assert many.shape[0] > draw_scatter([panel()], ["a", "b"]).shape[0] + 80
    assert (many[-30:, -GAP:] == 255).all()  # no name runs over the edge
