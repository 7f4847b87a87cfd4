"""What does not fit into the memory of a card is computed in parts, whichever library says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small import TRAIN, on_cpu, probabilities

from comptool.device import memory_errors

INFER = ("--batch-size", "4", "--test", "test.csv", "--device", "cpu")


def test_an_update_in_parts_is_the_same_update(folder, on_card):
    given = (*TRAIN, "--img-size", "64", "--batch-size", "16", "--epochs", "1", "--amp", "off")
    on_cpu(*given, "--device", "cpu", "--run-name", "whole")
    ran = on_card(*given, "--device", "cuda", "--run-name", "parts", most_cells=50_000)
    assert "out of memory with" in ran.errors
    assert json.loads(Path("weights/parts/run.json").read_text())["images_at_once"] < 16
    for name in ("whole", "parts"):
        on_cpu("infer", name, *INFER, "-o", f"{name}.csv")
    np.testing.assert_allclose(probabilities("parts.csv"), probabilities("whole.csv"), atol=2e-4)


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


def test_a_card_without_a_runtime_is_told(folder, on_card):
    ran = on_card(*TRAIN, check=False, status=35)
    assert ran.code == 2
    assert "this machine has a GPU that torch" in ran.errors
    assert "--device cpu" in ran.errors


def test_the_batch_size_is_found_on_a_device_without_a_number(folder, on_card):
    ran = on_card(*TRAIN, "--batch-size", "auto", "--epochs", "1", "--device", "cuda", mb=512)
    assert "--batch-size auto: 18 images" in ran.errors
