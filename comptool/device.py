"""The device to compute on: which one, why no other, and what it says when its memory is full."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from comptool.errors import UsageError, counted
from comptool.machine import check_device_name, driver_status, has_cuda

# Memory is short in torch's allocator, in a CUDA library, in a kernel, or on the CPU.
_NO_MEMORY = re.compile(
    r"out of memory|_STATUS_(\w+_)?ALLOC(ATION)?_FAILED|DefaultCPUAllocator: (can't|not enough)"
)

# Why a driver does not start, by what it returns, and what to do.
_NOT_STARTED = {
    3: ("its driver cannot be initialised", "restart the machine or the container"),
    802: ("its driver is not ready yet", "start the fabric manager of its driver"),
    803: (
        "the library and the kernel module of its driver differ in version",
        "restart the machine or the container, which ends an update of the driver",
    ),
    804: (
        "the CUDA compatibility package does not support it",
        "remove the package (cuda-compat) from LD_LIBRARY_PATH, or update the driver",
    ),
    999: (
        "its driver does not start, for an unknown reason",
        "load the module nvidia_uvm of the driver again, or restart the machine",
    ),
}
# Advice of torch's within its messages.
_ADVICE = re.compile(r"\.? (Did you|Please|this may be|- this may|you might not).*?(?=Error \d|$)")


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
    # `_why_none` says it, if it matters; torch would also warn in the backward pass on a CPU.
    warnings.filterwarnings("ignore", "CUDA initialization")
    if name == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        if name == "auto" and not has_cuda():
            return torch.device("cpu")
        raise UsageError(_why_none(name))
    index = torch.device("cuda" if name == "auto" else name).index
    local, size = (int(os.environ.get(one, "0")) for one in ("LOCAL_RANK", "WORLD_SIZE"))
    has = f"this machine has {counted(count, 'CUDA device')}"
    if index is not None and size > 1:
        raise UsageError(
            f"--device {name} would give one GPU to all {size} processes of torchrun; leave "
            "--device out, and choose the GPUs by CUDA_VISIBLE_DEVICES"
        )
    if index is None and local >= count:
        raise UsageError(
            f"process {local + 1} of torchrun has no GPU, for {has}; take --nproc-per-node {count}"
        )
    index = local if index is None else index
    if index >= count:
        numbers = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise UsageError(f"there is no device 'cuda:{index}'; {has}: {numbers}")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _why_none(name: str) -> str:
    """Why torch has no CUDA device, and what to do."""
    if not has_cuda():
        return f"there is no device '{name}'; this machine has no CUDA device: leave --device out"
    otherwise = "or compute on the CPU with --device cpu"
    if torch.version.cuda is None:
        return (
            f"this machine has a GPU, but torch {torch.__version__} is built without CUDA; "
            f"install a CUDA build of torch, {otherwise}"
        )
    status = driver_status()
    if status in _NOT_STARTED:
        reason, mend = _NOT_STARTED[status]
        reason += f" (CUDA error {status})"
    else:
        reason, mend = _of_torch(), "update the driver or install a torch for it"
    return (
        f"this machine has a GPU that torch {torch.__version__} (CUDA {torch.version.cuda}) cannot "
        f"use: {reason}; {mend}, {otherwise}"
    )


def _of_torch() -> str:
    """What torch says when it starts CUDA, in one clause."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        line = next(filter(str.strip, str(error).splitlines()), type(error).__name__)
        return _ADVICE.sub(" ", line).strip().rstrip(".:")
    return "no device is usable"


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
