"""A run that was stopped and resumed is the run that was never stopped."""

from __future__ import annotations

import csv
import json
import os
import platform
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from comptool.errors import InputError, UsageError
from comptool.io.locks import hold
from comptool.models.streams import StreamModel
from comptool.training.checkpoint import Checkpointer

pytestmark = pytest.mark.usefixtures("unsealed")

# Everything with a state of its own: averaged weights, momentum, warm-up, mixing, accumulation,
# the counter of early stopping, gradients followed over an epoch.
RICH = {
    "ema": 0.9,
    "mixup": 0.3,
    "grad_accum": 2,
    "optimizer": "adamw",
    "clip_grad": 1.0,
    "patience": 2,
    "augment": "weak",
    "warmup_epochs": 0.5,
    "balance": "class-aware",
    "auxiliary_heads": True,
    "calibrate_gradients": ("intra", "inter"),
}


class Crash(BaseException):
    """Stands for kill -9: nothing in the library handles it."""


def crash():
    raise Crash


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def bytes_of(run: str) -> bytes:
    """The whole checkpoint, its header included."""
    return Path(f"weights/{run}/best.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_bits_whatever_the_workers(folds, fit, kept, same):
    fit("one", **RICH)
    fit("two", **RICH, workers=2)
    same(kept("one"), kept("two"))


def test_another_seed_gives_other_weights(folds, fit, kept):
    fit("one")
    fit("two", seed=1)
    one, two = kept("one")["weights"], kept("two")["weights"]
    assert any(not torch.equal(one[name], two[name]) for name in one)


# 15 training rows in batches of four are four batches an epoch, two updates; nine validated rows
# are two batches of eight. So an epoch has six forward passes, of which two are validation's.
@pytest.mark.parametrize("moment", [1, 4, 5, 7, 12, 18])
def test_a_killed_run_goes_on_as_if_nothing_had_been(moment, folds, fit, kept, same, at_forward):
    fit("whole", **RICH)
    with pytest.raises(Crash), at_forward(moment, crash):
        fit("broken", **RICH)
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))
    assert bytes_of("broken") == bytes_of("whole")


def test_a_run_killed_before_its_first_state_starts_from_the_beginning(
    folds, fit, kept, same, monkeypatch
):
    child = {**RICH, "init_from": "parent"}
    fit("parent", epochs=1)
    fit("whole", **child)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("comptool.training.checkpoint.write_state", lambda *_, **__: crash())
        fit("broken", **child)
    assert not Path("weights/broken/last.pt").exists()
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))
    assert bytes_of("broken") == bytes_of("whole")


def test_ctrl_c_after_the_last_update_of_a_fold_begins_no_other(folds, fit, monkeypatch):
    given = {"fold": "all", "epochs": 1}
    fit("whole", **given)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as stop:
        publish = Checkpointer.publish
        patch.setattr(Checkpointer, "publish", lambda *given: (publish(*given), press_ctrl_c()))
        fit("broken", **given)
    assert str(stop.value) == (
        "stopped when weights/broken/fold-0 was finished; continue with: comptool train --run-name "
        "broken --resume"
    )
    assert not Path("weights/broken/fold-1").exists()
    fit("broken", resume=True)
    for name in (*(f"fold-{fold}/best.safetensors" for fold in range(3)), "oof.csv"):
        whole, broken = (Path(f"weights/{run}/{name}").read_bytes() for run in ("whole", "broken"))
        assert whole == broken, name


def test_a_trained_run_without_its_state_is_not_started_over(folds, fit):
    fit("run", epochs=1)
    Path("weights/run/last.pt").unlink()
    before = bytes_of("run")
    with pytest.raises(InputError, match=r"last\.pt: there is no state to resume from"):
        fit("run", resume=True)
    assert bytes_of("run") == before


@pytest.mark.parametrize(
    "how", [{}, {"resume": True}, {"resume": True, "lr": 0.5}, {"force": True}]
)
def test_a_run_that_is_being_trained_is_told_and_nothing_else(how, folds, fit):
    fit("run", epochs=1)
    with hold(Path("weights/run")), pytest.raises(InputError) as refusal:
        fit("run", **how)
    assert str(refusal.value) == (
        f"weights/run: process {os.getpid()} on {platform.node()} is at work in it. Wait for it, "
        "or stop it"
    )


@pytest.mark.parametrize(
    ("moment", "epoch", "update"),
    [(1, 0, 1), (3, 0, 2), (5, 0, 2), (6, 1, 1), (17, 2, 2)],
)
def test_ctrl_c_goes_on_from_the_very_update(
    moment, epoch, update, folds, fit, kept, same, at_forward
):
    fit("whole", **RICH)
    with pytest.raises(KeyboardInterrupt) as stop, at_forward(moment, press_ctrl_c):
        fit("broken", **RICH)
    assert str(stop.value).endswith("continue with: comptool train --run-name broken --resume")
    state = torch.load("weights/broken/last.pt", weights_only=True)["progress"]
    assert (state["epoch"], state["update"]) == (epoch, update)
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))
    assert bytes_of("broken") == bytes_of("whole")


@contextmanager
def noise():
    """Models draw from torch's global generator in training, as dropout does."""

    def disturb(module, images):
        if isinstance(module, StreamModel) and module.training:
            return tuple(image + 0.1 * torch.randn_like(image) for image in images)
        return images

    handle = register_module_forward_pre_hook(disturb)
    try:
        yield
    finally:
        handle.remove()


def test_what_a_model_draws_follows_from_the_step(folds, fit, kept, same, at_forward):
    with noise():
        fit("whole")
        fit("again", workers=1)
        with pytest.raises(KeyboardInterrupt), at_forward(8, press_ctrl_c):
            fit("broken")
        torch.randn(7)
        fit("broken", resume=True)
    same(kept("again"), kept("whole"))
    same(kept("broken"), kept("whole"))


def test_a_run_may_be_stopped_again_and_again(folds, fit, kept, same, at_forward):
    fit("whole", **RICH)
    with pytest.raises(KeyboardInterrupt), at_forward(2, press_ctrl_c):
        fit("broken", **RICH)
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt), at_forward(1, press_ctrl_c):
            fit("broken", resume=True)
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))


def test_the_counter_of_early_stopping_survives(folds, fit, kept, same, at_forward):
    # A learning rate of nothing never improves on the first epoch: three epochs, then the end.
    still = {"lr": 1e-30, "epochs": 9, "patience": 2, "weight_decay": 0.0, "model": "resnet10t"}
    still |= {"modality": ("eo",), "optimizer": "sgd"}
    fit("whole", **still)
    assert kept("whole")["progress"]["finished"] == "patience"
    epochs = [row["epoch"] for row in kept("whole")["metrics"]]
    with pytest.raises(KeyboardInterrupt), at_forward(len(epochs) * 6 - 8, press_ctrl_c):
        fit("broken", **still)
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))


@pytest.mark.parametrize(("augment", "warns"), [("flips", True), ("none", False)])
def test_a_run_of_an_earlier_version_goes_on_and_says_that_its_augmentation_changed(
    augment, warns, folds, fit, at_forward
):
    with pytest.raises(KeyboardInterrupt), at_forward(4, press_ctrl_c):
        fit("run", augment=augment)
    path = Path("weights/run/last.pt")
    state = torch.load(path, weights_only=True)
    del state["identity"]["augmentation"]
    torch.save(state, path)
    said = []
    fit("run", resume=True, say=said.append)
    assert any("begun by an earlier version" in one for one in said) is warns


def test_resuming_a_finished_run_says_so_and_changes_nothing(folds, fit):
    fit("run")
    before = {path: path.read_bytes() for path in Path("weights/run").iterdir()}
    said = []
    outcome = fit("run", resume=True, say=said.append)
    assert said == ["weights/run is finished (3 epochs); nothing is left to train"]
    assert {path: path.read_bytes() for path in Path("weights/run").iterdir()} == before
    assert outcome.epoch == fit("run", resume=True).epoch


def test_a_run_killed_before_its_last_record_is_finished_by_resume(folds, fit):
    fit("run", **RICH)
    path = Path("weights/run/run.json")
    whole = json.loads(path.read_text())
    begun = {name: value for name, value in whole.items() if name not in ("score", "epoch")}
    path.write_text(json.dumps(begun | {"state": "running", "held": True}))
    fit("run", resume=True)
    moment = {name: whole[name] for name in ("time", "seal")}
    assert json.loads(path.read_text()) | moment == whole


@pytest.mark.parametrize(
    "rates", [{"schedule": "constant"}, {"schedule": "step"}, {"cycle_epochs": 1.5}]
)
def test_added_epochs_give_what_a_longer_run_gives(rates, folds, fit, kept, same):
    rates = {"warmup_epochs": 0.5, **rates}
    fit("long", epochs=4, **rates)
    fit("grown", epochs=2, **rates)
    fit("grown", resume=True, epochs=4)
    same(kept("grown"), kept("long"))


def test_a_cosine_cannot_grow(folds, fit):
    fit("run", epochs=2)
    with pytest.raises(UsageError) as refusal:
        fit("run", resume=True, epochs=4)
    assert str(refusal.value) == (
        "a resumed run keeps its settings; weights/run was begun with --epochs 2; epochs can only "
        "be added, and only with --schedule step or constant, or --cycle-epochs, whose learning "
        "rate does not depend on their number. Leave them out, or start another run with "
        "--init-from"
    )


def test_a_resumed_run_refuses_other_settings_by_name(folds, fit):
    fit("run")
    with pytest.raises(UsageError) as refusal:
        fit("run", resume=True, lr=0.5, loss="focal", batch_size=4)
    assert str(refusal.value) == (
        "a resumed run keeps its settings; weights/run was begun with no --lr, --loss ce. Leave "
        "them out, or start another run with --init-from"
    )


def test_a_resumed_run_may_have_other_workers(folds, fit, kept, same, at_forward):
    fit("whole")
    with pytest.raises(Crash), at_forward(6, crash):
        fit("broken")
    fit("broken", resume=True, workers=1)
    same(kept("broken"), kept("whole"))
    assert bytes_of("broken") == bytes_of("whole")


def test_a_resumed_run_refuses_rows_that_changed(folds, fit, at_forward):
    with pytest.raises(Crash), at_forward(6, crash):
        fit("run")
    rows = list(csv.reader(folds.open()))
    rows[1][3] = "b"
    with folds.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    with pytest.raises(InputError, match="the rows, folds or labels are not those"):
        fit("run", resume=True)


def test_nothing_to_resume_is_an_error(folder, fit):
    with pytest.raises(InputError) as refusal:
        fit("run", resume=True)
    assert str(refusal.value) == ("weights/run: there is no run to resume. Leave --resume out")
