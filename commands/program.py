"""The program from its first moment to its last: Ctrl-C and SIGTERM, and the end of the process."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

INTERRUPTED = 130
UNFINISHED = "interrupted; nothing was half-written. Run it again"


class Interruptions:
    """SIGINT and SIGTERM of this process.

    The first within a command raises KeyboardInterrupt, so that temporary files are removed. A
    second one ends the process at once, as does one outside of a command, where there is nothing to
    remove, or during an import: many packages take an exception there for a missing package.
    """

    def __init__(self) -> None:
        self.heard = False
        self.reason = UNFINISHED
        self._name = "comptool"
        self._runs = self._told = False

    def hear(self) -> None:
        """Install the handlers, except for a signal that the shell has the program ignore."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._take)
        # A handler may run in a destructor, whose exceptions Python only prints.
        sys.unraisablehook = self._unraisable
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_leave_to_parent)

    def begin(self, name: str) -> None:
        """Let signals be exceptions from now on."""
        self._name, self.reason = f"comptool {name}", UNFINISHED
        self.heard = self._told = False
        self._runs = True

    def end(self) -> None:
        """Let signals end the process from now on."""
        self._runs = False

    def line(self) -> str:
        """What to say about the interruption; empty if it was said."""
        told, self._told = self._told, True
        return "" if told or os.environ.get("RANK", "0") != "0" else f"{self._name}: {self.reason}"

    def _take(self, number: int, frame: FrameType | None) -> None:
        again, self.heard = self.heard, True
        if again or not self._runs or _is_importing(frame):
            self.leave()
        raise KeyboardInterrupt

    def _unraisable(self, unraisable: Any) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            self.leave()
        sys.__unraisablehook__(unraisable)

    def leave(self) -> None:
        """Say what was interrupted, if it was not said, and end the process at once."""
        if line := self.line():
            # The stream may be in use by what was interrupted.
            with suppress(OSError):
                os.write(2, f"{line}\n".encode())
        end_workers()
        os._exit(INTERRUPTED)


interruptions = Interruptions()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave_to_parent() -> None:
    """In a forked worker, which the parent ends: Ctrl-C in a terminal reaches both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_workers() -> None:
    """Kill the processes that load images; Python would terminate them and wait forever."""
    processes = sys.modules.get("multiprocessing")
    if processes is None:
        return
    if hasattr(signal, "SIGCHLD"):
        # The handler of torch would raise for each.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in processes.active_children():
        worker.kill()


def end_process(code: int) -> None:
    """End the process without taking it apart; exit handlers still run.

    Python would first free 600,000 objects of torch, which takes a second, and join threads, which
    may wait for a hanging disk.
    """
    import atexit

    if interruptions.heard:
        interruptions.leave()
    end_workers()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Run the program; the console script's entry point."""
    interruptions.hear()
    from . import app

    app.main()
