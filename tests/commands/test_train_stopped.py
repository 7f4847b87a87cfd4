"""``comptool train`` stopped by a signal, and gone on with."""

from __future__ import annotations

import csv
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from comptool.io.runs import read_state

# Threads that wait for one another on a busy machine are slower than one.
ALONE = os.environ | {"OMP_NUM_THREADS": "1"}


class Running:
    """The real program, writing its messages where they can be watched."""

    def __init__(self, *arguments: str) -> None:
        self.log = Path("log.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "comptool", *arguments],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=ALONE,
            start_new_session=True,
        )

    def wait_for(self, text: str, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while text not in Path("log.txt").read_text():
            assert time.monotonic() < end, Path("log.txt").read_text()
            assert self.process.poll() is None, Path("log.txt").read_text()
            time.sleep(0.005)

    def end(self, number: int) -> int:
        """Signal the program and its workers, as a terminal does; gives the exit code."""
        with suppress(ProcessLookupError):  # all of them are gone already
            os.killpg(self.process.pid, number)
        code = self.process.wait(60)
        self.log.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def begin(tiny) -> Callable[..., Running]:
    """Start a training in the real program: ``begin("--epochs", "8")``."""
    return lambda *options: Running("train", *tiny, *options)


def result_of(run: str) -> dict[str, bytes]:
    lines = Path(f"weights/{run}/metrics.csv").read_text().splitlines()
    return {
        "weights": Path(f"weights/{run}/best.safetensors").read_bytes()[-40_000:],
        "oof": Path(f"weights/{run}/oof.csv").read_bytes(),
        "metrics": "\n".join(line.rsplit(",", 2)[0] for line in lines).encode(),
    }


LONG = ["--epochs", "8", "--ema", "0.9"]


@pytest.fixture
def many(rows, write_rows):
    """More rows, so that an epoch has time for a signal to fall into it."""
    copies = [[f"{row[0]}-{copy}", *row[1:]] for copy in range(6) for row in rows]
    write_rows("train.csv", copies)


def test_ctrl_c_saves_says_how_to_go_on_and_resumes_to_the_same_bits(
    many, program, comptool, tiny, begin
):
    running = begin("--run-name", "broken", *LONG, "--workers", "1")
    running.wait_for("epoch 2/8")
    assert running.end(signal.SIGINT) == 130
    last = Path("log.txt").read_text().splitlines()[-1]
    assert last.startswith("comptool train: stopped in epoch ")
    assert last.endswith("continue with: comptool train --run-name broken --resume")
    resumed = program(*last.split("comptool ")[-1].split(), env=ALONE)
    assert (resumed.returncode, resumed.stdout) == (0, "weights/broken\n"), resumed.stderr
    assert comptool("train", *tiny, "--run-name", "whole", *LONG).exit_code == 0
    assert result_of("broken") == result_of("whole")


def test_kill_9_leaves_nothing_half_written_and_resumes_to_the_same_bits(
    many, comptool, tiny, begin
):
    running = begin("--run-name", "broken", *LONG)
    running.wait_for("epoch 3/8")
    assert running.end(signal.SIGKILL) == -signal.SIGKILL
    rows = list(csv.DictReader(Path("weights/broken/metrics.csv").open()))
    assert len(rows) >= 3
    resumed = comptool("train", "--run-name", "broken", "--resume", "-q")
    assert (resumed.exit_code, resumed.stderr) == (0, "")
    assert comptool("train", *tiny, "--run-name", "whole", *LONG).exit_code == 0
    assert result_of("broken") == result_of("whole")


def test_a_run_is_trained_by_one_process_and_known_to_be_killed(many, comptool, tiny, begin):
    """Its worker, which lives a little longer, does not count."""
    running = begin("--run-name", "broken", "--epochs", "200", "--workers", "1")
    running.wait_for("epoch 2/200")
    assert read_state(Path("weights/broken")) == "running"
    twice = comptool("train", "--run-name", "broken", "--resume", "-q")
    assert twice.exit_code == 3
    assert twice.stderr == (
        f"comptool train: weights/broken: process {running.process.pid} on {platform.node()} is at "
        "work in it. Wait for it, or stop it\n"
    )
    running.process.kill()
    running.process.wait(60)
    listed = json.loads(comptool("runs", "--json").stdout)["runs"]
    assert [run["state"] for run in listed] == ["killed"]
    running.end(signal.SIGKILL)
