"""``comptool simulate``: a practice competition, with its answers kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.options import ADVANCED, Output, WithSeed, argument, option
from comptool.practice.practice_registry import SIMULATIONS

from .options import give, say


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


def simulate(config: SimulateConfig) -> None:
    """Write a practice competition with known answers.

    The folder holds images, train.csv, test.csv, sample_submission.csv, and answers.csv, which only
    'comptool score' reads. The same name, scale and seed give the same bytes.

    Example: comptool simulate mavoc -o data --scale 0.1
    """
    from comptool.machine import keep_freed_memory
    from comptool.practice.make_practice import make

    keep_freed_memory()
    folder = config.output or Path(config.name)
    own = {"looks": config.looks, "deleted": config.deleted}
    made = make(
        config.name,
        folder,
        scale=config.scale,
        seed=config.seed,
        options={option: value for option, value in own.items() if value is not None},
        processes=config.workers,
        force=config.force,
        dry_run=config.dry_run,
        quiet=config.quiet,
        say=lambda text: say(text, config.quiet),
    )
    if not config.dry_run:
        give(folder, {"folder": str(folder), **made}, config.json)
