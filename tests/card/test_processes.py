"""Several processes of ``torchrun``, each with a card; gloo stands in for NCCL."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import card
import numpy as np
import pandas as pd
from small import TRAIN

RUN = Path(__file__).with_name("run.py")


def test_two_processes_have_a_card_each(folder, library):
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", RUN]
    given = (*TRAIN, "--epochs", "1", "--batch-size", "3", "--amp", "off", "--run-name", "two")
    done = subprocess.run(
        [sys.executable, *map(str, command), *given],
        env=card.environment(library, count=2),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(Path("weights/two/run.json").read_text())["computed"]["device"] == "cuda:0"
    # Not compared with a CPU: gloo adds in threads of its own, whose kernels nothing computes.
    assert np.isfinite(pd.read_csv("weights/two/metrics.csv")["val_loss"]).all()


def test_one_card_is_not_given_to_all_processes(folder, on_card, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    ran = on_card(*TRAIN, "--device", "cuda:1", check=False, count=2)
    assert ran.code == 2
    assert "--device cuda:1 would give one GPU to all 2 processes of torchrun" in ran.errors
