"""The recalibrations by their laws, and against scikit-learn and computations by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from comptool.errors import UsageError
from comptool.metrics import find, multiclass
from comptool.postprocess.calibration.context import CalibrationContext as Context
from comptool.postprocess.calibration.context import LabelledRows, in_shares
from comptool.postprocess.calibration.label_shift import estimated_shares
from comptool.postprocess.calibration.methods import CELL_METHODS, METHODS
from comptool.postprocess.calibration.scaling import best_temperature, best_vector

SEEDS = st.integers(0, 10_000)
EVERY = [method.name for method in METHODS if not method.grouped]


def drawn(rows, shares, seed, *, sharpness=1.0):
    """Rows of classes in these shares, and calibrated probabilities under equal shares."""
    rng = np.random.default_rng(seed)
    classes = len(shares)
    targets = np.concatenate([np.arange(classes), rng.choice(classes, rows - classes, p=shares)])
    logits = rng.normal(0, 1, (rows, classes)) + 2 * np.eye(classes)[targets]
    # Gaussian features of distance 2: the logits times 2 are the log-likelihoods.
    return LabelledRows(softmax(2 * sharpness * logits, axis=1), targets)


def options(name, head="0,1"):
    """Head classes for the methods that take them."""
    return {"head_classes": head} if "head_classes" in METHODS.find(name).takes else {}


def metric(name):
    """The metric of methods that answer by its costs."""
    costs = {"cost": (1 - np.eye(4)).tolist()}
    return (
        {"metric": find("expected-cost", "multiclass", costs)} if METHODS.find(name).costs else {}
    )


def known(seed=0, classes=4, **changes):
    uniform = np.full(classes, 1 / classes)
    evidence = drawn(400, uniform, seed)
    facts = {"evidence": evidence, "presumed": uniform, "target": uniform}
    facts["classes"] = tuple(map(str, range(classes)))
    return Context(**{**facts, **changes})


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, rows=st.integers(4, 60), dtype=st.sampled_from([np.float32, np.float64]))
def test_rows_sum_to_one_and_every_row_has_a_class(name, seed, rows, dtype):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(4, 0.2), rows).astype(dtype)
    answer = METHODS.load(name)(known(seed, **metric(name)), **options(name))(p)
    np.testing.assert_allclose(answer.probabilities.sum(axis=1), 1, atol=1e-9)
    assert ((answer.probabilities >= 0) & (answer.probabilities <= 1)).all()
    assert answer.labels.shape == (rows,)
    assert ((answer.labels >= 0) & (answer.labels < 4)).all()


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_permuting_rows_permutes_the_answers(name, seed):
    p = drawn(80, [0.4, 0.3, 0.2, 0.1], seed + 1).probabilities
    order = np.random.default_rng(seed).permutation(80)
    apply = METHODS.load(name)(known(seed, **metric(name)), **options(name))
    one, other = apply(p), apply(p[order])
    np.testing.assert_allclose(other.probabilities, one.probabilities[order], atol=1e-6)
    np.testing.assert_array_equal(other.labels, one.labels[order])


@pytest.mark.parametrize(
    "name", [m.name for m in METHODS if m.name in EVERY and m.name != "quota" and not m.ordered]
)
@settings(max_examples=4, deadline=None)
@given(seed=SEEDS)
def test_permuting_classes_permutes_the_answers(name, seed):
    p = drawn(80, [0.4, 0.3, 0.2, 0.1], seed + 1).probabilities
    order = np.random.default_rng(seed).permutation(4)
    place = np.argsort(order)
    one = known(seed, **metric(name))
    other = Context(
        LabelledRows(one.evidence.probabilities[:, order], place[one.evidence.targets]),
        one.presumed,
        one.target,
        classes=one.classes,
        metric=one.metric,
    )
    heads = ",".join(str(place[index]) for index in (0, 1))
    first = METHODS.load(name)(one, **options(name))(p)
    second = METHODS.load(name)(other, **options(name, heads))(p[:, order])
    np.testing.assert_allclose(second.probabilities, first.probabilities[:, order], atol=1e-3)
    assert (order[second.labels] == first.labels).mean() > 0.97


@settings(deadline=None)
@given(SEEDS)
def test_the_training_prior_is_the_identity_of_prior(seed):
    shares = np.random.default_rng(seed).dirichlet(np.ones(5)) * 0.9 + 0.02
    p = np.random.default_rng(seed + 1).dirichlet(np.ones(5), 20)
    answer = METHODS.load("prior")(Context(presumed=shares, target=shares))(p)
    np.testing.assert_allclose(answer.probabilities, p, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.05, 20))
def test_temperature_keeps_every_answer(seed, sharpness):
    evidence = drawn(60, np.full(3, 1 / 3), seed, sharpness=sharpness)
    p = np.random.default_rng(seed).dirichlet(np.full(3, 0.1), 50)
    answer = METHODS.load("temperature")(Context(evidence))(p)
    np.testing.assert_array_equal(answer.labels, p.argmax(axis=1))


def test_a_temperature_is_found_again():
    evidence = drawn(20_000, np.full(4, 0.25), 0, sharpness=2.5)
    assert best_temperature(evidence) == pytest.approx(2.5, rel=0.03)


def test_vector_scaling_finds_scales_and_shifts_again():
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(0, 2, (40_000, 3)), axis=1)
    scales, shifts = np.array([1.5, 0.5, 1.0]), np.array([0.4, -0.2, 0.0])
    truth = softmax(np.log(p) * scales + shifts, axis=1)
    targets = (truth.cumsum(axis=1) < rng.random((40_000, 1))).sum(axis=1)
    found_scales, found_shifts = best_vector(LabelledRows(p, targets))
    np.testing.assert_allclose(found_scales, scales, atol=0.05)
    np.testing.assert_allclose(found_shifts - found_shifts[2], shifts, atol=0.1)


def test_a_class_without_rows_stays_finite_and_rare():
    evidence = drawn(200, [0.5, 0.5], 0)
    wider = np.column_stack([evidence.probabilities * 0.999, np.full(200, 0.001)])
    evidence = LabelledRows(wider, evidence.targets)
    scales, shifts = best_vector(evidence)
    assert np.isfinite([scales, shifts]).all()
    answer = METHODS.load("vector")(Context(evidence))(wider)
    assert answer.probabilities[:, 2].max() < 0.01


def test_isotonic_curves_are_those_of_scikit_learn():
    from sklearn.isotonic import IsotonicRegression

    from comptool.postprocess.calibration.scaling import curve

    rng = np.random.default_rng(0)
    p = np.round(rng.random(500), 2)
    truth = rng.random(500) < p**2
    ours = np.interp(np.linspace(0, 1, 999), *curve(p, truth))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p, truth).predict(np.linspace(0, 1, 999))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_shares_of_a_test_set_are_found_again():
    shares = np.array([0.55, 0.25, 0.15, 0.05])
    test = drawn(20_000, shares, 1)
    found, _ = estimated_shares(test.probabilities, np.full(4, 0.25))
    np.testing.assert_allclose(found, shares, atol=0.02)


def test_a_known_prior_is_better_than_none_and_close_to_an_estimated_one():
    shares = np.array([0.7, 0.2, 0.06, 0.04])
    test = drawn(5_000, shares, 2)
    uniform = np.full(4, 0.25)
    accuracy = {
        "none": multiclass.accuracy(test.targets, test.probabilities),
        "given": multiclass.accuracy(
            test.targets,
            METHODS.load("prior")(Context(None, uniform, shares))(test.probabilities).probabilities,
        ),
        "found": multiclass.accuracy(
            test.targets,
            METHODS.load("prior")(Context(None, uniform))(test.probabilities).probabilities,
        ),
    }
    assert accuracy["given"] > accuracy["none"] + 0.02
    assert accuracy["found"] == pytest.approx(accuracy["given"], abs=0.005)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(2, 80))
def test_sinkhorn_has_the_shares_that_it_was_told(seed, rows):
    rng = np.random.default_rng(seed)
    target = rng.dirichlet(np.ones(4)) * 0.9 + 0.025
    p = rng.dirichlet(np.full(4, 0.5), rows)
    answer = METHODS.load("sinkhorn")(Context(target=target))(p)
    np.testing.assert_allclose(answer.probabilities.mean(axis=0), target, atol=1e-6)


def test_logit_adjustment_undoes_the_training_prior():
    train, uniform = np.array([0.85, 0.09, 0.06]), np.full(3, 1 / 3)
    evidence = drawn(6_000, uniform, 0)
    biased = evidence.probabilities * train
    biased /= biased.sum(axis=1, keepdims=True)
    adjust = METHODS.load("logit-adjust")(
        Context(LabelledRows(biased, evidence.targets), train, uniform)
    )
    answer = adjust(biased)
    assert answer.facts["tau"] == pytest.approx(1, abs=0.25)
    assert (answer.labels == evidence.targets).mean() > (
        biased.argmax(axis=1) == evidence.targets
    ).mean() + 0.05


def test_logit_adjustment_goes_towards_the_presumed_shares():
    uniform, target = np.full(3, 1 / 3), np.array([0.85, 0.09, 0.06])
    evidence, test = drawn(3_000, uniform, 0), drawn(3_000, target, 1)
    answer = METHODS.load("logit-adjust")(Context(evidence, uniform, target))(test.probabilities)
    plain = test.probabilities.argmax(axis=1)
    assert (answer.labels == test.targets).mean() > (plain == test.targets).mean() + 0.03


def test_evidence_is_brought_into_the_presumed_shares():
    targets = np.repeat([0, 1, 2], [70, 20, 10])
    rows = in_shares(targets, np.array([0.2, 0.2, 0.6]))
    assert np.bincount(targets[rows]).tolist() == [20, 20, 60]
    assert np.unique(rows[targets[rows] == 2], return_counts=True)[1].tolist() == [6] * 10


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("temperature", "fitted on out-of-fold rows"),
        ("isotonic", "fitted on out-of-fold rows"),
        ("sinkhorn", "--target-prior"),
        ("quota", "training images of each class is not known. Name the head classes"),
        ("prior", "the class shares of the training rows are not known"),
        ("quota-optimal", "no class has a quota"),
    ],
)
def test_what_is_not_known_is_asked_for(name, missing):
    with pytest.raises(UsageError, match=missing):
        METHODS.load(name)(Context())


def test_a_training_share_of_zero_is_refused():
    with pytest.raises(UsageError, match="1 classes have no training row"):
        METHODS.load("prior")(Context(presumed=np.array([1.0, 0.0])))


def test_an_entry_names_the_options_of_its_method():
    for method in (*METHODS, *CELL_METHODS):
        assert list(method.takes) == method.option_names(), method.name
