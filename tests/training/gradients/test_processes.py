"""Gradient calibration in two processes of ``torchrun`` on the CPU, with gloo."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import torch
from torch.nn.parallel import DistributedDataParallel
from comptool import models
from comptool.training.config import Calibration
from comptool.training.gradient_balancing import BalancedJunction, average_over, total_loss
from comptool.training.distributed import joined

def network(**options):
    torch.manual_seed(0)
    model = models.create(
        "eurosat-baseline-dual", 3, img_size=(8, 8), auxiliary_heads=True, drop_rate=0.0
    )
    torch.nn.init.normal_(model.classifier.weight[:, :512])  # the joint head sees one stream more
    model.found = []
    model.junction = BalancedJunction(
        Calibration("min", inter=True), observe=lambda *found: model.found.append(found), **options
    )
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()  # statistics of a batch are those of a process
    return model

random = torch.Generator().manual_seed(1)
images = [torch.rand(8, 3, 8, 8, generator=random) * factor for factor in (1, 3)]
targets = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
with joined("cpu") as processes:
    mine = slice(processes.rank, None, 2)
    half, whole = network(average=average_over(processes)), network()
    distributed = DistributedDataParallel(half)
    logits = distributed(*(image[mine] for image in images))
    total_loss(torch.nn.CrossEntropyLoss(), logits, targets[mine]).backward()
    total_loss(torch.nn.CrossEntropyLoss(), whole(*images), targets).backward()
    ((norms, ratios, weights),) = whole.found
    assert (ratios - 1).abs().max() > 0.05
    torch.testing.assert_close(half.found, [(norms, ratios, weights)])
    for one, other in zip(half.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)
    print("equal")
"""


def test_two_processes_calibrate_as_one_with_the_whole_batch(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", program],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    # Two processes write into one pipe: a line of one may stand within that of the other.
    assert "".join(run.stdout.split()) == "equalequal"
