"""Commands killed at some of their file events, and repeated."""

from __future__ import annotations

NOT_ATOMIC = """\
from contextlib import contextmanager
from comptool.io import atomic
@contextmanager
def straight(path, *, force=False):
    atomic.refuse_existing(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
atomic.atomic_output = straight
"""


def test_what_was_killed_and_repeated_is_equal(campaign):
    found = campaign("kills", 12, "split", "train", "infer")
    assert found["kills"] == 12
    assert found["findings"] == []


def test_a_write_under_the_final_name_is_found(campaign):
    found = campaign("kills", 6, "split", fault=NOT_ATOMIC)
    assert found["faults"]["torn by the kill"] > 0
