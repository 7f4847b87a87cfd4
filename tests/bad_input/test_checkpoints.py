"""Checkpoints of other competitions, damaged ones, and files that would run code."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path

import pytest

BEST = "weights/net/best.safetensors"
LAST = "weights/net/last.pt"
UNREADABLE = (
    f"{BEST}: is not a readable checkpoint, it may be truncated or of another kind ({{}}). Train "
    "again, or copy it again from where it came"
)


@pytest.mark.parametrize("command", ["infer", "tta", "child"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:5000],
        lambda content: content[:-1],
        lambda content: bytes(3000),
        lambda content: content[:8] + b"x" * 100 + content[108:],
        lambda content: (20).to_bytes(8, "little") + content[8:],
    ],
    ids=["empty", "truncated header", "one byte short", "zeros", "garbled header", "other length"],
)
def test_a_damaged_checkpoint(refused, damage, spoil, command):
    damage({BEST: spoil(Path(BEST).read_bytes())})
    refused(command, 3, UNREADABLE)


@pytest.mark.parametrize("command", ["infer", "tta", "child"])
def test_weights_of_someone_else(refused, damage, command):
    from safetensors.numpy import load_file, save_file

    weights = load_file(BEST)
    save_file(weights, BEST)
    refused(command, 3, f"{BEST}: holds weights without comptool's header")


def rewrite(**changes: object) -> None:
    """Give the checkpoint a header that says something else; None leaves a key out."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    with safe_open(BEST, framework="numpy") as checkpoint:
        header = json.loads(checkpoint.metadata()["comptool"])
    renamed = dict(zip(header["modalities"], changes.get("modalities") or [], strict=False))
    for key in ("img_size", "channels", "mean", "std") if renamed else ():
        header[key] = {renamed[name]: value for name, value in header[key].items()}
    header = {key: value for key, value in (header | changes).items() if value is not None}
    save_file(load_file(BEST), BEST, metadata={"comptool": json.dumps(header)})


OTHER = (
    "weights/net: this run was trained for another competition; its {} against the competition's: "
    "{}. Name another run, or correct comptool.toml"
)
SAME = ". A run starts only from one with the same classes and modalities"


@pytest.mark.parametrize("command", ["infer", "tta"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "multilabel"}, OTHER.format("task", "multilabel against multiclass")),
        ({"classes": ["a", "b", "z"]}, OTHER.format("classes", "a, b, z against a, b, c")),
        ({"classes": ["b", "a", "c"]}, OTHER.format("classes", "the same 3 in another order")),
        ({"classes": ["a", "b"]}, OTHER.format("classes", "a, b against a, b, c")),
        (
            {"modalities": ["sar", "lidar"]},
            "weights/net: this run takes the modalities sar, lidar, and the competition has sar, "
            "eo. Correct [modalities] in comptool.toml",
        ),
        (
            {"format": 2},
            f"{BEST}: its header is not of format 1 (found '2'). Use the version of comptool that "
            "wrote it",
        ),
        ({"model": None, "mean": None}, f"{BEST}: its header lacks model, mean"),
        (
            {"model": {"name": "resnet18-daul", "options": {}}},
            f"{BEST}: its model cannot be built here: no model is called 'resnet18-daul'; did you "
            "mean {}?",
        ),
        (
            {"model": {"name": "test_vit-dual", "options": {}}},
            f"{BEST}: its weights do not fit the model: missing {{}}",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_competition(chain, refused, changes, message, command):
    rewrite(**changes)
    refused(command, 3, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "multilabel"}, "weights/net: its task is 'multilabel' and this run's is "
         "'multiclass'"),
        ({"classes": ["a", "b", "z"]}, f"weights/net: its classes are others: it has z and it "
         f"lacks c{SAME}"),
        ({"classes": ["b", "a", "c"]}, "weights/net: its classes are in another order (b, a, c, "
         f"...){SAME}"),
        ({"classes": ["a", "b"]}, f"weights/net: its classes are others: it lacks c{SAME}"),
        ({"modalities": ["eo", "sar"]}, "weights/net: its modalities are in another order (eo, "
         f"sar, ...){SAME}"),
        ({"format": 2}, f"{BEST}: its header is not of format 1 (found '2'). Use the version of "
         "comptool that wrote it"),
        ({"model": {"name": "test_vit-dual", "options": {}}}, "weights/net: its model is "
         "'test_vit-dual' and this run's is 'test_efficientnet-dual'. Use --model test_vit-dual"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_run_does_not_start_from_one_of_another_competition(chain, refused, changes, message):
    rewrite(**changes)
    refused("child", 3, message)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: b"", "is no readable training state, it may be truncated or hold code"),
        (
            lambda content: content[: len(content) // 2],
            "is no readable training state, it may be truncated or hold code",
        ),
        (None, "there is no state to resume from"),
    ],
    ids=["empty", "truncated", "missing"],
)
def test_a_damaged_training_state(refused, damage, spoil, message):
    damage({LAST: spoil and spoil(Path(LAST).read_bytes())})
    refused("go on", 3, f"{LAST}: {message}. Train again with --force")


class Evil:
    """Makes the file ``ran`` where somebody loads it with its code."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def poisoned(kind: str) -> bytes:
    import torch

    if kind == "pickle":
        return pickle.dumps(Evil())
    stream = io.BytesIO()
    torch.save({"weights": Evil()}, stream)
    return stream.getvalue()


def test_the_poison_works(chain):
    """Otherwise the tests below would show nothing."""
    import torch

    pickle.loads(poisoned("pickle"))
    assert Path("ran").exists()
    Path("ran").unlink()
    torch.load(io.BytesIO(poisoned("torch")), weights_only=False)
    assert Path("ran").exists()


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("command", ["infer", "tta", "child"])
def test_code_in_a_checkpoint_does_not_run(refused, damage, kind, command):
    damage({BEST: poisoned(kind)})
    refused(command, 3, UNREADABLE)
    assert not Path("ran").exists()


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_code_in_a_training_state_does_not_run(refused, damage, kind):
    damage({LAST: poisoned(kind)})
    refused(
        "go on",
        3,
        f"{LAST}: is no readable training state, it may be truncated or hold code. Train again "
        "with --force",
    )
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("w.pth", "torch", "holds more than tensors, and loading it would run code from the file; "
         "refused (found '{}system'). Ask for the file as .safetensors"),
        ("w.pth", "pickle", "cannot be read as weights (not tensors saved by torch.save)"),
        ("w.safetensors", "pickle", "cannot be read as weights ({})"),
        ("data/train.csv", None, "is not a weights file; they end in .safetensors, {}"),
    ],
)  # fmt: skip
def test_code_in_pretrained_weights_does_not_run(refused, damage, name, kind, message):
    if kind is not None:
        damage({name: poisoned(kind)})
    command = ("train", "--model", "test_efficientnet-dual", "--pretrained", name)
    refused((*command, "--img-size", "32", "--run-name", "new"), 3, f"{name}: {message}")
    assert not Path("ran").exists()


def test_pretrained_weights_that_are_not_there(refused):
    refused(
        ("train", "--pretrained", "gone.pth", "--run-name", "new"),
        2,
        "--pretrained is 'gone.pth'; it is auto, yes, no or a file of weights",
    )
