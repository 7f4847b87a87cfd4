"""The loss of a run of one class per image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from comptool import losses
from comptool.training.criterion import make_loss
from comptool.training.plan import Plan, make_plan
from comptool.training.record import Files
from comptool.training.settings import TrainSettings


def plan_of(loss: str, **settings) -> Plan:
    given = {"model": "test_efficientnet-dual", "img_size": ("32",), "device": "cpu", "loss": loss}
    files = Files(folds=Path("folds.csv"))
    return make_plan(TrainSettings(**given | settings), files, Path("weights/run"))


@pytest.mark.parametrize("loss", losses.SINGLE_LABEL)
def test_every_loss_of_one_class_per_image_trains(loss, folds, fit):
    assert fit(loss=loss, epochs=1).score is not None


def test_losses_that_count_get_the_training_rows_of_each_class_that_is_kept(folds):
    plan = plan_of("ldam")
    rows = plan.members[0].train
    counts = torch.tensor(list(plan.rows.counts(rows).values()))
    assert counts.sum() == len(rows)
    offsets = make_loss(plan_of("balanced-softmax"), plan.members[0]).offsets
    assert offsets.tolist() == pytest.approx(torch.log(counts / counts.sum()).tolist())
    kept = plan_of("ldam", drop_classes=("b",))
    inner = make_loss(kept, kept.members[0])
    assert [len(buffer) for name, buffer in inner.named_buffers() if "margins" in name] == [2]
