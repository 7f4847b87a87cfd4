"""What a device may be called; no torch, so that a misspelt one is told at once."""

from __future__ import annotations

import re

from comptool.errors import UsageError

_NAME = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_device_name(name: str) -> None:
    """Raise a UsageError unless the name is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"--device is '{name}'; it has to be auto, cpu, cuda or cuda:N")
