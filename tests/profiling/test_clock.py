"""Phases of this program, and of a device behind it: a pretended one, a real one if it is here."""

from __future__ import annotations

from time import perf_counter, sleep

import pytest
import torch

from comptool.profiling.measure import Clock, DeviceClock, clock_of


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


class Place:
    def __init__(self, time: float) -> None:
        self.time = time

    def elapsed_time(self, later: Place) -> float:
        return 1000 * (later.time - self.time)


class Queue:
    """A device that does one thing after the other, and is asked for them in no time."""

    def __init__(self, world) -> None:
        self.world = world
        self.free = world.now()

    def work(self, seconds: float) -> None:
        self.free = max(self.free, self.world.now()) + seconds

    def wait(self) -> None:
        self.world.sleep(max(self.free - self.world.now(), 0))

    def mark(self) -> Place:
        return Place(max(self.free, self.world.now()))


@pytest.fixture
def queue(world):
    return Queue(world)


@pytest.fixture
def clock(queue):
    return DeviceClock(queue.mark, queue.wait)


def test_a_phase_is_what_the_device_needs_and_not_what_asking_takes(queue, clock):
    queue.work(7)  # done before the beginning
    clock.start()
    for _ in range(4):
        with clock("forward"):
            queue.work(1)
        with clock("backward"):
            queue.work(2)
    clock.stop()
    assert clock.timing(4).phases == pytest.approx({"forward": 1, "backward": 2, "idle": 0})


def test_a_wait_while_the_device_is_busy_costs_nothing(queue, clock, world):
    clock.start()
    for _ in range(4):
        with clock("forward"):
            queue.work(2)
        with clock("wait"):
            world.sleep(1)
    clock.stop()
    timing = clock.timing(4)
    assert timing.phases == pytest.approx({"forward": 2, "idle": 0})
    assert timing.waited == pytest.approx(1)


def test_a_wait_with_an_empty_queue_is_idleness(queue, clock, world):
    clock.start()
    for _ in range(2):
        with clock("wait"):
            world.sleep(3)
        with clock("forward"):
            queue.work(1)
    clock.stop()
    timing = clock.timing(2)
    # One of the waits is the second's, a second of which the device was busy.
    assert timing.phases == pytest.approx({"forward": 1, "idle": 2.5})
    assert timing.seconds == pytest.approx(3.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_phases_of_a_card_add_up_to_the_time_that_has_passed():
    device = torch.device("cuda", 0)
    clock = clock_of(device)
    factor = torch.rand(4096, 4096, device=device)
    factor @ factor
    clock.start()
    began = perf_counter()
    for _ in range(3):
        with clock("forward"):
            factor @ factor
        with clock("wait"):
            sleep(0.01)
    clock.stop()
    timing = clock.timing(3)
    assert timing.seconds * 3 == pytest.approx(perf_counter() - began, abs=5e-3)
    assert timing.phases["forward"] > 0
    assert timing.phases["idle"] > 0
