"""``comptool simulate``: a practice competition, with its answers kept apart."""

from __future__ import annotations

from pathlib import Path

from comptool.practice.config import SimulateConfig

from .options import give, say


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
