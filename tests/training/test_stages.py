"""Stages of a long tail: dropped classes, balanced subsets, what is refused and resumed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comptool.errors import UsageError
from comptool.io.runs import read_header
from comptool.metrics import find
from comptool.training.class_subset import balanced_subset, dropped_classes, kept_score
from comptool.training.config import TrainSettings
from comptool.training.criterion import make_loss


def labels_of(plan):
    (member,) = plan.members
    return [plan.rows.classes[index] for index in plan.rows.labels[member.train]]


# Dropped classes.


def test_rows_of_a_dropped_class_are_validated_but_not_trained_on(folds, plan_of):
    plan = plan_of(drop_classes=("a",))
    (member,) = plan.members
    assert set(labels_of(plan)) == {"b", "c"}
    assert len(member.valid) == 9
    assert any("'a'" in note and "left out" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("texts", "dropped"), [(("a,c",), (0, 2)), (("c", "a"), (0, 2)), (("b, 1",), (3,))]
)
def test_classes_are_dropped_by_names_that_are_repeated_or_joined_with_commas(texts, dropped):
    settings = TrainSettings(drop_classes=texts)
    assert dropped_classes(settings, ("a", "b", "c", "b, 1", "e")) == dropped


def test_a_class_that_does_not_exist_cannot_be_dropped(folds, plan_of):
    with pytest.raises(UsageError, match="no class is called 'd'"):
        plan_of(drop_classes=("d",))


@pytest.mark.parametrize("names", [("a,b,c",), ("a", "b")])
def test_dropping_leaves_two_classes_or_more(folds, names, plan_of):
    with pytest.raises(UsageError, match="two or more"):
        plan_of(drop_classes=names)


def test_logits_of_dropped_classes_get_no_gradient(folds, plan_of):
    plan = plan_of(drop_classes=("a",), label_smoothing=0.1)
    logits = torch.randn(4, 3, requires_grad=True)
    make_loss(plan, plan.members[0])(logits, torch.tensor([1, 2, 1, 2])).backward()
    assert (logits.grad[:, 0] == 0).all()
    assert (logits.grad[:, 1:] != 0).all()


def test_logits_of_dropped_classes_can_be_kept_in_the_loss(folds, plan_of):
    plan = plan_of(drop_classes=("a",), keep_dropped_logits=True)
    logits = torch.randn(4, 3, requires_grad=True)
    make_loss(plan, plan.members[0])(logits, torch.tensor([1, 2, 1, 2])).backward()
    assert (logits.grad[:, 0] > 0).all()


def test_the_score_is_among_the_classes_that_are_trained_on():
    labels = np.array([0, 0, 1, 2, 2])
    probabilities = np.array(
        [[0.1, 0.9, 0], [1, 0, 0], [0.9, 0.08, 0.02], [0.5, 0.3, 0.2], [1.0, 0, 0]]
    )
    # Of the rows of classes 1 and 2: right, wrong, and a tie that goes to class 1.
    assert kept_score(find("accuracy", "multiclass"), labels, probabilities, [0]) == pytest.approx(
        1 / 3
    )
    expected = -np.mean(np.log([0.8, 0.4, 0.5]))
    assert kept_score(find("logloss", "multiclass"), labels, probabilities, [0]) == pytest.approx(
        expected
    )
    assert kept_score(find("accuracy", "multiclass"), labels, probabilities, []) == pytest.approx(
        1 / 5
    )


def test_a_stage_without_a_class_writes_every_validated_row(folds, fit):
    outcome = fit("two", drop_classes=("a",), epochs=1)
    rows = list(csv.DictReader(Path("weights/two/oof.csv").open()))
    assert len(rows) == 9
    assert read_header(Path("weights/two")).dropped == ["a"]
    (history,) = csv.DictReader(Path("weights/two/metrics.csv").open())
    truth = {row["image_id"]: row["class_id"] for row in csv.DictReader(folds.open())}
    counted = [row for row in rows if truth[row["image_id"]] != "a"]
    shares = {row["image_id"]: {c: float(row[c]) for c in "bc"} for row in counted}
    right = [max(share, key=share.get) == truth[name] for name, share in shares.items()]
    assert outcome.score == pytest.approx(np.mean(right))
    loss = [-np.log(s[truth[n]] / (s["b"] + s["c"])) for n, s in shares.items()]
    assert float(history["val_loss"]) == pytest.approx(np.mean(loss), rel=1e-4)


def test_soft_labels_do_not_go_with_masked_logits(folds, pseudo, plan_of):
    columns = ("soft:a", "soft:b", "soft:c")
    extra = pseudo([["t1", "a", 0.8, 0.1, 0.1], ["t2", "b", 0.1, 0.8, 0.1]], columns)
    with pytest.raises(UsageError, match="--keep-dropped-logits"):
        plan_of(drop_classes=("a",), extra=extra)


# So many rows of each class.


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 40))
def test_a_balanced_subset_has_as_many_of_each_class_spread_over_its_rows(counts, per_class):
    labels = np.repeat(np.arange(len(counts)), counts)
    taken = balanced_subset(labels, per_class, seed=1)
    assert np.bincount(labels[taken]).tolist() == [per_class] * len(counts)
    for index in range(len(counts)):
        times = np.bincount(taken, minlength=len(labels))[labels == index]
        assert times.max() - times.min() <= 1


def test_the_choice_of_a_large_class_follows_from_the_seed():
    labels = np.zeros(1000, int)
    one, again, other = (balanced_subset(labels, 10, seed=seed) for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()


def test_repeats_of_a_row_are_augmented_differently(folds, fit, plan_of):
    from comptool.training.distributed import Processes
    from comptool.training.setup import prepare

    plan = plan_of(per_class=20, augment="weak", workers=0, batch_size=60)
    (member,) = plan.members
    assert len(member.train) == 60
    processes = Processes(0, 1, torch.device("cpu"))
    session = prepare(plan, member, processes, lambda text: None).session
    session.batches.set_epoch(0)
    (batch,) = map(session.augment, session.train_loader)
    repeats = [
        image
        for row, image in zip(member.train[batch.rows], batch.images[0], strict=True)
        if row == member.train[0]
    ]
    assert len(repeats) > 2
    assert len({image.numpy().tobytes() for image in repeats}) > 1


def test_rows_per_class_are_told(folds, plan_of):
    (note,) = [note for note in plan_of(per_class=8).notes if "different" in note]
    assert note == "8 rows of each of 3 classes: 15 different ones, 9 repeats"


# What does not go together, and what a resumed run keeps.


def test_a_killed_stage_goes_on_as_if_nothing_had_been(folds, fit, kept, same, at_forward):
    fit("one", epochs=1)
    stage = {"init_from": Path("weights/one"), "freeze": "backbone", "drop_classes": ("a",)}
    stage |= {"per_class": 9, "weighting": "inverse", "augment": "weak", "ema": 0.9, "epochs": 2}

    class Crash(BaseException):
        pass

    def crash():
        raise Crash

    fit("whole", **stage)
    with pytest.raises(Crash), at_forward(9, crash):
        fit("killed", **stage)
    fit("killed", resume=True)
    same(kept("whole"), kept("killed"))


@pytest.mark.parametrize(
    "given",
    [
        {"drop_classes": ("a",)},
        {"per_class": 5},
        {"weighting": "inverse"},
    ],
)
def test_stages_are_for_one_class_per_image(learn, given):
    (option,) = given
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} needs one class per image"):
        learn("run", **given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"freeze": "backbone"}, "begun with no --freeze"),
        ({"drop_classes": ("b",)}, "begun with --drop-classes a"),
        ({"keep_dropped_logits": True}, "begun with no --keep-dropped-logits"),
        ({"per_class": 9}, "begun with --per-class 4"),
        ({"weighting": "sqrt"}, "begun with no --weighting"),
    ],
)
def test_another_stage_cannot_be_resumed_into(folds, fit, given, told):
    if not Path("weights/run").exists():
        fit("run", epochs=1, schedule="constant", drop_classes=("a",), per_class=4)
    with pytest.raises(UsageError, match=told):
        fit("run", resume=True, **given)
