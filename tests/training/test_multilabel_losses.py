"""Losses of several labels: that each learns, what reaches it, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from comptool import losses
from comptool.errors import InputError, UsageError
from comptool.io.tables import read_table
from comptool.training.criterion import make_loss

RUN = Path("weights/run")
CLASSES = ("sea", "golf course", "road", "ship")
MULTILABEL = [e.name for e in losses.LOSSES if "multilabel" in e.tasks]


@pytest.fixture
def loss_of(scenes, plan_scenes):
    """The loss of a training on scenes: ``loss_of(loss="asl")``."""
    scenes()

    def build(**settings) -> torch.nn.Module:
        plan = plan_scenes(**settings)
        return make_loss(plan, plan.members[0])

    return build


@pytest.mark.parametrize("loss", MULTILABEL)
def test_every_loss_lowers_itself_and_ranks_an_easy_set(loss, learn, history):
    outcome = learn(loss=loss, epochs=10, augment="none", lr=3e-3, seed=1)
    trained = [float(row["train_loss"]) for row in history()]
    assert trained[-1] < 0.8 * trained[0]
    assert outcome.score > 0.85


def test_a_resumed_run_keeps_its_prior(scenes, learn, write_prior):
    scenes()
    write_prior(*zip(CLASSES, [0.5, 0.01, 0.02, 0.5], strict=True))
    learn(loss="partial-asl", prior=Path("prior.csv"), epochs=1)
    write_prior(*zip(CLASSES, [0.1, 0.01, 0.02, 0.5], strict=True))
    with pytest.raises(InputError, match="the prior is not the one that this run was begun with"):
        learn(resume=True)


def test_the_options_of_a_loss_reach_it(loss_of, write_prior):
    write_prior(*zip(reversed(CLASSES), [0.4, 0.3, 0.2, 0.1], strict=True))
    loss = loss_of(loss="asl", loss_option=("gamma_neg=2.5", "clip=0", "reduction=mean"))
    assert (loss.gamma_neg, loss.clip, loss.reduction) == (2.5, 0.0, "mean")
    assert loss_of(loss="sigmoid-focal", loss_option=("alpha=none",), gamma=1.5).alpha is None
    assert loss_of(loss="sigmoid-focal", gamma=1.5).gamma == 1.5
    assert loss_of(loss="bce", loss_option=("pos_weight=1,2,3,4",)).pos_weight.tolist() == [
        1, 2, 3, 4
    ]  # fmt: skip
    assert loss_of(loss="poly", loss_option=("epsilon=-1",), label_smoothing=0.1).smoothing == 0.1
    partial = loss_of(loss="partial-asl", prior=Path("prior.csv"))
    assert partial.prior.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert loss_of(loss="partial-asl", loss_option=("mode=ignore",)).mode == "ignore"


def test_the_balanced_loss_gets_the_positives_and_the_known_cells_of_the_training_rows(loss_of):
    loss = loss_of(loss="distribution-balanced")
    frame = read_table(Path("folds.csv"))
    cells = frame.loc[frame["fold"] != "0", list(CLASSES)].astype(int).to_numpy()
    positives, known = (cells == 1).sum(axis=0), (cells != -1).sum(axis=0)
    assert (known < len(cells)).all()
    assert (1 / loss.freq_inv).tolist() == pytest.approx(positives.tolist())
    shift = -0.05 / 2 * np.log(known / positives - 1)
    assert loss.bias.tolist() == pytest.approx(shift.tolist())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "ce"}, "the loss 'ce' is for one class per image and the task is multilabel"),
        (
            {"balance": "under"},
            "--balance under needs one class per image, and the task is multilabel; take --balance "
            "class-aware (an image of each class in turn) or --loss distribution-balanced",
        ),
        ({"balance": "over"}, "--balance over needs one class per image"),
        ({"balance": "weights"}, "--balance weights needs one class per image"),
        (
            {"loss": "two-way", "mixup": 0.2},
            "the loss 'two-way' needs targets of 0 and 1, and --mixup mixes them; leave it out",
        ),
        ({"loss": "two-way", "cutmix": 1.0}, "the loss 'two-way' needs targets of 0 and 1"),
        (
            {"prior": Path("prior.csv")},
            "--prior is for the loss 'partial-asl', and the loss is 'bce'",
        ),
        (
            {"loss": "asl", "loss_option": ("gama_neg=2",)},
            "no option of the loss 'asl' is called 'gama_neg'; did you mean 'gamma_neg'",
        ),
        ({"loss": "asl", "loss_option": ("clip",)}, "--loss-option is 'clip'; it is name=value"),
        (
            {"loss": "asl", "loss_option": ("clip=x",)},
            "--loss-option clip is 'x'; it has to be a number",
        ),
        ({"loss": "asl", "loss_option": ("clip=2",)}, "clip is 2.0; it has to be in [0, 1)"),
        (
            {"loss": "asl", "gamma": 2.0},
            "the loss 'asl' has no use for --gamma; of such options it takes --label-smoothing",
        ),
        (
            {"loss": "poly", "gamma": 2.0, "loss_option": ("gamma=1",)},
            "--gamma and --loss-option gamma are one; give one of them",
        ),
        (
            {"loss": "bce", "loss_option": ("pos_weight=1,2",)},
            "the options of the loss 'bce' do not fit 4 classes",
        ),
        (
            {"loss": "partial-asl", "loss_option": ("mode=ignored",)},
            "--loss-option mode is 'ignored'; it has to be 'negative', 'ignore', "
            "'ignore-normalize' or 'selective'",
        ),
        ({"metric": "accuracy"}, "the metric 'accuracy' is for the task multiclass"),
        ({"augment": "strong", "magnitude": 5}, "the augmentation 'strong' has no use for "
         "--magnitude; of such options it takes --cutout"),
        ({"magnitude": 5}, "the augmentation 'flips' has no use for --magnitude; of such options "
         "it takes --cutout"),
        ({"augment": "none", "cutout": 0.2}, "the augmentation 'none' has no use for --cutout; of "
         "such options it takes none"),
    ],
)  # fmt: skip
def test_an_option_without_meaning_is_refused(settings, message, loss_of, write_prior):
    write_prior(*zip(CLASSES, [0.4, 0.3, 0.2, 0.1], strict=True))
    with pytest.raises(UsageError) as refusal:
        loss_of(**settings)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("sea", 0.1), ("road", 0.1), ("ship", 0.1), ("lake", 0.1)],
            "prior.csv, column 'class': the prior is not of the 4 classes that are trained, one "
            "row each (found 'golf course', 'lake'). Estimate one from a run of this competition: "
            "comptool prior RUN",
        ),
        ([*[(name, 0.1) for name in CLASSES], ("sea", 0.2)], "prior.csv, column 'class': the "
         "prior is not of the 4 classes that are trained, one row each (found 'sea')"),
        ([*[(name, 0.1) for name in CLASSES[:3]], ("ship", 1.5)], "prior.csv, row 4, column "
         "'prior': a prior is a number from 0 to 1 (found '1.5')"),
        ([*[(name, 0.1) for name in CLASSES[:3]], ("ship", "")], "prior.csv, row 4, column "
         "'prior': a prior is a number from 0 to 1 (found '')"),
    ],
)  # fmt: skip
def test_a_prior_of_something_else_is_refused(rows, message, loss_of, write_prior):
    write_prior(*rows)
    with pytest.raises(InputError) as refusal:
        loss_of(loss="partial-asl", prior=Path("prior.csv"))
    assert str(refusal.value).startswith(message)
