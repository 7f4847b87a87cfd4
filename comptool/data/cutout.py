"""Cutout: one rectangle of an image painted over.

DeVries & Taylor 2017, "Improved regularization of convolutional neural networks with Cutout",
arXiv:1708.04552: the centre lies anywhere in the image, and what lies outside is clipped.

Differs from the paper: the rectangle has a random colour, and the proportions of the image.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from comptool.data.images import Pixels


class Hole(NamedTuple):
    """What a sample loses.

    Parameters
    ----------
    centre
        Row and column, 0 to 1.
    colour
        Of up to three channels, 0 to 255.
    """

    centre: tuple[float, float]
    colour: Sequence[int]


def draw_hole(source: random.Random) -> Hole:
    """A hole anywhere, of any colour."""
    return Hole((source.random(), source.random()), [source.randrange(256) for _ in "rgb"])


def cut_out(image: Pixels, hole: Hole, share: float) -> Pixels:
    """A copy of an image (H, W, C) with the hole in it, whose sides are a share of the image's."""
    painted = image.copy()
    rows, columns = (
        _span(side, place, share) for side, place in zip(image.shape, hole.centre, strict=False)
    )
    painted[rows, columns] = hole.colour[: image.shape[2]]
    return painted


def _span(side: int, place: float, share: float) -> slice:
    length = int(share * side + 0.5)
    start = int(place * side) - length // 2
    return slice(max(start, 0), min(start + length, side))
