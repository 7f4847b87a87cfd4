"""Augmentation policies from files saved by albumentations, the same for all images of a sample.

albumentations' own ``additional_targets`` give every image the same photometry and expect one size.
Here a pipeline runs once per modality; geometry is seeded by the sample alone, photometry by sample
and modality. Each geometric transform has its own generator, so that the number of channels does
not shift the next draws.

Where the images of a sample differ in size, the pipeline sees them all at the largest size, and
each is resized back.

Geometric is what albumentations calls dual (it would move a mask as well: flips, crops, affine
maps, dropout), and any composition, such as ``OneOf``, that holds one.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import albumentations
import numpy as np
from albumentations.core import serialization
from albumentations.core.composition import BaseCompose
from albumentations.core.transforms_interface import DualTransform
from pydantic import ValidationError

from comptool.data.image_io import Pixels, resize
from comptool.errors import InputError, unknown_name
from comptool.io.documents import SETTINGS, read_json, read_yaml
from comptool.io.records import shown

_STREAM_BITS = 8
# Keys of a node in the file.
CLASS, PARTS = "__class_fullname__", "transforms"


class FilePolicy:
    """The policy of a file; its result depends on a sample's images and a seed alone."""

    def __init__(self, pipeline: Any, file: Path) -> None:
        self._pipeline = pipeline
        self._file = file
        nodes = list(_nodes(pipeline))
        moving = [node for node in nodes if _moves_pixels(node)]
        self._photometry = [node for node in nodes if not _moves_pixels(node)]
        self._choices = [node for node in moving if isinstance(node, BaseCompose)]
        self._geometry = [node for node in moving if not isinstance(node, BaseCompose)]
        # Re-seeding a generator takes a fifth of the time of making one.
        self._streams = [Stream() for _ in self._geometry]
        self._choice_stream, self._photometry_stream = Stream(), Stream()

    def __call__(self, images: Sequence[Pixels], seed: int) -> list[Pixels]:
        """Augment the images of one sample; images that differ in size keep their sizes."""
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
        """The size at which the pipeline sees every image; None if all have the same size."""
        heights, widths = zip(*map(_size, images), strict=True)
        largest = max(heights), max(widths)
        return None if all(_size(image) == largest for image in images) else largest

    def _seed(self, seed: int, modality: int) -> None:
        shared = random.Random(seed << _STREAM_BITS)
        own = random.Random((seed << _STREAM_BITS) + modality + 1)
        self._choice_stream.seed(shared)
        self._photometry_stream.seed(own)
        for stream in self._streams:
            stream.seed(shared)
        # Every time: a composition from a file may have reseeded its children.
        for node in self._choices:
            self._choice_stream.attach(node)
        for node in self._photometry:
            self._photometry_stream.attach(node)
        for node, stream in zip(self._geometry, self._streams, strict=True):
            stream.attach(node)

    def _apply(self, image: Pixels) -> Pixels:
        given = np.ascontiguousarray(image)
        try:
            changed = self._pipeline(image=given)["image"]
        except Exception as error:
            # Any error, also of cv2 and albumentations: the file is at fault.
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
    """A numpy and a Python generator with a common seed."""

    def __init__(self) -> None:
        self._bits = np.random.PCG64(0)
        self._state: Any = self._bits.state
        self._numpy = np.random.Generator(self._bits)
        self._python = random.Random(0)

    def seed(self, source: random.Random) -> None:
        """Reseed from the next numbers of ``source``."""
        self._state["state"]["state"] = source.getrandbits(128)
        self._bits.state = self._state
        self._python.seed(source.getrandbits(64))

    def attach(self, node: Any) -> None:
        """Make a transform or a composition (not its children) draw from this stream."""
        node.random_generator = self._numpy
        node.py_random = self._python


def read_policy(path: Path) -> FilePolicy:
    """Read a policy from the output of ``albumentations.save``; JSON, or YAML by suffix.

    Raises an InputError if the file is missing, is not JSON or YAML, or does not describe a
    pipeline; it names the place of an unknown transform or a wrong argument.
    """
    if not path.is_file():
        raise InputError("there is no such augmentation file", file=path)
    document = read_json(path, limit=SETTINGS) if path.suffix == ".json" else read_yaml(path)
    if not isinstance(document, dict) or "transform" not in document:
        raise InputError(
            f"describes no albumentations pipeline (an object with 'transform' is needed, found "
            f"{shown(document)})",
            file=path,
            mend="Write it with albumentations.save",
        )
    serialization.register_additional_transforms()
    return FilePolicy(_built(document["transform"], "transform", path), path)


def _built(node: Any, place: str, path: Path) -> Any:
    """A transform, or a composition whose parts are built first, so that an error has its place."""
    name = node.get(CLASS) if isinstance(node, dict) else None
    if not isinstance(name, str):
        raise InputError(
            f"describes no albumentations pipeline ({place} must be an object with '{CLASS}', "
            f"found {shown(node)})",
            file=path,
        )
    known = serialization.SERIALIZABLE_REGISTRY
    if (kind := known.get(serialization.shorten_class_name(name))) is None:
        raise InputError(
            f"{place}: {unknown_name('transform of albumentations', name, known)}", file=path
        )
    arguments = {key: value for key, value in node.items() if key != CLASS}
    if (parts := arguments.get(PARTS)) is not None:
        if not isinstance(parts, list):
            wanted = f"{place}.{PARTS} must be a list, found {shown(parts)}"
            raise InputError(f"describes no albumentations pipeline ({wanted})", file=path)
        arguments[PARTS] = [
            _built(part, f"{place}.{PARTS}[{number}]", path) for number, part in enumerate(parts)
        ]
    try:
        with warnings.catch_warnings():
            # albumentations only warns of an unknown argument.
            warnings.simplefilter("error", UserWarning)
            return kind(**arguments)
    except Exception as error:
        raise InputError(f"{place}: {name} {_reason(error)}", file=path) from error


def _reason(error: Exception) -> str:
    """What is wrong with the arguments of a transform, in one sentence."""
    cause = error.__cause__  # albumentations raises its text alone
    problems: list[Any] = cause.errors() if isinstance(cause, ValidationError) else []
    if not problems:
        return f"cannot be made ({' '.join(str(error).split())})"
    first = problems[0]
    argument = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return f"does not take {argument} = {shown(first['input'])} ({said[:1].lower()}{said[1:]})"


def _size(image: Pixels) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, BaseCompose):
        for child in node.transforms:
            yield from _nodes(child)


def _moves_pixels(node: Any) -> bool:
    # NoOp is a dual transform by inheritance.
    return any(
        isinstance(part, DualTransform) and not isinstance(part, albumentations.NoOp)
        for part in _nodes(node)
    )
