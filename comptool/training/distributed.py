"""Distributed processes of ``torchrun``, and random seeds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from comptool.device import choose_device
from comptool.precision import arithmetic, deterministic_errors, reserve_workspace

T = TypeVar("T")
# Long, because the others wait while one decodes all images; torchrun ends them if it fails.
PATIENCE = timedelta(hours=12)
CHECK_EVERY = 20  # updates, on a GPU


@dataclass(frozen=True)
class Processes:
    """One process of a distributed training."""

    rank: int  # from 0
    size: int  # number of processes
    device: torch.device
    # Sentences on what this command does without, or does in a slower way.
    fallbacks: list[str] = field(default_factory=list, compare=False)

    def fall_back(self, sentence: str, say: Callable[[str], None] = lambda text: None) -> None:
        """Note a fall-back, and say it the first time."""
        if sentence not in self.fallbacks:
            self.fallbacks.append(sentence)
            say(sentence)

    @property
    def first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    @property
    def check_every(self) -> int:
        """Updates between two checks of the loss and of stop requests."""
        return CHECK_EVERY if self.device.type == "cuda" else 1

    def vote(self, flags: Tensor) -> None:
        """Set each flag that is set in any process, without waiting for the device."""
        if self.size > 1:
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)

    def gather(self, mine: T) -> list[T]:
        """The values of all processes, by rank."""
        if self.size == 1:
            return [mine]
        everyone = [mine] * self.size
        dist.all_gather_object(everyone, mine)
        return everyone

    def align(self, module: nn.Module) -> None:
        """Copy the first process's buffers to all others."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device_name: str, *, deterministic: bool = False) -> Iterator[Processes]:
    """Join the process group of ``torchrun``; a UsageError if the device is not available.

    Torch's settings of arithmetic are changed until the end: no TF32; ``deterministic`` operations,
    or a UsageError for one that has no such version, else the fastest.
    """
    if deterministic:
        reserve_workspace()
    device = choose_device(device_name)
    # All batches have one shape.
    benchmark = device.type == "cuda" and not deterministic
    with arithmetic(tf32=False, deterministic=deterministic, benchmark=benchmark):
        with deterministic_errors():
            yield from _processes(device)


def _processes(device: torch.device) -> Iterator[Processes]:
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Processes(0, 1, device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()


INITIAL = 2**32 - 1  # position before the first epoch


def mixed(seed: int, *place: int) -> int:
    """A 63-bit random seed for a position in the training, independent of its neighbours.

    Examples
    --------
    >>> mixed(0, 1, 2) == mixed(0, 1, 2), mixed(0, 1, 2) == mixed(0, 2, 1)
    (True, False)
    """
    words = np.random.SeedSequence([seed, *place]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))
