"""Commands killed at some of their file events, and repeated."""

from __future__ import annotations

import json
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the campaign needs Linux")

NOT_ATOMIC = """\
from contextlib import contextmanager
from comptool.io import atomic
careful = atomic.atomic_output
@contextmanager
def careless(path, *, force=False):
    if path.name != "comptool.toml":
        with careful(path, force=force) as temporary:
            yield temporary
        return
    atomic.refuse_existing(path, force)
    yield path
atomic.atomic_output = careless
"""


LEFT = "left after the second command"


@pytest.fixture(scope="module")
def killed(campaign):
    return campaign("kills", 8, "split", "train", "infer")


def test_every_kill_hits_and_loses_nothing(killed):
    assert killed["kills"] == 8
    assert not [fault for fault in killed["faults"] if "by the kill" in fault]


def test_what_was_killed_and_repeated_is_equal(killed):
    assert killed["faults"].keys() <= {LEFT}, json.dumps(killed["findings"], indent=1)


def test_nothing_is_left_of_a_killed_command(killed):
    assert LEFT not in killed["faults"]


def test_a_write_under_the_final_name_is_found(campaign):
    found = campaign("kills", 6, "init", fault=NOT_ATOMIC)
    assert found["faults"]["torn by the kill"] > 0
