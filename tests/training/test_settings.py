"""Settings that contradict themselves are told before anything is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comptool.errors import UsageError
from comptool.io.records import parse
from comptool.training.config import OPTIMIZERS, TrainSettings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "--epochs is 0; it has to be 1 or more"),
        ({"lr": 0.0}, "--lr is 0.0; it has to be above 0"),
        ({"lr": float("nan")}, "--lr is nan; it has to be above 0"),
        ({"mixup": -1.0}, "--mixup is -1.0; it has to be 0 or more"),
        ({"clip_grad": 0.0}, "--clip-grad is 0.0; it has to be above 0"),
        ({"ema": 1.0}, "--ema is 1.0; it has to be 0 or more and below 1"),
        ({"label_smoothing": 1.0}, "--label-smoothing is 1.0; it has to be 0 or more and below 1"),
        (
            {"optimizer": "adamv"},
            "no optimizer is called 'adamv'; did you mean 'adam', 'radam' or 'nadam'?",
        ),
        ({"fold": "first"}, "--fold is 'first'; it has to be a number, 'all' or 'none'"),
        (
            {"schedule": "step", "decay_epochs": "150,100"},
            "--decay-epochs is '150,100'; it has to be a number of epochs such as 30, or rising "
            "points in time such as 100,150",
        ),
        *(
            (
                {"schedule": "step", "decay_epochs": text},
                f"--decay-epochs is '{text}'; it has to be a number of epochs such as 30, or "
                "rising points in time such as 100,150",
            )
            for text in ("nan", "inf", "5,inf", "inf,inf", "nan,5", "0", "5,5", "")
        ),
        ({"device": "foo"}, "--device is 'foo'; it has to be auto, cpu, cuda or cuda:N"),
        ({"device": "cpu:x"}, "--device is 'cpu:x'; it has to be auto, cpu, cuda or cuda:N"),
        (
            {"modality": ("eo", "sar", "eo")},
            "--modality eo is given twice; a model takes each of them once",
        ),
        ({"decay_rate": 0.2}, "--decay-rate has no meaning with --schedule cosine"),
        (
            {"schedule": "step", "min_lr": 1e-6},
            "--min-lr has no meaning with --schedule step",
        ),
        (
            {"schedule": "constant", "decay_epochs": "3"},
            "--decay-epochs has no meaning with --schedule constant",
        ),
        (
            {"schedule": "constant", "cycle_epochs": 3.0},
            "--cycle-epochs has no meaning with --schedule constant",
        ),
        ({"cycle_epochs": 0.0}, "--cycle-epochs is 0.0; it has to be above 0"),
        ({"cycle_epochs": 3.0, "cycle_mul": 0}, "--cycle-mul is 0; it has to be 1 or more"),
        ({"cycle_mul": 2}, "--cycle-mul needs --cycle-epochs, the length of the first cycle"),
        (
            {"epochs": 2, "warmup_epochs": 2.0},
            "--warmup-epochs 2 leaves nothing of --epochs 2",
        ),
        ({"lr": 1e-4, "min_lr": 1e-3}, "--min-lr 0.001 is above --lr 0.0001"),
        (
            {"min_lr": 0.004},
            "--min-lr 0.004 is above --lr 0.003, the default for the weights it starts from",
        ),
        (
            {"min_lr": 0.002, "pretrained": "yes"},
            "--min-lr 0.002 is above --lr 0.001, the default for the weights it starts from",
        ),
        (
            {"fold": "none", "patience": 3},
            "--patience needs a validation, and --fold none has none",
        ),
        (
            {"init_from": Path("run"), "pretrained": "yes"},
            "--init-from brings the weights; leave --pretrained out",
        ),
    ],
)
def test_a_wrong_setting_is_told(given, message):
    with pytest.raises(UsageError) as refusal:
        TrainSettings(**given)
    assert str(refusal.value) == message


def test_settings_survive_json():
    settings = TrainSettings(
        init_from=Path("weights/a"), img_size=("sar=64", "eo=32"), modality=("sar", "eo"), lr=0.1
    )
    document = json.loads(json.dumps(settings.document()))
    assert parse(TrainSettings, document, Path("run.json"), whole=True) == settings


def test_warm_up_is_a_twentieth_of_the_epochs_and_at_most_one():
    assert TrainSettings(epochs=10).warmup == 0.5
    assert TrainSettings(epochs=100).warmup == 1.0
    assert TrainSettings(epochs=100, warmup_epochs=5).warmup == 5


def test_the_learning_rate_follows_what_the_weights_know():
    assert TrainSettings().rate(pretrained=False) == 3e-3
    assert TrainSettings().rate(pretrained=True) == 1e-3
    assert TrainSettings(lr=0.1).rate(pretrained=True) == 0.1


def test_the_last_learning_rate_is_compared_with_the_one_that_the_run_will_have():
    assert TrainSettings(min_lr=0.002, pretrained="no").min_lr == 0.002
    unsure = TrainSettings(min_lr=0.002)  # published weights may or may not be had
    unsure.check_min_lr(unsure.rate(pretrained=False))
    with pytest.raises(UsageError, match=r"--min-lr 0.002 is above --lr 0.001, the default"):
        unsure.check_min_lr(unsure.rate(pretrained=True))


def test_every_optimizer_that_is_offered_is_one_of_timms():
    import timm.optim

    assert set(OPTIMIZERS) <= set(timm.optim.list_optimizers())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"freeze": "neck"}, "no part of a model is called 'neck'"),
        ({"reset_head": True}, "--reset-head is for --init-from"),
        ({"freeze": "head"}, "would keep a random head as it is"),
        (
            {"freeze": "head", "reset_head": True, "init_from": Path("run")},
            "would keep a random head as it is",
        ),
        ({"per_class": 0}, "--per-class is 0; it has to be 1 or more"),
        ({"per_class": 5, "balance": "over"}, "leave --balance over out"),
        ({"keep_dropped_logits": True}, "without --drop-classes"),
        ({"class_weights": Path("w.csv"), "weighting": "sqrt"}, "give one of them"),
        ({"class_weights": Path("w.csv"), "balance": "weights"}, "give one of them"),
        ({"defer_weights": 3}, "needs --weighting or --class-weights"),
        ({"defer_weights": 30, "weighting": "sqrt"}, "leaves nothing"),
    ],
)
def test_stages_that_contradict_themselves_are_refused(given, told):
    with pytest.raises(UsageError, match=told):
        TrainSettings(**given)
