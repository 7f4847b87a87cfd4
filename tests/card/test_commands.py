"""Commands on a card give what they give on a CPU."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small import TRAIN, probabilities

INFER = ("infer", "one", "--batch-size", "4", "--test", "test.csv", "-o", "card.csv", "--force")
DEVICES = [("auto", 1), pytest.param("cuda", 2, marks=pytest.mark.slow), ("cuda:1", 2)]


@pytest.mark.parametrize(("device", "cards"), DEVICES)
def test_a_run_on_a_card_is_that_of_a_cpu(device, cards, with_run, on_card):
    ran = on_card(*TRAIN, "--device", device, "--amp", "off", "--run-name", "two", count=cards)
    assert "self-check" not in ran.errors
    assert ran.figures["operations"] > 1000
    assert ran.figures["unknown"] == {}
    assert ran.figures["rounded"].keys() == {"training"}  # with TF32; validation is without
    one, two = (pd.read_csv(f"weights/{name}/metrics.csv") for name in ("one", "two"))
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(two[column], one[column], rtol=1e-4)
    one, two = (probabilities(f"weights/{name}/oof.csv") for name in ("one", "two"))
    np.testing.assert_allclose(two, one, atol=2e-4)


@pytest.mark.parametrize(("device", "cards"), DEVICES)
def test_predictions_on_a_card_are_those_of_a_cpu(device, cards, with_run, on_card):
    for precision, tolerance in (["--fp32"], 1e-5), ([], 5e-3):
        ran = on_card(*INFER, "--device", device, *precision, count=cards)
        assert "self-check" not in ran.errors
        assert ran.figures["unknown"] == ran.figures["rounded"] == {}
        np.testing.assert_allclose(
            probabilities("card.csv"), probabilities("cpu.csv"), atol=tolerance
        )
