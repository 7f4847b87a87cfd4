"""The end of the program, sooner, and whatever its workers do."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading


def end_process(code: int) -> None:
    """End the process at once if torch was imported or a thread is at work; else return.

    Python would first take torch's 600,000 objects apart, which takes a second of a command that
    writes its files long before, and wait for the thread, which may wait for a disk that does not
    answer. What was registered for the end is still done.
    """
    if "torch" not in sys.modules and threading.active_count() == 1:
        return
    _end_workers()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_workers() -> None:
    """Kill the processes that load images; Python would ask them to end, and wait for ever."""
    processes = sys.modules.get("multiprocessing")
    if processes is None:
        return
    if hasattr(signal, "SIGCHLD"):
        # torch's handler would raise for each of them.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in processes.active_children():
        worker.kill()
