"""Checkpoints of other competitions, damaged ones, and files that would run code."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path

import pytest
from torch import nn

from comptool.errors import InputError
from comptool.io.runs import read_header
from comptool.models.checkpoint_file import load_weights, save_checkpoint
from comptool.training.training_state import read_state

pytestmark = pytest.mark.usefixtures("unsealed")

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
    forget_digests()
    refused(command, 3, f"{BEST}: holds weights without comptool's header")


TENSORS = {
    "an overlap": {"weight": ("F32", [2, 2], [0, 16]), "bias": ("F32", [2], [8, 16])},
    "a hole": {"weight": ("F32", [2, 2], [0, 16]), "bias": ("F32", [2], [20, 28])},
    "an end beyond the file": {"weight": ("F32", [2, 2], [0, 16]), "bias": ("F32", [2], [16, 999])},
    "a size beyond all": {"weight": ("F32", [2**62, 2**62], [0, 16])},
    "another shape": {"weight": ("F32", [4], [0, 16]), "bias": ("F32", [2], [16, 24])},
    "an unknown type": {"weight": ("X9", [2, 2], [0, 16]), "bias": ("F32", [2], [16, 24])},
    "another type": {"weight": ("F8_E5M2", [16], [0, 16]), "bias": ("BOOL", [8], [16, 24])},
    "a negative place": {"weight": ("F32", [2, 2], [-16, 0]), "bias": ("F32", [2], [16, 24])},
}


@pytest.mark.parametrize("what", TENSORS)
def test_tensors_that_contradict_their_file(chain, what):
    tensors = {
        name: {"dtype": kind, "shape": shape, "data_offsets": place}
        for name, (kind, shape, place) in TENSORS[what].items()
    }
    header = json.dumps(tensors).encode()
    Path(BEST).write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    with pytest.raises(InputError) as error:
        load_weights(nn.Linear(2, 2), Path(BEST))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [10**8 + 1, 2**40, 2**63, 2**64 - 1])
def test_a_header_longer_than_the_file(refused, damage, length):
    damage({BEST: length.to_bytes(8, "little") + Path(BEST).read_bytes()[8:]})
    refused("infer", 3, UNREADABLE)


def test_damaged_checkpoints_are_one_sentence(chain, mutants, recwarn):
    header = read_header(Path("weights/net"))
    model = nn.Linear(30, 3)
    save_checkpoint(Path("small.safetensors"), model, header)
    content = Path("small.safetensors").read_bytes()
    for mutant in mutants(content, 400):
        Path("small.safetensors").write_bytes(mutant)
        for read in (read_header, lambda path: load_weights(model, path)):
            try:
                read(Path("small.safetensors"))
            except InputError as error:
                assert "\n" not in str(error), mutant
    assert not recwarn.list


def test_damaged_training_states_are_one_sentence(chain, mutants):
    for mutant in mutants(Path(LAST).read_bytes(), 60):
        Path(LAST).write_bytes(mutant)
        try:
            read_state(Path(LAST))
        except InputError as error:
            assert "\n" not in str(error)


def test_links_in_a_circle_are_no_runs(chain, invoked):
    Path("weights/circle").symlink_to("circle")
    Path("weights/net/fold-0").symlink_to("..", target_is_directory=True)
    Path("weights/up").symlink_to("..", target_is_directory=True)
    Path("data/circle").symlink_to(".", target_is_directory=True)
    for command in (("runs",), ("infer", "-j", "0", "-o", "new.csv"), ("inspect",)):
        done = invoked(*command)
        assert done.exit_code == 0, done.output
    done = invoked("infer", "circle", "-o", "other.csv")
    assert done.exit_code == 3
    assert "no trained run is called 'circle'" in done.stderr
    done = invoked("init", "data", "--force")
    assert isinstance(done.exception, SystemExit | None), done.exception


def forget_digests() -> None:
    """Let run.json be one of an older version, which knew nothing of the bytes."""
    path = Path("weights/net/run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digests": None}))


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
    forget_digests()


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
            f"{BEST}: its model.name cannot be used: no model is called 'resnet18-daul'; did you "
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
        "--pretrained is 'gone.pth'; it is auto, yes, no, a file of weights or package:NAME",
    )
