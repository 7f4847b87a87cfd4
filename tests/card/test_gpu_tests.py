"""The tests marked ``gpu`` pass on a pretended card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import card
import pytest

ROOT = Path(__file__).parents[2]
MARK = "mark.gpu"


def marked() -> list[Path]:
    """Test files with the mark; importing all others would take longer than these."""
    files = (ROOT / "tests").rglob("test_*.py")
    return sorted(
        path for path in files if path.parent != Path(__file__).parent and MARK in path.read_text()
    )


@pytest.mark.parametrize(
    ("which", "memory"),
    [("gpu and not slow", 512), pytest.param("gpu and slow", 4096, marks=pytest.mark.slow)],
)
def test_gpu_tests_pass(which, memory, library, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "plugin", "-m", which, *marked()]
    assert len(marked()) >= 8
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
