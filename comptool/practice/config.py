"""Options of ``comptool simulate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.options import ADVANCED, Output, WithSeed, argument, option
from comptool.practice.practice_registry import SIMULATIONS


@dataclass(frozen=True)
class SimulateConfig(WithSeed, Output):
    """The options of ``comptool simulate``."""

    name: str = argument(help=" ".join(f"{row.name}: {row.summary}" for row in SIMULATIONS))
    output: Path | None = option(
        help="Folder to write.", names=("--output", "-o"), shown="the name"
    )
    scale: float = option(0.1, help="Share of the real number of training rows.", above=0, max=1)
    looks: int | None = option(
        help="mavoc, ntire: number of looks averaged in a SAR image.", min=1, shown="4"
    )
    deleted: float | None = option(
        help="aicoss: share of the positives missing from the training labels.",
        min=0,
        max=0.9,
        shown="0.2",
    )
    workers: int | None = option(
        help="Processes that draw images.",
        names=("--workers", "-j"),
        min=1,
        shown="one per core",
        panel=ADVANCED,
    )
