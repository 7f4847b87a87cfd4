"""Where the numbers are computed."""

from __future__ import annotations

import torch

from comptool.errors import UsageError
from comptool.machine import check_device_name


def choose_device(name: str) -> torch.device:
    """The named device; ``auto`` is the first CUDA device, else the CPU.

    Raises
    ------
    UsageError
        If there is no such device; there is no fallback to the CPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    check_device_name(name)
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"there is no device '{name}'; this machine has {_cards()}")
    return device


def free_memory(device: torch.device) -> int:
    """Free bytes on a GPU, including those cached by torch."""
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + idle


def _cards() -> str:
    count = torch.cuda.device_count()
    return f"{count} CUDA device{'' if count == 1 else 's'}" if count else "no CUDA device"
