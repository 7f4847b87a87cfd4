"""Several processes of ``torchrun``, each with a card; gloo stands in for NCCL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import card
import numpy as np
import pandas as pd
from small import TRAIN, probabilities

RUN = Path(__file__).with_name("run.py")


def torchrun(program: list[object], environment: dict[str, str], *arguments: str) -> str:
    """Run two processes; gives what they print to stderr."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *program]
    done = subprocess.run(
        [sys.executable, *map(str, command), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_two_processes_with_a_card_each_are_two_on_a_cpu(folder, library):
    given = (*TRAIN, "--batch-size", "3", "--amp", "off", "--run-name")
    cards = card.environment(library, count=2)
    errors = torchrun([RUN], cards, *given, "two", "--device", "cuda")
    assert "Warning: " not in errors
    assert errors.count("card: {") == errors.count('"unknown": {}') == 2  # one a process
    computed = json.loads(Path("weights/two/run.json").read_text())["computed"]
    assert (computed["device"], computed["fallbacks"]) == ("cuda:0", [])
    torchrun(
        ["-m", "comptool"],
        {**os.environ, "OMP_NUM_THREADS": "1"},
        *given,
        "cpu",
        "--device",
        "cpu",
    )
    one, two = (pd.read_csv(f"weights/{name}/metrics.csv") for name in ("cpu", "two"))
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(two[column], one[column], rtol=1e-4)
    one, two = (probabilities(f"weights/{name}/oof.csv") for name in ("cpu", "two"))
    np.testing.assert_allclose(two, one, atol=2e-4)
