"""What this machine lends to this process."""

from __future__ import annotations

import os
from pathlib import Path

# Where Linux says what a container may have, and has (cgroup v2, then v1).
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compute_threads() -> int:
    """Threads to compute with: ``OMP_NUM_THREADS``, as for torch, else one per usable core."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(wanted)) if wanted.isdecimal() else usable_cores()


def available_memory() -> int:
    """Bytes that can be had without swapping, by Linux's own estimate and a container's limit.

    Elsewhere the memory of the machine.
    """
    estimates = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            estimates.append(1024 * int(line.split()[1]))
    for limit, used in _LIMITS:
        most, now = _read(Path(limit)).strip(), _read(Path(used)).strip()
        if most.isdecimal() and now.isdecimal():
            estimates.append(int(most) - int(now))
    return max(0, min(estimates))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
