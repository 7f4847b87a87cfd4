"""Weights files as they are found: suffixes, keys, prefixes, channels, packages and folders."""

from __future__ import annotations

import gzip
import logging
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from comptool import models
from comptool.commands.app import app
from comptool.errors import InputError, UsageError
from comptool.models.pretrained import create_from, policy_file
from comptool.models.weights_file import read_weights

BACKBONE = "test_resnet"


@pytest.fixture(scope="module")
def network():
    """A whole timm model whose weights differ from those of a new one."""
    torch.manual_seed(7)
    return timm.create_model(BACKBONE).eval()


@pytest.fixture
def state(network):
    return dict(network.state_dict())


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="comptool")
    return lambda: [record.getMessage() for record in caplog.records]


def save(document, path):
    torch.save(document, path)
    return path


def taken(path, network, **options) -> None:
    """Every tensor of the backbone is that of the network."""
    model = models.create(BACKBONE, 4, pretrained=path, **options)
    expected = network.state_dict()
    for name, tensor in model.encoders[0].state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize(
    "name", ["best.ckpt", "best.pth.tar", "best.PT", "best.pt.tar", "best.SAFETENSORS"]
)
def test_suffixes(name, state, network, tmp_path):
    path = tmp_path / name
    if name.endswith(".SAFETENSORS"):
        save_file({key: tensor.clone() for key, tensor in state.items()}, path)
    else:
        save(state, path)
    taken(path, network)


KEYS = ["state_dict", "model_state_dict", "model", "net", "network", "weights", "any", "ema.model"]


@pytest.mark.parametrize("key", KEYS)
def test_the_tensors_stand_below_a_key(key, state, network, tmp_path, said):
    document = state
    for part in reversed(key.split(".")):
        document = {part: document}
    document |= {
        "epoch": 3,
        "best": np.float64(0.9),
        "path": Path("a"),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        "loss_fn": {"weight": torch.ones(4)},
    }
    path = save(document, tmp_path / "last.pth")
    taken(path, network)
    averaged = " (averaged weights)" if key.startswith("ema") else ""
    assert said() == [f"{path}: taken from its key '{key}'{averaged}"]


@pytest.mark.parametrize(
    "key", ["state_dict_ema", "model_ema", "ema_state_dict", "ema", "swa_model"]
)
def test_averaged_weights_come_first(key, state, network, tmp_path, said):
    plain = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    path = save({"model": plain, key: state, "state_dict": plain}, tmp_path / "last.pth")
    taken(path, network)
    assert said() == [f"{path}: taken from its key '{key}' (averaged weights)"]


PREFIXES = ["model.", "backbone.", "timm_model.", "encoder.net.", "a.b.c.", "layer1."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_common_prefix(prefix, state, network, tmp_path, said):
    named = {prefix + name: tensor for name, tensor in state.items()}
    path = save(named, tmp_path / "last.pth")
    taken(path, network)
    assert said() == [f"{path}: names without their prefix '{prefix}'"]


@pytest.mark.parametrize("wrap", ["module.{}", "_orig_mod.{}", "module._orig_mod.{}"])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_wrappers_of_torch(wrap, prefix, state, network, tmp_path):
    named = {wrap.format(prefix + name): tensor for name, tensor in state.items()}
    taken(save(named, tmp_path / "last.pth"), network)


def test_what_lies_beside_the_backbone_is_left_out_and_told(state, network, tmp_path, said):
    named = {f"backbone.{name}": tensor for name, tensor in state.items()}
    path = save({**named, "arc.weight": torch.ones(9, 9)}, tmp_path / "one.pth")
    taken(path, network)
    assert said() == [f"{path}: names without their prefix 'backbone.'; left out 'arc.weight'"]
    path = save({**state, "arc.weight": torch.ones(9, 9)}, tmp_path / "two.pth")
    taken(path, network)
    assert said()[-1] == f"{path}: left out 'arc.weight'"


def test_a_deeper_network_of_the_same_names_is_refused(tmp_path):
    path = save(timm.create_model("resnet34").state_dict(), tmp_path / "deep.pth")
    with pytest.raises(
        InputError, match=r"does not fit the backbone 'resnet18': unexpected 'layer"
    ):
        models.create("resnet18", 4, pretrained=path)


OLDER = [  # the names of ConvNeXt's authors, which timm's own function translates
    (r"^stem", "downsample_layers.0"),
    (r"^stages\.(\d)\.downsample", r"downsample_layers.\1"),
    (r"\.blocks\.(\d+)", r".\1"),
    ("conv_dw", "dwconv"),
    (r"mlp\.fc", "pwconv"),
    (r"head\.norm", "norm"),
]


def test_names_of_an_older_version_below_a_prefix(tmp_path):
    torch.manual_seed(1)
    whole = timm.create_model("test_convnext")
    older = {}
    for name, tensor in whole.state_dict().items():
        for ours, theirs in OLDER:
            name = re.sub(ours, theirs, name)
        older[f"model.{name}"] = tensor
    path = save(older, tmp_path / "older.pth")
    model = models.create("test_convnext", 4, pretrained=path)
    assert torch.equal(model.encoders[0].stem[0].weight, whole.stem[0].weight)
    assert torch.equal(model.encoders[0].head.norm.weight, whole.head.norm.weight)


@pytest.mark.parametrize("ours", [1, 3, 4, 13])
@pytest.mark.parametrize("theirs", [1, 3, 4, 13])
def test_the_first_layer_takes_any_number_of_channels(theirs, ours, tmp_path, said):
    """From one channel repeated, to one summed, else the first ones; in all, the sum is kept."""
    source = timm.create_model(BACKBONE, in_chans=theirs)
    path = save(source.state_dict(), tmp_path / "last.pth")
    found = models.create(BACKBONE, 4, pretrained=path, in_chans=ours).encoders[0].conv1[0].weight
    weight = source.conv1[0].weight
    if ours == 1:
        expected = weight.sum(1, keepdim=True)
    else:
        repeated = weight.repeat(1, -(-ours // theirs), 1, 1)[:, :ours]
        expected = repeated * theirs / ours if ours != theirs else repeated
    torch.testing.assert_close(found, expected)
    how = "summed" if ours == 1 else f"the first {ours}, rescaled"
    how = how if ours < theirs else "repeated and rescaled"
    line = f"{path}: first layer adapted from {theirs} to {ours} channels ({how})"
    assert said() == ([line] if ours != theirs else [])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_that_are_no_numbers_are_refused(value, dtype, state, tmp_path):
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"].to(dtype).clone()
    state["layer1.0.conv1.weight"].view(-1)[5] = value
    save_file({name: tensor.clone() for name, tensor in state.items()}, tmp_path / "w.safetensors")
    with pytest.raises(InputError) as error:
        read_weights(tmp_path / "w.safetensors")
    assert str(error.value) == (
        f"{tmp_path}/w.safetensors: 1 of its {len(state)} tensors hold NaN or infinite values "
        "(found 'layer1.0.conv1.weight'). Take another checkpoint of that training, from before it "
        "diverged"
    )


def zipped(path, name):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"weights")


SOMETHING_ELSE = {
    "a pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "is a pointer of Git LFS, not the weights themselves. Run 'git lfs pull'",
    ),
    "a page": (
        lambda path: path.write_text("\n<!DOCTYPE html><html><title>Sign in</title></html>"),
        "is a web page, such as of a login or an error, saved under this name. Download",
    ),
    "a zip": (
        lambda path: zipped(path, "resnet/model.pth"),
        "is a zip archive that holds 'resnet/model.pth'. Unpack it",
    ),
    "gzip": (
        lambda path: path.write_bytes(gzip.compress(b"weights")),
        "is compressed by gzip. Unpack it with gunzip",
    ),
    "a program": (
        lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path),
        "is a TorchScript program, which is code. Ask for the file as .safetensors",
    ),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("kind", SOMETHING_ELSE)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_a_file_is_instead_is_said(kind, name, tmp_path):
    make, message = SOMETHING_ELSE[kind]
    make(tmp_path / name)
    with pytest.raises(InputError) as error:
        read_weights(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: {message}")


@pytest.fixture
def package(tmp_path, monkeypatch, state):
    """An installed package with weights, which does harm when it is imported."""
    folder = tmp_path / "site/effweights"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    other = {f"block{number}.{name}": tensor for number, (name, tensor) in enumerate(state.items())}
    save(other, folder / "data/resnet.pth")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_an_installed_package_with_other_names(package, network, said):
    path = policy_file("package:effweights", BACKBONE)
    taken(path, network)
    assert "effweights" not in sys.modules
    number = sum("num_batches" not in name for name in network.state_dict()) - 2
    assert said() == [f"{path}: {number} tensors mapped by their order and shapes"]
    (package / "data/more.pth").write_bytes(b"x")
    with pytest.raises(UsageError, match="name one of its files, package:effweights/FILE: 'data/m"):
        policy_file("package:effweights", BACKBONE)
    assert policy_file("package:effweights/data/resnet.pth", BACKBONE) == path
    with pytest.raises(
        UsageError, match=r"no package 'absent' is installed\. Run 'pip install abs"
    ):
        policy_file("package:absent", BACKBONE)


def test_another_order_is_not_mapped(state, tmp_path):
    names = list(state)
    swapped = names.index("layer1.0.bn1.running_mean"), names.index("layer1.0.bn1.running_var")
    names[swapped[0]], names[swapped[1]] = names[swapped[1]], names[swapped[0]]
    other = {f"b{number}.{name}": state[name] for number, name in enumerate(names)}
    with pytest.raises(InputError, match="does not fit the backbone"):
        models.create(BACKBONE, 4, pretrained=save(other, tmp_path / "other.pth"))


@pytest.mark.parametrize(
    "place", ["test_resnet.pth", "deep/er/test_resnet.r160_in1k.ckpt", "test_resnet/model.pth"]
)
def test_a_folder_of_weights_is_searched_by_the_name_of_the_model(
    place, state, network, tmp_path, monkeypatch, said
):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    save(state, path)
    save(state, tmp_path / "test_resnet_other.pth")
    monkeypatch.setenv("COMPTOOL_WEIGHTS", str(tmp_path))
    for policy in ("auto", "yes"):
        model, origin = create_from(policy, f"{BACKBONE}-dual", 4, say=said)
        assert origin.startswith(f"file:{path.name} sha256 ")
        assert torch.equal(model.encoders[1].conv1[0].weight, network.conv1[0].weight)
    assert f"the model starts from {path}" in said()
    assert create_from("no", BACKBONE, 4, say=said)[1] == "random"


def test_a_folder_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPTOOL_WEIGHTS", str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="COMPTOOL_WEIGHTS names a folder that does not exist: /"):
        create_from("auto", BACKBONE, 4, say=print)


def test_the_command_says_what_was_loaded(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save({"model_ema": {f"model.{name}": value for name, value in state.items()}}, Path("w.ckpt"))
    simulated = CliRunner().invoke(app, ["simulate", "rust", "-o", "data", "--scale", "0.1"])
    assert simulated.exit_code == 0, simulated.output
    given = ["train", "--model", BACKBONE, "--epochs", "1", "--img-size", "32", "-j", "0"]
    ran = CliRunner().invoke(app, [*given, "--pretrained", "w.ckpt", "-b", "16"])
    assert ran.exit_code == 0, ran.output
    lines = ran.stderr.splitlines()
    assert lines.count("w.ckpt: taken from its key 'model_ema' (averaged weights)") == 1
    assert lines.count("w.ckpt: names without their prefix 'model.'") == 1
    refused = CliRunner().invoke(app, [*given, "--pretrained", "maybe", "--run-name", "x"])
    assert refused.exit_code == 2
    assert "it is auto, yes, no, a file of weights or package:NAME" in refused.stderr
