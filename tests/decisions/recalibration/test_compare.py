"""Comparisons on simulated test sets: what has to win wins, doing nothing where nothing helps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import softmax

from comptool.errors import UsageError
from comptool.metrics import find
from comptool.postprocess.calibration.compare import NONE, Noise, compare
from comptool.postprocess.calibration.context import CalibrationContext as Context
from comptool.postprocess.calibration.context import LabelledRows
from comptool.postprocess.calibration.methods import METHODS

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
    assert "is best: the expected gain over" in of_a_biased_model().verdict()


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


def biased(seed=0, count=800):
    """A model with the wrong prior; its rows are equally frequent, and the training shares long."""
    return Context(rows(UNIFORM, seed, count=count, presumed=LONG), LONG, UNIFORM)


def test_the_expected_gain_is_surer_than_that_of_one_small_test_set():
    one = by_name(compare(biased(), {"prior": {}}, num_rows=40, prior="", num_sets=100))["prior"]
    assert one.gain_low < one.expected_low < one.gain < one.expected_high < one.gain_high
    assert one.risk < 1e-3


def test_the_expected_gain_is_less_sure_of_few_rows():
    few, many = (
        by_name(compare(biased(count=n), {"prior": {}}, num_rows=400, prior="", num_sets=40))[
            "prior"
        ]
        for n in (60, 3_000)
    )
    assert few.expected_high - few.expected_low > 3 * (many.expected_high - many.expected_low)


def test_intervals_of_expected_gains_hold_what_they_promise():
    """Of 30 models, the mean over many rows has to be in nearly all intervals of 95 %."""
    truth = rows(UNIFORM, 10_000, count=60_000, presumed=LONG)
    apply = METHODS.load("prior")(Context(None, LONG, UNIFORM))
    accuracy = find("accuracy", "multiclass")
    gain = accuracy.score(truth.targets, apply(truth.probabilities).probabilities)
    gain -= accuracy.score(truth.targets, truth.probabilities)
    inside = 0
    for seed in range(30):
        found = compare(
            biased(seed, 300), {"prior": {}}, num_rows=300, prior="", num_sets=40, seed=seed
        )
        one = by_name(found)["prior"]
        inside += one.expected_low <= gain <= one.expected_high
    # With a rate of 0.95, fewer than 26 of 30 have a chance of 1 %.
    assert inside >= 26


def test_the_choice_is_the_greatest_expected_gain_whose_risk_is_accepted():
    found = of_a_biased_model()
    nothing = by_name(found)[NONE]
    standings = tuple(
        replace(nothing, method=name, gain=gain, risk=risk)
        for name, gain, risk in (("a", 0.05, 0.3), ("b", 0.04, 0.1), ("c", 0.03, 0.01))
    )
    table = replace(found, standings=(*standings, nothing), noise=None, risk=0.2)
    picks = [table.choice(risk).method for risk in (0.5, 0.3, 0.2, 0.05, 0.0)]
    assert picks == ["a", "a", "b", "c", NONE]
    assert table.verdict() == (
        "if the test classes are uniform, b is best: the expected gain over doing nothing is "
        "+0.0400 (+0.0000 to +0.0000), with a risk of harm of 10%; a has a greater expected gain "
        "(+0.0500), but a risk of harm of 30%"
    )
    assert replace(table, risk=0.0).verdict() == (
        "if the test classes are uniform, doing nothing is best: the expected gain of a, the best "
        "of the others, is +0.0500 (+0.0000 to +0.0000), with a risk of harm of 30%, more than "
        "--risk (0%)"
    )


def test_a_method_of_too_much_risk_is_not_called_level():
    nothing = by_name(of_a_biased_model())[NONE]
    standings = tuple(
        replace(nothing, method=name, gain=gain, risk=risk, instead=instead)
        for name, gain, risk, instead in (
            ("a", 0.05, 0.3, -0.4), ("b", 0.04, 0.1, -0.2), ("c", 0.039, 0.01, -0.1),
        )
    )  # fmt: skip
    gains = {"b": np.array([0.03, 0.05]), "c": np.array([0.05, 0.03])}
    table = replace(
        of_a_biased_model(), standings=(*standings, nothing), risk=0.2, other="long",
        gains=gains, noise=Noise(np.array([0, 1]), 1.0),
    )  # fmt: skip
    assert table.choice().method == "c"
    assert table.verdict().endswith(
        "with a risk of harm of 1%; a has a greater expected gain (+0.0500), but a risk of harm of "
        "30%; b is level (+0.0400) and costs more if the shares are long (-0.2000 against -0.1000)"
    )


def test_of_level_methods_the_one_that_loses_least_under_other_shares_is_chosen():
    known = biased(count=400)
    lines = {name: {} for name in ("sinkhorn", "prior", "prior estimated", "quota-optimal")}
    found = compare(known, lines, num_rows=400, prior="equal", num_sets=40, other=(LONG, "long"))
    standings = by_name(found)
    # The shares that are presumed are wrong by far; estimated ones follow the test set.
    assert standings["sinkhorn"].instead < standings["prior"].instead < -0.1
    assert standings["prior estimated"].instead > standings["prior"].instead / 2
    assert standings["prior estimated"].gain < standings["sinkhorn"].gain
    assert found.choice().method == "prior estimated"
    assert "costs more if the shares are long (" in found.verdict()
    alone = compare(known, {"sinkhorn": {}}, num_rows=400, prior="equal", num_sets=40,
                    other=(LONG, "long"))  # fmt: skip
    lost = -by_name(alone)["sinkhorn"].instead
    assert alone.warning() == (
        f"if the test classes are long instead, sinkhorn loses {lost:.4f} against doing nothing"
    )
    assert alone.text().splitlines()[-1] == f"warning: {alone.warning()}"
    assert alone.text().splitlines()[1].endswith("  if long instead")


def test_without_other_shares_there_is_no_column_and_no_warning():
    found = of_a_biased_model()
    assert found.warning() == ""
    assert "instead" not in found.text()
    assert all(one.instead is None for one in found.standings)


def test_sets_of_uncertain_shares_punish_what_presumes_them():
    known = Context(rows(UNIFORM, 4, count=1_500, presumed=LONG), LONG, UNIFORM)
    wide = [np.array([0.7, 0.1, 0.1, 0.1]), np.array([0.1, 0.1, 0.1, 0.7])]
    lines = {"sinkhorn": {}, "prior estimated": {}}
    sure = compare(known, lines, num_rows=300, prior="", num_sets=20)
    unsure = compare(known, lines, num_rows=300, prior="", num_sets=20, replicates=wide)
    lost = by_name(sure)["sinkhorn"].score - by_name(unsure)["sinkhorn"].score
    assert lost > 0.1
    assert by_name(unsure)["prior estimated"].gain > by_name(unsure)["sinkhorn"].gain


def test_the_noise_of_a_mean_is_that_of_the_rows_behind_it():
    rng = np.random.default_rng(0)
    # 100 rows of deviation 1: the mean has an error of 0.1. Ten sets of each half of 5 splits.
    errors = []
    for _ in range(50):
        own, values, pairs = rng.normal(0, 1, 100), [], []
        for split in range(5):
            order = rng.permutation(100)
            for side, half in enumerate((order[:50], order[50:])):
                values += [rng.choice(own[half], 200).mean() for _ in range(10)]
                pairs += [2 * split + side] * 10
        errors.append(Noise(np.array(pairs), 200 / 100).error(np.array(values)))
    # The greater of two estimates is somewhat too large.
    assert 0.09 < np.mean(errors) < 0.14


def test_the_table_can_be_read():
    lines = of_a_biased_model().text().splitlines()
    assert lines[0].startswith("accuracy on 40 test sets of 200 rows drawn from 800 out-of-fold")
    assert len(lines) == 2 + 6 + 1
    assert len({len(line.split()) for line in lines[2:8]}) == 2
