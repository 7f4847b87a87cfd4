"""Steps of a pretended command, in a world whose time passes only where a test lets it."""

from __future__ import annotations

import pytest

from comptool.profiling.clock import Clock
from comptool.profiling.measuring import measure, seconds_of, turns


def test_phases_waits_and_the_rest_add_up_to_the_time_that_has_passed(world):
    clock = Clock()
    world.sleep(10)  # not counted
    clock.start()
    for _ in range(3):
        with clock("wait"):
            world.sleep(2)
        with clock("forward"):
            world.sleep(3)
        world.sleep(1)
    clock.stop()
    timing = clock.timing(3)
    assert timing.phases == pytest.approx({"idle": 2, "forward": 3, "other": 1})
    assert (timing.seconds, timing.waited) == pytest.approx((6, 2))


def test_a_clock_that_is_stopped_stands_still_and_goes_on(world):
    clock = Clock()
    for _ in range(2):
        with clock("forward"):
            world.sleep(7)
        clock.start()
        with clock("forward"):
            world.sleep(1)
        clock.stop()
    assert clock.timing(2).phases == pytest.approx({"idle": 0, "forward": 1, "other": 0})


def test_a_wait_within_a_phase_is_no_part_of_it(world):
    clock = Clock()
    clock.start()
    with clock("forward"):
        world.sleep(1)
        with clock("wait"):
            world.sleep(5)
        world.sleep(1)
    clock.stop()
    assert clock.timing(1).phases == pytest.approx({"idle": 5, "forward": 2, "other": 0})


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


def test_what_was_loaded_during_a_rest_does_not_count(world):
    found = measure(Wavering(world), 8)
    assert found.timing.phases["idle"] == found.timing.waited == 2
    assert found.samples == 8


def test_the_ceiling_is_measured_as_the_machine_is_meanwhile(world):
    found = measure(Wavering(world), 8)
    # Ten samples take 2.5 s in place, and eight of them 2 s, as they do when they come.
    assert found.ceiling == pytest.approx(found.timing.phases["forward"], rel=0.01)
    assert found.half == pytest.approx(0.5, rel=0.01)


def test_where_there_is_no_half_of_a_batch_none_is_measured(world):
    assert measure(Wavering(world, halves=False), 4).half is None
