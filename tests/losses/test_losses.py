"""The table of losses and the binder."""

from __future__ import annotations

import pytest

from comptool import losses
from comptool.errors import UsageError


def test_the_names_are_the_tables():
    assert (
        losses.names()
        == (
            "ce focal poly-softmax ldam balanced-softmax bce sigmoid-focal asl partial-asl zlpr "
            "two-way distribution-balanced poly corn coral mse smooth-l1 huber"
        ).split()
    )


def test_options_are_listed_with_their_defaults():
    assert losses.options("ce") == {"smoothing": 0.0, "class_weights": None}
    assert losses.options("focal") == {
        "gamma": 2.0,
        "smoothing": 0.1,
        "class_weights": None,
        "reduction": "mean",
    }


def test_given_options_arrive_and_others_keep_the_default():
    loss = losses.create("focal", smoothing=0.2)
    assert (loss.gamma, loss.smoothing, loss.reduction) == (2.0, 0.2, "mean")
    assert repr(loss) == "Focal(gamma=2, smoothing=0.2)"


def test_a_loss_of_the_other_task_is_refused_with_those_of_this_one():
    names = losses.names()
    kinds = {"multiclass": names[:5], "multilabel": names[5:13], "ordinal": names[13:]}
    for task, suited in {**kinds, "regression": names[15:]}.items():
        for name in suited:
            losses.check_task(name, task)
    with pytest.raises(UsageError) as error:
        losses.check_task("bce", "multiclass")
    assert str(error.value) == (
        "the loss 'bce' is for several labels per image and the task is multiclass; take 'ce', "
        "'focal', 'poly-softmax', 'ldam' or 'balanced-softmax'"
    )
    with pytest.raises(UsageError) as error:
        losses.check_task("ce", "multilabel")
    assert str(error.value) == (
        "the loss 'ce' is for one class per image and the task is multilabel; take 'bce', "
        "'sigmoid-focal', 'asl', 'partial-asl', 'zlpr', 'two-way', 'distribution-balanced' or "
        "'poly'"
    )


@pytest.mark.parametrize(
    ("name", "task", "sentence"),
    [
        ("ce", "ordinal", "the loss 'ce' is for one class per image and the task is ordinal; take "
         "'corn', 'coral', 'mse', 'smooth-l1' or 'huber'"),
        ("corn", "regression", "the loss 'corn' is for one grade per image and the task is "
         "regression; take 'mse', 'smooth-l1' or 'huber'"),
        ("mse", "multiclass", "the loss 'mse' is for a number or one grade per image and the task "
         "is multiclass; take 'ce', 'focal', 'poly-softmax', 'ldam' or 'balanced-softmax'"),
    ],
)  # fmt: skip
def test_grades_and_numbers_have_losses_of_their_own(name, task, sentence):
    with pytest.raises(UsageError) as error:
        losses.check_task(name, task)
    assert str(error.value) == sentence


def test_an_option_that_the_loss_does_not_take_is_refused():
    with pytest.raises(UsageError) as error:
        losses.create("ce", gamma=2.0)
    assert str(error.value) == (
        "the loss 'ce' takes no 'gamma'; it takes 'smoothing', 'class_weights'"
    )


@pytest.mark.parametrize("ask", [losses.create, losses.options])
def test_an_unknown_loss_names_the_nearest(ask):
    with pytest.raises(UsageError) as error:
        ask("focla")
    assert (
        str(error.value)
        == "no loss is called 'focla'; did you mean 'focal', 'sigmoid-focal' or 'poly'?"
    )
