"""The loss of a run of one class per image."""

from __future__ import annotations

import pytest
import torch

from comptool import losses
from comptool.training.criterion import make_loss


@pytest.mark.parametrize("loss", losses.SINGLE_LABEL)
def test_every_loss_of_one_class_per_image_trains(loss, folds, fit):
    assert fit(loss=loss, epochs=1).score is not None


def test_losses_that_count_get_the_training_rows_of_each_class_that_is_kept(folds, plan_of):
    plan = plan_of(loss="ldam")
    rows = plan.members[0].train
    counts = torch.tensor(list(plan.rows.counts(rows).values()))
    assert counts.sum() == len(rows)
    offsets = make_loss(plan_of(loss="balanced-softmax"), plan.members[0]).offsets
    assert offsets.tolist() == pytest.approx(torch.log(counts / counts.sum()).tolist())
    kept = plan_of(loss="ldam", drop_classes=("b",))
    inner = make_loss(kept, kept.members[0])
    assert [len(buffer) for name, buffer in inner.named_buffers() if "margins" in name] == [2]


def test_margins_that_are_not_on_the_scale_of_the_logits_are_warned_of(folds, plan_of):
    (told,) = [note for note in plan_of(loss="ldam").notes if "ldam" in note]
    assert told == (
        "WARNING: the margins of the loss 'ldam' are for cosines times 30, which "
        "'test_efficientnet-dual' does not give; take 'test_efficientnet-dual+cosine', or "
        "--loss-option scale=3"
    )
    for given in (
        {"loss": "ldam", "model": "test_efficientnet-dual+cosine"},
        {"loss": "ldam", "loss_option": ("scale=2",)},
        {"loss": "balanced-softmax"},
    ):
        assert not any("margins" in note for note in plan_of(**given).notes)
