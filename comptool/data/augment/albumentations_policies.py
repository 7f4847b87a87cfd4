"""Augmentation of single images with albumentations, the same for all modalities of a sample.

albumentations pipelines on several images of one scene.

albumentations' own ``additional_targets`` give every image the same photometry and expect one
size. Here a pipeline runs once per modality, and what decides about geometry is seeded from the
sample alone, what decides about photometry from the sample and the modality. Each geometric
transform has a generator of its own, so that one which draws more numbers for a larger image does
not shift what the next one draws.

Numbers of pixels mean the same in every modality: where the images of a sample differ in size, a
pipeline from a file sees them all at the largest size, and each is brought back to its own. The
named policies count in shares of the image, and do so only for images of different shape.

Geometric is what albumentations calls dual (it would move a mask as well: flips, crops, affine
maps, also the places of dropout), and any composition, such as ``OneOf``, that holds one.

The policies ``weak`` and ``strong``, made of albumentations' transforms.

The papers are named in `comptool.data.augment.batches`.

Differs from the papers: the images of a sample share geometric operations and the place and
colour of the cut-out. RandAugment's photometric operations are drawn for each image; so are, in
AutoAugment, the signs of the photometric operations and whether they are applied, but not the
sub-policy, which may hold geometry. Images are interpolated linearly; shear keeps the centre.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import albumentations
import albumentations as A
import cv2
import numpy as np
from albumentations.core.composition import BaseCompose
from albumentations.core.transforms_interface import DualTransform

from comptool.data.augment.batches import (
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
from comptool.data.augment.named_policies import Hole, cut_out, draw_hole
from comptool.data.image_io import Pixels, resize
from comptool.errors import InputError

_STREAM_BITS = 8


class Paired:
    """A policy made of one albumentations pipeline.

    Parameters
    ----------
    pipeline
        A transform or a composition that takes and gives a uint8 image.
    file
        The file it was read from, for messages.
    """

    def __init__(self, pipeline: Any, file: Path | None = None) -> None:
        self._pipeline = pipeline
        self._file = file
        nodes = list(_nodes(pipeline))
        moving = [node for node in nodes if _moves_pixels(node)]
        self._photometry = [node for node in nodes if not _moves_pixels(node)]
        self._choices = [node for node in moving if isinstance(node, BaseCompose)]
        self._geometry = [node for node in moving if not isinstance(node, BaseCompose)]
        # Pre-made, because re-seeding a generator takes a fifth of the time of making one.
        self._streams = [Stream() for _ in self._geometry]
        self._choice_stream, self._photometry_stream = Stream(), Stream()

    def __call__(self, images: Sequence[Pixels], seed: int) -> list[Pixels]:
        """The changed images; see `comptool.data.augment.named_policies.Augment`.

        Images that differ in size keep their sizes, whatever is cropped.

        Raises
        ------
        InputError
            If a pipeline from a file cannot take the images, or gives no image back.
        """
        canvas = self._canvas(images)
        changed = []
        for modality, image in enumerate(images):
            self._seed(seed, modality)
            if canvas is None:
                changed.append(self._apply(image))
            else:
                changed.append(resize(self._apply(resize(image, canvas)), _size(image)))
        return changed

    def _canvas(self, images: Sequence[Pixels]) -> tuple[int, int] | None:
        """The size at which the pipeline sees every image; None: each at its own."""
        heights, widths = zip(*map(_size, images), strict=True)
        largest = max(heights), max(widths)
        one_shape = all(
            h * widths[0] == w * heights[0] for h, w in zip(heights, widths, strict=True)
        )
        if self._file is None and one_shape:
            return None
        return None if all(_size(image) == largest for image in images) else largest

    def _seed(self, seed: int, modality: int) -> None:
        shared = random.Random(seed << _STREAM_BITS)
        own = random.Random((seed << _STREAM_BITS) + modality + 1)
        self._choice_stream.seed(shared)
        self._photometry_stream.seed(own)
        for stream in self._streams:
            stream.seed(shared)
        # Every time anew: a composition from a file may have reseeded its children.
        for node in self._choices:
            self._choice_stream.attach(node)
        for node in self._photometry:
            self._photometry_stream.attach(node)
        for node, stream in zip(self._geometry, self._streams, strict=True):
            stream.attach(node)

    def _apply(self, image: Pixels) -> Pixels:
        given = np.ascontiguousarray(image)
        if self._file is None:
            return np.asarray(self._pipeline(image=given)["image"])
        try:
            changed = self._pipeline(image=given)["image"]
        except Exception as error:
            # Whatever it raises, cv2's and albumentations' own errors too: the file is at fault.
            reason = " ".join(str(error).split())
            raise InputError(
                f"this policy fails on an image of shape {image.shape}: {reason}", file=self._file
            ) from error
        return self._checked(changed, image.shape[2])

    def _checked(self, changed: object, channels: int) -> Pixels:
        if isinstance(changed, np.ndarray) and changed.dtype == np.uint8:
            if changed.ndim == 2:
                changed = changed[:, :, None]
            if changed.ndim == 3 and changed.shape[2] == channels and changed.size:
                return changed
        shape = getattr(changed, "shape", "none")
        raise InputError(
            f"this policy gives no uint8 image of {channels} channels back",
            file=self._file,
            values=[f"{getattr(changed, 'dtype', type(changed).__name__)} of shape {shape}"],
            mend="Leave Normalize, ToFloat and ToTensor out of it; training does that itself",
        )


class Stream:
    """A numpy and a Python generator that are reseeded together."""

    def __init__(self) -> None:
        self._bits = np.random.PCG64(0)
        self._state: Any = self._bits.state
        self._numpy = np.random.Generator(self._bits)
        self._python = random.Random(0)

    def seed(self, source: random.Random) -> None:
        """Start anew from the next numbers of ``source``."""
        self._state["state"]["state"] = source.getrandbits(128)
        self._bits.state = self._state
        self._python.seed(source.getrandbits(64))

    def attach(self, node: Any) -> None:
        """Let a transform or a composition (not what it holds) draw from this stream."""
        node.random_generator = self._numpy
        node.py_random = self._python


def read_policy(path: Path) -> Paired:
    """The policy that a file describes.

    Parameters
    ----------
    path
        What ``albumentations.save`` wrote; JSON, or YAML by suffix.

    Raises
    ------
    InputError
        If the file is missing, is no JSON or YAML, or describes no pipeline; a transform or an
        argument that albumentations does not know is named.
    """
    if not path.is_file():
        raise InputError("there is no such augmentation file", file=path)
    kind = "json" if path.suffix == ".json" else "yaml"
    try:
        with warnings.catch_warnings():
            # albumentations only warns of an argument that it does not know, and ignores it.
            warnings.simplefilter("error", UserWarning)
            pipeline = albumentations.load(path, data_format=kind)
    except KeyError as error:
        raise InputError(
            "albumentations has no such transform", file=path, values=error.args
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(f"describes no albumentations pipeline ({reason})", file=path) from error
    return Paired(pipeline, path)


def _size(image: Pixels) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, BaseCompose):
        for child in node.transforms:
            yield from _nodes(child)


def _moves_pixels(node: Any) -> bool:
    # NoOp is dual by descent.
    return any(
        isinstance(part, DualTransform) and not isinstance(part, albumentations.NoOp)
        for part in _nodes(node)
    )


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
