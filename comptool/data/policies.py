"""The policies ``weak`` and ``strong``, made of albumentations' transforms.

The papers are named in `comptool.data.operations`.

Differs from the papers: the images of a sample share geometric operations and the place and
colour of the cut-out. RandAugment's photometric operations are drawn for each image; so are, in
AutoAugment, the signs of the photometric operations and whether they are applied, but not the
sub-policy, which may hold geometry. Images are interpolated linearly; shear keeps the centre.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import albumentations as A
import cv2
import numpy as np

from comptool.data.cutout import Hole, cut_out, draw_hole
from comptool.data.images import Pixels
from comptool.data.operations import (
    ANGLE,
    AUTO_AUGMENT_STEPS,
    BITS_LOST,
    CUTOUT_SHARE,
    GAIN,
    GEOMETRIC,
    IMAGENET_POLICY,
    PHOTOMETRIC,
    SHEAR,
    SHIFT,
    rand_augment_strength,
)
from comptool.data.paired import Paired


class Cutout(A.DualTransform):  # type: ignore[misc]
    """One rectangle of one random colour, its centre anywhere in the image, clipped at the border.

    albumentations' ``CoarseDropout`` keeps its holes inside the image, so that the border is
    covered less often than the centre.

    Parameters
    ----------
    share
        Side of the rectangle as a share of the image's side, 0 to 1.
    """

    def __init__(self, share: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.share = share

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Where the rectangle is, and its colour."""
        return {"hole": draw_hole(self.py_random)}

    def apply(self, img: Pixels, hole: Hole, **params: Any) -> Pixels:
        """``img`` with the rectangle painted over."""
        return cut_out(img, hole, self.share)


class Sharpness(A.ImageOnlyTransform):  # type: ignore[misc]
    """The image pushed away from its smoothed self, or, below one, towards it.

    albumentations' ``Sharpen`` cannot smooth. Kernel and blend are Pillow's ``SMOOTH`` filter and
    its ``Sharpness`` enhancer, which RandAugment was defined with.

    Parameters
    ----------
    factor
        0: smoothed; 1: unchanged; 2: sharpened as much as 0 smooths.
    """

    def __init__(self, factor: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        smooth = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
        unchanged = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
        self.kernel = factor * unchanged + (1 - factor) * smooth

    def apply(self, img: Pixels, **params: Any) -> Pixels:
        """``img``, sharper or smoother."""
        return np.asarray(cv2.filter2D(img, -1, self.kernel), np.uint8).reshape(img.shape)


def weak(*, cutout: float = CUTOUT_SHARE, magnitude: float = 9, num_ops: int = 2) -> Paired:
    """Cutout, then RandAugment.

    Parameters
    ----------
    cutout
        Side of the cut-out as a share of the image's, above 0 and at most 1.
    magnitude
        Strength of each operation, 0 to 30.
    num_ops
        Operations drawn per sample, with replacement, 1 or more.

    Raises
    ------
    UsageError
        If the magnitude is above 30.
    """
    strength = rand_augment_strength(magnitude)
    steps = [_any_operation(strength) for _ in range(num_ops)]
    return Paired(A.Compose([Cutout(cutout), *steps]))


def strong(*, cutout: float = CUTOUT_SHARE) -> Paired:
    """Both flips with probability one half, Cutout, then AutoAugment.

    The parameter is that of :func:`weak`; the magnitudes are AutoAugment's own.
    """
    pairs = [A.Sequential([_step(*step) for step in pair], p=1) for pair in IMAGENET_POLICY]
    flips = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    return Paired(A.Compose([*flips, Cutout(cutout), A.OneOf(pairs, p=1)]))


def _step(name: str, probability: float, level: int) -> Any:
    return A.Sequential([operation(name, level / AUTO_AUGMENT_STEPS)], p=probability)


def _any_operation(strength: float) -> Any:
    # The photometric operations stand in a group of their own, from which each image draws.
    total = len(GEOMETRIC) + len(PHOTOMETRIC)
    shared = [operation(name, strength) for name in GEOMETRIC]
    own = A.OneOf([operation(name, strength) for name in PHOTOMETRIC], p=len(PHOTOMETRIC) / total)
    for choice in shared:
        choice.p = 1 / total
    return A.OneOf([*shared, own], p=1)


def operation(name: str, strength: float) -> Any:
    """One operation of RandAugment and AutoAugment.

    Parameters
    ----------
    name
        One of `GEOMETRIC` or `PHOTOMETRIC`, or ``invert``.
    strength
        0 (nothing happens, ``equalize``, ``autocontrast`` and ``invert`` aside) to 1 (strongest).
        Operations with a direction draw it.
    """
    if name in _SIGNED:
        return A.OneOf([_SIGNED[name](strength), _SIGNED[name](-strength)], p=1)
    return _UNSIGNED[name](strength)


def _shear(axis: str, strength: float) -> Any:
    degrees = math.degrees(math.atan(SHEAR * strength))
    still = {"x": (0.0, 0.0), "y": (0.0, 0.0)}
    return A.Affine(shear={**still, axis: (degrees, degrees)}, p=1)


def _translate(axis: str, strength: float) -> Any:
    share = SHIFT * strength
    still = {"x": (0.0, 0.0), "y": (0.0, 0.0)}
    return A.Affine(translate_percent={**still, axis: (share, share)}, p=1)


def _rotate(strength: float) -> Any:
    return A.Affine(rotate=(ANGLE * strength, ANGLE * strength), p=1)


def _jitter(what: str, strength: float) -> Any:
    still = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    factor = 1 + GAIN * strength
    return A.ColorJitter(**{**still, what: (factor, factor)}, p=1)


def _posterize(strength: float) -> Any:
    bits = 8 - round(BITS_LOST * strength)
    return A.Posterize(num_bits=(bits, bits), p=1) if bits < 8 else A.NoOp(p=1)


def _solarize(strength: float) -> Any:
    return A.Solarize(threshold_range=(1 - strength, 1 - strength), p=1)


_SIGNED: dict[str, Callable[[float], Any]] = {
    "shear-x": lambda strength: _shear("x", strength),
    "shear-y": lambda strength: _shear("y", strength),
    "translate-x": lambda strength: _translate("x", strength),
    "translate-y": lambda strength: _translate("y", strength),
    "rotate": _rotate,
    "brightness": lambda strength: _jitter("brightness", strength),
    "colour": lambda strength: _jitter("saturation", strength),
    "contrast": lambda strength: _jitter("contrast", strength),
    "sharpness": lambda strength: Sharpness(1 + GAIN * strength),
}
_UNSIGNED: dict[str, Callable[[float], Any]] = {
    "posterize": _posterize,
    "solarize": _solarize,
    # Its default method pulls images with a narrow histogram far off Pillow's result.
    "autocontrast": lambda strength: A.AutoContrast(method="pil", p=1),
    "equalize": lambda strength: A.Equalize(p=1),
    "invert": lambda strength: A.InvertImg(p=1),
    "identity": lambda strength: A.NoOp(p=1),
}
