"""The device to compute on: which one, why no other, and what it says when its memory is full."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from comptool.errors import UsageError, counted
from comptool.machine import check_device_name, has_cuda

# Memory is short in torch's allocator, in a CUDA library, in a kernel, or on the CPU.
_NO_MEMORY = re.compile(
    r"out of memory|_STATUS_(\w+_)?ALLOC(ATION)?_FAILED|DefaultCPUAllocator: (can't|not enough)"
)


def choose_device(name: str) -> torch.device:
    """The named device, a CUDA device with its index; it becomes torch's current one.

    Parameters
    ----------
    name
        ``auto`` (CUDA if there is any, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``. Under
        ``torchrun``, ``auto`` and ``cuda`` are the device of the process.

    Raises
    ------
    UsageError
        If there is no such device, also with ``auto`` on a machine with a GPU that torch cannot
        use; there is no silent fallback to the CPU.
    """
    check_device_name(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count and not has_cuda()):
        return torch.device("cpu")
    if not count:
        raise UsageError(_why_none(name))
    index = torch.device("cuda" if name == "auto" else name).index
    local, size = (int(os.environ.get(one, "0")) for one in ("LOCAL_RANK", "WORLD_SIZE"))
    if index is not None and size > 1:
        raise UsageError(
            f"--device {name} would give one GPU to all {size} processes of torchrun; leave "
            "--device out, and choose the GPUs by CUDA_VISIBLE_DEVICES"
        )
    index = local if index is None else index
    if index >= count:
        raise UsageError(
            f"there is no device 'cuda:{index}'; this machine has {counted(count, 'CUDA device')}"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _why_none(name: str) -> str:
    """Why torch has no CUDA device, and what to do."""
    if not has_cuda():
        return f"there is no device '{name}'; this machine has no CUDA device"
    otherwise = "or compute on the CPU with --device cpu"
    if torch.version.cuda is None:
        return (
            f"this machine has a GPU, but torch {torch.__version__} is built without CUDA; "
            f"install a CUDA build of torch, {otherwise}"
        )
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        reason = next(filter(str.strip, str(error).splitlines()), type(error).__name__)
    else:
        reason = "no device is usable"
    return (
        f"this machine has a GPU that torch {torch.__version__} (CUDA {torch.version.cuda}) cannot "
        f"use: {reason.strip().rstrip('.')}; update the driver or install a torch for it, "
        f"{otherwise}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch or a CUDA library says that memory is short."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn each error that says that memory is short into ``torch.OutOfMemoryError``."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or not is_out_of_memory(error):
            raise
        raise torch.OutOfMemoryError(str(error)) from error
