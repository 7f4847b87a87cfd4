"""A process that imported torch ends at once: its exit code, its output and its last duties."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import atexit, os, sys
from importlib import import_module

app = import_module("comptool.commands.app")

@app.app.command()
def fail():
    {heavy}
    atexit.register(print, "registered")
    sys.stdout.write("written")
    raise import_module("comptool.errors").InputError("no")

app.app.registered_commands[-1].callback = app.reports_errors(fail)
sys.argv = ["comptool", "fail"]
try:
    app.main()
finally:
    print(" taken apart")
"""


@pytest.mark.parametrize("heavy", ["import torch", "pass"])
def test_a_process_ends_without_being_taken_apart(heavy):
    code = CODE.format(heavy=heavy)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (
        3,
        "writtenregistered\n",
        "comptool fail: no\n",
    )


def test_long_output_reaches_a_pipe_whole(program):
    listed = program("models", "net")
    assert listed.returncode == 0
    assert len(listed.stdout) > 10_000 and listed.stdout.endswith("\n")


DEAF = """
import signal, sys
import comptool.data.loader as loading
import comptool.losses.softmax as losses
from pathlib import Path

def deaf(worker, prepare=loading._prepare_worker):
    prepare(worker)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

loading._prepare_worker = deaf
calls = 0

def forward(loss, logits, targets, forward=losses.CrossEntropy.forward):
    global calls
    calls += 1
    if calls == 9:  # six batches of four are an epoch, and one of three is validated
        {fault}
    return forward(loss, logits, targets)

losses.CrossEntropy.forward = forward
sys.argv = ["comptool", "train", "--model", "test_efficientnet", "--img-size", "32", "-b", "4"]
sys.argv += ["--pretrained", "no", "--epochs", "3", "-q", "-j", "{workers}"]
sys.argv += ["--cache", "off"]  # so that the second epoch reads the images again
from comptool.commands.app import main
main()
"""


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("fault", "code", "last"),
    [
        ("raise RuntimeError('in the middle')", 1, "RuntimeError: in the middle"),
        (
            "[path.write_bytes(b'') for path in Path('images').iterdir()]",
            3,
            "this image is empty (0 bytes). Download it again",
        ),
    ],
)
def test_an_error_in_the_second_epoch_ends_the_program_whatever_its_workers_do(
    fault, code, last, workers, tmp_path
):
    import cv2
    import numpy as np

    (tmp_path / "images").mkdir()
    lines = ["image_id,image_path,class_id"]
    for number in range(30):
        chip = np.full((32, 32), 8 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"images/{number}.png"), chip)
        lines.append(f"s{number},images/{number}.png,{'abc'[number % 3]}")
    (tmp_path / "train.csv").write_text("\n".join(lines))
    code_text = DEAF.format(fault=fault, workers=workers)
    run = subprocess.run(
        [sys.executable, "-c", code_text],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == code, run.stderr
    assert run.stderr.splitlines()[-1].endswith(last)
