"""The options of ``comptool train`` about one step: how many images, and how it is started."""

from __future__ import annotations

from typing import Annotated

import typer

from comptool.training.settings import AS_MANY_AS_FIT

from ._help import option as _option

OPTIMISATION = "Optimisation"
AUTO = "auto"


def _images(text: str | int) -> int:
    if text == AUTO:
        return AS_MANY_AS_FIT
    if not str(text).isdecimal() or not int(text):
        raise typer.BadParameter(f"'{text}' is no number of images from 1 on, and not {AUTO}.")
    return int(text)


BatchSize = Annotated[
    int,
    _option(
        OPTIMISATION,
        "Images at once; auto: as many as fit into the memory of the GPU with a tenth to spare. "
        "What does not fit is taken in parts.",
        "--batch-size",
        "-b",
        parser=_images,
        metavar="IMAGES",
    ),
]
GradAccum = Annotated[int, _option(OPTIMISATION, "Batches per update.", min=1)]
