"""The learnt fusion weights: after every epoch, in the checkpoint, in the report."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from comptool.io.runs import read_header
from comptool.reports.evaluate import evaluate

BMTA = {"model": "eurosat-bmta", "modality": ("sar",), "img_size": ("16",), "lr": 1e-4}


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_the_weights_of_each_block_are_those_that_were_validated(folds, fit, history, ema):
    fit(epochs=2, ema=ema, **BMTA)
    weights = load_file("weights/run/best.safetensors")
    thetas = {
        name: float(torch.sigmoid(value))
        for name, value in weights.items()
        if name.endswith("attention.theta")
    }
    assert len(thetas) == 11
    header, rows = read_header(Path("weights/run")), history()
    found = header.fusion_weights
    assert list(found)[:4] == ["alpha_1_1", "alpha_1_2", "alpha_1_3", "alpha_2_1"]
    assert list(found.values()) == pytest.approx(
        [*thetas.values(), sum(thetas.values()) / 11], abs=1e-6
    )
    columns = [name for name in rows[0] if name.startswith("alpha_")]
    assert columns == list(found)
    best = rows[header.epoch - 1]
    assert [float(best[name]) for name in columns] == list(found.values())
    assert rows[0]["alpha_mean"] != rows[1]["alpha_mean"]
    report = evaluate("run", resamples=0)
    assert report.fusion == {"weights/run": found}
    assert f"  alpha_mean  {found['alpha_mean']:.4f}" in str(report).splitlines()


def test_other_networks_have_no_such_columns(folds, fit, history):
    fit(epochs=1)
    assert not [name for name in history()[0] if "alpha" in name]
    assert read_header(Path("weights/run")).fusion_weights == {}
    assert "fusion" not in str(evaluate("run", resamples=0))
