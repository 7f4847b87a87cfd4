"""A run goes on where the same or another kind of device left it."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small import TRAIN, on_cpu, write_competition

DEVICES = {
    "cpu": None,
    "bf16": {"capability": "9.0"},
    "fp16": {"capability": "7.5"},
}
PRECISION = {"cpu": "float32", "bf16": "bfloat16", "fp16": "float16"}
RUN = Path("weights/one")
# Clipping and EMA; AdamW has a state that grows with the updates.
GIVEN = (
    *TRAIN, "--optimizer", "adamw", "--lr", "0.002", "--ema", "0.9", "--clip-grad", "1",
    "--schedule", "constant", "--warmup-epochs", "0", "--run-name", "one",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """``trained(device, 1, train)``: a folder with a run of so many epochs, trained once."""
    folders = {}

    def at(device, epochs, train):
        if (device, epochs) not in folders:
            folder = tmp_path_factory.mktemp(f"{device}-{epochs}")
            write_competition(folder)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                train(device, "--epochs", epochs)
            folders[device, epochs] = folder
        return folders[device, epochs]

    return at


@pytest.fixture
def train(on_card):
    """Train on a kind of device."""

    def run(device, *more):
        settings = DEVICES[device]
        if settings is None:
            on_cpu(*GIVEN, *more, "--device", "cpu")
        else:
            ran = on_card(*GIVEN, *more, "--device", "cuda", **settings)
            assert ran.warnings == []

    return run


def tensors(value, place="") -> dict[str, torch.Tensor]:
    """The tensors and numbers within a state, by their place."""
    if isinstance(value, dict):
        parts = [tensors(inner, f"{place}/{name}") for name, inner in value.items()]
    elif isinstance(value, list | tuple):
        parts = [tensors(inner, f"{place}/{number}") for number, inner in enumerate(value)]
    elif isinstance(value, torch.Tensor | float | int):
        return {place: torch.as_tensor(value)}
    else:
        return {}
    return {name: tensor for part in parts for name, tensor in part.items()}


def state_at(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of ``last.pt``, read where there is no card, as they were written."""
    state = torch.load(folder / RUN / "last.pt", weights_only=True)
    found = tensors({name: state[name] for name in ("weights", "optimisation", "gauges")})
    assert all(tensor.device.type == "cpu" for tensor in found.values())
    return found


@pytest.mark.parametrize(("first", "second"), [*itertools.product(DEVICES, repeat=2)])
def test_a_run_goes_on_on_any_device(first, second, trained, train, tmp_path, monkeypatch):
    begun = trained(first, 1, train)
    shutil.copytree(begun, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    train(second, "--epochs", "2", "--resume")
    found = state_at(Path())
    assert all(tensor.isfinite().all() for tensor in found.values())
    assert json.loads((RUN / "run.json").read_text())["computed"]["precision"] == PRECISION[second]
    rows, before = (pd.read_csv(folder / RUN / "metrics.csv") for folder in (Path(), begun))
    assert rows["epoch"].tolist() == [1, 2]
    assert np.isfinite(rows[["train_loss", "val_loss"]]).all(axis=None)
    assert rows["train_loss"][0] == before["train_loss"][0]
    whole = trained(first, 2, train)
    if first == second:
        expected = state_at(whole)
        assert found.keys() == expected.keys()
        for place, tensor in expected.items():
            torch.testing.assert_close(found[place], tensor, msg=lambda text, at=place: at + text)
        answers, others = (pd.read_csv(folder / RUN / "oof.csv") for folder in (Path(), whole))
        pd.testing.assert_frame_equal(answers, others)
    # From where it was left, not from the beginning: the loss of float16 differs, whose first
    # updates overflow.
    loss = pd.read_csv(whole / RUN / "metrics.csv")["train_loss"]
    assert rows["train_loss"][1] == pytest.approx(loss[1], rel=0.05)
    assert rows["train_loss"][1] < 0.9 * rows["train_loss"][0]
