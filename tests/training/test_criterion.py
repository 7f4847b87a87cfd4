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
