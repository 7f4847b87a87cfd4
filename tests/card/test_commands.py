"""Commands on a card give what they give on a CPU."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small import TRAIN, on_cpu, probabilities

INFER = ("--batch-size", "4", "--test", "test.csv")
DEVICES = [("auto", 1), ("cuda", 2), ("cuda:1", 2)]


@pytest.mark.parametrize(("device", "cards"), DEVICES)
def test_a_run_on_a_card_is_that_of_a_cpu(device, cards, folder, on_card):
    on_cpu(*TRAIN, "--device", "cpu", "--run-name", "one")
    ran = on_card(*TRAIN, "--device", device, "--amp", "off", "--run-name", "two", count=cards)
    assert ran.warnings == []
    assert "self-check" not in ran.errors
    assert ran.figures["operations"] > 1000
    assert ran.figures["unknown"] == {}
    for name in ("one", "two"):
        on_cpu("infer", name, "--device", "cpu", *INFER, "-o", f"{name}.csv")
    np.testing.assert_allclose(probabilities("two.csv"), probabilities("one.csv"), atol=2e-4)
    one, two = (pd.read_csv(f"weights/{name}/metrics.csv") for name in ("one", "two"))
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(two[column], one[column], rtol=1e-4)


@pytest.mark.parametrize(("device", "cards"), DEVICES)
def test_predictions_on_a_card_are_those_of_a_cpu(device, cards, folder, on_card):
    on_cpu(*TRAIN, "--device", "cpu", "--run-name", "one")
    on_cpu("infer", "one", "--device", "cpu", *INFER, "-o", "cpu.csv")
    for precision, tolerance in (["--fp32"], 1e-5), ([], 5e-3):
        given = ("infer", "one", "--device", device, *precision, *INFER, "-o", "card.csv")
        ran = on_card(*given, "--force", count=cards)
        assert ran.warnings == []
        assert "self-check" not in ran.errors
        assert ran.figures["unknown"] == {}
        np.testing.assert_allclose(
            probabilities("card.csv"), probabilities("cpu.csv"), atol=tolerance
        )
