"""Faster imports of torch and timm."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from comptool.machine import keep_freed_memory


@contextmanager
def loading_torch() -> Iterator[None]:
    """Import without the garbage collector, and with OpenMP threads that hardly spin.

    torch and timm create 600,000 permanent objects. The collector would scan them repeatedly, a
    fifth of the import time; freezing them also keeps worker processes from copying them.
    """
    _shorten_waits()
    keep_freed_memory()
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        # Objects still frozen at exit are never freed, and triton complains.
        atexit.register(gc.unfreeze)


def _shorten_waits() -> None:
    """Let OpenMP threads spin for some microseconds only; read when torch is loaded.

    Longer spinning makes a network several times slower if other processes need the same cores;
    sleeping at once means a wake-up at every layer. MobileNetV2 at 64 px, batch 32, two cores:
    sleeping 285, 1,000 turns 471, 10,000 turns 520 images/s; with another program on one core 228,
    180 and 56.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
