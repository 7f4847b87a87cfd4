"""What a container may have, as Linux says it."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module
from pathlib import Path
from threading import Event, Timer

import pytest

from comptool import machine


@pytest.fixture
def cgroup(tmp_path, monkeypatch) -> Path:
    """The folder in which Linux would say it."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    return tmp_path


def write(folder: Path, **files: object) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("", 8)],
)
def test_the_time_of_a_container_counts_in_cores(cgroup, monkeypatch, quota, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    write(cgroup, cpu__max=quota)
    assert machine.usable_cores() == cores


def test_files_that_were_read_take_no_memory_from_a_container(cgroup):
    machines = machine.available_memory()
    assert machines > 10_000
    write(cgroup, memory__max=9_000, memory__current=8_000)
    assert machine.available_memory() == 1_000
    write(cgroup, memory__stat="anon 900\ninactive_file 5000\nactive_file 70")
    assert machine.available_memory() == 6_000
    write(cgroup, memory__max=8_000, memory__current=9_000, memory__stat="anon 9000")
    assert machine.available_memory() == 0


def test_older_containers_say_it_elsewhere(cgroup):
    names = {"memory__limit_in_bytes": 9_000, "memory__usage_in_bytes": 8_000}
    write(cgroup / "memory", **names, memory__stat="total_inactive_file 200\ninactive_file 100")
    assert machine.available_memory() == 1_200


def test_threads_are_those_asked_for(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.compute_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert machine.compute_threads() == machine.usable_cores()


def test_who_waits_for_a_thread_hears_an_interrupt():
    import_module("polars")  # whose own answer lets the wait go on
    enough = Event()
    with machine.threads(1) as pool:
        waiting = pool.submit(enough.wait, 20)
        Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        start = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            waiting.result()
        seconds = time.perf_counter() - start
        enough.set()
    assert seconds < 15
