"""Which gradients are calibrated: what is typed, and what fits a model."""

from __future__ import annotations

import pytest

from comptool.errors import UsageError
from comptool.training.config import Calibration, TrainSettings, calibration_of, parse_calibration


@pytest.mark.parametrize(
    ("texts", "limits", "expected"),
    [
        (["intra"], None, Calibration("mean")),
        (["intra:min"], None, Calibration("min")),
        (["inter"], None, Calibration(inter=True)),
        (["inter", "intra:max"], None, Calibration("max", inter=True)),
        (["inter, intra:max"], None, Calibration("max", inter=True)),
        (["intra"], "0.5,2", Calibration("mean", limits=(0.5, 2.0))),
    ],
)
def test_what_is_typed_is_understood(texts, limits, expected):
    assert parse_calibration(texts, limits) == expected


@pytest.mark.parametrize(
    ("texts", "limits", "message"),
    [
        (
            ["intra:avg"],
            None,
            "no gradient calibration is called 'intra:avg'; did you mean 'intra:max', 'intra:mean' "
            "or 'intra'?",
        ),
        (
            ["intra,intra:max"],
            None,
            "a gradient calibration is asked for twice: intra, intra:max",
        ),
        (
            ["intra"],
            "0.1",
            "--calibration-limits is '0.1'; it has to be two numbers such as 0.1,10",
        ),
        (
            ["intra"],
            "1.5,2",
            "factors of gradients are limited to 1.5 and 2; the smallest has to be above 0 and at "
            "most 1, the largest 1 or more and finite",
        ),
        (
            ["inter"],
            "0.1,10",
            "--calibration-limits limits the factors of --calibrate-gradients intra, which is not "
            "given",
        ),
    ],
)
def test_what_is_mistyped_is_refused(texts, limits, message):
    with pytest.raises(UsageError) as error:
        parse_calibration(texts, limits)
    assert str(error.value) == message


@pytest.mark.parametrize("limits", [(0.0, 10.0), (1.5, 2.0), (0.1, 0.9), (0.1, float("inf"))])
def test_limits_that_are_none_are_refused(limits):
    with pytest.raises(UsageError, match="factors of gradients are limited to"):
        Calibration("mean", limits=limits)


def test_a_training_is_not_calibrated_unless_that_is_asked_for():
    assert calibration_of(TrainSettings()) is None
    settings = TrainSettings(calibrate_gradients=("intra:max",), calibration_limits="0.2,5")
    assert calibration_of(settings) == Calibration("max", limits=(0.2, 5.0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"calibrate_gradients": ("inter",)},
            "--calibrate-gradients inter balances objectives, and the model has one; add "
            "--auxiliary-heads, or leave inter out",
        ),
        (
            {"calibrate_gradients": ("intra",), "model": "resnet18"},
            "--calibrate-gradients is for models of several streams, and 'resnet18' has one; try "
            "'resnet18-dual'",
        ),
        (
            {"auxiliary_heads": True, "model": "resnet18+cosine"},
            "--auxiliary-heads is for models of several streams, and 'resnet18+cosine' has one; "
            "try 'resnet18-dual+cosine'",
        ),
        (
            {"auxiliary_heads": True, "model": "resnet18-dual+q2l"},
            "--auxiliary-heads go with the heads linear, cosine and coral; that of "
            "'resnet18-dual+q2l' is q2l",
        ),
        (
            {"calibrate_gradients": ("intra",), "freeze": "backbone"},
            "--freeze backbone leaves --calibrate-gradients nothing to calibrate",
        ),
        (
            {"calibration_limits": "0.1,10"},
            "--calibration-limits limits the factors of --calibrate-gradients intra, which is not "
            "given",
        ),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_torch_is_imported(given, message):
    with pytest.raises(UsageError) as error:
        TrainSettings(**given)
    assert str(error.value) == message
