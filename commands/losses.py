"""``comptool losses``: the losses that ``train --loss`` takes, and the options of one."""

from __future__ import annotations

from typing import Annotated

import typer

from ._listing import give_entries, give_options
from ._options import JsonOption

NameArgument = Annotated[
    str | None, typer.Argument(help="A loss, to list its options.", show_default=False)
]


def losses(name: NameArgument = None, as_json: JsonOption = False) -> None:
    """List the losses, one a line: name, what it is, and its source.

    With a name, the options that train --loss-option sets, with their defaults.

    Example: comptool losses asl
    """
    from comptool.losses import FROM_ROWS, LOSSES
    from comptool.torch_imports import loading_torch

    if name is None:
        give_entries({"losses": list(LOSSES)}, as_json)
        return
    entry = LOSSES.find(name)
    with loading_torch():
        options = entry.options()
    typed = {option: default for option, default in options.items() if option not in FROM_ROWS}
    give_options(typed, as_json)
