"""Class weights of the loss: by a scheme, by hand, and from an epoch on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from comptool.errors import InputError, UsageError
from comptool.training.criterion import make_loss


def test_class_weights_follow_from_the_rows_that_are_trained_on(folds, pseudo, plan_of):
    """Five of each class are trained on, and what the extra table adds."""
    extra = pseudo([["t1", "a"], ["t2", "a"], ["t3", "b"]])

    def weights(**given):
        plan = plan_of(extra=extra, **given)
        criterion = make_loss(plan, plan.members[0])
        return getattr(criterion, "criterion", criterion).class_weights.tolist()

    counts = np.array([7, 6, 5])
    for given, raw in (
        ({"weighting": "inverse"}, 1 / counts),
        ({"weighting": "sqrt", "drop_classes": ("b",)}, counts[[0, 2]] ** -0.5),
        ({"weighting": "sqrt", "per_class": 9}, np.ones(3)),
        ({"balance": "weights"}, 1 / (1 - 0.9999**counts)),
    ):
        assert weights(**given) == pytest.approx(len(raw) * raw / raw.sum(), rel=1e-5)


def test_class_weights_by_hand_are_those_of_the_file(folds, plan_of):
    Path("w.csv").write_text("class,weight\nb,2\na,1\nc,0.5\n")
    Path("w.toml").write_text("a = 1\nb = 2.0\nc = 0.5\n")
    for name in ("w.csv", "w.toml"):
        plan = plan_of(class_weights=Path(name))
        assert make_loss(plan, plan.members[0]).class_weights.tolist() == [1, 2, 0.5]
        assert Path(name) in plan.inputs


def test_deferred_weights_act_from_their_epoch_on_and_after_a_resume_too(
    folds, fit, kept, same, at_forward
):
    Path("w.csv").write_text("class,weight\na,9\nb,1\nc,1\n")
    given = {"class_weights": Path("w.csv"), "defer_weights": 2, "schedule": "constant"}
    fit("whole", epochs=3, **given)
    fit("plain", epochs=3, schedule="constant")
    rows = [
        list(csv.DictReader(Path("weights", run, "metrics.csv").open()))
        for run in ("whole", "plain")
    ]
    losses = [[row["train_loss"] for row in part] for part in rows]
    assert losses[0][:2] == losses[1][:2]
    assert losses[0][2] != losses[1][2]

    class Crash(BaseException):
        pass

    def crash():
        raise Crash

    with pytest.raises(Crash), at_forward(15, crash):
        fit("whole2", epochs=3, **given)
    fit("whole2", resume=True)
    same(kept("whole"), kept("whole2"))


def test_a_loss_without_class_weights_says_so(folds, plan_of):
    with pytest.raises(UsageError, match="has no use for --weighting"):
        plan_of(loss="poly-softmax", weighting="sqrt")


def test_other_numbers_in_the_file_of_weights_are_refused_on_resuming(folds, fit):
    Path("w.csv").write_text("class,weight\na,1\nb,2\nc,3\n")
    fit("run", epochs=1, schedule="constant", warmup_epochs=0, class_weights=Path("w.csv"))
    Path("w.csv").write_text("class,weight\na,1\nb,2\nc,4\n")
    with pytest.raises(InputError, match="class weights are not those"):
        fit("run", resume=True, epochs=2)
