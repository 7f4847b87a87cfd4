"""Steps as they come, and the same steps on samples in place, in turn: machines waver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from comptool.profiling.clock import Clock, Timing
from comptool.profiling.report import Loading, Profile

TURNS = 4


class Steps(Protocol):
    """The steps of a command.

    Attributes
    ----------
    clock
        Counts their phases.
    uncounted
        First steps, which are slower than those that follow.
    ahead
        Batches that are loaded before they are wanted: so many come sooner after a rest.
    """

    clock: Clock
    uncounted: int
    ahead: int

    def as_they_come(self, count: int) -> int:
        """Do so many steps; the samples that were in them."""

    def size(self, share: float) -> int:
        """Samples in a share of the largest step so far; 0 where there can be no such step."""

    def in_place(self, share: float, count: int) -> float:
        """Seconds of so many steps with a share of the largest one's samples, in place already."""


@dataclass(frozen=True)
class Measured:
    """Steps, measured.

    Parameters
    ----------
    steps
        How many.
    timing
        Of a mean step.
    samples
        In a mean step.
    ceiling
        Seconds of such a step on samples in place.
    half
        What half of these samples take of that, 0 to 1; None where that cannot be told.
    """

    steps: int
    timing: Timing
    samples: float
    ceiling: float
    half: float | None

    def profile(self, command: str, device: str, loading: Loading | None) -> Profile:
        """What is told of them, without advice."""
        return Profile(
            command=command,
            device=device,
            images=self.samples,
            steps=self.steps,
            phases=self.timing.divided(loading),
            waited=self.timing.waited,
            ceiling=self.ceiling,
            half=self.half,
            loading=loading,
        )


def measure(steps: Steps, count: int) -> Measured:
    """So many steps as they come, and as many in place."""
    clock, samples = steps.clock, 0
    steps.as_they_come(steps.uncounted)
    shares = [share for share in (1.0, 0.5) if steps.size(share)]
    spent = dict.fromkeys(shares, 0.0)
    for number in turns(count):
        steps.as_they_come(steps.ahead)
        clock.start()
        samples += steps.as_they_come(number)
        clock.stop()
        for share in shares:
            spent[share] += steps.in_place(share, number)
    of_sample = spent[1.0] / (count * steps.size(1.0))
    half = spent[0.5] / spent[1.0] if 0.5 in spent else None
    ceiling = of_sample * samples / count
    return Measured(count, clock.timing(count), samples / count, ceiling, half)


def turns(count: int) -> list[int]:
    """So many steps in up to four parts."""
    parts = min(count, TURNS)
    return [(count + part) // parts for part in range(parts)]


def seconds_of(clock: Clock, step: Callable[[], object], count: int) -> float:
    """Seconds that so many steps take, after one that does not count."""
    step()
    before = clock.seconds
    clock.start()
    for _ in range(count):
        step()
    clock.stop()
    return clock.seconds - before
