"""How long the phases of a step take in this program; no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from comptool.profiling.report import IDLE, OTHER, WAIT, Loading


@dataclass(frozen=True)
class Timing:
    """A mean step, in seconds.

    Parameters
    ----------
    phases
        Of each phase; what the step takes is their sum.
    waited
        How long the program waited for its batch.
    """

    phases: dict[str, float]
    waited: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return sum(self.phases.values())

    def divided(self, loading: Loading | None) -> dict[str, float]:
        """The phases, the wait as what it was spent with where the step loads its images itself."""
        if loading is None or loading.loaders:
            return self.phases
        waited = min(self.waited, self.phases[IDLE])
        return self.phases | {IDLE: self.phases[IDLE] - waited} | loading.divided(waited)


class Clock:
    """Phases that lie between two looks at the clock, and what is left between them.

    It stands still until it is started, and then counts every step until it is stopped.

    Attributes
    ----------
    rest
        The phase that what is left belongs to.
    seconds
        All that were counted.
    """

    rest = OTHER

    def __init__(self) -> None:
        self._running = False
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._waited = self._begun = 0.0
        self.seconds = 0.0

    def start(self) -> None:
        """Count from now on."""
        self._running = True
        self._begun = perf_counter()

    def stop(self) -> None:
        """Count no longer, until it is started again."""
        self.seconds += perf_counter() - self._begun
        self._running = False

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the block as a part of a phase, or as a wait for a batch, in a phase or not."""
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
        """A mean one of the steps that were counted."""
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
