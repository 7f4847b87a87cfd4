"""Steps of a pretended command, in a world whose time passes only where a test lets it."""

from __future__ import annotations

import pytest

from comptool.profiling.measure import Clock, measure, seconds_of, turns


def test_a_repeated_step_counts_after_its_first_time(world):
    durations = iter([100, 1, 2, 3, 50, 4])
    clock = Clock()
    assert seconds_of(clock, lambda: world.sleep(next(durations)), 3) == pytest.approx(6)
    assert seconds_of(clock, lambda: world.sleep(next(durations)), 1) == pytest.approx(4)


@pytest.mark.parametrize(
    ("count", "parts"), [(1, [1]), (3, [1] * 3), (20, [5] * 4), (7, [1, 2, 2, 2])]
)
def test_steps_are_taken_in_turns(count, parts):
    assert turns(count) == parts


class Wavering:
    """A machine that becomes slower with every step, and steps that are late after a rest."""

    uncounted = 3

    def __init__(self, world, *, halves: bool = True) -> None:
        self.world, self.clock, self.halves = world, Clock(), halves
        self.ahead, self.loaded, self.steps = 2, 0, 0
        self.in_place_clock = Clock()

    def step(self, seconds: float) -> None:
        self.steps += 1
        self.world.sleep(seconds * (1 + self.steps / 1000))

    def as_they_come(self, count: int) -> int:
        for _ in range(count):
            with self.clock("wait"):
                self.world.sleep(0 if self.loaded else 2)
            self.loaded = max(self.loaded - 1, 0)
            with self.clock("forward"):
                self.step(2)
        return 8 * count

    def size(self, share: float) -> int:
        return 0 if share < 1 and not self.halves else int(10 * share)

    def in_place(self, share: float, count: int) -> float:
        self.loaded = self.ahead  # the loader has had time
        return seconds_of(self.in_place_clock, lambda: self.step(2.5 * share), count)

    def loading(self, count: int) -> None:
        return None


def measured(world, count: int = 8, **given):
    return measure("train", "cpu", Wavering(world, **given), count)


def test_what_was_loaded_during_a_rest_does_not_count(world):
    found = measured(world)
    assert found.phases["idle"] == found.waited == 2
    assert (found.images, found.steps) == (8, 8)


def test_the_ceiling_is_measured_as_the_machine_is_meanwhile(world):
    found = measured(world)
    # Ten samples take 2.5 s in place, and eight of them 2 s, as they do when they come.
    assert found.ceiling == pytest.approx(found.phases["forward"], rel=0.01)
    assert found.half == pytest.approx(0.5, rel=0.01)


def test_where_there_is_no_half_of_a_batch_none_is_measured(world):
    assert measured(world, 4, halves=False).half is None
