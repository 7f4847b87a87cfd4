"""``python short.py ...``: `benchmarks/gpu_short.py` on a pretended card."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import card

HERE = Path(__file__).parent
BENCHMARKS = HERE.parents[1] / "benchmarks"

if __name__ == "__main__":
    card.install()
    os.environ["PYTEST_ADDOPTS"] = "-p plugin"
    found = [str(HERE), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, found))
    sys.path.insert(0, str(BENCHMARKS))
    sys.argv = [str(BENCHMARKS / "gpu_short.py"), *sys.argv[1:], "--runner", str(HERE / "run.py")]
    runpy.run_path(sys.argv[0], run_name="__main__")
