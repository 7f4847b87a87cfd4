"""A process that loads images and dies: one sentence with the likely reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from comptool.data.loader import naming_dead_loaders
from comptool.errors import InputError

READER = """\
import multiprocessing, os, signal
import cv2, numpy as np
def read(content, path):
    if path.name == "SAR_tr002.png" and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.{signal})
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
"""


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        ("SIGSEGV", "crashed (segmentation fault), most likely at a damaged image. Find it: "
         "comptool inspect"),
        ("SIGKILL", "was killed, most likely for want of memory. Use fewer with --workers, or find "
         "an image that is too large: comptool inspect"),
    ],
)  # fmt: skip
def test_a_training_whose_loader_dies_is_one_sentence(pairs, program, signal, reason):
    Path("reader.py").write_text(READER.format(signal=signal))
    done = program(
        "train", "--model", "test_efficientnet-dual", "--pretrained", "no", "--img-size", "32",
        "-b", "4", "-j", "1", "--device", "cpu", "--epochs", "1", "--run-name", "new", "--cache",
        "off", "--reader", "reader.py:read", "-q", "--fold", "none",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert (
        done.stderr.splitlines()[-1].lstrip("\0")
        == f"comptool train: a process that loads images {reason}"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that",
         "ended for want of shared memory"),
        ("DataLoader worker (pid(s) 7, 8) exited unexpectedly",
         "crashed or was killed, at a damaged image"),
    ],
)  # fmt: skip
def test_the_words_of_torch(told, reason):
    with pytest.raises(InputError, match=reason), naming_dead_loaders():
        raise RuntimeError(told)
    with pytest.raises(RuntimeError, match="another"), naming_dead_loaders():
        raise RuntimeError("another")
