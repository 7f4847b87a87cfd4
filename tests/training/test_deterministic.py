"""``train --deterministic``: the same bits again, and a clear end where that is not possible."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from comptool.precision import WORKSPACE, arithmetic
from comptool.training.distributed import joined

TRAIN = (
    "--model", "test_efficientnet-dual", "--pretrained", "no", "--epochs", "2", "--batch-size", "4",
    "--augment", "weak", "--device", "cpu",
)  # fmt: skip
LOSS = """
import torch
from torch import nn

class Odd(nn.Module):
    def forward(self, logits, targets):
        if len(logits) == 4:  # not where the loss is only tried
            torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
        return nn.functional.cross_entropy(logits, targets)
"""


def weights(run: str) -> dict:
    return load_file(Path("weights", run, "best.safetensors"))


@pytest.fixture
def fit(folds, comptool):
    def run(*more):
        return comptool("train", *TRAIN, *more)

    return run


def test_a_run_is_repeated_bit_for_bit(fit, monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    for name in ("one", "two"):
        result = fit("--deterministic", "--run-name", name)
        assert result.exit_code == 0, result.stderr
        # Nothing is left behind for what this process does next.
        assert not torch.are_deterministic_algorithms_enabled()
    one, two = weights("one"), weights("two")
    assert one.keys() == two.keys()
    assert all((one[name] == two[name]).all() for name in one)
    assert json.loads(Path("weights/one/run.json").read_text())["computed"]["deterministic"]
    assert os.environ[WORKSPACE] == ":4096:8"


def test_operations_are_deterministic_within_a_training():
    with joined("cpu", deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


def test_an_operation_without_a_deterministic_version_is_named(fit):
    Path("odd.py").write_text(LOSS)
    assert fit("--loss", "odd.py:Odd", "--run-name", "free").exit_code == 0
    result = fit("--loss", "odd.py:Odd", "--run-name", "held", "--deterministic")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "comptool train: --deterministic: torch has no deterministic version of put_, which this "
        "training needs; leave --deterministic out, or take another model, loss or device"
    )


def test_a_batch_size_by_free_memory_is_refused(fit):
    result = fit("--deterministic", "--batch-size", "auto")
    assert result.exit_code == 2
    assert "--batch-size auto depends on how much memory is free" in result.stderr


def test_settings_of_arithmetic_return_after_an_error():
    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(ValueError, match="lost"):
        with arithmetic(tf32=not before, deterministic=True):
            raise ValueError("lost")
    assert torch.backends.cudnn.allow_tf32 == before
    assert not torch.are_deterministic_algorithms_enabled()
