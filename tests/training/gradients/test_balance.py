"""How much objectives and modalities count: definitions, laws, and what is typed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.training.gradient_balancing import modality_ratios, objective_weights


def test_every_modality_is_brought_to_the_reference():
    norms = torch.tensor([1.0, 4.0, 2.5])
    for reference, level in (("mean", 2.5), ("max", 4.0), ("min", 1.0)):
        ratios = modality_ratios(norms, reference)
        torch.testing.assert_close(ratios * norms, torch.full((3,), level))


def test_factors_are_limited():
    assert modality_ratios(torch.tensor([1e-6, 1.0]), "max").tolist() == [10, 1]
    assert modality_ratios(torch.tensor([1e-6, 1.0]), "min").tolist() == pytest.approx([1, 0.1])
    assert modality_ratios(torch.tensor([0.0, 1.0]), "mean", (0.2, 3)).tolist() == [3, 0.5]
    assert modality_ratios(torch.zeros(2), "mean").isfinite().all()


vectors = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).normal(size=(4, 9)))


@settings(max_examples=40, deadline=None)
@given(rows=vectors, count=st.integers(2, 4), scale=st.floats(1e-3, 1e3))
def test_the_weighted_gradient_projects_alike_on_every_objective(rows, count, scale):
    """IMTL-G, from the definition; D U^T in numpy gives the same weights."""
    rows = rows[:count] * scale * np.array([1, 30, 0.1, 4])[:count, None]
    weights = objective_weights(torch.tensor(rows @ rows.T)).numpy()
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    projections = units @ (weights @ rows)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(projections, projections[0], rtol=1e-6, atol=1e-9 * abs(rows).max())
    apart, aside = rows[0] - rows[1:], units[0] - units[1:]
    rest = rows[0] @ aside.T @ np.linalg.pinv(apart @ aside.T)
    np.testing.assert_allclose(weights[1:], rest, rtol=1e-5, atol=1e-8)


def test_two_objectives_count_inversely_to_their_norms():
    for cosine in (-1.0, -0.3, 0.0, 0.9, 1.0):
        products = torch.tensor([[4.0, 2 * 3 * cosine], [2 * 3 * cosine, 9.0]])
        assert objective_weights(products).tolist() == pytest.approx([0.6, 0.4])


def test_an_objective_without_a_gradient_does_not_bear_on_the_others():
    products = torch.tensor([[4.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 9.0]])
    assert objective_weights(products).tolist() == pytest.approx([0.6, 0, 0.4])
    assert objective_weights(torch.zeros(3, 3)).tolist() == pytest.approx([1 / 3] * 3)


def test_products_that_are_no_numbers_give_equal_weights():
    for wrong in (torch.nan, torch.inf):
        assert objective_weights(torch.full((4, 4), wrong)).tolist() == [0.25] * 4
