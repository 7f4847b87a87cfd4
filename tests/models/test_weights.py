"""Pretrained weights from a local file, and what ``--pretrained`` makes of them."""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file

from comptool import models
from comptool.errors import InputError
from comptool.models.pretrained import create_from

BACKBONE = "test_resnet"


class RunsCode:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def published():
    """A whole timm model with its 1000 classes, standing for published weights."""
    torch.manual_seed(7)
    return timm.create_model(BACKBONE).eval()


def written(state, path):
    state = {name: tensor.clone() for name, tensor in state.items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin"])
def test_every_stream_starts_from_the_file_and_its_classifier_is_left_out(
    published, tmp_path, suffix
):
    path = written(published.state_dict(), tmp_path / f"weights{suffix}")
    model = models.create(f"{BACKBONE}-dual", 4, pretrained=path).eval()
    expected = published.state_dict()
    for encoder in model.encoders:
        state = encoder.state_dict()
        assert state
        for name, tensor in state.items():
            assert torch.equal(tensor, expected[name]), name
    assert model.classifier.out_features == 4


def test_a_training_checkpoint_of_timm_is_taken_with_its_averaged_weights(published, tmp_path):
    averaged = {f"module.{name}": value for name, value in published.state_dict().items()}
    plain = {name: torch.zeros_like(value) for name, value in averaged.items()}
    document = {
        "state_dict": plain,
        "state_dict_ema": averaged,
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1),
    }
    torch.save(document, tmp_path / "model_best.pth")
    model = models.create(BACKBONE, 4, pretrained=tmp_path / "model_best.pth")
    assert torch.equal(model.encoders[0].conv1[0].weight, published.conv1[0].weight)


def test_old_files_without_batch_counters_are_taken(published, tmp_path):
    state = {k: v for k, v in published.state_dict().items() if "num_batches" not in k}
    path = written(state, tmp_path / "old.pth")
    model = models.create(BACKBONE, 4, pretrained=path)
    assert torch.equal(model.encoders[0].conv1[0].weight, published.conv1[0].weight)


def test_the_first_layer_is_summed_to_one_channel(published, tmp_path):
    path = written(published.state_dict(), tmp_path / "weights.safetensors")
    model = models.create(f"{BACKBONE}-dual", 4, pretrained=path, in_chans=[3, 1])
    colour, grey = (encoder.conv1[0].weight for encoder in model.encoders)
    torch.testing.assert_close(grey, colour.sum(1, keepdim=True))


def test_position_embeddings_follow_the_image_size(tmp_path):
    state = timm.create_model("test_vit").state_dict()
    path = written(state, tmp_path / "vit.safetensors")
    model = models.create("test_vit", 4, pretrained=path, img_size=(64, 32))
    assert model.encoders[0].pos_embed.shape != state["pos_embed"].shape
    assert torch.equal(model.encoders[0].patch_embed.proj.weight, state["patch_embed.proj.weight"])


def test_a_file_that_would_run_code_does_not_run_it(published, tmp_path):
    trap = {**published.state_dict(), "more": RunsCode(tmp_path / "made")}
    torch.save(trap, tmp_path / "trap.pth")
    plain = pickle.dumps({"more": RunsCode(tmp_path / "made")}, protocol=2)
    (tmp_path / "trap.bin").write_bytes(plain)
    for name in ("trap.pth", "trap.bin"):
        path = tmp_path / name
        with pytest.raises(InputError) as error:
            models.create(BACKBONE, 4, pretrained=path)
        assert str(error.value) == (
            f"{path}: holds more than tensors, and loading it would run code from the file; "
            "refused (found 'posix.mkdir'). Ask for the file as .safetensors"
        )
    assert not (tmp_path / "made").exists()


def test_the_trap_works_if_it_is_sprung(tmp_path):
    pickle.loads(pickle.dumps(RunsCode(tmp_path / "made")))
    assert (tmp_path / "made").exists()


def test_missing_and_surplus_weights_are_named(published, tmp_path):
    state = dict(published.state_dict())
    state["layer9.weight"] = state.pop("layer1.0.conv1.weight")
    path = written(state, tmp_path / "weights.pth")
    with pytest.raises(InputError) as error:
        models.create(BACKBONE, 4, pretrained=path)
    assert str(error.value) == (
        f"{path}: does not fit the backbone '{BACKBONE}': "
        "missing 'layer1.0.conv1.weight'; unexpected 'layer9.weight'"
    )


# dla34 is one that timm loads leniently: what is missing would stay random without a word.
@pytest.mark.parametrize("backbone", ["test_vit", "dla34", "mobilenetv2"])
def test_weights_of_another_backbone_are_refused(published, tmp_path, backbone):
    path = written(published.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"does not fit the backbone '\w+': missing '"):
        models.create(backbone, 4, pretrained=path)


def test_weights_of_another_shape_are_refused(published, tmp_path):
    state = dict(published.state_dict())
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"][:1]
    path = written(state, tmp_path / "weights.pth")
    with pytest.raises(InputError) as error:
        models.create(BACKBONE, 4, pretrained=path)
    assert "size mismatch for layer1.0.conv1.weight" in str(error.value)


def test_a_checkpoint_of_ours_is_pointed_to_its_own_option(tmp_path):
    model = models.create(BACKBONE, 4)
    path = written(model.state_dict(), tmp_path / "best.safetensors")
    with pytest.raises(InputError) as error:
        models.create(BACKBONE, 4, pretrained=path)
    assert str(error.value) == (
        f"{path}: is a checkpoint of comptool, not of a backbone. Use --init-from"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.pth", None, "there is no such weights file"),
        (
            "weights.onnx",
            b"x",
            "is not a weights file; they end in .safetensors, .pth, .pt, .bin, "
            ".ckpt, .pth.tar, .pt.tar",
        ),
        ("empty.pth", b"", "is empty: its download was interrupted"),
        ("text.pth", b"not a file of weights", "cannot be read as weights ("),
        ("short.safetensors", b"\x10\0\0\0\0\0\0\0{", "cannot be read as weights ("),
        ("empty.safetensors", b"", "is empty: its download was interrupted"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        models.create(BACKBONE, 4, pretrained=path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_a_truncated_file_is_named(published, tmp_path):
    for suffix in (".pth", ".safetensors"):
        path = written(published.state_dict(), tmp_path / f"weights{suffix}")
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(InputError, match=f"weights{suffix}: cannot be read as weights"):
            models.create(BACKBONE, 4, pretrained=path)


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {"a": 1}, {}])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"weights\.pth: holds no named tensors"):
        models.create(BACKBONE, 4, pretrained=tmp_path / "weights.pth")


def test_the_policy_takes_a_path_and_records_its_digest(published, tmp_path):
    path = written(published.state_dict(), tmp_path / "weights.safetensors")
    said = []
    model, origin = create_from(str(path), BACKBONE, 4, say=said.append, in_chans=1)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin == f"file:weights.safetensors sha256 {digest}"
    assert model.encoders[0].conv1[0].in_channels == 1


def test_the_policy_no_is_random_and_silent():
    said = []
    _, origin = create_from("no", f"{BACKBONE}-dual", 4, say=said.append)
    assert (origin, said) == ("random", [])
