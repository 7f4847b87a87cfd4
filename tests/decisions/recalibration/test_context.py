"""What is said of a decision."""

from __future__ import annotations

import numpy as np

from comptool.postprocess.calibration.context import swallowed


def test_a_share_that_is_no_whole_number_is_said_with_a_decimal():
    assert swallowed(["a", "b", "c"], np.array([3, 1, 0]), np.full(3, 4 / 3)) == [
        "class 'a' takes 3 rows, 2.2 times its share of 1.3"
    ]


def test_a_share_below_one_row_has_no_multiple():
    assert swallowed(["a", "b"], np.array([3, 2]), np.array([0.5, 4.5])) == [
        "class 'a' takes 3 rows; its share is 0.5"
    ]
