"""Losses for long tails: margins, frequencies, weights that wait, classes left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from comptool import losses, models
from comptool.errors import UsageError
from comptool.losses.wrappers import DeferredWeights, WithoutClasses, begin_epoch

COUNTS = [5000, 400, 16]
LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3], [-3.0, 1.0, 4.0], [0.0, 0.0, 0.0]])
TARGETS = torch.tensor([0, 2, 1, 1])
SHARES = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0], [0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])


def entropies(logits, targets):
    """Cross-entropy of every row in numpy."""
    logits = np.asarray(logits, dtype=np.float64)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return -np.log(exponents / exponents.sum(axis=1, keepdims=True))[range(len(logits)), targets]


# LDAM


def test_the_margin_of_a_class_follows_the_fourth_root_of_its_count():
    loss = losses.create("ldam", class_counts=COUNTS)
    expected = [0.5 * (16 / count) ** 0.25 for count in COUNTS]
    assert loss.margins.tolist() == pytest.approx(expected)
    assert losses.create("ldam", class_counts=[0, 16]).margins.tolist() == [0.5, 0.25]


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 1.8]])
def test_ldam_of_scaled_cosines_is_that_of_the_paper(weights):
    """Equation 13 in numpy: s times the cosine less the margin, in the softmax."""
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-1, 1, (6, 3))
    targets = rng.integers(0, 3, 6)
    margins = 0.5 / np.array(COUNTS) ** 0.25 * min(COUNTS) ** 0.25
    shifted = cosines.copy()
    shifted[range(6), targets] -= margins[targets]
    rows = entropies(30 * shifted, targets)
    weight = np.ones(6) if weights is None else np.array(weights)[targets]
    loss = losses.create("ldam", class_counts=COUNTS, class_weights=weights)
    found = loss(torch.tensor(30 * cosines), torch.tensor(targets))
    assert found.item() == pytest.approx((weight * rows).sum() / weight.sum(), rel=1e-9)


def test_a_sample_of_several_classes_has_each_margin_in_its_share():
    loss = losses.create("ldam", class_counts=COUNTS, scale=2.0)
    expected = functional.cross_entropy(LOGITS - 2 * SHARES * loss.margins, SHARES)
    torch.testing.assert_close(loss(LOGITS, SHARES), expected)
    onehot = functional.one_hot(TARGETS, 3).float()
    torch.testing.assert_close(loss(LOGITS, onehot), loss(LOGITS, TARGETS))


def test_without_a_margin_it_is_cross_entropy():
    loss = losses.create("ldam", class_counts=COUNTS, max_margin=0.0, smoothing=0.1)
    plain = losses.create("ce", smoothing=0.1)
    torch.testing.assert_close(loss(LOGITS, TARGETS), plain(LOGITS, TARGETS))


def test_the_cosine_head_gives_the_logits_that_ldam_is_made_for():
    model = models.create("test_resnet+cosine", 3)
    loss = losses.create("ldam", class_counts=COUNTS)
    assert model.classifier.scale == loss.scale
    with torch.no_grad():
        assert model(torch.rand(4, 3, 32, 32)).abs().max() <= 30


# Frequencies


def test_balanced_softmax_is_the_softmax_weighed_by_the_counts():
    """Equation 3 of Ren et al. in numpy."""
    weighed = np.array(COUNTS) * np.exp(LOGITS.double().numpy())
    rows = -np.log(weighed / weighed.sum(axis=1, keepdims=True))[range(4), TARGETS]
    loss = losses.create("balanced-softmax", class_counts=COUNTS)
    assert loss(LOGITS, TARGETS).item() == pytest.approx(rows.mean(), rel=1e-6)


def test_the_best_logits_are_those_of_the_balanced_posterior():
    """Where features tell nothing, all classes come out equally probable."""
    counts = [80, 15, 5]
    logits = torch.zeros(1, 3, requires_grad=True)
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    loss = losses.create("balanced-softmax", class_counts=counts)
    loss(logits.expand(100, 3), targets).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(1, 3), rtol=0, atol=1e-6)


def test_a_tau_scales_the_adjustment():
    offsets = torch.log(torch.tensor(COUNTS) / sum(COUNTS))
    plain = losses.create("ce", smoothing=0.1)
    for tau in (0.0, 0.5, 2.0):
        balanced = losses.create("balanced-softmax", class_counts=COUNTS, tau=tau, smoothing=0.1)
        torch.testing.assert_close(
            balanced(LOGITS, TARGETS), plain(LOGITS + tau * offsets, TARGETS)
        )


# Both, in the laws of every loss


@pytest.mark.parametrize("name", ["ldam", "balanced-softmax"])
def test_half_precision_costs_no_precision_and_gradients_are_right(name):
    loss = losses.create(name, class_counts=COUNTS, smoothing=0.1)
    for half in (LOGITS.half(), LOGITS.bfloat16()):
        assert loss(half, TARGETS).dtype == torch.float32
        torch.testing.assert_close(loss(half, TARGETS), loss(half.float(), TARGETS))
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(loss(half, TARGETS), loss(half.float(), TARGETS))
    double = LOGITS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: loss(logits, TARGETS), double, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ldam", {}, "the loss 'ldam' needs class_counts, the training rows of each class"),
        (
            "balanced-softmax",
            {},
            "the loss 'balanced-softmax' needs class_counts, the training rows of each class",
        ),
        (
            "ldam",
            {"class_counts": [3, -1]},
            "class_counts have to be one number per class, 0 or more, for the loss 'ldam'",
        ),
        (
            "ldam",
            {"class_counts": [3], "max_margin": -1.0},
            "max_margin is -1.0; it has to be 0 or more, and finite",
        ),
        (
            "ldam",
            {"class_counts": [3], "scale": 0.0},
            "scale is 0.0; it has to be above 0, and finite",
        ),
        (
            "balanced-softmax",
            {"class_counts": [3], "tau": math.nan},
            "tau is nan; it has to be 0 or more, and finite",
        ),
    ],
)
def test_values_out_of_range_are_refused(name, options, message):
    with pytest.raises(UsageError) as error:
        losses.create(name, **options)
    assert str(error.value) == message


# Weights that wait


@pytest.mark.parametrize("name", ["ce", "focal", "ldam", "balanced-softmax"])
def test_deferred_weights_act_from_their_epoch_on(name):
    weights = [0.2, 0.8, 2.0]
    counts = {"class_counts": COUNTS} if name in ("ldam", "balanced-softmax") else {}
    plain = losses.create(name, **counts)
    weighed = losses.create(name, **counts, class_weights=weights)
    loss = DeferredWeights(losses.create(name, **counts), weights, 3)
    for epoch, expected in ((0, plain), (2, plain), (3, weighed), (9, weighed), (1, plain)):
        begin_epoch(torch.nn.ModuleList([loss]), epoch)  # however deep it is
        torch.testing.assert_close(loss(LOGITS, TARGETS), expected(LOGITS, TARGETS))
    assert not torch.equal(plain(LOGITS, TARGETS), weighed(LOGITS, TARGETS))


def test_a_loss_without_class_weights_has_none_to_defer():
    with pytest.raises(UsageError) as error:
        DeferredWeights(losses.create("poly-softmax"), [1.0, 2.0], 1)
    assert str(error.value) == "the loss PolySoftmax takes no class weights to defer"


# Classes left out


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("targets", [torch.tensor([1, 2, 1, 3]), torch.tensor(
    [[0, 0.3, 0.7, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0.5, 0.5, 0]])])  # fmt: skip
def test_dropped_logits_have_no_part_in_the_loss(targets, smoothing):
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = WithoutClasses(losses.create("ce", smoothing=smoothing), [0], 4)
    found = loss(logits, targets)
    smaller = targets[:, 1:] if targets.ndim == 2 else targets - 1
    plain = functional.cross_entropy(logits[:, 1:], smaller, label_smoothing=smoothing)
    torch.testing.assert_close(found, plain)
    found.backward()
    assert torch.equal(logits.grad[:, 0], torch.zeros(4))
    assert logits.grad[:, 1:].abs().min() > 0


def test_weights_and_counts_of_the_kept_classes_are_theirs():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    kept = losses.create("ldam", class_counts=[9, 4, 2], class_weights=[1.0, 2.0, 3.0])
    targets = torch.tensor([0, 1, 3, 3, 1])
    expected = kept(logits[:, [0, 1, 3]], torch.tensor([0, 1, 2, 2, 1]))
    torch.testing.assert_close(WithoutClasses(kept, [2], 4)(logits, targets), expected)


def test_a_sample_of_a_dropped_class_is_an_error():
    loss = WithoutClasses(losses.create("ce"), [0], 3)
    with pytest.raises(IndexError):
        loss(torch.zeros(2, 3), torch.tensor([0, 1]))


@pytest.mark.parametrize("dropped", [[], [0, 1, 2], [3], [-1]])
def test_classes_that_cannot_be_dropped_are_refused(dropped):
    with pytest.raises(ValueError, match="cannot be dropped"):
        WithoutClasses(losses.create("ce"), dropped, 3)
