"""How long the phases of a step take: by this program's clock, or by events of a CUDA device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from comptool.profiling.profile_report import IDLE, OTHER, WAIT, Loading

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Timing:
    """A mean step, in seconds."""

    phases: dict[str, float]  # seconds of each phase
    waited: float  # how long the program waited for its batch

    @property
    def seconds(self) -> float:
        """Seconds of the whole step."""
        return sum(self.phases.values())

    def divided(self, loading: Loading | None) -> dict[str, float]:
        """The phases; a wait in which the step itself loads is divided among loading phases."""
        if loading is None or loading.loaders:
            return self.phases
        waited = min(self.waited, self.phases[IDLE])
        return self.phases | {IDLE: self.phases[IDLE] - waited} | loading.divided(waited)


class Clock:
    """Wall time of phases between start and stop; ``rest`` is the phase of the remainder."""

    rest = OTHER

    def __init__(self) -> None:
        self._running = False
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._waited = self._begun = 0.0
        self.seconds = 0.0

    def start(self) -> None:
        """Start counting."""
        self._running = True
        self._begun = perf_counter()

    def stop(self) -> None:
        """Pause counting."""
        self.seconds += perf_counter() - self._begun
        self._running = False

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the block as a part of a phase, or as a wait for a batch."""
        if not self._running:
            yield
        elif phase == WAIT:
            started = perf_counter()
            yield
            self._waited += perf_counter() - started
        else:
            with self._phase(phase):
                yield

    def timing(self, steps: int) -> Timing:
        """The mean step."""
        spent = self._phases()
        spent[self.rest] = max(self.seconds - sum(spent.values()), 0.0)
        each = {phase: seconds / steps for phase, seconds in spent.items()}
        return Timing(each, self._waited / steps)

    @contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        started, waited = perf_counter(), self._waited
        yield
        self._spent[phase] += perf_counter() - started - (self._waited - waited)

    def _phases(self) -> dict[str, float]:
        return {IDLE: self._waited, **self._spent}


class Mark(Protocol):
    """A place in the queue of a device."""

    def elapsed_time(self, later: Any) -> float:
        """Milliseconds from this mark to a later one on the device."""


class DeviceClock(Clock):
    """Phases between two marks in the queue of a device, and its idle time between them.

    The device runs asynchronously: a wait for a batch costs nothing while the queue is not empty.
    ``mark`` puts a mark into the queue; ``wait`` returns when it is empty.
    """

    rest = IDLE

    def __init__(self, mark: Callable[[], Mark], wait: Callable[[], None]) -> None:
        super().__init__()
        self._mark = mark
        self._wait = wait
        self._marks: list[tuple[str, Mark, Mark]] = []

    def start(self) -> None:
        """Start counting with an empty queue."""
        self._wait()
        super().start()

    def stop(self) -> None:
        """Pause counting once the queue is empty."""
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
    """The clock for a device."""
    if device.type != "cuda":
        return Clock()
    import torch  # a prediction by ONNX Runtime needs a clock, and no torch

    def mark() -> Mark:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        return event

    return DeviceClock(mark, partial(torch.cuda.synchronize, device))
