"""``comptool losses``: the losses for ``train --loss``, and their options."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from comptool.options import WithJson, argument

from .options import give_entries


@dataclass(frozen=True)
class LossesConfig(WithJson):
    """The options of ``comptool losses``."""

    name: str | None = argument(None, help="Loss whose options to list.")


def losses(config: LossesConfig) -> None:
    """List the losses, one per line: name, summary and source.

    With a name, list the options for train --loss-option, with their defaults.

    Example: comptool losses asl
    """
    import json

    from comptool.lazy_torch import loading_torch
    from comptool.losses import FROM_ROWS, LOSSES

    if config.name is None:
        give_entries({"losses": [*LOSSES, *LOSSES.plugins()]}, config.json)
        return
    entry = LOSSES.find(config.name)
    with loading_torch():
        found = entry.options()
    options = {name: default for name, default in found.items() if name not in FROM_ROWS}
    if config.json:
        typer.echo(json.dumps(options))
        return
    for name, default in options.items():
        typer.echo(f"{name}={'none' if default is None else default}")
