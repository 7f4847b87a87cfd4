"""Comparisons on simulated test sets: what has to win wins, doing nothing where nothing helps."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.special import softmax

from comptool.errors import UsageError
from comptool.metrics import find
from comptool.postprocess.calibration.compare import NONE, compare
from comptool.postprocess.calibration.context import CalibrationContext as Context
from comptool.postprocess.calibration.context import LabelledRows

UNIFORM = np.full(4, 0.25)
LONG = np.array([0.7, 0.2, 0.06, 0.04])


def rows(shares, seed, *, count=800, presumed=UNIFORM):
    """Gaussian features two apart: softmax of twice them is calibrated under equal shares."""
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.repeat(np.arange(4), 3), rng.choice(4, count - 12, p=shares)])
    features = rng.normal(0, 1, (count, 4)) + 1.2 * np.eye(4)[targets]
    return LabelledRows(softmax(1.2 * features + np.log(presumed), axis=1), targets)


@cache
def of_a_biased_model():
    known = Context(rows(UNIFORM, 0, presumed=LONG), LONG, UNIFORM, classes=tuple("abcd"))
    names = ("prior", "sinkhorn", "logit-adjust", "temperature")
    methods = {"quota": {"head_classes": "a", "fraction": 0.25}, **{name: {} for name in names}}
    return compare(known, methods, num_rows=200, prior="uniform", num_sets=40)


def by_name(comparison):
    return {one.method: one for one in comparison.standings}


def test_bayes_rule_beats_doing_nothing_for_a_model_with_the_wrong_prior():
    found = by_name(of_a_biased_model())
    assert found["prior"].gain > 0.05
    assert found["prior"].gain_low > 0
    assert found["prior"].wins == 1
    assert "is best: +" in of_a_biased_model().verdict()


def test_doing_nothing_is_best_for_a_calibrated_model_and_the_table_says_so():
    known = Context(rows(UNIFORM, 1, count=4_000), UNIFORM, UNIFORM, classes=tuple("abcd"))
    methods = {"quota": {"head_classes": "a,b", "fraction": 0.1}, "vector": {}}
    found = compare(known, methods, num_rows=400, prior="uniform", num_sets=40)
    assert by_name(found)["quota"].gain < -0.02
    assert "doing nothing is best" in found.verdict()


def test_a_temperature_gains_nothing_in_accuracy():
    one = by_name(of_a_biased_model())["temperature"]
    assert (one.gain, one.gain_low, one.gain_high, one.wins) == (0, 0, 0, 0)


def test_a_metric_that_falls_gains_by_falling():
    evidence = rows(UNIFORM, 2)
    sharp = LabelledRows(softmax(4 * np.log(evidence.probabilities), axis=1), evidence.targets)
    known = Context(sharp, UNIFORM, UNIFORM, metric=find("logloss", "multiclass"))
    found = by_name(compare(known, ("temperature",), num_rows=200, prior="uniform", num_sets=20))
    assert found["temperature"].score < found[NONE].score
    assert found["temperature"].gain > 0.1


def test_the_same_seed_gives_the_same_table():
    known = Context(rows(UNIFORM, 0), UNIFORM, UNIFORM)
    one, two = (compare(known, ("vector",), num_rows=50, prior="", num_sets=10) for _ in "ab")
    assert one == two


def test_no_scored_row_was_fitted_to(monkeypatch):
    from comptool.postprocess.calibration import context
    from comptool.postprocess.calibration.methods import METHODS

    seen = []

    def spy(facts):
        fitted = set(facts.evidence.probabilities[:, 0].tolist())

        def apply(probabilities):
            seen.append(bool(fitted & set(probabilities[:, 0].tolist())))
            return context.nothing(facts)(probabilities)

        return apply

    monkeypatch.setattr(METHODS, "load", lambda name: spy)
    facts = Context(rows(UNIFORM, 0), UNIFORM, UNIFORM)
    compare(facts, (), num_rows=50, prior="", num_sets=20)
    assert len(seen) == 20
    assert not any(seen)


def test_test_sets_have_the_presumed_shares_not_those_of_the_evidence():
    known = Context(rows(LONG, 3), LONG, np.array([0.0, 0.0, 0.5, 0.5]))
    found = by_name(compare(known, (), num_rows=2_000, prior="", num_sets=10))
    p, y = known.evidence.probabilities, known.evidence.targets
    right = p.argmax(axis=1) == y
    expected = (right[y == 2].mean() + right[y == 3].mean()) / 2
    assert found[NONE].score == pytest.approx(expected, abs=0.05)


def test_a_class_with_one_row_cannot_be_simulated():
    evidence = LabelledRows(np.full((5, 3), 1 / 3), np.array([0, 0, 1, 1, 2]))
    with pytest.raises(UsageError, match="class numbers 2"):
        compare(Context(evidence, None, np.full(3, 1 / 3)), (), num_rows=5, prior="")


def test_the_table_can_be_read():
    lines = of_a_biased_model().text().splitlines()
    assert lines[0].startswith("accuracy on 40 test sets of 200 rows drawn from 800 out-of-fold")
    assert len(lines) == 2 + 6 + 1
    assert len({len(line.split()) for line in lines[2:8]}) == 2
