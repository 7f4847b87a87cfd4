"""Some of the changed files and options of the campaign."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the campaign needs Linux")


def test_changed_files_are_refused_or_change_nothing(campaign):
    found = campaign("mutations", 60, "pairs")
    assert found["mutations"] == 60
    assert found["findings"] == []
    assert found["temporary files left"] == 0
