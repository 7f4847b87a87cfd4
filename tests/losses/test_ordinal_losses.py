"""Losses of grades and of numbers: against their definitions, and at values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from comptool import losses, tasks
from comptool.errors import UsageError
from comptool.losses.wrappers import Standardised

NUM_GRADES = 5
OF_GRADES = ["corn", "coral", "mse", "smooth-l1", "huber"]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, NUM_GRADES - 1, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), torch.randint(NUM_GRADES, (40,), generator=generator)


def probabilities(logits):
    return torch.from_numpy(tasks.find("ordinal").probabilities(logits.detach().numpy()))


def test_corn_is_the_sum_of_the_papers_conditional_losses(batch):
    logits, grades = batch
    total = 0.0
    for k in range(NUM_GRADES - 1):
        asked = grades > k - 1  # the paper's subset S_k
        above = (grades[asked] > k).double()
        total += functional.binary_cross_entropy_with_logits(
            logits[asked, k], above, reduction="sum"
        )
    assert losses.create("corn")(*batch).item() == pytest.approx(total.item() / len(grades))


def test_corn_is_the_log_loss_of_the_probabilities(batch):
    logits, grades = batch
    expected = -probabilities(logits).gather(1, grades[:, None]).log().mean()
    assert losses.create("corn")(*batch).item() == pytest.approx(expected.item())


def test_coral_asks_for_every_grade_whether_it_is_above(batch):
    logits, grades = batch
    above = 1 - probabilities(logits).cumsum(dim=1)[:, :-1]
    truth = (grades[:, None] > torch.arange(NUM_GRADES - 1)).double()
    expected = functional.binary_cross_entropy(above, truth, reduction="none").sum(dim=1).mean()
    assert losses.create("coral")(*batch).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("mse", functional.mse_loss),
        ("smooth-l1", functional.smooth_l1_loss),
        ("huber", functional.huber_loss),
    ],
)
def test_distances_are_those_of_the_expected_grade(batch, name, twin):
    logits, grades = batch
    expected = twin(probabilities(logits) @ torch.arange(5.0).double(), grades.double())
    assert losses.create(name, corn=0)(*batch).item() == pytest.approx(expected.item())
    corn = losses.create("corn")(*batch).item()
    both = losses.create(name, corn=0.3)(*batch).item()
    assert both == pytest.approx(expected.item() + 0.3 * corn)


@pytest.mark.parametrize("name", OF_GRADES)
def test_shares_that_are_one_grade_give_the_loss_of_the_grade(batch, name):
    logits, grades = batch
    loss = losses.create(name)
    shares = functional.one_hot(grades, NUM_GRADES).float()
    assert loss(logits, shares).item() == pytest.approx(loss(logits, grades).item(), rel=1e-6)


@pytest.mark.parametrize("name", OF_GRADES)
def test_a_weight_counts_like_repeated_rows(batch, name):
    logits, grades = batch
    weights = torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0])
    times = weights.long()[grades]
    repeated = logits.repeat_interleave(times, 0), grades.repeat_interleave(times)
    expected = losses.create(name)(*repeated).item()
    weighted = losses.create(name, class_weights=weights)
    assert weighted(logits, grades).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", OF_GRADES)
def test_a_gradient_points_to_the_grade(name):
    logits = torch.zeros(2, 3, requires_grad=True)
    losses.create(name)(logits, torch.tensor([0, 3])).backward()
    assert (logits.grad[0] >= 0).all()
    assert logits.grad[0, 0] > 0
    assert (logits.grad[1] < 0).all()


@pytest.mark.parametrize("name", OF_GRADES)
@pytest.mark.parametrize("size", [60.0, 1e3, 1e4])
def test_a_network_that_is_sure_and_wrong_has_a_finite_loss_and_gradient(name, size):
    logits = torch.tensor([[size] * 3, [-size] * 3], requires_grad=True)
    loss = losses.create(name)(logits, torch.tensor([0, 3]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad.any()


def test_half_precision_is_computed_in_float32():
    logits = torch.tensor([[12.0, -12.0]]).half()
    expected = losses.create("corn")(logits.float(), torch.tensor([0]))
    assert losses.create("corn")(logits, torch.tensor([0])).item() == expected.item()


def test_numbers_are_compared_in_standard_deviations():
    loss = Standardised(losses.create("mse"), mean=[100.0, 0.0], std=[10.0, 2.0])
    outputs, numbers = torch.tensor([[110.0, 2.0]]), torch.tensor([[100.0, -2.0]])
    assert loss(outputs, numbers.double()).item() == pytest.approx((1**2 + 2**2) / 2)


def test_numbers_have_no_class_weights():
    with pytest.raises(ValueError, match="class weights are for grades"):
        losses.create("mse", class_weights=[1, 2])(torch.zeros(2, 1), torch.zeros(2, 1))


def test_huber_grows_linearly_from_delta_on():
    loss = losses.create("huber", delta=0.5)
    found = loss(torch.tensor([[3.0]]), torch.tensor([[0.0]]))
    assert found.item() == pytest.approx(0.5 * (3 - 0.5 / 2))
    assert repr(loss) == "Huber(delta=0.5)"


@pytest.mark.parametrize(("name", "option"), [("smooth-l1", "beta"), ("huber", "delta")])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_bound_that_is_not_above_zero_is_refused(name, option, value):
    with pytest.raises(UsageError, match=f"{option} is {value}"):
        losses.create(name, **{option: value})


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"numbers of shape \(2, 3\), or grades of shape \(2,\)"):
        losses.create("mse")(torch.zeros(2, 3), torch.zeros(2, 5))
