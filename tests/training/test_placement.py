"""Where the images of a training lie, and that it changes nothing but the speed."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path
from signal import SIGINT, raise_signal

import cv2
import numpy as np
import pytest
import torch

from comptool.data.transfers import on_device
from comptool.errors import InputError, UsageError
from comptool.io.records import ModelRecord, RunHeader
from comptool.training import setup
from comptool.training.distributed import Processes
from comptool.training.loaders import Placement, place

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
HEADER = RunHeader(
    model=ModelRecord("test_efficientnet-dual", {}),
    task="multiclass",
    classes=["a", "b", "c"],
    class_counts={},
    modalities=["sar", "eo"],
    img_size={"sar": [32, 32], "eo": [32, 32]},
    channels={"sar": 3, "eo": 1},
    mean={},
    std={},
)
ONE = 32 * 32 * 4  # bytes of a pair


@pytest.fixture
def placed(folds, plan_of, monkeypatch):
    """Where the 15 rows of training and the nine of validation of fold 0 lie."""

    def settle(*, device=GPU, gpu=10**9, **given):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (gpu, 10**12))
        plan = plan_of(**given)
        return place(plan, plan.members[0], HEADER, Processes(0, 1, device))

    return settle


def where(found):
    return found.train, found.valid


def test_images_that_fit_lie_on_the_gpu(placed):
    found = placed(augment="strong")
    assert where(found) == (GPU, GPU)
    assert found.note == "0.1 MB of images lie on cuda:0"


def test_half_of_the_free_memory_is_left_to_the_training(placed):
    whole, part = placed(gpu=2 * 24 * ONE), placed(gpu=2 * 24 * ONE - 2)
    assert where(whole) == (GPU, GPU)
    assert where(part) == (GPU, None)
    assert (whole.num_bytes, part.num_bytes) == (24 * ONE, 15 * ONE)
    assert where(placed(gpu=2 * 15 * ONE)) == (GPU, None)
    full = placed(gpu=2 * 15 * ONE - 2)
    assert where(full) == (None, None)
    assert full.note == (
        "the images of training take 0.1 MB; cuda:0 has 0.1 MB for them: worker processes load them"
    )


def test_gpu_is_an_error_where_the_images_do_not_fit(placed):
    with pytest.raises(InputError) as refusal:
        placed(data_on="gpu", gpu=1000)
    assert str(refusal.value) == (
        "the images of training take 0.1 MB; cuda:0 has 0.0 MB for them. Take --data-on cpu, or "
        "smaller images with --img-size"
    )


@pytest.mark.parametrize("wanted", ["auto", "cpu"])
def test_a_training_on_the_cpu_leaves_its_images_to_workers(placed, wanted):
    assert placed(device=CPU, data_on=wanted) == Placement()
    assert placed(data_on="cpu") == Placement()


def test_gpu_needs_one(placed, fit):
    with pytest.raises(UsageError) as refusal:
        placed(device=CPU, data_on="gpu")
    message = "--data-on gpu needs a GPU, and this training computes on cpu"
    assert str(refusal.value) == message
    with pytest.raises(UsageError, match=message):
        fit(data_on="gpu")
    assert not Path("weights").exists()


def test_a_policy_from_a_file_is_for_workers_to_apply(placed):
    Path("own.yaml").write_text("")
    found = placed(augment="own.yaml")
    assert where(found) == (None, None)
    assert found.note == "worker processes load the images, to apply own.yaml"
    with pytest.raises(UsageError) as refusal:
        placed(augment="own.yaml", data_on="gpu")
    assert str(refusal.value) == (
        "--data-on gpu loads no images one by one, to which own.yaml could be applied; take a "
        "named augmentation, or --data-on cpu"
    )


@contextmanager
def resident(placement=None):
    """Trainings put their images on the CPU as they would on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "place", lambda *given: placement or Placement(CPU, CPU))
        yield


RICH = {"augment": "weak", "grad_accum": 2, "balanced_mixup": 0.2, "epochs": 2}


class Crash(BaseException):
    pass


def crash():
    raise Crash


POLICIES = [
    {"augment": "none"},
    {"augment": "flips", "cutout": 0.3},
    {"augment": "weak", "num_ops": 3},
    {"augment": "strong"},
]


@pytest.mark.parametrize("given", POLICIES)
def test_a_seed_gives_the_same_weights_wherever_the_images_lie(given, folds, fit, kept, same):
    with resident():
        fit("gpu", epochs=2, **given)
    fit("cpu", epochs=2, data_on="cpu", cache="off", workers=2, **given)
    fit("auto", epochs=2, data_on="auto", cache="ram", **given)
    same(kept("gpu"), kept("cpu"))
    same(kept("gpu"), kept("auto"))


def test_mixed_and_accumulated_batches_are_the_same_as_well(folds, fit, kept, same):
    with resident():
        fit("gpu", **RICH)
    fit("cpu", **RICH, data_on="cpu", workers=1)
    same(kept("gpu"), kept("cpu"))


def test_a_resumed_run_may_move_its_images(folds, fit, kept, same, at_forward):
    fit("whole", **RICH)
    for first, then in ((resident(), nullcontext()), (nullcontext(), resident())):
        with first, pytest.raises(Crash), at_forward(8, crash):
            fit("broken", **RICH, force=True)
        with then:
            fit("broken", resume=True)
        same(kept("broken"), kept("whole"))


def test_ctrl_c_goes_on_from_the_very_update(folds, fit, kept, same, at_forward):
    with resident():
        fit("whole", **RICH)
        with pytest.raises(KeyboardInterrupt), at_forward(9, lambda: raise_signal(SIGINT)):
            fit("broken", **RICH)
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))


def test_images_without_a_place_for_those_of_validation_train_the_same(folds, fit, kept, same):
    with resident(Placement(CPU, None)):
        fit("apart", epochs=1)
    with resident():
        fit("together", epochs=1)
    same(kept("apart"), kept("together"))


def test_blank_images_are_named_in_the_first_epoch(folds, fit):
    cv2.imwrite("images/sar_13.png", np.zeros((40, 40), np.uint8))
    said = []
    with resident():
        fit("run", epochs=1, say=said.append)
    assert "WARNING: 1 of the 15 sar images to train on is all zero: 's13'" in said


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_a_seed_gives_the_same_batches_wherever_the_images_lie(folds, plan_of):
    device, seen = torch.device("cuda", 0), []
    for data_on in ("gpu", "cpu"):
        plan = plan_of(device="cuda", augment="strong", data_on=data_on)
        session = setup.prepare(plan, plan.members[0], Processes(0, 1, device), print).session
        session.batches.set_epoch(1)
        seen.append([session.augment(batch) for batch in on_device(session.train_loader, device)])
    for one, other in zip(*seen, strict=True):
        assert all(map(torch.equal, one.images, other.images))
        assert torch.equal(one.targets, other.targets)
