"""The partial asymmetric loss against a twin written row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.errors import UsageError
from comptool.losses.sigmoid import Asymmetric, BinaryCrossEntropy, PartialAsymmetric

MODES = ["negative", "ignore", "ignore-normalize", "selective"]


def batch(seed=0, rows=6, classes=5):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(-1, 2, (rows, classes), generator=generator)


def weights_in_numpy(p, y, mode, topk, prior, threshold):
    """The weight of every cell, as the definition counts them out."""
    weights = np.ones(y.shape)
    if mode == "ignore":
        weights[y == -1] = 0
    if mode == "ignore-normalize":
        for i, row in enumerate(y):
            weights[i] = 1 / (1 + sum(row != -1)) + 1
            weights[i, row == -1] = 0
    if mode == "selective":
        if prior is not None:
            for k in range(y.shape[1]):
                if prior[k] > threshold:
                    weights[y[:, k] == -1, k] = 0
        unannotated = [(p[i, k], i, k) for i, k in zip(*np.nonzero(y == -1), strict=True)]
        for _, i, k in sorted(unannotated, reverse=True)[: topk * len(y)]:
            weights[i, k] = 0
    return weights


def sum_in_numpy(logits, targets, weights, gammas, alphas, clip):
    total = 0.0
    for (i, k), s in np.ndenumerate(logits):
        p = 1 / (1 + np.exp(-s))
        which = {1: 0, 0: 1, -1: 2}[targets[i, k]]
        p_t = p if which == 0 else min(1 - p + clip, 1)
        total -= weights[i, k] * alphas[which] * (1 - p_t) ** gammas[which] * np.log(p_t)
    return total


@pytest.mark.parametrize(
    ("mode", "prior"),
    [*((mode, None) for mode in MODES), ("selective", [0.01, 0.2, 0.05, 0.051, 0.9])],
)
@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("topk", [0, 1, 5])
def test_it_equals_the_twin(mode, prior, clip, topk):
    logits, targets = batch()
    gammas, alphas = (1.0, 0.5, 3.0), (1.0, 2.0, 0.5)
    loss = PartialAsymmetric(
        mode=mode, gamma_pos=gammas[0], gamma_neg=gammas[1], gamma_unann=gammas[2],
        alpha_pos=alphas[0], alpha_neg=alphas[1], alpha_unann=alphas[2],
        clip=clip, likelihood_topk=topk, prior=prior, reduction="sum",
    )  # fmt: skip
    p = 1 / (1 + np.exp(-logits.numpy()))
    weights = weights_in_numpy(p, targets.numpy(), mode, topk, prior, 0.05)
    twin = sum_in_numpy(logits.numpy(), targets.numpy(), weights, gammas, alphas, clip)
    assert loss(logits, targets).item() == pytest.approx(twin, rel=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_the_mean_is_over_the_images_with_a_counted_cell(mode):
    logits, targets = batch(rows=4)
    targets[0] = -1
    total = PartialAsymmetric(mode=mode, likelihood_topk=1, reduction="sum")(logits, targets)
    mean = PartialAsymmetric(mode=mode, likelihood_topk=1)(logits, targets)
    rows = 3 if mode.startswith("ignore") else 4
    torch.testing.assert_close(mean, total / rows)


def test_ignoring_with_gamma_one_is_bce_weighted_by_the_other_side():
    # What the AICOSS solution trained with, on tables without -1.
    logits, targets = batch()
    targets = targets.clamp(min=0)
    p = torch.sigmoid(logits)
    weighted = torch.where(targets == 1, (1 - p) * -p.log(), p * -(1 - p).log())
    for mode in MODES:
        value = PartialAsymmetric(mode=mode, reduction="mean")(logits, targets)
        factor = 1 + 1 / 6 if mode == "ignore-normalize" else 1
        torch.testing.assert_close(value, factor * weighted.mean())


def test_without_exponents_it_is_bce_over_the_counted_cells():
    logits, targets = batch()
    flat = {"gamma_pos": 0, "gamma_neg": 0, "gamma_unann": 0, "reduction": "mean"}
    ignored = PartialAsymmetric(mode="ignore", **flat)(logits, targets)
    torch.testing.assert_close(ignored, BinaryCrossEntropy()(logits, targets))
    negative = PartialAsymmetric(mode="negative", **flat)(logits, targets)
    torch.testing.assert_close(negative, BinaryCrossEntropy()(logits, targets.clamp(min=0)))


def test_negative_with_one_exponent_takes_an_unannotated_cell_for_a_zero():
    logits, targets = batch()
    loss = PartialAsymmetric(mode="negative", gamma_neg=2, gamma_unann=2)
    torch.testing.assert_close(loss(logits, targets), loss(logits, targets.clamp(min=0)))


def test_the_value_of_ignore_is_that_of_asl_and_its_focus_carries_no_gradient():
    logits, targets = batch()
    logits = logits.requires_grad_()
    partial = PartialAsymmetric(mode="ignore", gamma_pos=1, gamma_neg=4, clip=0.05)
    full = Asymmetric(gamma_pos=1, gamma_neg=4, clip=0.05)
    torch.testing.assert_close(partial(logits, targets), full(logits, targets))
    gradient = torch.autograd.grad(partial(logits, targets), logits)[0]
    p = torch.sigmoid(logits.detach())
    rows = (targets != -1).any(1).sum()
    of_positives = -((1 - p) * (1 - p)) / rows  # focus (1 - p) times d(-log p)/ds = -(1 - p)
    torch.testing.assert_close(gradient[targets == 1], of_positives[targets == 1])
    other = torch.autograd.grad(full(logits, targets), logits)[0]
    assert not torch.allclose(gradient, other)


def test_selective_leaves_out_the_likeliest_of_the_whole_batch():
    # Two images, one cell each to leave out: both go to the first image, which is likelier.
    logits = torch.tensor([[3.0, 2.0, -1.0], [1.0, 0.0, -2.0]], requires_grad=True)
    targets = torch.tensor([[-1, -1, 0], [-1, 1, -1]])
    PartialAsymmetric(likelihood_topk=1)(logits, targets).backward()
    assert (logits.grad != 0).tolist() == [[False, False, True], [True, True, True]]


def test_the_likeliest_are_counted_among_frequent_classes_too():
    # Class 0 is left out by its prior, and its cells still take the places of the likeliest.
    logits = torch.tensor([[3.0, 2.0, -1.0], [4.0, 0.0, -2.0]], requires_grad=True)
    targets = torch.tensor([[-1, -1, 0], [-1, 1, -1]])
    PartialAsymmetric(likelihood_topk=1, prior=[0.5, 0.01, 0.01])(logits, targets).backward()
    assert (logits.grad != 0).tolist() == [[False, True, True], [False, True, True]]


def test_annotated_cells_of_a_frequent_class_count():
    logits = torch.zeros(2, 1, requires_grad=True)
    PartialAsymmetric(prior=[0.9])(logits, torch.tensor([[1], [0]])).backward()
    assert (logits.grad != 0).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), topk=st.integers(0, 4))
def test_selecting_lies_between_ignoring_and_negative(seed, topk):
    logits, targets = batch(seed)
    low, middle, high = (
        PartialAsymmetric(mode=mode, likelihood_topk=topk, reduction="sum")(logits, targets).item()
        for mode in ("ignore", "selective", "negative")
    )
    assert low <= middle + 1e-9
    assert middle <= high + 1e-9
    if topk == 0:
        assert middle == pytest.approx(high)
    if topk * len(targets) >= (targets == -1).sum():
        assert middle == pytest.approx(low)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_the_order_of_images_and_classes_is_without_effect(seed):
    logits, targets = batch(seed)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randperm(6, generator=generator), torch.randperm(5, generator=generator)
    loss = PartialAsymmetric(likelihood_topk=1)
    moved = loss(logits[rows][:, columns], targets[rows][:, columns])
    torch.testing.assert_close(moved, loss(logits, targets))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"mode": "ignor"},
            "no mode is called 'ignor'; did you mean 'ignore', 'ignore-normalize' or 'negative'?",
        ),
        (
            {"mode": "ignore", "prior": [0.1]},
            "a prior has no meaning with mode 'ignore'; it is for 'selective'",
        ),
        ({"prior": [0.1, 1.2]}, "a prior has to be one number per class, each in [0, 1]"),
        ({"prior": [0.1, math.nan]}, "a prior has to be one number per class, each in [0, 1]"),
        ({"prior": [[0.1]]}, "a prior has to be one number per class, each in [0, 1]"),
        (
            {"likelihood_topk": -1},
            "likelihood_topk is -1; it has to be 0 or more, and finite",
        ),
        ({"prior_threshold": 2}, "prior_threshold is 2; it has to be in [0, 1]"),
        ({"gamma_unann": -1}, "gamma_unann is -1; it has to be 0 or more, and finite"),
        ({"alpha_unann": math.inf}, "alpha_unann is inf; it has to be 0 or more, and finite"),
        ({"clip": 1.0}, "clip is 1.0; it has to be in [0, 1)"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        PartialAsymmetric(**options)
    assert str(error.value) == message


def test_a_prior_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="the prior has 2 classes, not 3"):
        PartialAsymmetric(prior=[0.1, 0.2])(torch.zeros(1, 3), torch.zeros(1, 3))
