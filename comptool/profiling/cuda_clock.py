"""How long the phases of a step take on a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from comptool.profiling.clock import Clock, Timing
from comptool.profiling.report import IDLE


class CudaClock(Clock):
    """Phases that lie between two events of the device's queue, and its idleness between them.

    The device works behind the program that asks it to: a wait for a batch costs nothing as long
    as there is something in the queue.

    Parameters
    ----------
    device
        Where the phases are computed.
    """

    rest = IDLE

    def __init__(self, device: torch.device) -> None:
        self._device = device
        super().__init__()

    def begin(self) -> None:
        """Count from now on, with an empty queue."""
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        torch.cuda.synchronize(self._device)
        super().begin()

    def end(self, steps: int) -> Timing:
        """A mean one of the steps since the beginning, the last of which is waited for."""
        torch.cuda.synchronize(self._device)
        return super().end(steps)

    @contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        first = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        last = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        first.record()
        yield
        last.record()
        self._events.append((phase, first, last))

    def _phases(self) -> dict[str, float]:
        for phase, first, last in self._events:
            self._spent[phase] += first.elapsed_time(last) / 1000
        return dict(self._spent)
