"""Mixup and cutmix: images of all modalities alike, targets by what is left of each image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.training.mixup import Mixing, cutmix, mixed_targets


def numbered(batch: int, channels: int, height: int, width: int) -> torch.Tensor:
    """Images whose pixels all are the number of their row."""
    rows = torch.arange(batch, dtype=torch.float32)
    return rows.view(-1, 1, 1, 1).expand(batch, channels, height, width)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.floats(0.2, 4), st.integers(0, 10**6), st.integers(8, 40))
def test_cutmix_pastes_one_rectangle_and_shares_by_its_pixels(batch, alpha, seed, side):
    images = numbered(batch, 3, side, side)
    (mixed,), shares = cutmix([images], torch.eye(batch), alpha, np.random.default_rng(seed))
    pasted = (mixed != images)[0, 0]
    rows, columns = pasted.any(1).nonzero().flatten(), pasted.any(0).nonzero().flatten()
    if len(rows):
        assert pasted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    kept = 1 - pasted.float().mean()
    torch.testing.assert_close(shares[0, 0], kept)
    torch.testing.assert_close(shares[0, batch - 1], 1 - kept)
    torch.testing.assert_close(shares.sum(1), torch.ones(batch))
    assert mixed[0][:, pasted].eq(batch - 1).all()


def test_cutmix_cuts_the_same_place_of_modalities_of_other_sizes():
    for seed in range(20):
        small, large = numbered(2, 1, 20, 30), numbered(2, 3, 40, 60)
        (first, second), _ = cutmix([small, large], torch.eye(2), 1.0, np.random.default_rng(seed))
        one = (first != small)[0, 0].repeat_interleave(2, 0).repeat_interleave(2, 1)
        other = (second != large)[0, 0]
        assert (one != other).float().mean() < 0.12  # the rim that rounding moves


def test_cutmix_covers_the_share_that_was_drawn_where_the_border_does_not_clip():
    areas = []
    for seed in range(300):
        images = numbered(2, 1, 64, 64)
        (mixed,), _ = cutmix([images], torch.eye(2), 1.0, np.random.default_rng(seed))
        share = np.random.default_rng(seed).beta(1.0, 1.0)
        area = float((mixed != images)[0].float().mean())
        assert area <= 1 - share + 0.05
        areas.append(area / (1 - share))
    assert np.mean(np.array(areas) > 0.95) > 0.1


CELLS = torch.tensor([[1.0, 0, -1, 1], [0, 0, 0, 1], [1, 1, 1, -1], [0, -1, 1, 0]])


def test_a_cell_that_either_image_does_not_know_is_unknown():
    mixed = mixed_targets(CELLS, CELLS.flip(0), 0.75)
    assert mixed[0].tolist() == [0.75, -1, -1, 0.75]
    assert mixed[1].tolist() == [0.25, 0.25, 0.25, -1]


@pytest.mark.parametrize(("share", "expected"), [(1.0, CELLS), (0.0, CELLS.flip(0))])
def test_an_image_without_a_part_makes_nothing_unknown(share, expected):
    assert torch.equal(mixed_targets(CELLS, CELLS.flip(0), share), expected)


def test_the_middle_of_an_odd_batch_keeps_its_cells():
    assert torch.equal(mixed_targets(CELLS[:3], CELLS[:3].flip(0), 0.3)[1], CELLS[1])


def test_each_batch_takes_one_of_the_two():
    images, targets = [torch.rand(4, 3, 8, 8)], torch.tensor([0, 1, 2, 0])
    both = Mixing(0.5, 0.5, 0, 3)
    cuts = 0
    for seed in range(200):
        (mixed,), shares = both(images, targets, np.random.default_rng(seed))
        assert shares.shape == (4, 3)
        cuts += bool((mixed == images[0]).any() and (mixed == images[0].flip(0)).any())
    assert 60 < cuts < 140


def test_without_mixing_nothing_changes():
    images, targets = [torch.rand(2, 3, 4, 4)], torch.tensor([1, 0], dtype=torch.int8)
    mixed, same = Mixing(0, 0, 0, 3)(images, targets, np.random.default_rng(0))
    assert mixed[0] is images[0] and same is targets
