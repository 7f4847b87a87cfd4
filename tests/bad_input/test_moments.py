"""Ctrl-C at any moment: exit code 130, one line, nothing half-written, and the same once more."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

# Counts the events of a kind, and sends itself the signal at some of them. A negative count: at
# none, and it prints how many there are.
PROBE = """\
import atexit, os, signal, sys
kind, first, times, number = sys.argv[1], *map(int, sys.argv[2:5])
del sys.argv[1:5]
count = 0
def hear(event, arguments):
    global count
    if event == kind:
        count += 1
        if 0 < first <= count < first + times:
            os.kill(os.getpid(), number)
from comptool.commands.program import main
if first < 0:
    atexit.register(lambda: os.write(2, b"%d" % count))
sys.addaudithook(hear)
main()
"""
LINES = (
    "interrupted; nothing was half-written. Run it again",
    "interrupted; continue with: comptool train --run-name new --resume",
    "stopped in epoch 1 of 1 after ",
    "stopped when weights/new was finished; continue with: comptool train --run-name new --resume",
)


def probed(event: str, first: int, times: int, number: int, *arguments: str):
    return subprocess.run(
        [sys.executable, "-c", PROBE, event, str(first), str(times), str(number), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def moments(event: str, arguments: tuple[str, ...], some: int) -> list[int]:
    """Some of the events of a command, the last among them; the same ones each time."""
    counted = probed(event, -1, 0, 0, *arguments)
    assert counted.returncode == 0, counted.stderr
    count = int(counted.stderr)
    if not count:
        return []
    drawn = random.Random(event).sample(range(1, count + 1), min(some, count))
    return sorted({*drawn, count})


def check(chain: Path, snapshot, event: str, arguments: tuple[str, ...], some: int) -> None:
    at_times = moments(event, arguments, some)
    before = snapshot(chain)
    for place, at in enumerate(at_times):
        times, number = 1 + place % 2, (2, 15)[place // 2 % 2]
        end = probed(event, at, times, number, *arguments)
        where = (event, at, times, number, end.stderr)
        assert end.returncode == 130, where
        assert "Traceback" not in end.stderr, where
        *_, last = end.stderr.splitlines()
        assert any(f"comptool {arguments[0]}: {line}" in last for line in LINES), where
        if arguments[0] == "split":  # the same table again, and no other file
            found = snapshot(chain)
            assert found["folds.csv"] == before["folds.csv"], where
            assert found.keys() == before.keys(), where
    assert probed(event, 0, 0, 0, *arguments).returncode == 0


@pytest.mark.parametrize("event", ["import", "open", "os.rename"])
def test_a_command_that_writes_a_table(chain, snapshot, event):
    check(chain, snapshot, event, ("split", "--folds", "4", "--force", "-q"), 2)


@pytest.mark.slow
@pytest.mark.parametrize("event", ["import", "open", "os.rename"])
def test_a_training(chain, snapshot, commands, event):
    check(chain, snapshot, event, (*commands["train"], "--force", "-q"), 2)


def test_help(chain, snapshot):
    probe = probed("import", 5, 1, 2, "--help")
    assert (probe.returncode, probe.stdout) == (130, "")
    assert probe.stderr == "comptool: interrupted; nothing was half-written. Run it again\n"
