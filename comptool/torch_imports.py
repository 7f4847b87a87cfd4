"""Imports of torch and timm, sooner."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from comptool.memory import keep_freed_memory


@contextmanager
def loading_torch() -> Iterator[None]:
    """Run a block of imports without the garbage collector, for threads that wait without spinning.

    torch and timm make 600,000 objects that stay as long as the process. The collector looks
    through them again and again while they are made, a fifth of the time that the imports take;
    here it never does, and the workers that load images do not copy them.
    """
    # Read when torch is loaded. Threads that spin while they wait for one another make a network
    # several times slower where other processes, such as its own workers, need the same cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
