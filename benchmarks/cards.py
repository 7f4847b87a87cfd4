"""What benchmarks of a CUDA device share: whether there is one, how many cores there are, rows."""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

NO_DEVICE = "no CUDA device"
NO_SCRIPTS = "no --timm-scripts FOLDER"


@dataclass(frozen=True)
class Goal:
    """A row of the table: what is measured, against what, and what is to be reached."""

    what: str
    against: str
    goal: str

    def row(self, value: str) -> str:
        """The row as Markdown."""
        return f"| {self.what} | {self.against} | {self.goal} | {value} |"


def card_options(description: str | None, quick: str) -> argparse.ArgumentParser:
    """The options of a benchmark that needs a CUDA device, and can be tried on a CPU."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="cuda", help="cpu, to try the script with --quick")
    parser.add_argument("--quick", action="store_true", help=f"{quick}: whether it works")
    parser.add_argument("--turns", type=int, default=3)
    return parser


def is_here(device: str) -> bool:
    """Whether what is to be measured is in this machine."""
    return device != "cuda" or torch.cuda.is_available()


def device_name(device: str) -> str | None:
    """What the card is called; None where there is none."""
    if device != "cuda":
        return device
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


@contextmanager
def pinned(cores: int | None) -> Iterator[int]:
    """Keep processes that are started here to so many cores, None for all; gives their number."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield len(os.sched_getaffinity(0))
    finally:
        os.sched_setaffinity(0, before)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios within a turn."""
    return round(statistics.median(a / b for a, b in zip(above, below, strict=True)), 2)


def unmeasured(goals: Sequence[Goal], why: str) -> dict[str, Any]:
    """What is printed where nothing can be measured."""
    return {"table": [goal.row(f"unmeasured: {why}") for goal in goals]}
