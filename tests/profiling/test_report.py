"""How a profile reads."""

from __future__ import annotations

import pytest

from comptool.profiling.measure import Timing
from comptool.profiling.profile_report import Loading, Profile

BESIDE = Loading({"decode": 0.03, "augment": 0.01}, 2)
HERE = Loading({"decode": 0.03, "augment": 0.01}, 0)


def test_a_wait_is_loading_only_where_the_step_itself_loads():
    timing = Timing({"idle": 0.5, "forward": 1.0}, waited=0.4)
    assert timing.divided(BESIDE) == timing.divided(None) == timing.phases
    divided = timing.divided(HERE)
    assert divided == pytest.approx({"idle": 0.1, "forward": 1.0, "decode": 0.3, "augment": 0.1})
    assert sum(divided.values()) == pytest.approx(timing.seconds)


def test_a_device_that_works_meanwhile_has_not_lost_the_whole_wait():
    timing = Timing({"idle": 0.1, "forward": 1.0}, waited=0.4)
    assert timing.divided(HERE)["decode"] == pytest.approx(0.075)
    assert timing.divided(HERE)["idle"] == 0


def profile(loading: Loading | None) -> Profile:
    phases = {"other": 0.01, "forward": 0.05, "idle": 0.04}
    return Profile("train", "cpu", 32, 20, phases, 0.04, 0.08, 0.5, loading, ("do so", "and so"))


def test_the_table_has_a_row_per_phase_its_sum_and_what_to_change():
    assert profile(BESIDE).text().splitlines() == [
        "train on cpu: 20 steps of 32 images",
        "phase      ms a step   share",
        "idle           40.00   40.0%  without anything to compute",
        "forward        50.00   50.0%",
        "other          10.00   10.0%  between the phases",
        "sum           100.00  100.0%",
        "at the same time, 2 loaders, ms of a core a step: decode 30.00, augment 10.00",
        "320.0 images/s; 400.0 on images that are in place, of which this is 80%",
        "what to change",
        "  do so",
        "  and so",
    ]
    assert "beside" not in profile(HERE).text() + profile(None).text()


def test_the_document_has_the_same_numbers():
    document = profile(BESIDE).document()
    assert sum(document["milliseconds"].values()) == document["milliseconds_per_step"] == 100
    assert document["milliseconds_beside"] == {"decode": 30, "augment": 10}
    assert document["share_of_ceiling"] == 0.8
    assert (document["images_per_second"], document["ceiling_images_per_second"]) == (320, 400)
    assert document["loaders"] == 2
    assert profile(None).document()["loaders"] is None
