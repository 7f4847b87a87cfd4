"""Images that crash their decoder: one finding each, wherever they are."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

READER = """\
import os, signal
import cv2, numpy as np
def read(content, path):
    if path.stem in {names}:
        {end}
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
"""
CRASH = "os.kill(os.getpid(), signal.SIGSEGV)"


@pytest.fixture
def download(tmp_path, monkeypatch) -> Path:
    """150 pictures of two classes."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows = "".join(f"p{number:03},p{number:03}.png,{'ab'[number % 2]}\n" for number in range(150))
    Path("train.csv").write_text("id,image,y\n" + rows)
    for number in range(150):
        picture = random.integers(0, 255, (20, 24, 3), dtype=np.uint8)
        cv2.imwrite(f"p{number:03}.png", picture)
    return tmp_path


def problems() -> dict[str, str]:
    found = pd.read_csv("findings.csv", dtype=str)
    found = found[found["kind"] == "unreadable"]
    return dict(zip(found["id"], found["value"], strict=True))


@pytest.mark.parametrize("names", [("p000",), ("p149",), ("p070", "p071", "p130")])
def test_each_crash_is_a_finding(download, comptool, names):
    Path("reader.py").write_text(READER.format(names=names, end=CRASH))
    done = comptool("inspect", "train.csv", "--reader", "reader.py:read", "-j", "2", "--force")
    assert done.exit_code == 0, done.output
    crashed = "the process that decoded it crashed (SIGSEGV)"
    assert problems() == dict.fromkeys(names, crashed)


def test_a_process_that_is_killed_is_told(download, comptool):
    Path("reader.py").write_text(
        READER.format(names=("p005",), end="os.kill(os.getpid(), signal.SIGKILL)")
    )
    done = comptool("inspect", "train.csv", "--reader", "reader.py:read", "--force")
    assert done.exit_code == 0, done.output
    killed = "the process that decoded it was killed, perhaps for want of memory"
    assert problems() == {"p005": killed}


def test_a_crash_for_want_of_memory_that_comes_once_is_no_finding(download, comptool):
    end = "once = __import__('pathlib').Path('once'); once.exists() or (once.touch(), " + (
        "os.kill(os.getpid(), signal.SIGKILL))"
    )
    Path("reader.py").write_text(READER.format(names=("p005",), end=end))
    done = comptool("inspect", "train.csv", "--reader", "reader.py:read", "--force")
    assert done.exit_code == 0, done.output
    assert problems() == {}


def test_a_bug_is_no_crash(download, comptool):
    Path("reader.py").write_text(READER.format(names=("p005",), end="raise SystemExit(3)"))
    done = comptool("inspect", "train.csv", "--reader", "reader.py:read", "-q")
    assert done.exit_code == 3
    assert done.stderr == "comptool inspect: reader.py:read called sys.exit\n"


def test_the_limit_of_pixels_holds_in_the_process(download, comptool):
    done = comptool("inspect", "train.csv", "--max-pixels", "479", "--force")
    assert done.exit_code == 0, done.output
    assert set(problems().values()) == {"this image has 24x20 pixels; 479 are allowed"}
    assert comptool("inspect", "train.csv", "--force").exit_code == 0
    assert problems() == {}


def children() -> set[str]:
    """The children of this process, also those of other tests."""
    files = Path("/proc/self/task").glob("*/children")
    return {number for file in files for number in file.read_text().split()}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_nothing_is_left_running(download, comptool):
    before = children()
    comptool("inspect", "train.csv", "--force")
    assert children() <= before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
