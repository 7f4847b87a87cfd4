"""BCE, sigmoid focal, ASL, distribution-balanced and poly: by hand, numpy twins, oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import timm.loss
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from comptool.errors import UsageError
from comptool.losses.sigmoid import (
    Asymmetric,
    BinaryCrossEntropy,
    DistributionBalanced,
    Poly,
    SigmoidFocal,
)
from comptool.losses.softmax import PolySoftmax

COUNTS, NUM_SAMPLES = [3, 50, 1, 20, 7], 100


def batch(seed=0, rows=6, unknown=True):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(-1 if unknown else 0, 2, (rows, 5), generator=generator)
    return logits, targets


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def mean_over_known(cell, logits, targets):
    """Mean of ``cell(logit, target, row, column)`` over the cells that are not -1."""
    values = [
        cell(logits[i, k], targets[i, k], i, k)
        for i in range(logits.shape[0])
        for k in range(logits.shape[1])
        if targets[i, k] != -1
    ]
    return sum(values) / len(values)


def test_bce_by_hand():
    logits = torch.log(torch.tensor([[0.8 / 0.2, 0.3 / 0.7, 5.0]]))
    value = BinaryCrossEntropy()(logits, torch.tensor([[1, 0, -1]]))
    assert value.item() == pytest.approx((-math.log(0.8) - math.log(0.7)) / 2, abs=1e-6)


@pytest.mark.parametrize("pos_weight", [1.0, 2.5, [1.0, 2.0, 3.0, 0.5, 4.0]])
def test_bce_is_torchs(pos_weight):
    logits, targets = batch(unknown=False)
    expected = functional.binary_cross_entropy_with_logits(
        logits, targets.double(), pos_weight=torch.as_tensor(pos_weight, dtype=torch.float64)
    )
    torch.testing.assert_close(BinaryCrossEntropy(pos_weight=pos_weight)(logits, targets), expected)


def test_the_reductions_differ_by_what_they_divide_by():
    logits, targets = batch(seed=4)
    targets[0] = -1
    total = Asymmetric(reduction="sum")(logits, targets)
    torch.testing.assert_close(Asymmetric(reduction="batchmean")(logits, targets), total / 5)
    known = (targets != -1).sum()
    torch.testing.assert_close(Asymmetric(reduction="mean")(logits, targets), total / known)


def test_smoothing_moves_every_known_target_towards_a_half():
    logits, targets = batch(unknown=False)
    smoothed = targets * 0.8 + 0.1
    for kind in (BinaryCrossEntropy, SigmoidFocal, Asymmetric, Poly):
        torch.testing.assert_close(kind(smoothing=0.2)(logits, targets), kind()(logits, smoothed))


def test_sigmoid_focal_is_torchvisions():
    logits, targets = batch(unknown=False)
    for gamma, alpha in ((2.0, 0.25), (0.0, 0.75), (3.5, None)):
        expected = sigmoid_focal_loss(
            logits, targets.double(), -1 if alpha is None else alpha, gamma, reduction="mean"
        )
        torch.testing.assert_close(
            SigmoidFocal(gamma=gamma, alpha=alpha)(logits, targets), expected
        )


def test_sigmoid_focal_is_its_formula_over_known_cells():
    logits, targets = batch(seed=1)

    def cell(s, y, i, k):
        p = sigmoid(s)
        p_t, a_t = (p, 0.3) if y else (1 - p, 0.7)
        return -a_t * (1 - p_t) ** 1.5 * np.log(p_t)

    twin = mean_over_known(cell, logits.numpy(), targets.numpy())
    value = SigmoidFocal(gamma=1.5, alpha=0.3)(logits, targets).item()
    assert value == pytest.approx(twin, rel=1e-9)


@pytest.mark.parametrize(
    ("gamma_neg", "gamma_pos", "clip"),
    [(4, 1, 0.05), (4, 0, 0.0), (0, 0, 0.0), (2.5, 0.5, 0.2)],
)
def test_asl_is_its_formula_over_known_cells(gamma_neg, gamma_pos, clip):
    logits, targets = batch(seed=2)

    def cell(s, y, i, k):
        p = sigmoid(s)
        if y:
            return -((1 - p) ** gamma_pos) * np.log(p)
        p_m = max(p - clip, 0)
        return -(p_m**gamma_neg) * np.log(1 - p_m)

    loss = Asymmetric(gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip, reduction="mean")
    twin = mean_over_known(cell, logits.numpy(), targets.numpy())
    assert loss(logits, targets).item() == pytest.approx(twin, rel=1e-9)


@pytest.mark.parametrize(
    ("gamma_neg", "gamma_pos", "clip"), [(4, 1, 0.05), (0, 0, 0), (1, 0, 0.2), (2, 3, 0)]
)
@pytest.mark.parametrize("ours, theirs", [("sum", "sum"), ("batchmean", "batchmean")])
def test_asl_is_timms_on_full_labels(gamma_neg, gamma_pos, clip, ours, theirs):
    logits, targets = batch(unknown=False)
    logits = logits.float().requires_grad_()
    loss = Asymmetric(gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip, reduction=ours)
    value = loss(logits, targets)
    expected = timm.loss.AsymmetricLossMultiLabel(
        gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip, reduction=theirs
    )(logits, targets)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        torch.autograd.grad(value, logits), torch.autograd.grad(expected, logits)
    )


def test_asl_keeps_the_gradient_of_a_positive_that_timm_gives_up():
    logits = torch.tensor([[-30.0]], requires_grad=True)
    Asymmetric()(logits, torch.tensor([[1]])).backward()
    assert logits.grad.item() == pytest.approx(-1, abs=1e-4)
    logits.grad = None
    timm.loss.AsymmetricLossMultiLabel()(logits, torch.tensor([[1]])).backward()
    assert abs(logits.grad.item()) < 1e-9


def test_without_exponents_all_are_bce():
    logits, targets = batch(seed=3)
    bce = BinaryCrossEntropy()(logits, targets)
    for loss in (
        SigmoidFocal(gamma=0, alpha=None),
        Asymmetric(gamma_neg=0, gamma_pos=0, clip=0, reduction="mean"),
        Poly(epsilon=0),
        DistributionBalanced(
            class_counts=COUNTS, num_samples=NUM_SAMPLES, alpha=0.5, beta=0, neg_scale=1,
            init_bias=0,
        ),
    ):  # fmt: skip
        torch.testing.assert_close(loss(logits, targets), bce)


@pytest.mark.parametrize(("gamma", "neg_scale", "bias"), [(0, 2, 0.05), (2, 5, 0.1), (0.5, 1, 0)])
def test_distribution_balanced_is_its_formula_over_known_cells(gamma, neg_scale, bias):
    logits, targets = batch(seed=5)
    rarity = 1 / np.array(COUNTS)
    z = logits.numpy() - bias / neg_scale * np.log(NUM_SAMPLES * rarity - 1)

    def cell(s, y, i, k):
        together = sum(rarity[j] for j in range(5) if targets[i, j] == 1)
        ratio = rarity[k] / together if together else np.inf
        r = 0.1 + sigmoid(10 * (ratio - 0.2)) if together else 1.1
        if y:
            p = sigmoid(z[i, k])
            return -r * (1 - p) ** gamma * np.log(p)
        p = sigmoid(neg_scale * z[i, k])
        return -r * p**gamma * np.log(1 - p) / neg_scale

    loss = DistributionBalanced(
        class_counts=COUNTS,
        num_samples=NUM_SAMPLES,
        neg_scale=neg_scale,
        init_bias=bias,
        gamma=gamma,
    )
    twin = mean_over_known(cell, logits.numpy(), targets.numpy())
    assert loss(logits, targets).item() == pytest.approx(twin, rel=1e-6)


def test_distribution_balanced_is_timms_on_full_labels():
    logits, targets = batch(unknown=False)
    for gamma, balance in ((0.0, 1.0), (2.0, 2.0)):
        expected = timm.loss.DistributionBalancedLoss(
            COUNTS, NUM_SAMPLES, focal_gamma=gamma, focal_balance=balance
        )(logits.float(), targets)
        loss = DistributionBalanced(class_counts=COUNTS, num_samples=NUM_SAMPLES, gamma=gamma)
        torch.testing.assert_close(balance * loss(logits.float(), targets), expected)


@pytest.mark.parametrize(
    ("epsilon", "gamma", "alpha"), [(2, 0, None), (-1, 2, 0.25), (0.5, 1.5, None)]
)
def test_poly_is_timms_and_its_formula(epsilon, gamma, alpha):
    logits, targets = batch(unknown=False)
    loss = Poly(epsilon=epsilon, gamma=gamma, alpha=alpha)
    expected = timm.loss.PolyBinaryCrossEntropy(epsilon=epsilon, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(
        loss(logits.float(), targets), expected(logits.float(), targets), rtol=1e-5, atol=1e-6
    )
    logits, targets = batch(seed=6)

    def cell(s, y, i, k):
        p_t = sigmoid(s) if y else 1 - sigmoid(s)
        a_t = 1 if alpha is None else alpha if y else 1 - alpha
        return a_t * (-((1 - p_t) ** gamma) * np.log(p_t) + epsilon * (1 - p_t) ** (gamma + 1))

    twin = mean_over_known(cell, logits.numpy(), targets.numpy())
    assert loss(logits, targets).item() == pytest.approx(twin, rel=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("epsilon", [2.0, -1.0, 0.0])
def test_poly_softmax_is_timms(epsilon, smoothing):
    logits, _ = batch()
    indices = torch.tensor([0, 4, 2, 2, 1, 3])
    loss = PolySoftmax(epsilon=epsilon, smoothing=smoothing)
    expected = timm.loss.PolyCrossEntropy(epsilon=epsilon, smoothing=smoothing)
    value = loss(logits.float(), indices)
    torch.testing.assert_close(value, expected(logits.float(), indices))
    one_hot = functional.one_hot(indices, 5).float()
    torch.testing.assert_close(loss(logits.float(), one_hot), value)
    if epsilon == 0:
        cross_entropy = functional.cross_entropy(logits.float(), indices, label_smoothing=smoothing)
        torch.testing.assert_close(value, cross_entropy)


def test_poly_softmax_is_differentiable_and_finite():
    targets = torch.tensor([0, 4, 2, 2, 1, 3])
    at = batch()[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: PolySoftmax()(x, targets), at)
    huge = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], dtype=torch.float16, requires_grad=True)
    PolySoftmax()(huge, torch.tensor([0, 0])).backward()
    assert huge.grad.isfinite().all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SigmoidFocal(gamma=-1), "gamma is -1; it has to be 0 or more, and finite"),
        (lambda: SigmoidFocal(gamma=math.nan), "gamma is nan; it has to be 0 or more, and finite"),
        (lambda: SigmoidFocal(alpha=1.5), "alpha is 1.5; it has to be in [0, 1]"),
        (lambda: Asymmetric(clip=1), "clip is 1; it has to be in [0, 1)"),
        (lambda: Asymmetric(gamma_neg=-1), "gamma_neg is -1; it has to be 0 or more, and finite"),
        (lambda: Asymmetric(smoothing=1), "the label smoothing is 1; it has to be in [0, 1)"),
        (lambda: Poly(epsilon=-2), "epsilon is -2; it has to be -1 or more, and finite"),
        (
            lambda: BinaryCrossEntropy(reduction="batch"),
            "no reduction is called 'batch'; did you mean 'batchmean', 'mean' or 'sum'?",
        ),
        (
            lambda: BinaryCrossEntropy(pos_weight=[1, 0]),
            "pos_weight has to be a positive, finite number, or one such number per class",
        ),
        (
            DistributionBalanced,
            "the loss 'distribution-balanced' needs class_counts and num_samples",
        ),
        (
            lambda: DistributionBalanced(class_counts=[5, 101], num_samples=100),
            "class_counts have to be one number per class, each in [0, num_samples], and "
            "num_samples (got 100) one number or one per class",
        ),
        (
            lambda: DistributionBalanced(class_counts=[5, 1], num_samples=100, neg_scale=0),
            "neg_scale is 0; it has to be above 0",
        ),
    ],
)
def test_values_out_of_range_are_refused(build, message):
    with pytest.raises(UsageError) as error:
        build()
    assert str(error.value) == message


def test_counts_of_other_classes_are_refused():
    loss = DistributionBalanced(class_counts=[5, 1], num_samples=100)
    with pytest.raises(ValueError, match="2 class counts for 3 classes"):
        loss(torch.zeros(1, 3), torch.zeros(1, 3))
