"""What the interval of a figure holds."""

from __future__ import annotations

import numpy as np

from comptool.metrics import by_shape, score
from comptool.metrics.bootstrap import metric_with_interval

PREVALENCE = np.geomspace(0.05, 0.3, 6)


def drawn(num_rows, rng):
    targets = (rng.random((num_rows, 6)) < PREVALENCE).astype(np.int8)
    return targets, 1 / (1 + np.exp(-rng.normal(1.5 * targets - 1, 1)))


def test_the_interval_of_average_precision_holds_that_of_other_rows_as_many_not_of_endless_ones():
    rng = np.random.default_rng(0)
    endless = score("map", *drawn(100_000, rng))
    as_many = np.mean([score("map", *drawn(80, rng)) for _ in range(300)])
    assert as_many > endless + 0.02
    found = []
    for _ in range(60):
        targets, p = drawn(80, rng)
        found.append(
            metric_with_interval(by_shape("map", targets).prepare(targets, p), 80, 100, seed=0)
        )
    held = np.mean([one.low <= as_many <= one.high for one in found])
    assert held > 0.85
    assert np.mean([one.low <= endless <= one.high for one in found]) < held
