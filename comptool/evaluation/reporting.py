"""The pictures of an evaluation in a folder, each with its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from comptool import provenance
from comptool.evaluation.canvas import save_picture
from comptool.evaluation.evaluating import Evaluation
from comptool.evaluation.figures import Answers
from comptool.evaluation.pictures import draw_confusion, draw_reliability
from comptool.outputs import refuse_existing, together

CONFUSION, RELIABILITY = "confusion.png", "reliability.png"


def picture_paths(folder: Path | None, *, force: bool = False) -> list[Path]:
    """The pictures that a folder would get; none without a folder.

    Raises
    ------
    OutputExistsError
        If one is there and ``force`` is off.
    InputError
        If the folder cannot be written.
    """
    paths = [] if folder is None else [folder / name for name in (CONFUSION, RELIABILITY)]
    for path in paths:
        refuse_existing(path, force)
    return paths


def draw(
    found: Evaluation,
    folder: Path | None,
    arguments: Mapping[str, object],
    *,
    force: bool = False,
) -> list[Path]:
    """Draw what there is to draw: all of them appear, or none.

    Parameters
    ----------
    found
        The evaluation; of several classes per row there is no confusion matrix.
    folder
        Where the pictures go, or None for none.
    arguments
        The command's arguments, for the record.
    force
        Whether existing ones are replaced.

    Raises
    ------
    OutputExistsError, InputError
        As :func:`comptool.evaluation.canvas.save_picture`.
    """
    if folder is None:
        return []
    ones = np.ones(len(found.rows))
    drawn = {
        RELIABILITY: draw_reliability(found.rows.reliability(ones), found.figures["ece"].value)
    }
    if isinstance(found.rows, Answers):
        drawn[CONFUSION] = draw_confusion(found.rows.confusion(ones), found.classes)
    inputs = provenance.hashes([found.evaluated, found.truth])
    with together():
        for name, picture in drawn.items():
            save_picture(folder / name, picture, force=force)
            provenance.record(folder / name, command="evaluate", arguments=arguments, inputs=inputs)
    return [folder / name for name in drawn]
