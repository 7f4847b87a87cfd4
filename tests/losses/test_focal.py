"""Focal loss: by hand, against a numpy twin, at its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from comptool import losses
from comptool.errors import UsageError


def focal_in_numpy(logits, targets, gamma, smoothing, weights=None, reduction="mean"):
    """The definition, row by row, in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    num_classes = logits.shape[1]
    weights = np.ones(num_classes) if weights is None else np.asarray(weights, dtype=np.float64)
    hard = np.ndim(targets) == 1
    focused, entropies, divisor = [], [], 0.0
    for row, target in zip(logits, targets, strict=True):
        log_p = row - row.max() - math.log(np.exp(row - row.max()).sum())
        shares = np.eye(num_classes)[target] if hard else np.asarray(target, dtype=np.float64)
        smoothed = (1 - smoothing) * shares + smoothing / num_classes
        entropy = -(weights * smoothed * log_p).sum()
        p_t = (shares * np.exp(log_p)).sum()
        entropies.append(entropy)
        focused.append((1 - p_t) ** gamma * entropy)
        divisor += weights[target] if hard else 1.0
    if reduction == "batch":
        entropy = sum(entropies) / divisor
        return (1 - math.exp(-entropy)) ** gamma * entropy
    return sum(focused) / divisor


def random_batch(seed, rows=6, num_classes=4, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(rows, num_classes, generator=generator)
    targets = torch.randint(num_classes, (rows,), generator=generator)
    shares = torch.rand(rows, num_classes, generator=generator)
    return logits, targets, shares / shares.sum(1, keepdim=True)


def test_a_value_worked_out_by_hand():
    # Row 1: p_t = 0.8, row 2: p_t = 0.4, no smoothing, gamma 2.
    logits = torch.log(torch.tensor([[0.8, 0.2], [0.6, 0.4]]))
    loss = losses.create("focal", gamma=2, smoothing=0)(logits, torch.tensor([0, 1]))
    by_hand = (0.2**2 * -math.log(0.8) + 0.6**2 * -math.log(0.4)) / 2
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_smoothing_acts_on_the_entropy_and_not_on_the_focus():
    # p = (0.8, 0.2), q = (0.95, 0.05), but p_t = 0.8.
    logits = torch.log(torch.tensor([[0.8, 0.2]]))
    loss = losses.create("focal", gamma=2, smoothing=0.1)(logits, torch.tensor([0]))
    by_hand = 0.2**2 * (-0.95 * math.log(0.8) - 0.05 * math.log(0.2))
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_each_sample_is_focused_by_its_own_probability():
    logits = torch.log(torch.tensor([[0.99, 0.01], [0.01, 0.99]]))
    targets = torch.tensor([0, 0])
    mean = losses.create("focal", gamma=2, smoothing=0)(logits, targets).item()
    batch = losses.create("focal", gamma=2, smoothing=0, reduction="batch")(logits, targets).item()
    entropy = -(math.log(0.99) + math.log(0.01)) / 2
    assert mean == pytest.approx((0.01**2 * -math.log(0.99) + 0.99**2 * -math.log(0.01)) / 2, 1e-5)
    assert batch == pytest.approx((1 - math.exp(-entropy)) ** 2 * entropy, rel=1e-5)


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "shares"])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0, 4.0]])
@pytest.mark.parametrize("reduction", ["mean", "batch"])
@pytest.mark.parametrize(("gamma", "smoothing"), [(2.0, 0.1), (0.5, 0.0), (0.0, 0.3), (5.0, 0.0)])
def test_it_equals_the_numpy_twin(soft, weights, reduction, gamma, smoothing):
    logits, indices, shares = random_batch(seed=3)
    targets = shares if soft else indices
    loss = losses.create(
        "focal", gamma=gamma, smoothing=smoothing, class_weights=weights, reduction=reduction
    )(logits.double(), targets)
    twin = focal_in_numpy(logits, targets.numpy(), gamma, smoothing, weights, reduction)
    assert loss.item() == pytest.approx(twin, rel=1e-6)


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "shares"])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0, 4.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "batch"])
def test_without_gamma_it_is_torch_cross_entropy(soft, weights, smoothing, reduction):
    logits, indices, shares = random_batch(seed=1)
    targets = shares if soft else indices
    loss = losses.create(
        "focal", gamma=0, smoothing=smoothing, class_weights=weights, reduction=reduction
    )(logits, targets)
    expected = functional.cross_entropy(
        logits,
        targets,
        weight=None if weights is None else torch.tensor(weights),
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)


def test_one_hot_shares_give_what_indices_give():
    logits, indices, _ = random_batch(seed=2)
    loss = losses.create("focal", gamma=2, smoothing=0.1)
    one_hot = functional.one_hot(indices, 4).float()
    torch.testing.assert_close(loss(logits, one_hot), loss(logits, indices), rtol=0, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 3.7])
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "shares"])
@pytest.mark.parametrize("reduction", ["mean", "batch"])
def test_gradients_are_those_of_the_value(gamma, soft, reduction):
    logits, indices, shares = random_batch(seed=4, rows=3)
    loss = losses.create(
        "focal",
        gamma=gamma,
        smoothing=0.1,
        class_weights=[0.5, 1.0, 2.0, 4.0],
        reduction=reduction,
    )
    at = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, shares if soft else indices), at)


@pytest.mark.parametrize("name", ["ce", "focal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "shares"])
def test_huge_logits_stay_finite(name, dtype, smoothing, size, soft):
    variants = [{}]
    if name == "focal":
        variants = [
            {"gamma": gamma, "reduction": reduction}
            for gamma in (0.0, 0.5, 1.0, 2.0)
            for reduction in ("mean", "batch")
        ]
    one_hot = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.25, 0.75], [0.0, 0.0, 1.0]])
    for variant in variants:
        logits = torch.tensor(
            [[size, -size, 0.0], [size, size, -size], [0.0, 0.0, -size]], dtype=dtype
        ).requires_grad_()
        targets = one_hot if soft else torch.tensor([0, 2, 2])
        loss = losses.create(name, smoothing=smoothing, **variant)(logits, targets)
        loss.backward()
        assert loss.isfinite(), variant
        assert logits.grad is not None
        assert logits.grad.isfinite().all(), variant


def test_a_perfect_batch_costs_nothing_and_has_no_gradient():
    for reduction in ("mean", "batch"):
        logits = torch.tensor([[1e4, -1e4]]).requires_grad_()
        loss = losses.create("focal", gamma=0.5, smoothing=0, reduction=reduction)(
            logits, torch.tensor([0])
        )
        loss.backward()
        assert loss.item() == 0.0
        assert logits.grad.tolist() == [[0.0, 0.0]]


def test_the_focus_of_a_well_classified_sample_keeps_its_digits():
    # In float32 p_t = 1 - 2e-9 rounds to 1, and 1 - p_t would be 0.
    loss = losses.create("focal", gamma=1, smoothing=0.1)
    value = loss(torch.tensor([[20.0, 0.0]]), torch.tensor([0])).item()
    assert value == pytest.approx(focal_in_numpy([[20.0, 0.0]], [0], 1, 0.1), rel=1e-5)
    assert value > 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3), min_size=1, max_size=5
    ),
    st.integers(0, 2),
    st.floats(0, 5),
    st.floats(0, 0.5),
)
def test_focusing_never_raises_the_loss_and_shifts_change_nothing(rows, target, gamma, smoothing):
    logits = torch.tensor(rows, dtype=torch.float64)
    targets = torch.full((len(rows),), target)
    loss = losses.create("focal", gamma=gamma, smoothing=smoothing)
    value = loss(logits, targets).item()
    plain = losses.create("ce", smoothing=smoothing)(logits, targets).item()
    assert 0 <= value <= plain * (1 + 1e-12)
    assert loss(logits + 7.5, targets).item() == pytest.approx(value, rel=1e-7, abs=1e-12)
    assert loss(logits.flip(0), targets).item() == pytest.approx(value, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("gamma", [-1.0, math.nan, math.inf])
def test_a_gamma_out_of_range_is_refused(gamma):
    with pytest.raises(UsageError) as error:
        losses.create("focal", gamma=gamma)
    assert str(error.value) == f"gamma is {gamma}; it has to be 0 or more, and finite"


def test_an_unknown_reduction_is_refused():
    with pytest.raises(UsageError) as error:
        losses.create("focal", reduction="sum")
    assert str(error.value) == "no reduction is called 'sum'; did you mean 'mean' or 'batch'?"
