"""Cores, threads, processes, memory, devices and cache folder; standard library only."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

from comptool.errors import UsageError

CACHE = "COMPTOOL_CACHE"
_CGROUP = Path("/sys/fs/cgroup")
# Files with the memory limit and usage of a container, and the key of its reclaimable file cache
# (cgroup v2, then v1).
_LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def cache_folder() -> Path:
    """``$COMPTOOL_CACHE``, else ``comptool`` in the user's cache folder."""
    if given := os.environ.get(CACHE):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "comptool"


def usable_cores() -> int:
    """Cores that this process may use, limited by the CPU quota of its container."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    quota, _, period = _read(_CGROUP / "cpu.max").strip().partition(" ")
    if quota.isdecimal() and period.isdecimal():
        cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)


def compute_threads() -> int:
    """Threads to compute with: ``OMP_NUM_THREADS``, as in torch, else one per usable core."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(wanted)) if wanted.isdecimal() else usable_cores()


def hear_interrupts() -> None:
    """Let Ctrl-C interrupt waiting for a lock or a file at once.

    polars installs a handler after which such waits continue; setting Python's handler again undoes
    that.
    """
    heard = signal.getsignal(signal.SIGINT)
    if heard is not None and current_thread() is main_thread():
        signal.signal(signal.SIGINT, heard)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """SIGINT and SIGTERM wait for the end of this block; in the main thread only."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    # A handler that is not Python's cannot be put back.
    if current_thread() is not main_thread() or None in map(signal.getsignal, numbers):
        yield
        return
    came: list[int] = []
    before = {one: signal.signal(one, lambda number, _: came.append(number)) for one in numbers}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in came[:1]:
            signal.raise_signal(number)


@contextmanager
def threads(count: int | None) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads (None: Python's default number); Ctrl-C interrupts waiting for one.

    After an exception, running threads are not awaited: a hanging disk would keep the program from
    reporting the error, and from ending.
    """
    hear_interrupts()
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def ending(code: int | None) -> str:
    """How a process ended that should have answered, from its exit code.

    >>> ending(-11), ending(-9), ending(1)
    ('crashed (SIGSEGV)', 'was killed, perhaps for want of memory', 'failed (exit code 1)')
    """
    if code is None or code >= 0:
        return f"failed (exit code {code})"
    if -code == getattr(signal, "SIGKILL", None):
        return "was killed, perhaps for want of memory"
    return f"crashed ({signal.Signals(-code).name})"


def available_memory() -> int:
    """Bytes available without swapping: the estimate of Linux, within the container's limit.

    Elsewhere the memory of the machine.
    """
    estimates = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            estimates.append(1024 * int(line.split()[1]))
    for limit, used, key in _LIMITS:
        most, now = _read(_CGROUP / limit).strip(), _read(_CGROUP / used).strip()
        if most.isdecimal() and now.isdecimal():
            lines = _read((_CGROUP / used).with_name("memory.stat")).splitlines()
            spare = sum(int(line.split()[1]) for line in lines if line.startswith(f"{key} "))
            estimates.append(int(most) - int(now) + spare)
    return max(0, min(estimates))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


# From malloc.h of glibc.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next array; returns whether it does (glibc only).

    glibc returns every freed block above a threshold to the system, which clears each page when it
    is requested again. A network on the CPU frees and requests the same blocks at every layer:
    keeping them leaves a third of the system time (dual MobileNetV2, 64 px, batch 16: 0.4 s instead
    of 1.2 s of 6.3 s). Applies to forked processes, too. See ``mallopt(3)``.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((MMAP_THRESHOLD, 1 << 30), (TRIM_THRESHOLD, (1 << 31) - 1), (TOP_PAD, 1 << 26))
    return all([mallopt(name, value) == 1 for name, value in settings])


_NAME = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_device_name(name: str) -> None:
    """Raise a UsageError unless the name is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"--device is '{name}'; it has to be auto, cpu, cuda or cuda:N")


_NONE = (34, 100)  # CUDA_ERROR_STUB_LIBRARY and CUDA_ERROR_NO_DEVICE


def has_cuda() -> bool:
    """Whether there is a CUDA device, also one whose driver does not start."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    status = driver_status()
    if status:
        return status not in _NONE
    count = ctypes.c_int()
    driver = _driver()
    return (
        driver is not None and not driver.cuDeviceGetCount(ctypes.byref(count)) and count.value > 0
    )


def driver_status() -> int | None:
    """What the NVIDIA driver returns when it is started, 0 if it runs; None without a driver.

    The numbers are those of ``CUresult``: 100 without a device.
    """
    driver = _driver()
    return None if driver is None else int(driver.cuInit(0))


def _driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return None


def driver_version() -> str:
    """Version of the NVIDIA driver, else of the CUDA that it supports, else ``unknown``."""
    if found := re.search(r"\s(\d+\.\d+(\.\d+)?)\s", _read(Path("/proc/driver/nvidia/version"))):
        return found[1]
    number, driver = ctypes.c_int(), _driver()
    if driver is None:
        return "unknown"
    driver.cuDriverGetVersion(ctypes.byref(number))
    return f"of CUDA {number.value // 1000}.{number.value % 1000 // 10}"
