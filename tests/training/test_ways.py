"""Which way to compute a run is chosen, by timings that are made up."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.training.ways import BUDGET, MOST, Compilation, Race, Way, fastest, may_pay

CPU = Way("cpu", threads=8)


class Machine:
    """Takes the seconds that a table says, and a long first step."""

    def __init__(self, seconds):
        self.seconds, self.now, self.steps = seconds, 0.0, []

    def step(self, way):
        first = way not in self.steps
        self.steps.append(way)
        spent = 50.0 if first else self.seconds(way)
        self.now += spent
        return spent

    def race(self):
        return Race(self.step, lambda: self.now)


def test_layout_is_compared_first_then_ever_fewer_threads_while_they_are_faster():
    times = {8: 0.04, 4: 0.03, 2: 0.02, 1: 0.03}
    machine = Machine(lambda way: times[way.threads] * (1 if way.channels_last else 2))
    assert fastest(machine.race(), CPU, fewer_threads=True) == replace(CPU, threads=2)
    tried = list(dict.fromkeys((way.channels_last, way.threads) for way in machine.steps))
    assert tried == [(True, 8), (False, 8), (True, 4), (True, 2), (True, 1)]


def test_a_network_that_is_faster_in_torchs_own_layout_gets_it():
    machine = Machine(lambda way: 0.5 if way.channels_last else 0.1)
    assert fastest(machine.race(), CPU, fewer_threads=True) == replace(CPU, channels_last=False)


def test_a_number_of_threads_that_somebody_has_set_stays():
    machine = Machine(lambda way: 0.01 * (way.threads or 1))
    assert fastest(machine.race(), CPU, fewer_threads=False) == CPU
    card = Way("cuda")
    assert fastest(machine.race(), card, fewer_threads=True) == card


def test_a_clear_lead_needs_two_turns_and_a_narrow_one_more():
    for factor, turns in ((1.5, 2), (1.1, MOST)):
        machine = Machine(lambda way, factor=factor: 0.01 * (1 if way == CPU else factor))
        other = replace(CPU, threads=4)
        assert machine.race().faster(CPU, other) == CPU
        assert machine.steps == [CPU, other] * (turns + 1)  # each has a first step, not counted


def test_large_networks_are_timed_no_longer_than_needed():
    machine = Machine(lambda way: BUDGET)
    machine.race().faster(CPU, replace(CPU, threads=4))
    assert len(machine.steps) == 2 * (3 + 1)


def test_one_slow_turn_changes_nothing():
    disturbed = count()
    machine = Machine(lambda way: 9.0 if next(disturbed) == 2 else 0.01 + 0.002 * (way != CPU))
    race = machine.race()
    assert race.faster(CPU, replace(CPU, threads=4)) == CPU
    assert race.seconds[CPU] == pytest.approx(0.01)


@given(st.floats(0.975, 1.03))
def test_what_is_nearly_equal_leaves_the_default(factor):
    machine = Machine(lambda way: 0.01 if way == CPU else 0.01 * factor)
    assert fastest(machine.race(), CPU, fewer_threads=True) == CPU


def test_a_race_compares_with_medians_of_turns_taken_in_turn():
    slow, fast = cycle([0.030, 0.020, 0.040]), cycle([0.022, 0.025, 0.021])
    other = replace(CPU, threads=4)
    race = Machine(lambda way: next(slow if way == CPU else fast)).race()
    assert race.faster(CPU, other) == other
    assert race.seconds == {CPU: pytest.approx(0.030), other: pytest.approx(0.022)}


@pytest.mark.parametrize(
    ("plain", "compiled", "start", "steps", "pays"),
    [
        (0.060, 0.050, 40.0, 6_000, True),  # saves 60 s
        (0.060, 0.050, 40.0, 3_000, False),  # saves 30 s
        (0.054, 0.050, 1.0, 90_000, False),  # not by a tenth
        (0.050, 0.060, 0.0, 90_000, False),
    ],
)
def test_compilation_pays_by_a_tenth_and_more_than_its_start(plain, compiled, start, steps, pays):
    assert Compilation(plain, compiled, start).pays(steps) is pays


def test_compilation_is_tried_in_runs_of_five_minutes():
    assert may_pay(6_000, 0.05) and not may_pay(5_999, 0.05)


def test_a_way_tells_what_it_is():
    assert Way("cpu", False, 1).text == "contiguous, 1 thread"
    assert Way("cuda", compiled=True).text == "channels_last, compiled"
