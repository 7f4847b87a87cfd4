"""The short benchmark works on a pretended card, row after row."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHORT = Path(__file__).with_name("short.py")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# What the README says is on a bare machine, and what is carried along.
THERE = ["torch", "timm", "pandas", "scikit-learn", "typer", "opencv-python-headless"]


@pytest.mark.slow
def test_every_row_is_measured_and_kept(tmp_path, on_card):
    kept = tmp_path / "short.json"
    ran = on_card("--tiny", "--output", kept, program=SHORT)
    found = json.loads(kept.read_text())
    assert found["device"] == "Pretended card 0"
    assert [name for name, row in found["rows"].items() if "unmeasured" in row] == []
    assert [line.partition(": ")[0] for line in ran.output.splitlines()[:-1]] == list(found["rows"])


@pytest.mark.slow
def test_rows_without_time_say_so(tmp_path, on_card):
    kept = tmp_path / "short.json"
    on_card("--tiny", "--seconds", "1", "--output", kept, program=SHORT)
    rows = json.loads(kept.read_text())["rows"]
    assert len(rows) == 5
    assert {row["unmeasured"] for row in rows.values()} == {"no time left"}


ROWS_OF_ONE = """
import argparse, pathlib, sys, tempfile
sys.path.insert(0, {benchmarks!r})
import gpu_short
given = {{"tiny": True, "device": "cpu", "runner": [], "seconds": 100}}
options = argparse.Namespace(output=pathlib.Path({kept!r}), **given)
short = gpu_short.Short(options, pathlib.Path(tempfile.mkdtemp(dir={folder!r})))
short.row("first", lambda: {{"found": 1}})
short.row("second", lambda: short.run("-c", "print(1 / 0)"))
short.row("third", lambda: short.run("-c", "import time; time.sleep(60)"))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_keeps_its_rows(tmp_path):
    kept = tmp_path / "short.json"
    text = ROWS_OF_ONE.format(benchmarks=str(BENCHMARKS), kept=str(kept), folder=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        printed = [process.stdout.readline() for _ in range(2)]
        time.sleep(0.5)  # within the third row
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    rows = json.loads(kept.read_text())["rows"]
    assert list(rows) == ["first", "second"]
    assert rows["first"]["found"] == 1
    assert rows["second"]["unmeasured"] == "RuntimeError: ZeroDivisionError: division by zero"
    assert "output" in rows["second"] and "output" not in printed[1]


# Nothing that a bare machine lacks can be imported, nor comptool but from the source tree.
BARE = """
import importlib.machinery
import importlib.metadata
import re
import sys

def plain(name):
    return re.sub("[-_.]+", "-", name).lower()

def needed(names):
    found, ahead = set(), list(names)
    while ahead:
        name = plain(re.match("[A-Za-z0-9._-]+", ahead.pop())[0])
        if name in found:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        ahead += [one for one in requires if "extra ==" not in one]
    return found

there = needed({there}) | set({carried})
lacking = {
    module
    for module, owners in importlib.metadata.packages_distributions().items()
    if not set(map(plain, owners)) & there
}
find = importlib.machinery.PathFinder

class Bare(find):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in lacking and top not in ("comptool", "commands"):
            return None
        return find.find_spec(name, path, target)

    @staticmethod
    def find_distributions(*context):
        return (one for one in find.find_distributions(*context) if plain(one.name) in there)

sys.meta_path[:] = [
    Bare if one is find else one for one in sys.meta_path if "editable" not in str(one)
]
"""


# What the rows import on a card.
ROWS_IMPORT = """
import sys
sys.path[:0] = [{benchmarks!r}]
import gpu_short
sys.path.insert(0, gpu_short.importable(gpu_short.Path({folder!r})))
import comptool.commands.app, comptool.commands.doctor, comptool.commands.profile
import comptool.profiling.doctor, comptool.profiling.measure, comptool.training.trainer
import comptool.inference.backends, comptool.inference.torch_backend
import timm.data, timm.optim, hypothesis, pytest
print(comptool.commands.__file__)
"""


@pytest.mark.slow
def test_a_bare_machine_needs_what_is_named_and_no_more(tmp_path):
    lists = runpy.run_path(str(BENCHMARKS / "bare.py"))

    def bare(name: str, carried: list[str]):
        (tmp_path / name).mkdir()
        text = BARE.replace("{there}", repr(THERE)).replace("{carried}", repr(carried))
        (tmp_path / name / "sitecustomize.py").write_text(text)
        program = ROWS_IMPORT.format(benchmarks=str(BENCHMARKS), folder=str(tmp_path))
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path / name)},
            capture_output=True,
            text=True,
            check=False,
        )

    without = bare("without", [])
    assert without.returncode == 1
    (line,) = without.stderr.splitlines()
    assert line.startswith("this Python lacks polars polars-runtime-32: fetch them elsewhere with")
    found = bare("with", [*lists["COMMANDS"].values(), *lists["TESTS"].values()])
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(str(tmp_path / "source"))
