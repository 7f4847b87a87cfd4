"""How many bits the 16-bit images of a data set use: one number per modality, for all of it.

Sensors of 10 to 14 bits are stored in 16, and read as 16 bits their images would be nearly black.
Whoever trains on them learns the number from a sample of the images; the checkpoint keeps it, so
that predictions are made at the same scale. No torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comptool.data.files import ImageFiles, spread
from comptool.data.images import FULL_DEPTH, depth_of
from comptool.runs import read_header
from comptool.training.plan import Member, Plan
from comptool.training.rows import Rows

FIRST, MOST = 16, 256  # images looked at per modality: to see if any is deep, and how deep


def bit_depths(plan: Plan, member: Member) -> tuple[dict[str, int], list[str]]:
    """Bits that the 16-bit pixels of each modality use, and a sentence for each that has such.

    A member that starts from another run keeps that run's, at which its weights were made.

    Parameters
    ----------
    plan
        All of its rows are looked at, so that the members of ``--fold all`` agree.
    member
        What is trained.

    Raises
    ------
    InputError
        If an image is missing or damaged.
    """
    if member.parent is not None:
        return _inherited(member.parent), []
    missing = "zero" if plan.settings.missing_modality == "zero" else "error"
    depths, told = {}, []
    for name in plan.modalities:
        brightest = _brightest(plan.rows, name, missing, FIRST)
        if brightest is not None:
            brightest = _brightest(plan.rows, name, missing, MOST)
        depths[name] = FULL_DEPTH if brightest is None else depth_of(brightest)
        if brightest is not None:
            told.append(
                f"{name} images have 16 bits and values up to {brightest}: they are scaled so "
                f"that {2 ** depths[name] - 1} ({depths[name]} bits) is white"
            )
    return depths, told


def _inherited(parent: Path) -> dict[str, int]:
    header = read_header(parent)
    known: dict[str, int] = header.get("bits", {})
    return {name: known.get(name, FULL_DEPTH) for name in header["modalities"]}


def _brightest(rows: Rows, modality: str, missing: str, count: int) -> int | None:
    """The largest 16-bit value in some images of a modality; None if none of them has 16 bits."""
    looked_at = spread(len(rows.samples), count)
    samples = rows.take(looked_at)
    files = ImageFiles(samples, missing)
    place = list(samples.paths).index(modality)
    images = (files.read(row, place) for row in range(len(looked_at)))
    values = [int(i.max()) for i in images if i is not None and i.dtype == np.uint16]
    return max(values, default=None)
