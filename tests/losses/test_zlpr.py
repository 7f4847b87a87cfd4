"""ZLPR: by hand, against a twin and timm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import timm.loss
import torch

from comptool.errors import UsageError
from comptool.losses.sigmoid import Zlpr


def batch(seed=0, unknown=True):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    return logits, torch.randint(-1 if unknown else 0, 2, (6, 5), generator=generator)


def test_a_value_worked_out_by_hand():
    logits = torch.log(torch.tensor([[2.0, 3.0, 4.0, 100.0]]))
    value = Zlpr()(logits, torch.tensor([[1, 0, 0, -1]]))
    assert value.item() == pytest.approx(math.log(1 + 3 + 4) + math.log(1 + 1 / 2), abs=1e-6)


def test_it_is_its_formula_over_known_cells():
    logits, targets = batch()
    targets[2] = -1
    rows = []
    for s, y in zip(logits.numpy(), targets.numpy(), strict=True):
        rows.append(np.log1p(np.exp(s[y == 0]).sum()) + np.log1p(np.exp(-s[y == 1]).sum()))
    assert Zlpr()(logits, targets).item() == pytest.approx(sum(rows) / 5, rel=1e-12)
    assert Zlpr(reduction="sum")(logits, targets).item() == pytest.approx(sum(rows), rel=1e-12)


def test_it_is_timms_on_full_labels():
    logits, targets = batch(unknown=False)
    expected = timm.loss.ZlprLoss()(logits.float(), targets)
    torch.testing.assert_close(Zlpr()(logits.float(), targets), expected)


def test_a_share_weighs_the_cell_on_both_sides():
    logits = torch.log(torch.tensor([[2.0, 3.0]], dtype=torch.float64))
    value = Zlpr()(logits, torch.tensor([[0.25, 1.0]]))
    by_hand = math.log(1 + 0.75 * 2) + math.log(1 + 0.25 / 2 + 1 / 3)
    assert value.item() == pytest.approx(by_hand, rel=1e-9)


def test_shares_have_the_gradient_of_the_value():
    logits = batch()[0].requires_grad_()
    shares = torch.rand(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: Zlpr()(x, shares), logits)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(UsageError) as error:
        Zlpr(reduction="men")
    assert str(error.value) == "no reduction is called 'men'; did you mean 'mean' or 'sum'?"
