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
    """Run a block of imports without the garbage collector, for threads that hardly spin.

    torch and timm make 600,000 objects that stay as long as the process. The collector looks
    through them again and again while they are made, a fifth of the time that the imports take;
    here it never does, and the workers that load images do not copy them.
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
        # What is still frozen when Python ends is never freed, and triton complains.
        atexit.register(gc.unfreeze)


def _shorten_waits() -> None:
    """Have OpenMP's threads spin for some microseconds only; read when torch is loaded.

    Threads that spin for longer while they wait for one another make a network several times slower
    where other processes need the same cores. Threads that sleep at once are woken at every layer:
    MobileNetV2 at 64 px, batch 32, two cores, trained 285 images/s so, 471 with 1,000 turns and 520
    with 10,000; beside a program that keeps one core busy 228, 180 and 56.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
