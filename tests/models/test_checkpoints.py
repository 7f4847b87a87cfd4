"""Weights and their header, written and read back."""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from comptool import models
from comptool.errors import InputError, OutputExistsError
from comptool.io.records import ModelRecord, RunHeader
from comptool.io.runs import read_header
from comptool.models.checkpoint_file import load_checkpoint, load_weights, save_checkpoint

NAME = "test_efficientnet-dual"


def header(classes=("a", "b", "c"), name=NAME, channels=3) -> RunHeader:
    statistics = dict.fromkeys(("sar", "eo"), [0.5] * channels)
    return RunHeader(
        model=ModelRecord(name, {"img_size": [[32, 32], [32, 32]]}),
        task="multiclass",
        classes=list(classes),
        class_counts=dict.fromkeys(classes, 1),
        modalities=["sar", "eo"],
        img_size={"sar": [32, 32], "eo": [32, 32]},
        channels=dict.fromkeys(("sar", "eo"), channels),
        mean=statistics,
        std=statistics,
    )


@pytest.fixture
def run(tmp_path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "best.safetensors", models.create(NAME, 3), header())
    return tmp_path


def test_a_model_comes_back_with_its_weights_and_header(run):
    torch.manual_seed(0)
    original = models.create(NAME, 3).eval()
    model, found = load_checkpoint(run)
    assert found == header()
    assert not model.training
    images = [torch.randn(2, 3, 32, 32) for _ in range(2)]
    assert torch.equal(model(*images), original(*images))


def test_a_model_comes_back_with_as_many_channels_as_it_was_made_for(tmp_path):
    original = models.create(NAME, 3, in_chans=1).eval()
    save_checkpoint(tmp_path / "best.safetensors", original, header(channels=1))
    model, _ = load_checkpoint(tmp_path)
    images = [torch.randn(2, 1, 32, 32) for _ in range(2)]
    assert torch.equal(model(*images), original(*images))
    save_checkpoint(tmp_path / "best.safetensors", original, header(), force=True)
    with pytest.raises(InputError, match=r"of another shape 'encoders.0.conv_stem.weight"):
        load_checkpoint(tmp_path)


def test_an_existing_checkpoint_is_kept_without_force(run):
    before = (run / "best.safetensors").read_bytes()
    with pytest.raises(OutputExistsError):
        save_checkpoint(run / "best.safetensors", models.create(NAME, 3), header())
    assert (run / "best.safetensors").read_bytes() == before


def test_tied_and_strided_weights_can_be_kept(tmp_path):
    layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    tied = torch.nn.ModuleList([layer, layer])
    save_checkpoint(tmp_path / "best.safetensors", tied, header())
    weights = load_file(tmp_path / "best.safetensors")
    assert torch.equal(weights["0.weight"], layer.weight)
    assert torch.equal(weights["1.weight"], layer.weight)


def test_weights_of_another_class_list_do_not_load(run):
    with pytest.raises(InputError) as refusal:
        load_weights(models.create(NAME, 5), run)
    assert str(refusal.value) == (
        f"{run}/best.safetensors: its weights do not fit the model: of another shape "
        "'classifier.weight (3, 512)', 'classifier.bias (3,)'"
    )


def test_a_header_of_another_model_does_not_load(run):
    weights = load_file(run / "best.safetensors")
    text = {"comptool": json.dumps(header(name="resnet10t-dual").document() | {"format": 1})}
    save_file(weights, run / "best.safetensors", metadata=text)
    with pytest.raises(InputError) as refusal:
        load_checkpoint(run)
    assert re.fullmatch(
        f"{run}/best.safetensors: its weights do not fit the model: "
        r"missing ('[\w.]+', ){2}'[\w.]+' and \d+ more; "
        r"unexpected ('[\w.]+', ){2}'[\w.]+' and \d+ more; "
        r"of another shape ('[\w., ()]+', ){2}'[\w., ()]+' and \d+ more",
        str(refusal.value),
    )


def test_a_truncated_checkpoint_does_not_load(run):
    path = run / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="is not a readable checkpoint, it may be truncated"):
        load_checkpoint(run)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_under_the_checkpoints_name_is_not_run(run, tmp_path):
    mark = tmp_path / "ran"
    path = run / "best.safetensors"
    for write in (lambda: path.write_bytes(pickle.dumps(Bomb(mark))),
                  lambda: torch.save({"model": Bomb(mark)}, path)):  # fmt: skip
        write()
        with pytest.raises(InputError, match="is not a readable checkpoint"):
            load_checkpoint(run)
        with pytest.raises(InputError, match="is not a readable checkpoint"):
            read_header(run)
    assert not mark.exists()
