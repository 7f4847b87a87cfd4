"""Ctrl-C and kill -9 in the middle of a write or of a prediction.

Those that fall into a training by the clock are in tests/commands/test_train.py. Here they fall
into the very moment at which a file is flushed to the disk, whichever is asked for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WRITERS = {
    "init": ("init", "data", "--force"),
    "split": ("split", "--force"),
    "infer": ("infer", "-j", "0", "--force"),
    "tta": ("tta", "-j", "0"),
    "pseudolabel": ("pseudolabel", "--threshold", "0.9"),
    "recalibrate": ("recalibrate", "--top-k-head", "1"),
    "ensemble": ("ensemble", "submissions/preds.csv"),
    "submit": ("submit", "--zip"),
}
# Files that each flushes: the output, or outputs, and a record of each; init has no record.
FLUSHES = dict.fromkeys(WRITERS, 2) | {"init": 1, "submit": 4}


@pytest.mark.parametrize(
    ("name", "number"), [(name, n) for name in WRITERS for n in range(1, FLUSHES[name] + 1)]
)
def test_ctrl_c_during_a_write_changes_nothing(chain, unchanged, monkeypatch, name, number):
    calls = iter(range(1, number + 1))

    def flush(descriptor: int) -> None:
        if next(calls) == number:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", flush)
    unchanged(chain, WRITERS[name], 130, "interrupted; nothing was half-written. Run it again")


KILLED = """\
import os, signal, sys
from importlib import import_module
left = int(sys.argv.pop(1))
def flush(descriptor):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = flush
import_module("comptool.commands.app").main()
"""


def killed(flush: int, *arguments: str) -> None:
    """Run the program and kill it at its n-th flush."""
    end = subprocess.run(
        [sys.executable, "-c", KILLED, str(flush), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert end.returncode == -signal.SIGKILL, end.stderr


@pytest.mark.parametrize("name", ["split", "infer", "submit"])
def test_kill_9_during_a_write_leaves_what_was_there(chain, run, invoked, snapshot, name):
    before = snapshot(chain)
    killed(FLUSHES[name], *WRITERS[name])
    after = snapshot(chain)
    left = after.keys() - before.keys()
    assert {path: after[path] for path in before} == before
    assert left
    assert all(Path(path).name.startswith(".") and ".partial." in path for path in left)
    result = invoked(*WRITERS[name], "-q")
    assert (result.exit_code, result.stderr) == (0, "")


# Of a run of one epoch: run.json, last.pt; oof.csv, its record, best.safetensors, metrics.csv,
# run.json; last.pt.
@pytest.mark.parametrize(
    ("flush", "whole"),
    [
        (2, {"run.json"}),
        (5, {"run.json", "last.pt"}),
        (7, {"run.json", "last.pt"}),
        (8, None),
    ],
)
def test_kill_9_while_a_run_writes_is_resumed_to_the_same_weights(
    chain, commands, invoked, flush, whole
):
    killed(flush, *commands["train"])
    there = {path.name for path in Path("weights/new").iterdir() if path.name[0] != "."}
    assert there == (
        whole
        or {"run.json", "last.pt", "oof.csv", "oof.csv.meta.json", "best.safetensors",
            "metrics.csv"}
    )  # fmt: skip
    result = invoked("train", "--run-name", "new", "--resume", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    for name in ("best.safetensors", "oof.csv"):
        net, new = (Path(f"weights/{run}/{name}").read_bytes() for run in ("net", "new"))
        assert net == new


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="an image that never comes is a named pipe")
@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_prediction_that_is_interrupted_leaves_nothing(chain, snapshot, workers, number):
    """The program waits for an image that is a pipe; then the signal comes."""
    pipe = Path("data/eo_t4.png")
    pipe.unlink()
    os.mkfifo(pipe)
    before = snapshot(chain)
    child = subprocess.Popen(
        [sys.executable, "-m", "comptool", "infer", "-j", workers, "-o", "new.csv", "-q"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    writer = opened(pipe, child)
    # From having opened it to waiting for its first byte: a signal in between is not heard.
    time.sleep(0.5)
    os.killpg(child.pid, number) if number == signal.SIGINT else child.send_signal(number)
    child.wait(60)
    os.close(writer)
    said = child.communicate(timeout=60)
    if number == signal.SIGINT:
        assert (child.returncode, *said) == (
            130, "", "comptool infer: interrupted; nothing was half-written. Run it again\n"
        )  # fmt: skip
    else:
        assert child.returncode == -signal.SIGKILL
    assert snapshot(chain) == before


def opened(pipe: Path, child: subprocess.Popen) -> int:
    """The pipe's end for writing, as soon as the program reads at the other end."""
    end = time.monotonic() + 90
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
