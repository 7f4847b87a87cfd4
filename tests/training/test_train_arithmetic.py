"""How the arithmetic of a training goes: batches, averages, precision, what is no number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from comptool.errors import InputError
from comptool.io.runs import read_header

RUN = Path("weights/run")


def test_accumulated_batches_train_as_one_large_batch(folds, fit, history):
    # No batch normalisation, which sees the batches apart.
    shared = {"model": "test_vit-dual", "epochs": 2, "augment": "none", "fold": "none"}
    shared |= {"optimizer": "sgd", "lr": 0.01}
    fit("large", batch_size=8, **shared)
    fit("small", batch_size=4, grad_accum=2, **shared)
    large, small = (load_file(f"weights/{name}/best.safetensors") for name in ("large", "small"))
    for name in large:
        torch.testing.assert_close(small[name], large[name], atol=2e-6, rtol=2e-4)
    assert [row["lr"] for row in history("large")] == [row["lr"] for row in history("small")]


def test_averaged_weights_are_what_is_validated_and_kept(folds, fit):
    fit(ema=0.5, epochs=2, fold="none")
    state = torch.load(RUN / "last.pt", weights_only=True)
    best = load_file(RUN / "best.safetensors")
    assert all(torch.equal(best[name], state["optimisation"]["ema"][name]) for name in best)
    assert any(not torch.equal(best[name], state["weights"][name]) for name in best)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_best(folds, fit):
    with pytest.raises(InputError) as stop:
        # The first epoch is all warm-up from a hundredth; then it explodes.
        fit(lr=1e15, optimizer="sgd", warmup_epochs=0, epochs=3)
    assert "the loss became NaN or infinite in epoch 1" in str(stop.value)
    assert "no checkpoint was kept yet" in str(stop.value)
    state = torch.load(RUN / "last.pt", weights_only=True)
    assert all(tensor.isfinite().all() for tensor in state["weights"].values())
    assert json.loads((RUN / "run.json").read_text())["state"] == "stopped"


def test_an_explosion_in_the_last_step_is_seen_without_validation(folds, fit):
    # The loss is that of the weights before the step: nothing but the weights tells.
    with pytest.raises(InputError, match="the loss became NaN or infinite in epoch 1"):
        steep = {"lr": 1e38, "weight_decay": 1e4, "warmup_epochs": 0, "optimizer": "sgd"}
        fit(**steep, epochs=1, batch_size=64, fold="none")
    assert not (RUN / "best.safetensors").exists()


def test_an_explosion_later_on_leaves_the_best_checkpoint_alone(folds, fit, history):
    steep = {"optimizer": "sgd", "lr": 1e-4, "epochs": 4, "schedule": "step"}
    with pytest.raises(InputError) as stop:
        fit(**steep, decay_epochs="1", decay_rate=1e20)
    assert "the best checkpoint is that of epoch 1" in str(stop.value)
    header = read_header(RUN)
    assert header.epoch == 1
    assert len(history()) == 1


def test_half_precision_trains_and_validates_in_float32(folds, fit):
    for amp in ("bf16", "fp16"):
        fit(amp, amp=amp, epochs=1, clip_grad=1.0)
        document = json.loads(Path(f"weights/{amp}/run.json").read_text())
        assert document["computed"]["precision"] == {"bf16": "bfloat16", "fp16": "float16"}[amp]
        best = load_file(f"weights/{amp}/best.safetensors")
        assert all(tensor.dtype != torch.bfloat16 for tensor in best.values())
    fit("auto", epochs=1)
    assert (
        json.loads(Path("weights/auto/run.json").read_text())["computed"]["precision"] == "float32"
    )


@pytest.mark.slow
def test_a_compiled_model_trains_like_a_plain_one(folds, fit, history):
    fit("plain", epochs=1, augment="none")
    fit("compiled", epochs=1, augment="none", compile="on")
    plain, compiled = (float(history(name)[0]["train_loss"]) for name in ("plain", "compiled"))
    assert compiled == pytest.approx(plain, rel=1e-3)
    assert (
        load_file("weights/plain/best.safetensors").keys()
        == load_file("weights/compiled/best.safetensors").keys()
    )
