import resource

import numpy as np
import pytest

from comptool.memory import keep_freed_memory


def test_an_array_of_a_freed_ones_size_costs_no_new_pages():
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc")
    np.ones(4_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(4_000_000)
    # 32 MB are 7,812 pages of 4 KiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 7_812
