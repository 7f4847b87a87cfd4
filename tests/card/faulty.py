"""``python faulty.py COMMAND ...``: `run.py` with the fault that ``CARD_FAULT`` names."""

from __future__ import annotations

import os

import card
import run
import torch
from torch.utils._pytree import tree_map

MOST_CELLS = 50_000  # of a product


def wrong_numbers(dtype: torch.dtype) -> None:
    """Convolutions and products of a type give a tenth too much."""
    computed = card.Card._computed

    def faulty(self, function, given):
        name = function.overloadpacket.__name__
        found = computed(self, function, given)
        if name not in ("convolution", "conv2d", "addmm", "linear"):
            return found
        return tree_map(
            lambda one: one * 1.1 if isinstance(one, torch.Tensor) and one.dtype is dtype else one,
            found,
        )

    card.Card._computed = faulty


def copies() -> None:
    """No stream waits for another."""
    torch.cuda.Stream.wait_stream = lambda self, other: None


def memory() -> None:
    """The check of copies has no memory."""
    from comptool.training import self_check

    def full(*given, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    self_check.on_device = full


def backward() -> None:
    """cuBLAS has no memory for large products of a backward pass."""
    computed = card.Card._computed

    def faulty(self, function, given):
        found = computed(self, function, given)
        within = torch._C._current_graph_task_id() != -1
        if within and function.overloadpacket.__name__ == "mm" and found.numel() > MOST_CELLS:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasSgemm`")
        return found

    card.Card._computed = faulty


def no_cuda() -> None:
    """A torch that is built for CPUs."""
    torch.version.cuda = None
    torch.__version__ = "2.15.0+cpu"
    del torch._C._cuda_getDeviceCount


FAULTS = {
    "no cuda": no_cuda,
    "backward": backward,
    "bf16": lambda: wrong_numbers(torch.bfloat16),
    "fp16": lambda: wrong_numbers(torch.float16),
    "copies": copies,
    "memory": memory,
}

if __name__ == "__main__":
    FAULTS[os.environ["CARD_FAULT"]]()
    run.main()
