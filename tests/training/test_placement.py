"""Where the images of a training lie, and that a run keeps its way of augmenting them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from signal import SIGINT, raise_signal

import cv2
import numpy as np
import pytest
import torch

from comptool.errors import InputError, UsageError
from comptool.io.records import ModelRecord, RunHeader
from comptool.io.runs import BEST
from comptool.models.checkpoint_file import load_checkpoint
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

    def settle(*, device=GPU, gpu=10**9, cpu=10**9, begun=None, **given):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (gpu, 10**12))
        monkeypatch.setattr("comptool.data.device.available_memory", lambda: cpu)
        header = HEADER if begun is None else replace(HEADER, whole_batches=begun)
        plan = plan_of(**given)
        return place(plan, plan.members[0], header, Processes(0, 1, device))

    return settle


def where(found):
    return found.train, found.valid


def test_images_that_fit_lie_on_the_gpu(placed):
    found = placed(augment="strong")
    assert where(found) == (GPU, GPU)
    assert found.whole_batches
    assert found.note == "0.1 MB of images lie on cuda:0, where whole batches are augmented"


def test_half_of_the_free_memory_is_left_to_the_training(placed):
    whole, part = placed(gpu=2 * 24 * ONE), placed(gpu=2 * 24 * ONE - 2)
    assert where(whole) == (GPU, GPU)
    assert where(part) == (GPU, None)
    assert (whole.num_bytes, part.num_bytes) == (24 * ONE, 15 * ONE)
    assert where(placed(gpu=2 * 15 * ONE)) == (GPU, None)
    full = placed(gpu=2 * 15 * ONE - 2)
    assert where(full) == (None, None)
    assert not full.whole_batches
    assert full.note == (
        "the images of training take 0.1 MB; cuda:0 has 0.1 MB for them: workers load and augment "
        "them"
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


def test_a_policy_from_a_file_has_no_form_for_whole_batches(placed):
    Path("own.yaml").write_text("")
    found = placed(augment="own.yaml")
    assert where(found) == (None, None)
    assert found.note == "own.yaml has no form for whole batches: workers augment"
    with pytest.raises(UsageError) as refusal:
        placed(augment="own.yaml", data_on="gpu")
    assert str(refusal.value) == (
        "--data-on gpu augments whole batches, for which own.yaml has no form; take a named "
        "augmentation, or --data-on cpu"
    )


def test_a_run_that_goes_on_keeps_its_way_of_augmenting(placed):
    assert placed(begun=False) == Placement()
    with pytest.raises(UsageError, match="this run was begun with images that workers augment"):
        placed(begun=False, data_on="gpu")
    assert where(placed(begun=True)) == (GPU, GPU)
    assert where(placed(begun=True, device=CPU)) == (CPU, CPU)
    assert where(placed(begun=True, data_on="cpu")) == (CPU, CPU)
    assert where(placed(begun=True, gpu=1000)) == (CPU, CPU)
    with pytest.raises(InputError, match="cpu has"):
        placed(begun=True, gpu=1000, cpu=1000)


@contextmanager
def in_whole_batches():
    """Trainings that begin put their images on the CPU as they would on a GPU."""

    def begin(plan, member, header, processes):
        if header.whole_batches is not None:
            return place(plan, member, header, processes)
        return Placement(CPU, CPU)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "place", begin)
        yield


RICH = {"augment": "weak", "grad_accum": 2, "balanced_mixup": 0.2, "epochs": 2}


class Crash(BaseException):
    pass


def crash():
    raise Crash


def test_the_same_seed_gives_the_same_bits_whatever_is_kept(folds, fit, kept, same):
    with in_whole_batches():
        fit("one", **RICH)
        fit("two", **RICH, cache="off", workers=2)
    same(kept("one"), kept("two"))


def test_a_killed_run_goes_on_with_whole_batches(folds, fit, kept, same, at_forward):
    with in_whole_batches():
        fit("whole", **RICH)
        with pytest.raises(Crash), at_forward(8, crash):
            fit("broken", **RICH)
    said = []
    fit("broken", resume=True, say=said.append)
    assert "0.1 MB of images lie on cpu, where whole batches are augmented" in said
    same(kept("broken"), kept("whole"))
    _, header = load_checkpoint(Path("weights/whole") / BEST)
    assert header.whole_batches is True


def test_ctrl_c_goes_on_from_the_very_update(folds, fit, kept, same, at_forward):
    with in_whole_batches():
        fit("whole", **RICH)
        with pytest.raises(KeyboardInterrupt), at_forward(9, lambda: raise_signal(SIGINT)):
            fit("broken", **RICH)
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))


def test_without_augmentation_the_two_ways_differ_in_nothing(folds, fit, kept, same):
    with in_whole_batches():
        fit("whole", augment="none")
    fit("single", augment="none")
    same(kept("whole"), kept("single"))


def test_images_without_a_place_for_those_of_validation_train_the_same(folds, fit, kept, same):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "place", lambda *given: Placement(CPU, None))
        fit("apart", epochs=1)
    with in_whole_batches():
        fit("together", epochs=1)
    same(kept("apart"), kept("together"))


def test_blank_images_are_named_in_the_first_epoch(folds, fit):
    cv2.imwrite("images/sar_13.png", np.zeros((40, 40), np.uint8))
    said = []
    with in_whole_batches():
        fit("run", epochs=1, say=said.append)
    assert "WARNING: 1 of the 15 sar images to train on is all zero: 's13'" in said
