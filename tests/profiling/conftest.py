"""A world whose time passes only where a test lets it."""

from __future__ import annotations

import pytest


class World:
    """What it is o'clock, in seconds."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def world(monkeypatch) -> World:
    made = World()
    monkeypatch.setattr("comptool.profiling.measure.perf_counter", made.now)
    return made
