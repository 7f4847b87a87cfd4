"""`comptool doctor`: what this machine has, what is used of it and why, and how fast it is."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from comptool.options import WithDevice, WithJson, WithQuiet, option

from .options import say


@dataclass(frozen=True)
class DoctorConfig(WithJson, WithQuiet, WithDevice):
    """The options of ``comptool doctor``."""

    again: bool = option(False, help="Repeat the self-check of a GPU, whose result is kept.")


def doctor(config: DoctorConfig) -> None:
    """Report machine, versions, devices, what is used on them by default, and speeds.

    On a GPU, mixed precision, TF32, asynchronous copies and compiled steps are compared with plain
    computing, once per card, driver and versions; what fails is off for train and infer, too.
    Exit code 3 if there is a GPU that torch cannot use.

    Example: comptool doctor --again
    """
    import json

    from comptool.errors import InputError
    from comptool.lazy_torch import loading_torch

    with loading_torch():
        from comptool.profiling.doctor import examine

    found = examine(config.device, lambda text: say(text, config.quiet), again=config.again)
    typer.echo(json.dumps(found.document()) if config.json else found.text())
    if found.unusable is not None:
        raise InputError(found.unusable)
