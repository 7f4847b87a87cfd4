"""The two-way loss: a twin, timm, and two processes that are as one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import timm.loss
import torch

from comptool.errors import UsageError
from comptool.losses.sigmoid import TwoWay


def batch(seed=0, unknown=True):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    return logits, torch.randint(-1 if unknown else 0, 2, (6, 5), generator=generator)


def way_in_numpy(logits, targets, tp, tn):
    """The mean over the rows that have a positive."""
    losses = []
    for s, y in zip(logits, targets, strict=True):
        if 1 in y:
            low = tp * np.log(np.exp(-s[y == 1] / tp).sum())
            with np.errstate(divide="ignore"):
                high = tn * np.log(np.exp(s[y == 0] / tn).sum())
            losses.append(np.log1p(np.exp(low + high)))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize(("tp", "tn"), [(4.0, 1.0), (1.0, 1.0), (0.5, 3.0)])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_its_formula_over_known_cells(tp, tn, seed):
    logits, targets = batch(seed)
    s, y = logits.numpy(), targets.numpy()
    twin = way_in_numpy(s, y, tp, tn) + way_in_numpy(s.T, y.T, tp, tn)
    assert TwoWay(tp=tp, tn=tn)(logits, targets).item() == pytest.approx(twin, rel=1e-9)


def test_it_is_timms_on_full_labels():
    logits, targets = batch(unknown=False)
    logits = logits.float().requires_grad_()
    value, expected = TwoWay()(logits, targets), timm.loss.TwoWayLoss()(logits, targets)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        torch.autograd.grad(value, logits), torch.autograd.grad(expected, logits)
    )


def test_timm_takes_an_unknown_cell_for_a_negative_and_this_does_not():
    logits, targets = batch(seed=1)
    assert TwoWay()(logits, targets) != TwoWay()(logits, targets.clamp(min=0))
    torch.testing.assert_close(
        timm.loss.TwoWayLoss()(logits, targets).double(), TwoWay()(logits, targets.clamp(min=0))
    )


def test_huge_logits_keep_their_value():
    # The positive is 20000 below the negative; the other row is right by as much.
    logits = torch.tensor([[-1e4, 1e4], [1e4, -1e4]])
    value = TwoWay()(logits, torch.tensor([[1, 0], [1, 0]]))
    # Way of row 1: 20000, of row 2: 0, mean 10000; class 0 has no negative; class 1 no positive.
    assert value.item() == pytest.approx(1e4)


def test_a_batch_is_not_the_mean_of_its_parts():
    logits, targets = batch(unknown=False)
    parts = (TwoWay()(logits[:3], targets[:3]) + TwoWay()(logits[3:], targets[3:])) / 2
    assert abs(TwoWay()(logits, targets) - parts) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tp": 0.0}, "tp is 0; a temperature has to be above 0"),
        ({"tn": -1.0}, "tn is -1.0; it has to be 0 or more, and finite"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        TwoWay(**options)
    assert str(error.value) == message


PROCESS = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from comptool.losses.sigmoid import TwoWay

rank, meeting, answer = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=2)
generator = torch.Generator().manual_seed(0)
images = torch.randn(5, 3, generator=generator)
targets = torch.randint(-1, 2, (5, 4), generator=generator)
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Linear(3, 4))
mine = slice(0, 3) if rank == 0 else slice(3, 5)
loss = TwoWay()(model(images[mine]), targets[mine])
loss.backward()
if rank == 0:
    with torch.no_grad():
        alone = TwoWay()(model.module(images), targets)
    torch.save({"loss": loss.detach(), "alone": alone, "grad": model.module.weight.grad}, answer)
dist.barrier()
dist.destroy_process_group()
"""


def test_two_processes_of_unequal_batches_are_as_one(tmp_path):
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    arguments = [str(tmp_path / "meeting"), str(tmp_path / "answer.pt")]
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), *arguments], stderr=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    answer = torch.load(tmp_path / "answer.pt", weights_only=True)

    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 3, generator=generator)
    targets = torch.randint(-1, 2, (5, 4), generator=generator)
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 4)
    loss = TwoWay()(model(images), targets)
    loss.backward()
    torch.testing.assert_close(answer["loss"], loss.detach())
    torch.testing.assert_close(answer["alone"], loss.detach())
    torch.testing.assert_close(answer["grad"], model.weight.grad)
