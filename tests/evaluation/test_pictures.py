"""The confusion matrix and the reliability diagram: which colour stands where."""

from __future__ import annotations

import numpy as np

from comptool.metrics.reliability import BINS, Reliability
from comptool.reports.plots import (
    BLUE,
    MARGIN,
    RED,
    SIDE,
    draw_confusion,
    draw_reliability,
    text_width,
)

CELL, TOP = 44, 60  # pixels of a cell of few classes, and above the first


def ground(picture, row, column, left):
    """The colour of a cell, in a corner that its number does not reach."""
    y, x = TOP + CELL * row + 4, left + CELL * column + 4
    return picture[y, x].tolist()


def test_a_cell_is_the_darker_the_larger_its_share_of_the_true_class():
    classes = ["ship", "a tank"]
    picture = draw_confusion(np.array([[30.0, 10.0], [0.0, 0.0]]), classes)
    left = 40 + max(map(text_width, classes))
    for column, share in enumerate((0.75, 0.25)):
        expected = [round(255 + (full - 255) * share) for full in BLUE]
        assert ground(picture, 0, column, left) == expected
        assert ground(picture, 1, column, left) == [255, 255, 255]  # a class without rows
    numbers = picture[TOP + 6 : TOP + CELL, left + 6 : left + CELL - 2]
    assert (numbers == 255).all(axis=2).any()  # white upon dark


def test_many_classes_have_cells_without_numbers():
    confusion = np.full((40, 40), 7.0)
    picture = draw_confusion(confusion, [str(number) for number in range(40)])
    cell, left = 1100 // 40, 40 + text_width("39")
    inside = picture[TOP + 2 : TOP + 40 * cell - 2, left + 2 : left + 40 * cell - 2]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) == 1


def test_a_bar_is_the_accuracy_of_its_bin_and_a_mark_its_confidence():
    number, confidence, accuracy = np.zeros((3, BINS))
    number[10], confidence[10], accuracy[10] = 5, 0.7, 0.4
    picture = draw_reliability(Reliability(number, confidence, accuracy), 0.3)

    def colour(x, y):
        return tuple(picture[MARGIN + round(SIDE * (1 - y)), MARGIN + round(SIDE * x)].tolist())

    middle = 10.3 / BINS
    assert [colour(middle, y) for y in (0.1, 0.38)] == [BLUE, BLUE]
    assert colour(middle, 0.45) == (255, 255, 255)
    assert colour(middle, 0.7) == RED
    assert colour(4.5 / BINS, 0.1) == (255, 255, 255)  # an empty bin
