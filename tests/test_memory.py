import platform
import resource
import sys

import numpy as np
import pytest

from comptool.machine import keep_freed_memory


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="no other C library can be told to keep freed memory"
)
def test_an_array_of_a_freed_ones_size_costs_no_new_pages():
    assert keep_freed_memory()
    np.ones(4_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(4_000_000)
    # 32 MB are 7,812 pages of 4 KiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 7_812


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_memory_is_left_alone(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    assert not keep_freed_memory()
