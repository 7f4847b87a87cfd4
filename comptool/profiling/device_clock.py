"""How long the phases of a step take on a device that works behind the program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import torch

from comptool.profiling.clock import Clock
from comptool.profiling.report import IDLE


class Mark(Protocol):
    """A place in the queue of a device."""

    def elapsed_time(self, later: Any) -> float:
        """Milliseconds from when the device comes here to when it comes to a later place."""


class DeviceClock(Clock):
    """Phases that lie between two marks in the queue of a device, and its idleness between them.

    The device does later what the program asks of it: a wait for a batch costs nothing as long as
    there is something in the queue.

    Parameters
    ----------
    mark
        Puts a mark into the queue.
    wait
        Returns when the queue is empty.
    """

    rest = IDLE

    def __init__(self, mark: Callable[[], Mark], wait: Callable[[], None]) -> None:
        super().__init__()
        self._mark = mark
        self._wait = wait
        self._marks: list[tuple[str, Mark, Mark]] = []

    def start(self) -> None:
        """Count from now on, with an empty queue."""
        self._wait()
        super().start()

    def stop(self) -> None:
        """Count no longer, once the queue is empty."""
        self._wait()
        super().stop()

    @contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        first = self._mark()
        yield
        self._marks.append((phase, first, self._mark()))

    def _phases(self) -> dict[str, float]:
        spent: defaultdict[str, float] = defaultdict(float)
        for phase, first, last in self._marks:
            spent[phase] += first.elapsed_time(last) / 1000
        return dict(spent)


def clock_of(device: torch.device) -> Clock:
    """The clock for what is computed on a device."""
    if device.type != "cuda":
        return Clock()

    def mark() -> Mark:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        return event

    return DeviceClock(mark, partial(torch.cuda.synchronize, device))
