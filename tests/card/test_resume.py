"""A run goes on where another kind of device left it."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from small import TRAIN, on_cpu

DEVICES = {
    "cpu": None,
    "bf16": {"capability": "9.0"},
    "fp16": {"capability": "7.5"},
}


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(DEVICES, 2)])
def test_a_run_goes_on_on_another_device(first, second, folder, on_card):
    def train(device, *more):
        settings = DEVICES[device]
        given = (
            *TRAIN,
            "--schedule",
            "constant",
            "--warmup-epochs",
            "0",
            "--run-name",
            "one",
            *more,
        )
        if settings is None:
            on_cpu(*given, "--device", "cpu")
            return None
        return on_card(*given, "--device", "cuda", **settings)

    train(first, "--epochs", "1")
    ran = train(second, "--epochs", "2", "--resume")
    assert ran is None or ran.warnings == []
    found = pd.read_csv("weights/one/metrics.csv")
    assert found["epoch"].tolist() == [1, 2]
    assert np.isfinite(found["train_loss"]).all()
