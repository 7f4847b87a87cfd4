"""``comptool train``: a run from images and labels."""

from __future__ import annotations

from comptool.training.config import TrainConfig

from .options import give, say


def train(config: TrainConfig) -> None:
    """Train a model and keep its best checkpoint.

    Without folds.csv a fifth of the rows is held out. Writes weights/RUN/ with best.safetensors,
    oof.csv (predictions of the held-out rows), metrics.csv, run.json and last.pt. --resume
    continues from last.pt, with the same result as an uninterrupted run. Start it with torchrun for
    several GPUs.

    Example: comptool train --model mobilenetv2-dual --loss focal --epochs 30
    """
    from comptool.lazy_torch import loading_torch

    with loading_torch():
        from comptool.training.data import make_plan
        from comptool.training.resume import run_folder, settle

    run = run_folder(config.run_name, config.model, config.extra)
    settings, files = settle(run, config.given(), resume=config.resume)
    plan = make_plan(settings, files, run, force=config.force, resume=config.resume)
    for note in plan.notes:
        say(note, config.quiet)
    with loading_torch():
        from comptool.training.setup import rehearse
        from comptool.training.trainer import train as run_training

    if config.dry_run:
        rehearse(plan)
        return say(plan.text(), config.quiet)
    outcome = run_training(
        plan, lambda text: say(text, config.quiet), quiet=config.quiet, force=config.force
    )
    if outcome is not None:
        give(outcome.run, outcome.document(), config.json)
