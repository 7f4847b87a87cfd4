"""Two processes of ``torchrun`` on the CPU, with gloo."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from comptool.io.predictions import read_predictions
from comptool.io.runs import read_header
from comptool.training.class_prior import carry_out, plan_estimate
from comptool.training.data import read_prior

# No batch normalisation: two processes of half the batch are one of the whole.
SHARED = {"model": "test_vit-dual", "augment": "weak", "optimizer": "sgd", "lr": 0.01, "epochs": 2}


def torchrun(*options: str, command: str = "train") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
         "-m", "comptool", command, *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )  # fmt: skip


def test_two_processes_train_as_one_with_twice_the_batch(folds, fit):
    rows = list(csv.reader(folds.open()))
    for index, row in enumerate(rows[1:]):
        row[-1] = str(int(index >= 8))  # 16 rows are trained on: whole batches for both
    with folds.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SHARED.items()]
    options += ["--pretrained=no", "--img-size=32", "--workers=0", "--device=cpu"]
    options += ["--auxiliary-heads", "--calibrate-gradients=intra:max,inter"]
    run = torchrun(*options, "--run-name=two", "--batch-size=2", "--grad-accum=2", "--ema=0.5")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "weights/two\n"
    assert run.stderr.count("rows to train on") == 1  # one of them speaks
    calibrated = {"auxiliary_heads": True, "calibrate_gradients": ("intra:max", "inter")}
    fit("one", **SHARED, **calibrated, batch_size=4, grad_accum=2, ema=0.5)
    one, two = (load_file(f"weights/{name}/best.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=1e-3)
    first, second = (read_predictions(Path(f"weights/{n}/oof.csv")) for n in ("one", "two"))
    assert first.ids.tolist() == second.ids.tolist()
    torch.testing.assert_close(
        torch.tensor(second.probabilities), torch.tensor(first.probabilities), atol=1e-4, rtol=0
    )
    histories = [list(csv.DictReader(Path(f"weights/{n}/metrics.csv").open())) for n in
                 ("one", "two")]  # fmt: skip
    for row, other in zip(*histories, strict=True):
        assert float(other["train_loss"]) == pytest.approx(float(row["train_loss"]), rel=1e-3)
        assert float(other["val_loss"]) == pytest.approx(float(row["val_loss"]), rel=1e-3)
        found = [name for name in row if name.startswith(("gradient_", "objective_", "joint_"))]
        assert len(found) == 7
        for name in found:
            assert float(other[name]) == pytest.approx(float(row[name]), rel=1e-3)
    assert read_header(Path("weights/two")).trained_counts == {"a": 5, "b": 5, "c": 6}


def test_two_processes_estimate_one_prior(learn):
    learn("run", epochs=1)
    run = torchrun("run", "-o", "two.csv", "-b5", "-j0", "--device=cpu", command="prior")
    assert (run.returncode, run.stdout) == (0, "two.csv\n"), run.stderr
    estimate = plan_estimate("run")
    expected = carry_out(estimate, batch_size=64, workers=0, device="cpu")
    found = read_prior(Path("two.csv"), estimate.classes)
    assert found == pytest.approx(expected.tolist(), abs=1e-6)
