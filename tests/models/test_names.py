"""The grammar of model names, without torch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool import models
from comptool.errors import UsageError
from comptool.models import ModelName, check_modalities, parse_name


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("mobilenetv2", ModelName("mobilenetv2", 1, "linear")),
        ("mobilenetv2-dual", ModelName("mobilenetv2", 2, "linear")),
        ("resnet34-dual+linear", ModelName("resnet34", 2, "linear")),
        ("vit_tiny_patch16_224+linear", ModelName("vit_tiny_patch16_224", 1, "linear")),
        # A pretrained tag of timm is part of the backbone.
        ("resnet34.tv_in1k-dual", ModelName("resnet34.tv_in1k", 2, "linear")),
    ],
)
def test_a_name_is_taken_apart(name, parsed):
    assert parse_name(name) == parsed


@given(
    backbone=st.sampled_from(models.names()) | st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True),
    dual=st.booleans(),
)
def test_a_name_put_together_again_is_the_same(backbone, dual):
    name = backbone.removesuffix("-dual") + ("-dual" if dual else "")
    assert str(parse_name(name)) == name
    assert parse_name(f"{name}+linear") == parse_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mobilenetv2-daul",
            "no model is called 'mobilenetv2-daul'; "
            "did you mean 'mobilenetv2-dual', 'mobilenetv2' or 'resnet34-dual'?",
        ),
        (
            "resnet34+lineal",
            "no head is called 'lineal'; did you mean 'linear', 'cosine' or 'coral'?",
        ),
        (
            "resnet34+",
            "no head is called ''; did you mean 'q2l-full', 'q2l' or 'ml-decoder-learnable'?",
        ),
        (
            "../../etc",
            "no model is called '../../etc'; "
            "did you mean 'eurosat-cbam', 'resnet34' or 'eurosat-cbam-dual'?",
        ),
        (
            "Resnet34",
            "no model is called 'Resnet34'; "
            "did you mean 'resnet34', 'resnet34-dual' or 'mobilenetv2'?",
        ),
    ],
)
def test_what_cannot_be_a_name_is_refused_with_the_nearest(name, message):
    with pytest.raises(UsageError) as error:
        parse_name(name)
    assert str(error.value) == message


def test_listed_names_are_names_and_have_a_twin():
    backbones = (
        "mobilenetv2 resnet34 cvt-21 cvt-w24-384 shake-shake-26-2x32d shake-shake-26-2x64d "
        "shake-shake-26-2x96d eurosat-baseline eurosat-cbam eurosat-bmta"
    ).split()
    assert models.names() == [name + suffix for name in backbones for suffix in ("", "-dual")]
    assert [entry.name for entry in models.listing()] == models.names()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("mobile", ["mobilenetv2", "mobilenetv2-dual"]),
        ("resnet*", ["resnet34", "resnet34-dual"]),
        ("cvt*-dual", ["cvt-21-dual", "cvt-w24-384-dual"]),
        ("t-c", ["eurosat-cbam", "eurosat-cbam-dual"]),
        ("resnet34", ["resnet34", "resnet34-dual"]),
        ("nothing", []),
    ],
)
def test_a_pattern_finds_names(pattern, found):
    assert [entry.name for entry in models.listing(pattern)] == found


def test_the_number_of_modalities_has_to_be_the_models():
    check_modalities("resnet34-dual", ["sar", "eo"])
    check_modalities("resnet34-dual", ["sar", "eo", "ir"])
    with pytest.raises(UsageError) as error:
        check_modalities("resnet34", ["sar", "eo"])
    assert str(error.value) == (
        "the model 'resnet34' takes 1 image per sample and the competition has 2: sar, eo; "
        "try 'resnet34-dual'"
    )
    with pytest.raises(UsageError) as error:
        check_modalities("resnet34-dual", ["sar"])
    assert str(error.value) == (
        "the model 'resnet34-dual' takes 2 or more images per sample and the competition has 1: "
        "sar; try 'resnet34'"
    )
