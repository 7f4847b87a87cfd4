"""Processes started by ``torchrun``, and random seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from comptool.data.device import choose_device

T = TypeVar("T")
# The others wait while one decodes all images; of one that fails, torchrun ends the others.
PATIENCE = timedelta(hours=12)
CHECK_EVERY = 20  # updates between two looks at a GPU and at what the other processes have seen


@dataclass(frozen=True)
class Processes:
    """One process among its equals.

    Parameters
    ----------
    rank
        Number of this process, from 0.
    size
        How many there are.
    device
        Where it computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    @property
    def check_every(self) -> int:
        """Updates between two looks at the loss and at what the others have seen."""
        return CHECK_EVERY if self.device.type == "cuda" else 1

    def vote(self, flags: Tensor) -> None:
        """Set each of ``flags``, numbers on the device, that is set in any process.

        Every process has to ask; none waits for its device.
        """
        if self.size > 1:
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)

    def gather(self, mine: T) -> list[T]:
        """What every process holds, in the order of their ranks."""
        if self.size == 1:
            return [mine]
        everyone = [mine] * self.size
        dist.all_gather_object(everyone, mine)
        return everyone

    def align(self, module: nn.Module) -> None:
        """Give every process the first one's buffers, which each updates from its own batches."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device_name: str) -> Iterator[Processes]:
    """Join the processes of a ``torchrun`` for the length of the block.

    Raises
    ------
    UsageError
        If the device is not here.
    """
    local = os.environ.get("LOCAL_RANK")
    if local is not None and device_name in ("auto", "cuda") and torch.cuda.is_available():
        device_name = f"cuda:{local}"
    device = choose_device(device_name)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
        torch.backends.cudnn.benchmark = True  # batches of one shape, over and over
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Processes(0, 1, device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()


INITIAL = 2**32 - 1  # the place of the draws before the first epoch, which no epoch has


def mixed(seed: int, *place: int) -> int:
    """A 63-bit seed for one place of a training; places next to one another get unrelated ones.

    Examples
    --------
    >>> mixed(0, 1, 2) == mixed(0, 1, 2), mixed(0, 1, 2) == mixed(0, 2, 1)
    (True, False)
    """
    words = np.random.SeedSequence([seed, *place]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))
