"""Some of the changed files and options of the campaign."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the campaign needs Linux")


@pytest.fixture(scope="module")
def changed(campaign):
    return campaign("mutations", 30, "pairs")


def test_changed_files_end_no_command_by_a_signal_or_never(changed):
    assert changed["mutations"] == 30
    assert (changed["abort"], changed["hang"], changed["temporary files left"]) == (0, 0, 0)


def test_changed_files_are_refused_or_change_nothing(changed):
    assert changed["findings"] == []
