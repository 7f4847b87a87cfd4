"""``comptool profile``: where the time of a training or a prediction goes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.main import get_command

from . import _inference_options as n
from . import _options
from ._help import GroupedCommand
from .infer import infer
from .train import train
from .tta import tta

if TYPE_CHECKING:
    from comptool.profiling.report import Profile

# What this command does not know is for the one that it measures.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
MEASURED: dict[str, Callable[..., None]] = {"train": train, "infer": infer, "tta": tta}


def profile(
    ctx: typer.Context,
    command: Annotated[
        Literal["train", "infer", "tta"],
        typer.Argument(help="What is measured; its own arguments and options follow."),
    ],
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="Updates or batches that are measured.")
    ] = 20,
    quiet: _options.QuietOption = False,
    json: _options.JsonOption = False,
    dry_run: _options.DryRunOption = False,
) -> None:
    """Say where the time of a training or a prediction goes, and what to change.

    A few steps of the command are done on its own data, after some that do not count. The ceiling
    is the same step on images that are in place already. No run and no prediction is written; only
    decoded images, and the faster number of threads for this machine, are kept, as the command
    itself would keep them. A training's network is compiled with --compile on, or where an earlier
    training has found that it pays.

    Example: comptool profile train --model mobilenetv2-dual --batch-size 64
    """
    import json as documents

    given = _arguments(MEASURED[command], ctx.args) | {"force": True, "quiet": quiet}
    measure = _training if command == "train" else functools.partial(_prediction, command)
    measured = measure(given, steps, dry_run)
    if measured is not None:
        typer.echo(documents.dumps(measured.document()) if json else measured.text())


def _arguments(function: Callable[..., None], words: Sequence[str]) -> dict[str, Any]:
    """What a command's function would be called with; words that it does not take end here."""

    @functools.wraps(function)
    def collect(**values: Any) -> dict[str, Any]:
        return values

    name = function.__name__
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command(name, cls=GroupedCommand)(collect)
    parser = get_command(app)
    with parser.make_context(f"comptool {name}", list(words)) as context:
        values: dict[str, Any] = parser.invoke(context)
    return values


def _training(given: Mapping[str, Any], steps: int, dry_run: bool) -> Profile | None:
    from comptool.torch_imports import loading_torch
    from comptool.training.plan import make_plan
    from comptool.training.record import run_folder, settle

    quiet = given["quiet"]
    run = run_folder(given["run_name"], given["model"], given["extra"])
    settings, files = settle(run, _options.given(given["ctx"]), resume=given["resume"])
    plan = make_plan(settings, files, run, force=True)
    for note in plan.notes:
        _options.say(note, quiet)
    if dry_run:
        rows = len(plan.members[0].train)
        _options.say(f"would do updates of {settings.model} on {rows} rows; writes nothing", quiet)
        return None
    with loading_torch():
        from comptool.profiling.measure import profile_training

    return profile_training(plan, steps, lambda text: _options.say(text, quiet), quiet)


def _prediction(
    command: str, given: Mapping[str, Any], steps: int, dry_run: bool
) -> Profile | None:
    from comptool.inference.schemes import PLAIN, read_scheme

    scheme = PLAIN if command == "infer" else read_scheme(given["transforms"], given["merge"].value)
    plan, computing = n.settled(given)
    quiet = given["quiet"]
    for note in plan.notes:
        _options.say(f"warning: {note}", quiet)
    if given.get("search"):
        _options.say("nothing is searched: all views are measured among which it would be", quiet)
    if dry_run:
        runs = ", ".join(str(run) for run in plan.runs)
        _options.say(f"would predict batches of {plan.samples.source} with {runs}", quiet)
        return None
    from comptool.profiling.measure import profile_inference

    say = functools.partial(_options.say, quiet=quiet)
    return profile_inference(command, plan, scheme, computing, steps, say)
