"""What does not fit into the memory of a card is computed in parts, whichever library says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small import TRAIN, on_cpu, probabilities

from comptool.device import memory_errors

FAULTY = Path(__file__).with_name("faulty.py")
# Cells of the largest product of a pass: 12,480 for each image of 128 x 128 pixels, 384 for each of
# 16 x 16; of an update's gradients 49,152 whatever the batch.
FOR_FOUR, FOR_SEVEN = 50_000, 3_600
WHOLE = (
    *TRAIN, "--img-size", "128", "--batch-size", "16", "--epochs", "1", "--amp", "off",
    "--run-name", "whole",
)  # fmt: skip
INFER = ("one", "--batch-size", "32", "--test", "test.csv", "--force")
# torch takes a product and its sum apart where cuBLAS has no memory for both, and says so.
APART = "gemm_and_bias error: CUBLAS_STATUS_ALLOC_FAILED"
VALIDATION = "out of memory in validation: its batches are computed in halves"


@pytest.fixture(scope="module")
def whole(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose batches of 16 images fit into the memory."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("whole") / "copy")
    on_cpu(*WHOLE, "--device", "cpu", folder=folder)
    return folder / "weights" / "whole"


@pytest.mark.parametrize(
    ("how", "more"),
    [
        ({"most_cells": FOR_FOUR, "warns": APART}, [VALIDATION]),
        ({"program": FAULTY, "fault": "backward"}, []),
    ],
    ids=["forward and validation", "backward"],
)
def test_an_update_in_parts_is_the_same_update(how, more, whole, folder, on_card):
    ran = on_card(*WHOLE, "--device", "cuda", **how)
    for tried in (16, 8):
        said = f"out of memory with {tried} images at once: from now on at most {tried // 2}"
        assert ran.errors.count(said) == 1
    record = json.loads(Path("weights/whole/run.json").read_text())
    assert record["images_at_once"] == 4
    # The self-check has no memory either, where cuBLAS has none.
    slower = [one for one in record["computed"]["fallbacks"] if "self-check" not in one]
    assert slower == [*more, "out of memory: at most 4 images at once"]
    one, two = (pd.read_csv(path / "metrics.csv") for path in (whole, Path("weights/whole")))
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(two[column], one[column], rtol=1e-4)
    one, two = (probabilities(path / "oof.csv") for path in (whole, Path("weights/whole")))
    np.testing.assert_allclose(two, one, atol=2e-4)


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_predictions_in_parts_are_the_same_rows(command, with_run, on_card):
    if command == "tta":
        on_cpu("tta", *INFER, "--device", "cpu", "-o", "cpu.csv")
    given = (command, *INFER, "--device", "cuda", "--fp32", "-o", "card.csv")
    ran = on_card(*given, most_cells=FOR_SEVEN, warns=APART)
    sentence = "out of memory: at most 7 images at once"
    assert ran.errors.count(f"warning: {sentence}\n") == 1
    record = json.loads(Path("card.csv.meta.json").read_text())
    assert record["facts"]["computed"]["fallbacks"] == [sentence]
    assert pd.read_csv("card.csv")["id"].tolist() == pd.read_csv("cpu.csv")["id"].tolist()
    found = probabilities("card.csv")
    np.testing.assert_allclose(found, probabilities("cpu.csv"), atol=1e-5)


def test_a_card_without_room_for_an_image_is_told(with_run, on_card):
    given = ("infer", *INFER, "--device", "cuda", "--fp32", "-o", "card.csv")
    ran = on_card(*given, check=False, most_cells=100, warns=APART)
    assert ran.code == 2
    assert ran.errors.splitlines()[-2] == (
        "comptool infer: the memory of cuda:0 does not hold the networks and a single image; take "
        "another --device"
    )
    assert not Path("card.csv").exists()


SHORT = (
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory",
)


@pytest.mark.parametrize("text", SHORT)
def test_each_library_says_so_in_its_own_words(text):
    with pytest.raises(torch.OutOfMemoryError), memory_errors():
        raise RuntimeError(text)


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="device-side assert") as error, memory_errors():
        raise RuntimeError("CUDA error: device-side assert triggered")
    assert type(error.value) is RuntimeError


def test_the_batch_size_is_found_on_a_device_without_a_number(folder, on_card):
    ran = on_card(*TRAIN, "--batch-size", "auto", "--epochs", "1", "--device", "cuda", mb=512)
    assert "--batch-size auto: 18 images" in ran.errors
