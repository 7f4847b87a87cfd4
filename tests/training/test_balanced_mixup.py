"""Balanced mixup: rows as they come, each mixed with one that was drawn class by class."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.modules.module import register_module_forward_hook

from comptool.data.sampler import EpochBatches
from comptool.errors import UsageError
from comptool.losses.sigmoid import BinaryCrossEntropy
from comptool.losses.softmax import CrossEntropy
from comptool.training.distributed import mixed
from comptool.training.mixup import Mixing, balanced_mixup

ALPHA = 0.3


@contextmanager
def watched(kind):
    """The targets and the value of every loss of a kind that is computed, in a list."""
    seen = []

    def look(module, inputs, output):
        if isinstance(module, kind):
            seen.append((inputs[1].numpy(), float(output.detach())))

    handle = register_module_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.floats(0.05, 2), st.integers(0, 10**6))
def test_both_modalities_and_the_targets_are_mixed_by_one_share(size, alpha, seed):
    # Each image is its own number everywhere, so that the share can be read off.
    numbers = np.random.default_rng(seed).permutation(2 * size).astype(np.float32)
    share = np.random.default_rng(seed).beta(alpha, 1)
    images = torch.from_numpy(numbers).view(-1, 1, 1, 1)
    (first, second), shares = balanced_mixup(
        [images.expand(-1, 3, 2, 2), images.expand(-1, 1, 4, 5) + 100],
        torch.from_numpy(np.eye(2 * size, dtype=np.float32)),
        alpha,
        np.random.default_rng(seed),
    )
    expected = (1 - share) * numbers[:size] + share * numbers[size:]
    assert first.shape == (size, 3, 2, 2) and second.shape == (size, 1, 4, 5)
    np.testing.assert_allclose(first.numpy().mean((1, 2, 3)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(second.numpy().mean((1, 2, 3)), expected + 100, rtol=1e-5)
    np.testing.assert_allclose(shares.numpy() @ numbers, expected, rtol=1e-4, atol=1e-4)


def test_the_drawn_half_has_the_smaller_share_with_a_small_alpha():
    images, targets = [torch.zeros(2, 1, 1, 1)], torch.eye(2)
    drawn = [
        float(balanced_mixup(images, targets, ALPHA, np.random.default_rng(seed))[1][0, 1])
        for seed in range(4000)
    ]
    assert np.mean(drawn) == pytest.approx(ALPHA / (1 + ALPHA), abs=0.015)


def test_a_cell_that_neither_or_one_of_the_two_knows():
    cells = torch.tensor([[1, 0, -1, 1], [0, 1, 1, -1]], dtype=torch.int8)
    mixing = Mixing(0, 0, ALPHA, 4)
    _, targets = mixing([torch.zeros(2, 1, 1, 1)], cells, np.random.default_rng(1))
    share = np.random.default_rng(1).beta(ALPHA, 1)
    np.testing.assert_allclose(targets.numpy(), [[1 - share, share, -1, -1]], atol=1e-6)


def long_tail(folds) -> np.ndarray:
    """Most training rows become those of class a; their labels, as the run numbers them."""
    header, *rows = csv.reader(folds.open())
    for index, row in enumerate(rows):
        row[3] = "abc"[max(index % 12 - 9, 0)]
    with folds.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return np.array(["abc".index(row[3]) for row in rows if row[-1] != "0"])


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_training_mixes_the_rows_of_an_epoch_with_class_aware_ones(
    folds, fit, history, accumulated
):
    labels = long_tail(folds)
    with watched(CrossEntropy) as seen:
        fit(balanced_mixup=ALPHA, epochs=2, loss="ce", grad_accum=accumulated, batch_size=4)
    trained = [(targets, loss) for targets, loss in seen if targets.ndim == 2]
    batches = EpochBatches(labels, 4, partners=True)
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        mine = trained[epoch * len(batches) : (epoch + 1) * len(batches)]
        for step, (draws, (targets, _)) in enumerate(zip(batches, mine, strict=True)):
            share = np.random.default_rng(mixed(0, epoch, step, 0)).beta(ALPHA, 1)
            own, other = np.eye(3)[labels[[draw.row for draw in draws]]].reshape(2, -1, 3)
            np.testing.assert_allclose(targets, (1 - share) * own + share * other, atol=1e-6)
        mean = np.average([loss for _, loss in mine], weights=[len(one) for one, _ in mine])
        assert float(history()[epoch]["train_loss"]) == pytest.approx(mean, rel=1e-5)


class Crash(BaseException):
    """Stands for kill -9: nothing in the library handles it."""


def crash():
    raise Crash


def test_a_killed_run_goes_on_as_if_nothing_had_been_whatever_the_workers(
    folds, fit, kept, same, at_forward
):
    rich = {"balanced_mixup": ALPHA, "grad_accum": 2, "augment": "weak", "optimizer": "adamw"}
    fit("whole", **rich)
    with pytest.raises(Crash), at_forward(8, crash):
        fit("broken", **rich)
    fit("broken", resume=True, workers=2)
    same(kept("broken"), kept("whole"))


def test_cells_that_are_not_annotated_stay_so(learn):
    with watched(BinaryCrossEntropy) as seen:
        learn(balanced_mixup=ALPHA, epochs=1, loss="bce")
    targets = np.concatenate([targets for targets, _ in seen if targets.dtype == np.float32])
    assert (targets == -1).any()
    shares = targets[targets != -1]
    assert ((shares > 0) & (shares < 1)).any() and shares.min() >= 0 and shares.max() <= 1


def test_soft_pseudo_labels_are_mixed_too(folds, pseudo, fit):
    soft = ("soft:a", "soft:b", "soft:c")
    pseudo([["t1", "a", 0.6, 0.3, 0.1], ["t2", "b", 0.2, 0.7, 0.1]], soft)
    with watched(CrossEntropy) as seen:
        fit(extra=Path("pseudo.csv"), balanced_mixup=ALPHA, epochs=1, loss="ce")
    targets = np.concatenate([targets for targets, _ in seen if targets.ndim == 2])
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
    assert (((targets > 0) & (targets < 1)).sum(1) == 3).any()  # a soft label in the mixture


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ({"mixup": 1.0}, "--mixup"),
        ({"cutmix": 1.0, "mixup": 0.2}, "--mixup and --cutmix"),
        ({"per_class": 5}, "--per-class"),
        ({"balance": "class-aware"}, "--balance class-aware"),
    ],
)
def test_what_has_no_meaning_beside_it_is_refused(folds, plan_of, given, out):
    with pytest.raises(UsageError) as refusal:
        plan_of(balanced_mixup=ALPHA, **given)
    assert str(refusal.value) == (
        "--balanced-mixup mixes the rows as they come with one of each class in turn; leave out "
        + out
    )


def test_class_weights_may_stand_beside_it(folds, plan_of):
    assert plan_of(balanced_mixup=ALPHA, balance="weights").settings.balanced_mixup == ALPHA


def test_a_share_below_zero_and_a_loss_of_hard_targets_are_refused(folds, plan_of, learn):
    with pytest.raises(UsageError, match="--balanced-mixup is -1"):
        plan_of(balanced_mixup=-1.0)
    with pytest.raises(UsageError, match="needs targets of 0 and 1, and --balanced-mixup mixes"):
        learn(balanced_mixup=ALPHA, loss="two-way")
