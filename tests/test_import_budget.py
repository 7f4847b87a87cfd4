"""What each command may wait for: the packages that it never needs are never imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, sys
from importlib import import_module
try:
    import_module("comptool.commands.app").app(sys.argv[1:], prog_name="comptool")
except SystemExit as end:
    code = end.code
print(json.dumps(list(sys.modules)), file=sys.stderr)
sys.exit(code)
"""
NETWORKS = {"torch", "torchvision", "timm", "sympy", "triton"}
SCIPY = {f"scipy.{part}" for part in ("linalg", "optimize", "sparse", "special", "stats")}
STATISTICS = SCIPY | {"sklearn", "matplotlib"}
AUGMENTATION = {"albumentations", "albucore"}
GRAPHS = {"onnx", "onnxscript", "onnxruntime"}
HEAVY = NETWORKS | STATISTICS | AUGMENTATION | GRAPHS
TINY = "--model test_efficientnet-dual --pretrained no --img-size 32 -b 4 -j 0 --device cpu"
# In the order of the chain; what each never needs.
COMMANDS = {
    "init data --force": HEAVY | {"cv2"},
    f"train {TINY} --epochs 1 --run-name new": STATISTICS | AUGMENTATION | GRAPHS,
    "split --val 0.25": HEAVY | {"cv2"},
    "infer one --device cpu --backend torch --force": STATISTICS | AUGMENTATION | GRAPHS,
    "infer one --device cpu --force": HEAVY - {"onnxruntime"},
    "tta one --device cpu --force": HEAVY - {"onnxruntime"},
    "ensemble": HEAVY | {"cv2"},
    "recalibrate --top-k-head 1": HEAVY | {"cv2"},
    "pseudolabel submissions/preds.csv --threshold 0": HEAVY - SCIPY | {"cv2"},
    "submit submissions/preds.csv": HEAVY | {"cv2"},
    "review new": HEAVY,
    "evaluate new": HEAVY,
    "runs": HEAVY | {"cv2"},
}


@pytest.fixture
def chain(pairs, comptool):
    """A competition with an untrained run, whose graph is kept."""
    pairs("one")
    rows = "".join(f"te00{number},a\n" for number in range(9))
    Path("data/sample_submission.csv").write_text(f"id,label\n{rows}")
    assert comptool("infer", "one", "--device", "cpu", "-q").exit_code == 0


def test_no_command_waits_for_what_it_does_not_need(chain):
    needless = {}
    for command, never in COMMANDS.items():
        done = subprocess.run(
            [sys.executable, "-c", CODE, *command.split()], capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)
        found = never & set(json.loads(done.stderr.splitlines()[-1]))
        if found:
            needless[command] = sorted(found)
    assert needless == {}
