"""Named augmentation policies as tables of operations, and their random draws.

A policy describes the changes of each sample of a batch; `comptool.data.augment.batches` applies
them on any device. The changes depend on the random seed of the sample alone, not on the batch,
process or device, nor on interruptions. Numbers are drawn with numpy on the CPU, for all samples at
once, so that nothing waits for the device.

Geometry is drawn once per sample, photometry for each of its modalities. This module imports
neither torch nor albumentations.

RandAugment: Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced
search space", arXiv:1909.13719. AutoAugment: Cubuk et al. 2019, "AutoAugment: Learning
augmentation policies from data", arXiv:1805.09501, table 9 (ImageNet). Cutout: DeVries & Taylor
2017, "Improved regularization of convolutional neural networks with Cutout", arXiv:1708.04552: the
centre lies anywhere in the image, and the rectangle is clipped at the border.

Differs from the papers: the images of a sample share geometric operations and the place and colour
of the cut-out, which is random and has the proportions of the image. RandAugment's photometric
operations are drawn for each image; in AutoAugment the signs and the application of photometric
operations are, but the sub-policy is not, since it may hold geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from comptool.errors import UsageError
from comptool.options import kebab
from comptool.registry import Entry, Registry

POLICY_FILES = (".json", ".yaml", ".yml")
POLICIES = Registry(
    "augmentation",
    Entry("none", "comptool.data.augment.named_policies:none", "Images as they are.", "-"),
    Entry(
        "flips",
        "comptool.data.augment.named_policies:flips",
        "One of the eight flips and quarter turns of a square, each equally likely; "
        "with --cutout a rectangle painted over.",
        "Dihedral group D4; DeVries & Taylor 2017, arXiv:1708.04552",
    ),
    Entry(
        "weak",
        "comptool.data.augment.named_policies:weak",
        "Cutout of half the side, then RandAugment of magnitude 9.",
        "DeVries & Taylor 2017, arXiv:1708.04552; Cubuk et al. 2020, arXiv:1909.13719",
    ),
    Entry(
        "strong",
        "comptool.data.augment.named_policies:strong",
        "Flips, Cutout of half the side, then AutoAugment's ImageNet policy.",
        "DeVries & Taylor 2017, arXiv:1708.04552; Cubuk et al. 2019, arXiv:1805.09501",
    ),
)


def create(name: str, **options: float) -> Policy:
    """The named policy."""
    check_options(name, options)
    built: Policy = POLICIES.load(name)(**options)
    return built


def check_options(policy: str, given: Collection[str]) -> None:
    """Raise a UsageError if the policy, a name or a file, does not take an option."""
    if not given:
        return
    taken = {} if Path(policy).suffix in POLICY_FILES else POLICIES.find(policy).options()
    known = " and ".join(map(kebab, taken)) or "none"
    for name in given:
        if name not in taken:
            raise UsageError(
                f"the augmentation '{policy}' has no use for {kebab(name)}; of such options it "
                f"takes {known}"
            )


GEOMETRIC = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")
PHOTOMETRIC = (
    "brightness",
    "colour",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
    "identity",
)
OPERATIONS = (*GEOMETRIC, *PHOTOMETRIC, "invert")
IDENTITY = OPERATIONS.index("identity")
DIRECTED = (*GEOMETRIC, "brightness", "colour", "contrast", "sharpness")
ALL_SYMMETRIES = tuple(range(8))  # of a square; see `comptool.data.augment.batches.symmetry`
KEEPING_SHAPE = (0, 2, 5, 7)  # nothing, half a turn, and the two flips
CUTOUT_SHARE = 0.5
RAND_AUGMENT_STEPS = 30
AUTO_AUGMENT_STEPS = 9
Step = tuple[str, float, int]  # operation, probability, level
IMAGENET_POLICY: tuple[tuple[Step, Step], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 0), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 0)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 0)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 0), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("colour", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 0)),
    (("equalize", 0.0, 0), ("equalize", 0.8, 0)),
    (("invert", 0.6, 0), ("equalize", 1.0, 0)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("colour", 1.0, 2)),
    (("colour", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
    (("shear-x", 0.6, 5), ("equalize", 1.0, 0)),
    (("colour", 0.4, 0), ("equalize", 0.6, 0)),
    (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("invert", 0.6, 0), ("equalize", 1.0, 0)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
)

# Random numbers of many samples at once, each a function of that sample's seed alone. SplitMix64:
# Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", OOPSLA, section 4;
# constants of Stafford's variant 13, as in Java's ``SplittableRandom``. It is a counter and a
# mixing function, so that one expression gives the n-th numbers of all samples. NumPy's own
# counter-based generator, Philox, is an object with a state per sample.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_FLOAT_BITS = np.uint64(11)  # that a float64 has no room for

Words = npt.NDArray[np.uint64]


class SeededNumbers:
    """Random numbers for each seed (int64 >= 0, shape (B,)) and independent stream.

    ``streams`` are int64 of shape (..., 1); numbers have shape (..., B).

    Examples
    --------
    >>> both = SeededNumbers(np.array([5, 7]), np.array([0])).uniform()
    >>> both[1] == SeededNumbers(np.array([7]), np.array([0])).uniform()[0]
    True
    """

    def __init__(self, seeds: npt.NDArray[np.int64], streams: npt.NDArray[np.int64]) -> None:
        # Mixed first, so that the streams of consecutive seeds do not overlap.
        self._places = _mixed(_mixed(seeds.astype(np.uint64)) ^ streams.astype(np.uint64))

    def uniform(self) -> npt.NDArray[np.float64]:
        """The next uniform numbers in [0, 1), one for each seed and stream."""
        self._places = self._places + _STEP
        return (_mixed(self._places) >> _FLOAT_BITS).astype(np.float64) * 2.0**-53

    def below(self, count: int) -> npt.NDArray[np.int64]:
        """The next uniform integers from 0 to ``count - 1``."""
        return (self.uniform() * count).astype(np.int64)


def _mixed(words: Words) -> Words:
    for factor, shift in zip(_FACTORS, _SHIFTS[:2], strict=True):
        words = (words ^ (words >> shift)) * factor
    return words ^ (words >> _SHIFTS[2])


Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


class Operated(NamedTuple):
    """One operation per sample and modality: indices in `OPERATIONS` and strengths, both [M, B].

    Strengths are 0 to 1, negative for the opposite direction.
    """

    codes: Indices
    strengths: Numbers


class Holes(NamedTuple):
    """A painted rectangle in each of B samples.

    ``share`` is its side as a share of the image's; ``centres``, float64 [B, 2], are rows and
    columns in [0, 1]; ``colours`` are uint8 [B, 3].
    """

    share: float
    centres: Numbers
    colours: npt.NDArray[np.uint8]


class Changes(NamedTuple):
    """Changes of B samples in order: symmetry of a square (int64 [B]), hole, operations."""

    elements: Indices | None
    holes: Holes | None
    operations: Sequence[Operated]


_DIRECTED = [OPERATIONS.index(name) for name in DIRECTED]
# Operations from the random numbers of a sample and of each of its modalities.
Drawing = Callable[[SeededNumbers, SeededNumbers], list[Operated]]


@dataclass(frozen=True)
class Policy:
    """A policy."""

    symmetries: tuple[int, ...] = ()  # those that are drawn from, if any
    # side of the cut-out as a share of the image's, or None
    cutout: float | None = None
    draw_operations: Drawing = lambda shared, own: []  # drawn last

    def draw(self, seeds: Indices, modalities: int, *, square: bool) -> Changes:
        """Draw the changes of a batch."""
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


def none() -> Policy:
    """The policy that changes nothing."""
    return Policy()


def flips(*, cutout: float | None = None) -> Policy:
    """A random symmetry of the square, of the rectangle for other images; optional Cutout.

    ``cutout`` is the side of the cut-out as a share of the image's, None for no cut-out.
    """
    return Policy(ALL_SYMMETRIES, cutout)


def weak(*, cutout: float = CUTOUT_SHARE, magnitude: float = 9, num_ops: int = 2) -> Policy:
    """Cutout, then RandAugment.

    ``cutout`` is the side of the cut-out as a share of the image's, above 0 and at most 1;
    ``magnitude`` the strength of each operation, 0 to 30 (a UsageError above); ``num_ops``, 1 or
    more, the operations drawn per sample, with replacement.
    """
    if magnitude > RAND_AUGMENT_STEPS:
        raise UsageError(f"--magnitude is {magnitude:g}; it goes from 0 to {RAND_AUGMENT_STEPS}")

    def draw(shared: SeededNumbers, own: SeededNumbers) -> list[Operated]:
        strength = magnitude / RAND_AUGMENT_STEPS
        return [_any_operation(strength, shared, own) for _ in range(num_ops)]

    return Policy((), cutout, draw)


def strong(*, cutout: float = CUTOUT_SHARE) -> Policy:
    """Both flips with probability one half, Cutout, then AutoAugment."""
    return Policy(KEEPING_SHAPE, cutout, _sub_policy)


def _any_operation(strength: float, shared: SeededNumbers, own: SeededNumbers) -> Operated:
    """One of RandAugment's fourteen: geometry for the sample, photometry for each modality."""
    chosen = shared.below(len(GEOMETRIC) + len(PHOTOMETRIC))
    codes = np.where(chosen < len(GEOMETRIC), chosen, len(GEOMETRIC) + own.below(len(PHOTOMETRIC)))
    return Operated(codes, strength * _direction(codes, shared, own))


def _sub_policy(shared: SeededNumbers, own: SeededNumbers) -> list[Operated]:
    chosen = shared.below(len(IMAGENET_POLICY))
    return [_step(place, chosen, shared, own) for place in (0, 1)]


def _step(place: int, chosen: Indices, shared: SeededNumbers, own: SeededNumbers) -> Operated:
    names, probabilities, levels = zip(*(pair[place] for pair in IMAGENET_POLICY), strict=True)
    codes = np.array([OPERATIONS.index(name) for name in names])[chosen]
    happens = _by_kind(codes, shared, own) < np.array(probabilities)[chosen]
    strengths = np.array(levels)[chosen] / AUTO_AUGMENT_STEPS * _direction(codes, shared, own)
    return Operated(np.where(happens, codes, IDENTITY), strengths)


def _direction(codes: Indices, shared: SeededNumbers, own: SeededNumbers) -> Numbers:
    back = np.isin(codes, _DIRECTED) & (_by_kind(codes, shared, own) < 0.5)
    return np.where(back, -1.0, 1.0)


def _by_kind(codes: Indices, shared: SeededNumbers, own: SeededNumbers) -> Numbers:
    """Numbers [M, B]: the sample's for geometry, else the modality's own."""
    # Both are always drawn, so that neither sequence depends on the choice.
    drawn = shared.uniform(), own.uniform()
    return np.where(codes < len(GEOMETRIC), *drawn)
