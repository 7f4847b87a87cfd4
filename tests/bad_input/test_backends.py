"""Networks that ONNX Runtime cannot compute, graphs that are not theirs, devices without memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from comptool import models
from comptool.io.predictions import read_predictions
from comptool.io.records import ModelRecord
from comptool.io.runs import BEST
from comptool.models.checkpoint_file import load_checkpoint, save_checkpoint
from comptool.models.streams import StreamModel

pytestmark = pytest.mark.usefixtures("unsealed")

INFER = ("infer", "net", "-j", "0", "-o", "new.csv", "--force")
GRAPH = Path("weights/net/best.onnx")
RECORD = Path("weights/net/best.onnx.meta.json")


@contextmanager
def memory_for(images: int, *, training: bool = False) -> Iterator[None]:
    """A device that holds so many images at once in prediction or, with gradients, in training."""

    def allocate(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        fits = module.training != training or len(inputs[0]) <= images
        if isinstance(module, StreamModel) and not fits:
            raise torch.OutOfMemoryError(f"no room for {len(inputs[0])}")

    handle = register_module_forward_pre_hook(allocate)
    try:
        yield
    finally:
        handle.remove()


def probabilities(path: str) -> np.ndarray:
    return read_predictions(Path(path)).probabilities


def test_a_network_that_cannot_be_exported_is_computed_by_torch_which_is_told(invoked, refused):
    described = load_checkpoint(Path("weights/net"))[1]
    sizes = {key: [64, 64] for key in described.modalities}
    name = "csatv2-dual"  # has an operation that the export does not know
    odd = replace(described, model=ModelRecord(name, {}), img_size=sizes)
    save_checkpoint(Path("weights/net") / BEST, models.create(name, 3), odd, force=True)
    run = Path("weights/net/run.json")
    run.write_text(json.dumps(json.loads(run.read_text()) | {"digests": None}))
    said = "weights/net: the network cannot be exported to ONNX ("
    result = invoked(*INFER)
    assert (result.exit_code, result.stdout) == (0, "new.csv\n")
    told = [line for line in result.stderr.splitlines() if said in line]
    assert len(told) == 1 and told[0].endswith("; torch computes, which takes longer")
    assert invoked("infer", "-j", "0", "--backend", "torch", "-o", "torch.csv").exit_code == 0
    np.testing.assert_array_equal(probabilities("new.csv"), probabilities("torch.csv"))
    refused(("infer", "-j", "0", "--backend", "onnx", "-o", "onnx.csv"), 2, f"{said}{{}}")


def older_format() -> None:
    record = json.loads(RECORD.read_text())
    record["facts"]["graph"] -= 1
    RECORD.write_text(json.dumps(record))


def flipped_byte() -> None:
    content = bytearray(GRAPH.read_bytes())
    content[len(content) // 2] ^= 1
    GRAPH.write_bytes(content)


SPOILT = {
    "of an older version": older_format,
    "with a flipped byte": flipped_byte,
    "truncated": lambda: os.truncate(GRAPH, GRAPH.stat().st_size // 2),
    "without a record": RECORD.unlink,
    "whose record is none": lambda: RECORD.write_text("{"),
    "whose record is damaged": lambda: RECORD.write_text('{"facts": {"graph": "1"}}'),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_graph_that_nothing_vouches_for_is_made_anew(chain, invoked, kind):
    assert invoked(*INFER).exit_code == 0
    found, made = probabilities("new.csv"), GRAPH.stat().st_ino
    SPOILT[kind]()
    result = invoked(*INFER)
    assert (result.exit_code, result.stdout) == (0, "new.csv\n"), result.stderr
    np.testing.assert_array_equal(probabilities("new.csv"), found)
    made, before = GRAPH.stat().st_ino, made
    assert made != before
    assert invoked(*INFER).exit_code == 0
    assert GRAPH.stat().st_ino == made


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_a_prediction_that_does_not_fit_is_taken_in_parts_which_is_told(chain, invoked, command):
    given = (command, "-j", "0", "--backend", "torch", "--batch-size", "8", "--force", "-o")
    assert invoked(*given, "whole.csv").exit_code == 0
    with memory_for(2):
        result = invoked(*given, "parts.csv")
    assert (result.exit_code, result.stdout) == (0, "parts.csv\n"), result.stderr
    sentence = "out of memory: at most 2 images at once"
    assert result.stderr.count(f"warning: {sentence}\n") == 1
    record = json.loads(Path("parts.csv.meta.json").read_text())
    assert record["facts"]["computed"]["fallbacks"] == [sentence]
    np.testing.assert_allclose(probabilities("parts.csv"), probabilities("whole.csv"), atol=1e-6)


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_a_prediction_of_which_not_even_an_image_fits(refused, command):
    with memory_for(0):
        refused(
            (command, "-j", "0", "-o", "new.csv", "--backend", "torch"),
            2,
            "the memory of cpu does not hold the networks and a single image; take another "
            "--device",
        )


def test_a_training_that_does_not_fit_is_taken_in_parts_which_is_told(run):
    with memory_for(4, training=True):
        result = run("train")
    assert (result.exit_code, result.stdout) == (0, "weights/new\n"), result.stderr
    assert "out of memory with 8 images at once: from now on at most 4" in result.stderr


def test_a_training_of_which_not_even_the_smallest_part_fits(run):
    with memory_for(1, training=True):
        result = run("train", "-q")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(
        "comptool train: not even a batch of 3 fits into the memory of cpu; take a smaller "
    )
    assert not list(Path("weights/new").glob("*.safetensors"))
