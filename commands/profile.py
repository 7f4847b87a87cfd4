"""``comptool profile``: time of the phases of a training or a prediction."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import typer

from comptool.inference.config import InferConfig, TtaConfig
from comptool.options import WithDryRun, argument, filled, option
from comptool.training.config import TrainConfig

from .options import parsed, say

if TYPE_CHECKING:
    from comptool.profiling.profile_report import Profile

# Unknown options belong to the measured command.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}


@dataclass(frozen=True)
class ProfileConfig(WithDryRun):
    """The options of ``comptool profile``."""

    command: Literal["train", "infer", "tta"] = argument(
        help="Command to measure, followed by its own arguments and options."
    )
    steps: int = option(20, help="Number of updates or batches measured.", min=1)
    words: tuple[str, ...] = filled("rest")


def profile(config: ProfileConfig) -> None:
    """Report where the time of a training or prediction goes.

    Also advises which options to change. Measures a few steps of the command on its own data, after
    a warm-up. The ceiling is the same step on images in memory. No run and no predictions are
    written, only the caches that the command itself would keep: decoded images, and the faster
    number of threads. The network of a training is compiled with --compile on, or if an earlier
    training found that it pays.

    Example: comptool profile train --model mobilenetv2-dual --batch-size 64
    """
    import json

    measured: Profile | None
    if config.command == "train":
        measured = _training(parsed(TrainConfig, "train", config.words), config)
    elif config.command == "infer":
        measured = _prediction(parsed(InferConfig, "infer", config.words), config)
    else:
        measured = _prediction(parsed(TtaConfig, "tta", config.words), config)
    if measured is not None:
        typer.echo(json.dumps(measured.document()) if config.json else measured.text())


def _training(train: TrainConfig, config: ProfileConfig) -> Profile | None:
    from comptool.lazy_torch import loading_torch
    from comptool.training.data import make_plan
    from comptool.training.resume import run_folder, settle

    quiet = config.quiet
    run = run_folder(train.run_name, train.model, train.extra)
    settings, files = settle(run, train.given(), resume=train.resume)
    plan = make_plan(settings, files, run, force=True)
    for note in plan.notes:
        say(note, quiet)
    if config.dry_run:
        rows = len(plan.members[0].train)
        say(f"would do updates of {settings.model} on {rows} rows; writes nothing", quiet)
        return None
    with loading_torch():
        from comptool.profiling.measure import profile_training

    return profile_training(plan, config.steps, lambda text: say(text, quiet), quiet)


def _prediction(measured: InferConfig | TtaConfig, config: ProfileConfig) -> Profile | None:
    from comptool.inference.plan import plan_prediction
    from comptool.inference.tta.policies import PLAIN, read_scheme

    quiet = config.quiet
    # Nothing is written, so an existing output does not matter.
    measured = replace(measured, force=True, quiet=quiet)
    scheme = PLAIN
    if isinstance(measured, TtaConfig):
        scheme = read_scheme(measured.transforms, measured.merge)
    computing = measured.computing()
    plan = plan_prediction(measured)
    for note in plan.notes:
        say(f"warning: {note}", quiet)
    if isinstance(measured, TtaConfig) and measured.search:
        say("nothing is searched: all candidate views are measured", quiet)
    if config.dry_run:
        runs = ", ".join(str(run) for run in plan.runs)
        say(f"would predict batches of {plan.samples.source} with {runs}", quiet)
        return None
    from comptool.profiling.measure import profile_inference

    return profile_inference(
        config.command, plan, scheme, computing, config.steps, functools.partial(say, quiet=quiet)
    )
