"""The named policies for whole batches: what becomes of each sample, drawn for all at once.

The same policies as those that `comptool.data.augment` names, with random numbers of their own:
the two paths agree in distribution, not sample by sample. A sample's changes follow from its seed
alone, so that it does not matter in which batch it is, nor what the others are. Numbers are drawn
with numpy on the CPU, so that nothing waits for the device; `comptool.data.batch_operations`
applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from comptool.data.operations import (
    AUTO_AUGMENT_STEPS,
    CUTOUT_SHARE,
    DIRECTED,
    GEOMETRIC,
    IMAGENET_POLICY,
    PHOTOMETRIC,
    rand_augment_strength,
)
from comptool.data.seeded_numbers import SeededNumbers

OPERATIONS = (*GEOMETRIC, *PHOTOMETRIC, "invert")
IDENTITY = OPERATIONS.index("identity")
ALL_SYMMETRIES = tuple(range(8))  # of a square; see `comptool.data.augment.symmetry`
KEEPING_SHAPE = (0, 2, 5, 7)  # nothing, half a turn, and the two flips
_NUM_SHARED = len(GEOMETRIC)
_DIRECTED = np.array([name in DIRECTED for name in OPERATIONS])

Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


class Operated(NamedTuple):
    """One operation on each of B samples of M modalities.

    ``codes``, int64 [M, B], are places in `OPERATIONS`; geometry is the same for all modalities.
    ``strengths``, float64 [M, B], are 0 to 1, below 0 where the operation goes the other way.
    """

    codes: Indices
    strengths: Numbers


class Holes(NamedTuple):
    """A rectangle to be painted over in each of B samples.

    ``share`` is its side as a share of the image's; ``centres``, float64 [B, 2], are rows and
    columns, 0 to 1; ``colours`` are uint8 [B, 3].
    """

    share: float
    centres: Numbers
    colours: npt.NDArray[np.uint8]


class Changes(NamedTuple):
    """What becomes of B samples, in this order: a symmetry, a hole, operations.

    ``elements``, int64 [B], are symmetries of a square; None where there are none.
    """

    elements: Indices | None
    holes: Holes | None
    operations: Sequence[Operated]


# Takes the numbers of a sample, those of each of its modalities, and gives the operations.
Drawing = Callable[[SeededNumbers, SeededNumbers], list[Operated]]


@dataclass(frozen=True)
class BatchPolicy:
    """A policy for whole batches.

    Parameters
    ----------
    symmetries
        Those that are drawn from, if any.
    cutout
        Side of the rectangle that is painted over, as a share of the image's; None for none.
    draw_operations
        What is drawn thereafter.
    """

    symmetries: tuple[int, ...] = ()
    cutout: float | None = None
    draw_operations: Drawing = lambda shared, own: []

    def draw(self, seeds: Indices, modalities: int, *, square: bool) -> Changes:
        """What becomes of the samples of a batch.

        Parameters
        ----------
        seeds
            One for each of B samples, non-negative int64.
        modalities
            Their number M.
        square
            Whether all images are square; if not, only symmetries that keep the shape are drawn.
        """
        shared = SeededNumbers(seeds, np.zeros(1, np.int64))
        own = SeededNumbers(seeds, np.arange(1, modalities + 1)[:, None])
        elements, holes = None, None
        if self.symmetries:
            kept = [one for one in self.symmetries if square or one in KEEPING_SHAPE]
            elements = np.array(kept)[shared.below(len(kept))]
        if self.cutout is not None:
            centres = np.stack([shared.uniform(), shared.uniform()], axis=1)
            colours = np.stack([shared.below(256) for _ in "rgb"], axis=1).astype(np.uint8)
            holes = Holes(self.cutout, centres, colours)
        return Changes(elements, holes, self.draw_operations(shared, own))


def none() -> BatchPolicy:
    """The policy that changes nothing."""
    return BatchPolicy()


def flips(*, cutout: float | None = None) -> BatchPolicy:
    """One of the eight symmetries of a square; see `comptool.data.augment.flips`."""
    return BatchPolicy(ALL_SYMMETRIES, cutout)


def weak(*, cutout: float = CUTOUT_SHARE, magnitude: float = 9, num_ops: int = 2) -> BatchPolicy:
    """Cutout, then RandAugment; see `comptool.data.policies.weak`.

    Raises
    ------
    UsageError
        If the magnitude is above 30.
    """
    strength = rand_augment_strength(magnitude)

    def draw(shared: SeededNumbers, own: SeededNumbers) -> list[Operated]:
        return [_any_operation(strength, shared, own) for _ in range(num_ops)]

    return BatchPolicy((), cutout, draw)


def strong(*, cutout: float = CUTOUT_SHARE) -> BatchPolicy:
    """Flips, Cutout, then AutoAugment; see `comptool.data.policies.strong`.

    Two flips with probability one half are one of four symmetries, each equally likely.
    """
    return BatchPolicy(KEEPING_SHAPE, cutout, _sub_policy)


def _any_operation(strength: float, shared: SeededNumbers, own: SeededNumbers) -> Operated:
    """One of RandAugment's fourteen: a geometric one for the sample, else one for each modality."""
    chosen = shared.below(_NUM_SHARED + len(PHOTOMETRIC))
    codes = np.where(chosen < _NUM_SHARED, chosen, _NUM_SHARED + own.below(len(PHOTOMETRIC)))
    return Operated(codes, strength * _direction(codes, shared, own))


def _sub_policy(shared: SeededNumbers, own: SeededNumbers) -> list[Operated]:
    """The two steps of one of AutoAugment's sub-policies."""
    chosen = shared.below(len(IMAGENET_POLICY))
    return [_step(place, chosen, shared, own) for place in (0, 1)]


def _step(place: int, chosen: Indices, shared: SeededNumbers, own: SeededNumbers) -> Operated:
    names, probabilities, levels = zip(*(pair[place] for pair in IMAGENET_POLICY), strict=True)
    codes = np.array([OPERATIONS.index(name) for name in names])[chosen]
    happens = _by_kind(codes, shared, own) < np.array(probabilities)[chosen]
    strengths = np.array(levels)[chosen] / AUTO_AUGMENT_STEPS * _direction(codes, shared, own)
    return Operated(np.where(happens, codes, IDENTITY), strengths)


def _direction(codes: Indices, shared: SeededNumbers, own: SeededNumbers) -> Numbers:
    """1 or, of operations with a direction, as often -1."""
    back = _DIRECTED[codes] & (_by_kind(codes, shared, own) < 0.5)
    return np.where(back, -1.0, 1.0)


def _by_kind(codes: Indices, shared: SeededNumbers, own: SeededNumbers) -> Numbers:
    """Numbers [M, B]: the sample's where its operation is geometric, else the modality's own."""
    # Both are drawn, so that neither sequence depends on what the other one chose.
    drawn = shared.uniform(), own.uniform()
    return np.where(codes < _NUM_SHARED, *drawn)
