"""Augmentation policies by name, or one from a file, and cutout.

What training does to the images of a sample: policies by name, or one from a file.

A policy is a function of a sample's images and a seed, and of nothing else: how many workers load
the images, and where a run was stopped and resumed, cannot change what it does. Geometry is drawn
once per sample and is the same for all its modalities; photometry is drawn for each.

This module is light. albumentations is imported only by the policies that are made of it.

Cutout: one rectangle of an image painted over.

DeVries & Taylor 2017, "Improved regularization of convolutional neural networks with Cutout",
arXiv:1708.04552: the centre lies anywhere in the image, and what lies outside is clipped.

Differs from the paper: the rectangle has a random colour, and the proportions of the image.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from comptool.data.image_io import Pixels
from comptool.errors import UsageError
from comptool.registry import Entry, Registry

P = TypeVar("P", bound=np.generic)
POLICY_FILES = (".json", ".yaml", ".yml")


class Augment(Protocol):
    """A policy."""

    def __call__(self, images: Sequence[Pixels], seed: int) -> list[Pixels]:
        """The changed images of one sample.

        Parameters
        ----------
        images
            One uint8 array of shape (H, W, C) per modality; sizes and channels may differ.
        seed
            Non-negative integer; the only source of randomness.

        Returns
        -------
        list of numpy.ndarray
            As many uint8 arrays of the same channels. A policy that crops changes the size.
        """
        ...


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
        "comptool.data.augment.albumentations_policies:weak",
        "Cutout of half the side, then RandAugment of magnitude 9.",
        "DeVries & Taylor 2017, arXiv:1708.04552; Cubuk et al. 2020, arXiv:1909.13719",
    ),
    Entry(
        "strong",
        "comptool.data.augment.albumentations_policies:strong",
        "Flips, Cutout of half the side, then AutoAugment's ImageNet policy.",
        "DeVries & Taylor 2017, arXiv:1708.04552; Cubuk et al. 2019, arXiv:1805.09501",
    ),
)


# The same policies for whole batches, which a file has no form for.
BATCH_POLICIES = Registry(
    "augmentation of whole batches",
    *(replace(entry, target=f"comptool.data.augment.batches:{entry.name}") for entry in POLICIES),
)


def create(policy: str, **options: float) -> Augment:
    """The policy of that name, or the one that a file describes.

    Parameters
    ----------
    policy
        ``none``, ``flips``, ``weak``, ``strong``, or the path of a pipeline that albumentations
        has serialised: ``.json``, ``.yaml`` or ``.yml``.
    options
        Of the policy: ``cutout``, ``magnitude``, ``num_ops``; see
        `comptool.data.augment.albumentations_policies`.

    Raises
    ------
    UsageError
        If nothing is called so; names the nearest policies. If the policy takes no such option.
    InputError
        If the file is missing or describes no pipeline.
    """
    check_options(policy, options)
    if Path(policy).suffix in POLICY_FILES:
        reader = Entry(
            "file", "comptool.data.augment.albumentations_policies:read_policy", "", ""
        ).load()
        described: Augment = reader(Path(policy))
        return described
    built: Augment = POLICIES.load(policy)(**options)
    return built


def check_options(policy: str, given: Collection[str]) -> None:
    """Raise a UsageError if the policy is unknown or takes no option of a given name."""
    if not given:
        return
    taken = {} if Path(policy).suffix in POLICY_FILES else POLICIES.find(policy).options()
    known = " and ".join(_typed(name) for name in taken) or "none"
    for name in given:
        if name not in taken:
            raise UsageError(
                f"the augmentation '{policy}' has no use for {_typed(name)}; of such options it "
                f"takes {known}"
            )


def _typed(name: str) -> str:
    return "--" + name.replace("_", "-")


def none() -> Augment:
    """The policy that changes nothing."""
    return _unchanged


def flips(*, cutout: float | None = None) -> Augment:
    """The policy that draws one of the eight symmetries of a square.

    Written in NumPy although albumentations has it (``D4``): it is the default policy, and the
    import of albumentations would be a part of every training's start. Where an image is not
    square, only the four symmetries that keep its shape are drawn.

    Parameters
    ----------
    cutout
        Side of a rectangle that is painted over, as a share of the image's; None for no rectangle.
    """
    return partial(_flipped, cutout=cutout)


def symmetry(image: npt.NDArray[P], element: int) -> npt.NDArray[P]:
    """One of the eight symmetries of a square, as a view of ``image``.

    Parameters
    ----------
    image
        Array of shape (H, W, C).
    element
        0 to 3: that many quarter turns to the left. 4 to 7: the same, then transposed.
        Even elements below 4, and odd ones above, keep the shape.
    """
    turned = np.rot90(image, element % 4)
    return turned.swapaxes(0, 1) if element >= 4 else turned


def _unchanged(images: Sequence[Pixels], seed: int) -> list[Pixels]:
    return list(images)


def _flipped(images: Sequence[Pixels], seed: int, cutout: float | None = None) -> list[Pixels]:
    source = random.Random(seed)
    square = all(image.shape[0] == image.shape[1] for image in images)
    element = source.choice(range(8) if square else (0, 2, 5, 7))
    if cutout is not None:
        # Drawn last, so that a cut-out changes nothing about the flips; made first, because images
        # that are turned already take three times as long to copy.
        hole = draw_hole(source)
        images = [cut_out(image, hole, cutout) for image in images]
    return [symmetry(image, element) for image in images]


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
