"""A GPU that cannot be used is told in one sentence, with what to do; no GPU is no message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import TRAIN

FAULTY = Path(__file__).with_name("faulty.py")
UNUSABLE = "this machine has a GPU that torch {torch} (CUDA {cuda}) cannot use: "
ELSE = ", or compute on the CPU with --device cpu"
NOT_STARTED = {
    3: "its driver cannot be initialised (CUDA error 3); restart the machine or the container",
    35: "The NVIDIA driver on your system is too old (found version 13020); update the driver or "
    "install a torch for it",
    46: "Unexpected error from cudaGetDeviceCount() Error 46; update the driver or install a torch "
    "for it",
    803: "the library and the kernel module of its driver differ in version (CUDA error 803); "
    "restart the machine or the container, which ends an update of the driver",
    804: "the CUDA compatibility package does not support it (CUDA error 804); remove the package "
    "(cuda-compat) from LD_LIBRARY_PATH, or update the driver",
    999: "its driver does not start, for an unknown reason (CUDA error 999); load the module "
    "nvidia_uvm of the driver again, or restart the machine",
}
INFER = ("infer", "one", "--test", "test.csv", "-o", "card.csv")


def sentence(ran) -> str:
    """The one line of a refusal, which nothing but plans and figures is printed with."""
    assert (ran.code, ran.output) == (2, ""), ran.errors
    lines = [line for line in ran.errors.splitlines() if not line.startswith("card: ")]
    assert "Traceback" not in ran.errors
    return lines[-1].partition(": ")[2]


def unusable(status: int) -> str:
    import torch

    return (
        UNUSABLE.format(torch=torch.__version__, cuda=torch.version.cuda)
        + NOT_STARTED[status]
        + ELSE
    )


@pytest.mark.parametrize("status", NOT_STARTED)
def test_a_driver_that_does_not_start_is_told(status, with_run, on_card):
    assert sentence(on_card(*INFER, check=False, status=status)) == unusable(status)
    assert not Path("card.csv").exists()


@pytest.mark.parametrize(
    ("command", "device"), [(TRAIN, "auto"), (TRAIN, "cuda:0"), (("tta", *INFER[1:]), "cuda")]
)
def test_no_command_takes_the_cpu_in_its_place(command, device, with_run, on_card):
    ran = on_card(*command, "--device", device, check=False, status=803)
    assert sentence(ran) == unusable(803)


def test_a_cpu_that_is_asked_for_is_taken_without_a_word(with_run, on_card):
    ran = on_card(*TRAIN, "--epochs", "1", "--device", "cpu", "--run-name", "two", status=999)
    assert "GPU" not in ran.errors and "CUDA" not in ran.errors
    assert json.loads(Path("weights/two/run.json").read_text())["computed"]["device"] == "cpu"


@pytest.mark.parametrize("none", [{"status": 100}, {"count": 0}])
def test_a_machine_without_a_card_is_a_cpu_without_a_word(none, with_run, on_card):
    ran = on_card(*INFER, "--force", "--fp32", "--backend", "torch", **none)
    assert "GPU" not in ran.errors and "CUDA" not in ran.errors
    record = json.loads(Path("card.csv.meta.json").read_text())
    assert record["facts"]["computed"] == {"device": "cpu", "precision": "float32"}
    asked = on_card(*INFER, "--force", "--device", "cuda", check=False, **none)
    assert sentence(asked) == (
        "there is no device 'cuda'; this machine has no CUDA device: leave --device out"
    )


def test_a_torch_without_cuda_on_a_machine_with_a_card_is_told(with_run, on_card):
    ran = on_card(*INFER, check=False, program=FAULTY, fault="no cuda")
    assert sentence(ran) == (
        "this machine has a GPU, but torch 2.15.0+cpu is built without CUDA; install a CUDA build "
        f"of torch{ELSE}"
    )


@pytest.mark.parametrize(
    ("count", "has"), [(1, "1 CUDA device: cuda:0"), (2, "2 CUDA devices: cuda:0 to cuda:1")]
)
def test_a_number_that_no_card_has_is_told(count, has, with_run, on_card):
    ran = on_card(*INFER, "--device", "cuda:2", check=False, count=count)
    assert sentence(ran) == f"there is no device 'cuda:2'; this machine has {has}"


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (
            "cuda:1",
            "--device cuda:1 would give one GPU to all 2 processes of torchrun; leave --device "
            "out, and choose the GPUs by CUDA_VISIBLE_DEVICES",
        ),
        (
            "auto",
            "process 2 of torchrun has no GPU, for this machine has 1 CUDA device; take "
            "--nproc-per-node 1",
        ),
    ],
)
def test_processes_of_torchrun_have_a_card_each(device, said, folder, on_card, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert sentence(on_card(*TRAIN, "--device", device, check=False)) == said
