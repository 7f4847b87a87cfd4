"""The tests marked ``gpu`` pass on a pretended card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import card
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("which", "memory"),
    [("gpu and not slow", 512), pytest.param("gpu and slow", 4096, marks=pytest.mark.slow)],
)
def test_gpu_tests_pass(which, memory, library, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "plugin", "-m", which, "tests"]
    environment = card.environment(library, mb=memory)
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'tests'}", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("card: "))
    assert json.loads(line.removeprefix("card: "))["unknown"] == {}
