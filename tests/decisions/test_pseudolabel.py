"""Which rows become pseudo-labels, against a twin that loops."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.postprocess.pseudo_labels.config import Rule
from comptool.postprocess.pseudo_labels.selection import limited, sure

cases = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(2, 5),
    st.one_of(st.none(), st.sampled_from([0.0, 0.5, 0.6, 0.9])),
    st.one_of(st.none(), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0])),
    st.one_of(st.none(), st.integers(1, 5)),
    st.booleans(),
)


def by_looping(probabilities, rule):
    """Threshold, quantile, cap and balance, one row at a time."""
    kept = defaultdict(list)
    predicted = defaultdict(list)
    for row, values in enumerate(probabilities):
        predicted[int(np.argmax(values))].append((row, max(values)))
    for label, rows in predicted.items():
        least = -1.0
        if rule.quantile is not None:
            ordered = sorted(value for _, value in rows)
            place = rule.quantile * (len(ordered) - 1)
            low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
            least = low + (high - low) * (place - int(place)) - 1e-12
        for row, value in rows:
            if (rule.bound is None or value > rule.bound) and value >= least:
                kept[label].append((row, value))
    if rule.per_class_cap is not None:
        kept = {c: surest(rows, rule.per_class_cap) for c, rows in kept.items()}
    if rule.balance and kept:
        smallest = min(len(rows) for rows in kept.values())
        kept = {c: surest(rows, smallest) for c, rows in kept.items()}
    return sorted((row, c) for c, rows in kept.items() for row, _ in rows)


def surest(rows, size):
    return sorted(rows, key=lambda pair: (-pair[1], pair[0]))[:size]


@settings(deadline=None)
@given(cases)
def test_every_rule_is_what_looping_gives(case):
    seed, rows, classes, threshold, quantile, cap, balance = case
    raw = np.random.default_rng(seed).dirichlet(np.full(classes, 0.4), rows)
    probabilities = raw.round(1)  # ties
    rule = Rule(threshold, quantile, cap, balance)
    answers = np.where(sure(probabilities, rule), probabilities.argmax(axis=1), -1)
    labels = limited(answers, probabilities.max(axis=1), rule)
    found = [(row, int(label)) for row, label in enumerate(labels) if label >= 0]
    assert found == by_looping(probabilities, rule)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_threshold_is_strict(dtype):
    values = np.array([[0.96, 0.04], [0.97, 0.03], [0.02, 0.98], [0.5, 0.5]], dtype=dtype)
    assert sure(values, Rule()).tolist() == [False, True, True, False]
    assert sure(values, Rule(threshold=0.97)).tolist() == [False, False, True, False]


def test_a_quantile_alone_has_no_threshold_and_both_hold_together():
    values = np.array([[0.6, 0.4], [0.7, 0.3], [0.45, 0.55], [0.1, 0.9]])
    assert sure(values, Rule(quantile=1.0)).tolist() == [False, True, False, True]
    assert sure(values, Rule(threshold=0.8, quantile=1.0)).tolist() == [False] * 3 + [True]


def test_a_quantile_serves_a_class_that_is_never_sure():
    values = np.array([[0.99, 0.01]] * 4 + [[0.45, 0.55], [0.48, 0.52]])
    assert sure(values, Rule(quantile=0.5)).tolist() == [True] * 4 + [True, False]


def test_a_cap_keeps_the_surest_and_of_equals_the_first():
    labels, confidence = np.array([0, 0, 0, 1]), np.array([0.97, 0.99, 0.99, 0.97])
    assert limited(labels, confidence, Rule(per_class_cap=1)).tolist() == [-1, 0, -1, 1]


def test_balance_looks_only_at_classes_that_have_rows():
    labels, confidence = np.array([0, 0, 2, -1]), np.array([0.97, 0.99, 0.98, 0.2])
    assert limited(labels, confidence, Rule(balance=True)).tolist() == [-1, 0, 2, -1]


def test_nothing_sure_is_nothing_kept():
    labels = np.full(3, -1)
    assert limited(labels, np.zeros(3), Rule(balance=True, per_class_cap=2)).tolist() == [-1] * 3
