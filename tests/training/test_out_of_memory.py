"""What does not fit into the memory at once is taken in parts, to the same end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.modules.module import register_module_forward_pre_hook

from comptool.errors import UsageError
from comptool.models.streams import StreamModel
from comptool.training.class_prior import carry_out, plan_estimate
from comptool.training.distributed import Processes
from comptool.training.setup import prepare
from comptool.training.train_step import TrainStep

CPU = torch.device("cpu")
# No batch normalisation, which sees the parts apart.
SMOOTH = {"model": "test_vit-dual", "optimizer": "sgd", "lr": 0.01, "epochs": 2, "batch_size": 8}


@contextmanager
def memory_for(images: int, *, training: bool = True) -> Iterator[list[int]]:
    """A device that holds so many images at once, in training or else in validation.

    Gives the sizes that it saw.
    """
    sizes = []

    def allocate(module, inputs):
        if isinstance(module, StreamModel) and module.training == training:
            sizes.append(len(inputs[0]))
            if sizes[-1] > images:
                raise torch.OutOfMemoryError(f"no room for {sizes[-1]}")

    handle = register_module_forward_pre_hook(allocate)
    try:
        yield sizes
    finally:
        handle.remove()


def assert_near(one: str, two: str) -> None:
    first, second = (load_file(f"weights/{name}/best.safetensors") for name in (one, two))
    for name in first:
        torch.testing.assert_close(second[name], first[name], atol=2e-6, rtol=2e-4)


@pytest.mark.parametrize(
    "given", [{}, {"mixup": 0.4, "grad_accum": 2, "ema": 0.5}, {"balanced_mixup": 0.3}]
)
def test_parts_train_as_the_whole_batch(given, folds, fit):
    fit("whole", **SMOOTH, **given)
    said = []
    with memory_for(3) as sizes:
        fit("parts", **SMOOTH, **given, say=said.append)
    assert_near("whole", "parts")
    told = [text for text in said if "out of memory" in text]
    assert told[-1] == (
        "out of memory with 4 images at once: from now on at most 2, whose gradients add up to "
        "the same update; batch normalisation sees the parts apart"
    )
    # Seen once and remembered, in every later update and in the files.
    assert sum(size > 3 for size in sizes) == len(told) == 2
    document = json.loads(Path("weights/parts/run.json").read_text())
    assert document["images_at_once"] == 2
    assert document["computed"]["fallbacks"] == ["out of memory: at most 2 images at once"]
    assert "images_at_once" not in json.loads(Path("weights/whole/run.json").read_text())


def test_a_validation_that_does_not_fit_gives_the_same(folds, fit):
    fit("whole", **SMOOTH)
    with memory_for(1, training=False) as sizes:
        fit("parts", **SMOOTH)
    assert min(sizes) == 1 < max(sizes)
    assert_near("whole", "parts")
    assert json.loads(Path("weights/parts/run.json").read_text())["computed"]["fallbacks"] == [
        "out of memory in validation: its batches are computed in halves"
    ]
    for name in ("oof.csv", "metrics.csv"):
        tables = [pd.read_csv(f"weights/{run}/{name}") for run in ("whole", "parts")]
        timed = ["seconds", "images_per_second"]
        whole, parts = (table.drop(columns=timed, errors="ignore") for table in tables)
        pd.testing.assert_frame_equal(whole, parts, rtol=1e-5)


def test_a_prior_that_does_not_fit_is_the_same(learn):
    learn("run", epochs=1)
    estimate, said = plan_estimate("run"), []
    whole = carry_out(estimate, batch_size=8, workers=0, device="cpu")
    with memory_for(3, training=False) as sizes:
        parts = carry_out(estimate, batch_size=8, workers=0, device="cpu", say=said.append)
    assert min(sizes) == 2 < max(sizes)
    assert said == ["warning: out of memory in prediction: its batches are computed in halves"]
    assert parts.tolist() == pytest.approx(whole.tolist(), abs=1e-6)
    with pytest.raises(UsageError) as refusal, memory_for(0, training=False):
        carry_out(estimate, batch_size=8, workers=0, device="cpu")
    assert str(refusal.value) == (
        "the memory of cpu does not hold the network and a single image; take another --device"
    )


def test_a_resumed_run_knows_what_did_not_fit(folds, fit, kept, same, at_forward):
    def stop():
        raise KeyboardInterrupt

    with memory_for(3):
        fit("whole", **SMOOTH)
        with pytest.raises(KeyboardInterrupt), at_forward(11, stop):
            fit("broken", **SMOOTH)
    with memory_for(8) as sizes:
        fit("broken", resume=True)
    assert max(sizes) == 2
    same(kept("broken"), kept("whole"))


@pytest.mark.parametrize(
    ("model", "holds", "least"), [("test_vit-dual", 0, 1), ("test_efficientnet-dual", 2, 3)]
)
def test_what_does_not_fit_by_itself_is_an_error(model, holds, least, folds, fit):
    with pytest.raises(UsageError) as refusal, memory_for(holds):
        fit(model=model)
    assert str(refusal.value) == (
        f"not even a batch of {least} fits into the memory of cpu; take a smaller --img-size or "
        "--model, or --model-option grad_checkpointing=true"
    )
    assert json.loads(Path("weights/run/run.json").read_text())["state"] == "stopped"


def first_update(plan, processes=None):
    session = prepare(plan, plan.members[0], Processes(0, 1, CPU), lambda text: None).session
    session.begin_epoch(0)
    session.batches.set_epoch(0, 0)
    if processes is not None:
        session.processes = processes
    return TrainStep(session, None, lambda text: None)([next(iter(session.train_loader))], 0, 0)


def test_no_part_is_too_small_for_batch_normalisation(folds, fit):
    with memory_for(3) as sizes:
        fit(batch_size=11, epochs=1)  # 15 rows: a batch of eleven and one of four
    assert sizes == [11, 6, 3, 3, 3, 2, 2, 2]


def test_several_processes_do_not_wait_for_the_one_without_memory(folds, plan_of):
    with pytest.raises(UsageError) as refusal, memory_for(2):
        first_update(plan_of(), Processes(1, 2, CPU))
    assert str(refusal.value) == (
        "a batch of 4 images does not fit into the memory of cpu, and several processes do not "
        "split it; take a --batch-size below 4, with --grad-accum for updates as large"
    )


def test_an_optimizer_without_room_for_its_state_is_an_error(folds, plan_of, monkeypatch):
    def step(self, closure=None):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(UsageError, match="the state of --optimizer adamw does not fit into"):
        first_update(plan_of())


def test_a_batch_without_room_for_its_images_is_an_error(folds, fit, monkeypatch):
    def full(batches, device, asynchronous):
        yield next(iter(batches))
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr("comptool.training.trainer.on_device", full)
    with pytest.raises(UsageError) as refusal:
        fit()
    assert str(refusal.value) == (
        "the memory of cpu does not hold a batch of images and the model; take a smaller "
        "--batch-size, or --data-on cpu"
    )
