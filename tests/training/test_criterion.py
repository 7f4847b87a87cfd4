"""The loss of a run of one class per image."""

from __future__ import annotations

import pytest
import torch

from comptool import losses
from comptool.errors import InputError, UsageError
from comptool.training.criterion import make_loss


@pytest.mark.parametrize("loss", [e.name for e in losses.LOSSES if "multiclass" in e.tasks])
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


USERS = """
import torch
from torch import nn

class Squared(nn.Module):
    def __init__(self, power=2.0, class_counts=None):
        super().__init__()
        self.power, self.counts = power, class_counts

    def forward(self, logits, targets):
        if targets.ndim == 1:
            targets = nn.functional.one_hot(targets, logits.shape[1])
        return (logits.softmax(dim=1) - targets).abs().pow(self.power).mean()

class PerSample(nn.Module):
    def forward(self, logits, targets):
        return logits.sum(dim=1)

class OfThree(nn.Module):
    def forward(self, logits, targets, weights):
        return logits.sum()

class Demanding(nn.Module):
    def __init__(self, counts):
        super().__init__()

def function(logits, targets):
    return logits.sum()

NUMBER = 3
"""


@pytest.fixture
def users_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(USERS)
    return path


def test_a_loss_of_a_users_file_trains(folds, fit, users_file):
    outcome = fit(loss=f"{users_file}:Squared", loss_option=("power=1.5",), epochs=1)
    assert outcome.score is not None


def test_a_loss_of_a_users_file_has_its_options_and_the_counts_it_asks_for(
    folds, plan_of, users_file
):
    plan = plan_of(loss=f"{users_file}:Squared", loss_option=("power=3",))
    loss = make_loss(plan, plan.members[0])
    assert loss.power == 3
    assert loss.counts == list(plan.rows.counts(plan.members[0].train).values())
    assert users_file in plan.inputs


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Squard", UsageError, "no loss is called 'Squard'; did you mean 'Squared'"),
        ("NUMBER", UsageError, "is of the type int and cannot be called"),
        ("function", UsageError, "has to be a class that inherits from torch.nn.Module"),
        ("Demanding", UsageError, r"cannot be made with the options that it has \(TypeError"),
        ("OfThree", UsageError, r"cannot be called as loss\(logits, targets\) with logits"),
        ("PerSample", UsageError, r"with a gradient; it gives a tensor of shape \(2"),
    ],
)
def test_a_loss_of_a_users_file_that_is_none_is_refused(
    folds, plan_of, users_file, name, error, message
):
    with pytest.raises(error, match=message):
        plan = plan_of(loss=f"{users_file}:{name}")
        make_loss(plan, plan.members[0])


def test_a_users_file_that_does_not_exist_is_refused_before_anything_is_read(folds, plan_of):
    with pytest.raises(InputError, match=r"gone.py: this file of a loss does not exist"):
        plan_of(loss="gone.py:Squared")
