"""Rows of label tables that are unlike the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.inspection.label_rules import (
    doubtful_runs,
    far_counts,
    longest_runs,
    lost_classes,
    rare_empty,
    rare_sets,
)

ROWS = st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=6, max_size=6), min_size=1)


def table(rows: int = 3000, classes: int = 40, seed: int = 0):
    """Scenes of ten kinds, whose labels stand anywhere among the columns."""
    random = np.random.default_rng(seed)
    kinds = random.random((10, classes)) ** 6
    return (random.random((rows, classes)) < kinds[random.integers(10, size=rows)]).astype(np.int8)


def by_themes(rows: int = 4000):
    """Six themes of eight labels that stand side by side and go together."""
    random = np.random.default_rng(1)
    present = np.repeat(random.random((rows, 6)) < 0.2, 8, axis=1)
    return (random.random((rows, 48)) < np.where(present, 0.6, 0.02)).astype(np.int8)


@given(ROWS)
def test_the_longest_run_is_that_of_reading_along_the_row(rows):
    present = np.array(rows) == 1
    length, end = longest_runs(present)
    for row, cells in enumerate(present):
        runs = [len(run) for run in "".join("01"[int(cell)] for cell in cells).split("0")]
        assert length[row] == max(runs)
        assert cells[end[row] - length[row] + 1 : end[row] + 1].all()


def test_rows_that_are_filled_down_are_found_and_no_others():
    matrix = table()
    assert not len(doubtful_runs(matrix)[0])
    matrix[100:130, 7:19] = 1
    rows, first, last, share = doubtful_runs(matrix)
    assert rows.tolist() == list(range(100, 130))
    assert (first <= 7).all() and (last >= 18).all()
    assert ((share >= 0.95) & (share <= 1)).all()


def test_labels_that_go_together_may_stand_together():
    matrix = by_themes()
    shuffled = matrix[:, np.random.default_rng(0).permutation(48)]
    # The themes have runs; they are no more doubted than the same table without an order, but few.
    assert len(doubtful_runs(shuffled)[0]) == 0
    assert len(doubtful_runs(matrix)[0]) < 0.03 * len(matrix)
    matrix[:30, 4:20] = 1
    assert set(range(30)) <= set(doubtful_runs(matrix)[0].tolist())


def test_one_row_and_equal_rows_are_not_doubted():
    for matrix in (np.ones((1, 5), np.int8), np.ones((300, 5), np.int8), np.zeros((9, 2), np.int8)):
        assert not len(doubtful_runs(matrix)[0])
        assert not len(far_counts(matrix)[0])
        assert not len(rare_sets(matrix)[0])
        assert not len(rare_empty(matrix))
        assert not len(lost_classes(matrix, np.empty(0, np.int64)))


def test_far_too_many_labels_are_counted_in_deviations():
    matrix = np.zeros((101, 30), np.int8)
    for row in range(100):
        matrix[row, : 3 + row % 3] = 1  # 3, 4 or 5: median 4, middle half within one
    matrix[100] = 1
    rows, away = far_counts(matrix)
    assert rows.tolist() == [100]
    assert away == pytest.approx((30 - 4) / 2)  # the square root of the median is the larger


def test_rows_without_a_label_are_told_where_they_are_rare_and_annotated():
    matrix = np.ones((400, 3), np.int8)
    matrix[[5, 7]] = 0
    matrix[9] = -1
    assert rare_empty(matrix).tolist() == [5, 7]
    matrix[:50] = 0
    assert rare_empty(matrix).tolist() == []


def test_a_turned_cell_is_told_where_the_rest_is_frequent():
    matrix = np.repeat(np.array([[1, 1, 0, 0], [0, 0, 1, 1]], np.int8), [600, 500], axis=0)
    matrix[3, 1] = 0  # missing
    matrix[4, 2] = 1  # too many
    matrix[700, 0] = -1  # not annotated: nobody says otherwise
    rows, column, times = rare_sets(matrix)
    assert rows.tolist() == [3, 4]
    assert column.tolist() == [1, 2]
    assert times.tolist() == [598.0, 598.0]


def test_a_set_with_many_rows_is_a_set_of_its_own():
    matrix = np.repeat(np.array([[1, 1, 0], [1, 0, 0]], np.int8), [900, 4], axis=0)
    assert not len(rare_sets(matrix)[0])  # 225 times as frequent
    matrix = np.repeat(np.array([[1, 1, 0], [1, 0, 0]], np.int8), [900, 3], axis=0)
    assert rare_sets(matrix)[0].tolist() == [900, 901, 902]


def test_a_class_that_only_doubtful_rows_have_is_lost():
    matrix = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0]], np.int8)
    assert lost_classes(matrix, np.array([0])).tolist() == []
    assert lost_classes(matrix, np.array([0, 2])).tolist() == [1]


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_moves_the_findings_with_them(random):
    matrix = table(400, 20, seed=3)
    matrix[10:30, 2:14] = 1
    order = list(range(len(matrix)))
    random.shuffle(order)
    for find in (doubtful_runs, far_counts, rare_sets):
        before, *values = find(matrix)
        after, *others = find(matrix[order])
        places = {order[row]: place for place, row in enumerate(after)}
        assert sorted(places) == before.tolist()
        for one, other in zip(values, others, strict=True):
            assert [other[places[row]] for row in before.tolist()] == one.tolist()


def test_a_real_table_with_filled_runs(real_data):
    from comptool.competition.config import of_table
    from comptool.competition.samples import read_samples

    matrices = []
    for name in ("official", "corrected"):
        path = real_data / "labels" / f"mlrsnet_{name}.csv.gz"
        samples = read_samples(path, of_table(path), labelled=True)
        matrices.append(samples.label_matrix())
    official, corrected = matrices
    differ = (official != corrected).any(axis=1)
    runs = doubtful_runs(official)[0]
    assert differ[runs].all()
    assert differ[far_counts(official)[0]].all()
    assert len(runs) > 0.95 * (official > corrected).any(axis=1).sum()
    names = np.array(samples.labels)
    assert names[lost_classes(official, runs)].tolist() == ["stadium", "tanks"]
    assert not len(doubtful_runs(corrected)[0])
