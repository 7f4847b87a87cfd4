"""What a training reads: modalities, sizes, files of every kind, a policy, pretrained weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from comptool.errors import InputError, UsageError
from comptool.io.runs import read_header

RUN = Path("weights/run")


def test_two_modalities_may_have_two_sizes(folds, fit):
    fit(img_size=("sar=48", "eo=32x40"), epochs=1)
    assert read_header(RUN).img_size == {"sar": [48, 48], "eo": [32, 40]}


def test_sizes_come_from_the_images(folds, fit):
    fit(img_size=(), epochs=1)
    assert read_header(RUN).img_size == {"sar": [64, 64], "eo": [64, 64]}


def test_a_fixed_size_backbone_keeps_its_own_size(folds, fit):
    fit(img_size=(), epochs=1, model="test_vit-dual", batch_size=12)
    assert read_header(RUN).img_size == {"sar": [160, 160], "eo": [160, 160]}


def test_one_modality_can_be_picked(folds, fit):
    fit(modality=("eo",), model="test_efficientnet", epochs=1)
    assert read_header(RUN).modalities == ["eo"]
    with pytest.raises(UsageError) as refusal:
        fit("other", modality=("ir",), model="test_efficientnet")
    assert str(refusal.value) == "no modality is called 'ir'; did you mean 'sar' or 'eo'?"


def test_a_missing_image_can_be_black_or_its_row_left_out(folds, fit):
    Path("images/eo_05.png").unlink()
    with pytest.raises(InputError) as refusal:
        fit()
    assert str(refusal.value) == (
        "folds.csv, column 'eo_path': sample 's05' has no eo image; there is no images/eo_05.png. "
        "Allow it with --missing-modality zero, or leave such rows out with drop"
    )
    with pytest.raises(InputError, match=r"eo_05.png. Leave such rows out with --missing-modality"):
        fit(modality=("eo",), model="test_efficientnet")
    with pytest.raises(InputError, match=r"no image at all \(found 's05'\). Leave such rows out"):
        fit(modality=("eo",), model="test_efficientnet", missing_modality="zero")
    fit("black", missing_modality="zero", epochs=1)
    assert sum(read_header(Path("weights/black")).trained_counts.values()) == 15
    fit("left", missing_modality="drop", epochs=1)
    assert sum(read_header(Path("weights/left")).trained_counts.values()) == 14


def test_a_damaged_image_is_named_in_the_middle_of_the_training(folds, fit):
    content = Path("images/sar_04.png").read_bytes()
    Path("images/sar_04.png").write_bytes(content[: len(content) // 2])
    for name, workers in (("here", 0), ("there", 1)):
        with pytest.raises(InputError, match=r"images/sar_04.png: this image is truncated"):
            fit(name, workers=workers)


def test_a_policy_from_a_file_is_used(folds, fit, history):
    import albumentations

    policy = Path("policy.json")
    albumentations.save(albumentations.Compose([albumentations.InvertImg(p=1)]), policy)
    fit("plain", augment="none", epochs=1)
    fit("inverted", augment="policy.json", epochs=1)
    losses = [history(name)[0]["train_loss"] for name in ("plain", "inverted")]
    assert losses[0] != losses[1]
    digest = hashlib.sha256(policy.read_bytes()).hexdigest()
    assert read_header(Path("weights/inverted")).inputs["policy.json"] == digest

    albumentations.save(albumentations.Compose([albumentations.InvertImg(p=0.5)]), policy)
    with pytest.raises(InputError) as error:
        fit("inverted", resume=True)
    assert str(error.value) == (
        "weights/inverted: the augmentation file is not the one that this run was begun with. "
        "Bring the file back, or start another run with --init-from"
    )


def test_pretrained_weights_from_a_file_are_what_training_starts_from(folds, fit):
    import timm

    backbone = timm.create_model("test_efficientnet", num_classes=0)
    torch.save(backbone.state_dict(), "backbone.pth")
    fit(pretrained="backbone.pth", epochs=1, lr=1e-30, optimizer="sgd", weight_decay=0.0)
    weights = load_file(RUN / "best.safetensors")
    name, tensor = next(iter(backbone.named_parameters()))
    for stream in range(2):
        assert torch.equal(weights[f"encoders.{stream}.{name}"], tensor)
    digest = hashlib.sha256(Path("backbone.pth").read_bytes()).hexdigest()
    assert read_header(RUN).pretrained == f"file:backbone.pth sha256 {digest}"


def test_images_of_other_formats_train_together(folds, fit):
    chip = np.full((32, 32, 3), 90, np.uint8)
    cv2.imwrite("images/eo_00.png", chip)  # colour among grey
    fit(epochs=1)
    assert RUN.exists()
