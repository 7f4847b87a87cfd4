"""How the steps of a run are computed, and which way is the fastest on this machine.

Memory layout, number of threads and compilation change nothing that is computed but its rounding.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any, Literal

# What may be measured of a run; what compilation brings takes minutes to learn.
Measure = Literal["all", "layout", "nothing"]
# Two ways are timed in turn, at most so often. Of three turns the median forgets a disturbed one.
FEWEST, MOST = 3, 6
CLEARLY = 1.2  # so many times as fast in every one of two turns is enough
HARDLY = 1.03  # less than so many times as fast is as good as equal
BUDGET = 1.0  # seconds of one comparison after its fewest turns
# Compilation takes from half a minute to minutes, and makes a step 1.0 to 1.5 times as fast.
LONG_RUN = 300.0  # seconds of steps
WORTH_IT = 1.1


@dataclass(frozen=True)
class Way:
    """One way to compute the steps of a run.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda``.
    channels_last
        Whether images and weights lie in that memory order, else in torch's own.
    threads
        Of the CPU; None: not set, where another device computes.
    compiled
        Whether ``torch.compile`` has made the network.
    """

    device: str
    channels_last: bool = True
    threads: int | None = None
    compiled: bool = False

    @property
    def text(self) -> str:
        """The way in words."""
        words = ["channels_last" if self.channels_last else "contiguous"]
        if self.threads is not None:
            words.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        return ", ".join([*words, "compiled"] if self.compiled else words)

    def document(self) -> dict[str, Any]:
        """The way as JSON values."""
        return asdict(self)


class Race:
    """Times ways against one another.

    Parameters
    ----------
    step
        Computes one step in a given way and gives its seconds.
    clock
        Seconds since whenever.

    Attributes
    ----------
    seconds
        The median of each way that was timed, in its latest comparison.
    """

    def __init__(
        self, step: Callable[[Way], float], clock: Callable[[], float] = perf_counter
    ) -> None:
        self._step = step
        self._clock = clock
        self._begun: set[Way] = set()
        self.seconds: dict[Way, float] = {}

    def first(self, way: Way) -> float:
        """Seconds of the first step of a way, which prepares what later ones use."""
        self._begun.add(way)
        return self._step(way)

    def faster(self, kept: Way, other: Way) -> Way:
        """The faster of two ways; ``kept`` where they are nearly equal."""
        turns: tuple[list[float], list[float]] = ([], [])
        for way in (kept, other):
            if way not in self._begun:
                self.first(way)
        started = self._clock()
        while len(turns[0]) < MOST:
            for way, found in zip((kept, other), turns, strict=True):
                found.append(self._step(way))
            late = len(turns[0]) >= FEWEST and self._clock() - started > BUDGET
            if late or _clear(*turns):
                break
        for way, found in zip((kept, other), turns, strict=True):
            self.seconds[way] = statistics.median(found)
        return other if self.seconds[other] * HARDLY < self.seconds[kept] else kept


def _clear(one: list[float], two: list[float]) -> bool:
    if len(one) < 2:
        return False
    return min(one) > CLEARLY * max(two) or min(two) > CLEARLY * max(one)


def fastest(race: Race, way: Way, *, fewer_threads: bool) -> Way:
    """The fastest way, from one with all threads.

    Layouts are compared first, then half as many threads as long as fewer are faster: those of
    small images wait for one another more than they compute.

    Parameters
    ----------
    race
        Times them.
    way
        Where to start.
    fewer_threads
        Whether their number is to be chosen.
    """
    way = race.faster(way, replace(way, channels_last=not way.channels_last))
    while fewer_threads and way.threads is not None and way.threads > 1:
        fewer = replace(way, threads=way.threads // 2)
        if race.faster(way, fewer) is way:
            break
        way = fewer
    return way


@dataclass(frozen=True)
class Compilation:
    """What compiling a network has cost and brought.

    Parameters
    ----------
    plain, compiled
        Seconds of a step without and with it.
    start
        Seconds until the first compiled step was done.
    """

    plain: float
    compiled: float
    start: float

    def pays(self, steps: int) -> bool:
        """Whether a run of so many steps ends sooner by it, and by enough to be sure."""
        saved = steps * (self.plain - self.compiled)
        return self.plain >= WORTH_IT * self.compiled and saved > self.start


def may_pay(steps: int, seconds: float) -> bool:
    """Whether a run of so many steps of so many seconds is long enough to try compilation."""
    return steps * seconds >= LONG_RUN
