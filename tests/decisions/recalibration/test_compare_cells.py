"""Recalibrations of several labels compared: what has to win wins, nothing where nothing helps."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.special import expit

from comptool.errors import InputError
from comptool.metrics import find
from comptool.postprocess.calibration.compare import NONE, compare_cells
from comptool.postprocess.calibration.methods import CELL_METHODS
from comptool.postprocess.calibration.multilabel_methods import Fitted, nothing, thresholds

ALL = {name: CELL_METHODS.load(name) for name in CELL_METHODS.names if name != "context"}


def drawn(rows, seed=0, *, shift=0.0, rare=-1.5):
    """Three classes of features two apart, in truth calibrated; log-odds shifted by ``shift``."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((rows, 3)) < expit(rare)).astype(int)
    odds = 2 * rng.normal(2 * targets, 1) - 2 + rare
    return targets, expit(odds + shift)


def by_name(comparison):
    return {one.method: one for one in comparison.standings}


def test_thresholds_win_where_probabilities_are_too_small():
    methods = {**ALL, "thresholds": partial(thresholds, average="micro")}
    found = compare_cells(
        *drawn(900, shift=-2.5), methods, find("micro-f1", "multilabel"), num_rows=300, num_sets=30
    )
    standings = by_name(found)
    assert found.standings[0].method != NONE
    assert standings["thresholds"].gain_low > 0
    assert standings["thresholds"].gain > 0.1
    assert standings["temperature"].gain == 0
    assert "is best: the expected gain over" in found.verdict()


def test_doing_nothing_is_best_for_a_calibrated_model():
    found = compare_cells(
        *drawn(3_000), ALL, find("logloss", "multilabel"), num_rows=500, num_sets=40
    )
    assert "doing nothing is best" in found.verdict()
    assert found.text().splitlines()[0] == (
        "logloss on 40 test sets of 500 rows drawn from 3000 out-of-fold rows, classes as frequent "
        "as in the out-of-fold rows"
    )


def test_a_metric_of_order_gains_nothing_and_says_why_without_fitting_anything():
    def unfit(targets, probabilities):
        raise AssertionError("what cannot change the metric has been fitted")

    methods = {NONE: nothing, "vector": unfit, "isotonic": unfit}
    found = compare_cells(
        *drawn(400), methods, find("map", "multilabel"), num_rows=100, num_sets=20
    )
    assert [one.method for one in found.standings] == list(methods)
    assert all((one.gain, one.gain_low, one.wins) == (0, 0, 0) for one in found.standings)
    (plain,) = compare_cells(
        *drawn(400), {NONE: nothing}, find("map", "multilabel"), num_rows=100, num_sets=20
    ).standings
    assert {(one.score, one.low, one.high) for one in found.standings} == {
        (plain.score, plain.low, plain.high)
    }
    assert found.text().splitlines()[-2:] == [
        "map depends on the order of the rows of each class, which all methods keep",
        "if the test classes are as frequent as in the out-of-fold rows, doing nothing is best",
    ]


def test_the_figure_of_doing_nothing_is_that_of_the_rows():
    targets, p = drawn(2_000)
    (one,) = compare_cells(
        targets, p, {NONE: nothing}, find("logloss", "multilabel"), num_rows=2_000
    ).standings
    of_rows = -np.where(targets, np.log(p), np.log1p(-p)).mean()
    assert one.score == pytest.approx(of_rows, rel=0.02)
    assert one.low < of_rows < one.high


def test_no_scored_row_was_fitted_to():
    seen = []

    def spy(targets, p):
        fitted = set(p[:, 0].tolist())

        def move(given):
            seen.append(bool(fitted & set(given[:, 0].tolist())))
            return given

        return Fitted(move)

    compare_cells(*drawn(200), {NONE: spy}, find("logloss", "multilabel"), num_rows=20, num_sets=10)
    assert seen == [False] * 10


def test_a_rare_class_is_in_both_halves():
    targets, p = drawn(300, rare=-1.0)
    targets[:, 2] = 0
    targets[[3, 200], 2] = 1
    present = []

    def spy(fit, given):
        present.append(int(fit[:, 2].sum()))
        return nothing(fit, given)

    compare_cells(targets, p, {NONE: spy}, find("map", "multilabel"), num_rows=50, num_sets=10)
    assert present == [1] * 10


@pytest.mark.parametrize("metric", ["map", "micro-f1", "macro-f1", "f-beta", "logloss", "auc"])
def test_unknown_cells_and_sets_without_a_present_cell_are_allowed(metric):
    targets, p = drawn(120, rare=-3.0)
    targets[np.random.default_rng(9).random(targets.shape) < 0.3] = -1
    found = compare_cells(targets, p, ALL, find(metric, "multilabel"), num_rows=4, num_sets=10)
    assert all(np.isfinite(one.score) for one in found.standings)


def test_rows_that_say_nothing_of_so_small_test_sets_are_refused():
    targets, p = drawn(6_000, rare=-3.0)
    targets[:] = 0
    targets[[1, 2], 0] = 1
    with pytest.raises(InputError, match="map is not defined on test sets of 1 rows drawn from"):
        compare_cells(targets, p, ALL, find("map", "multilabel"), num_rows=1)
    with pytest.raises(InputError, match="no class has a present cell"):
        compare_cells(np.zeros_like(targets), p, ALL, find("macro-f1", "multilabel"), num_rows=50)


def test_the_same_seed_gives_the_same_table():
    one, two = (
        compare_cells(*drawn(200), ALL, find("logloss", "multilabel"), num_rows=50, num_sets=10)
        for _ in "ab"
    )
    assert one == two
