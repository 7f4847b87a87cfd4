"""Image files as arrays: found, decoded, checked for damage, and resized to the input size.

A cell of a path column names one file, a record of a file (``train.bson#0+2711/imgs``), or several
of these with ``|`` between them, whose pixels become the channels of one image.

OpenCV decodes usual formats: it is the fastest decoder that also reads 16-bit colour. Its older
versions silently fill the missing part of a truncated JPEG or PNG with grey, so the end marker of
the file is checked first, and Pillow judges the few files without one.

- 8-bit grey stays one channel, colour becomes RGB; palettes are expanded to colour;
- 16-bit pixels are scaled by the number of bits in use: with 12, 4095 becomes 255. That number is
  one for a whole data set, so that brightness stays comparable between images;
- alpha is dropped, as by Pillow's ``convert("RGB")``;
- CMYK JPEG becomes RGB; an EXIF orientation is applied;
- of an animation the first frame counts;
- other pixels are scaled as `comptool.data.pixel_ranges` says.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from comptool.competition.samples import Samples
from comptool.data.pixel_ranges import Ranges, needs_range, ranged, ranges_of
from comptool.errors import InputError
from comptool.io.image_formats import TIFF, tiff_size
from comptool.io.image_readers import MEMBER, decode_content, parts_of, users_reader
from comptool.io.image_records import read_record
from comptool.limits import check_pixels

if TYPE_CHECKING:
    import pandas as pd

Pixels = npt.NDArray[np.uint8]
DeepPixels = npt.NDArray[np.uint8 | np.uint16 | np.float32]

# OpenCV's log would repeat our messages.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# The limit is ours, see `comptool.limits`; Pillow would warn and refuse at its own.
Image.MAX_IMAGE_PIXELS = None
OPENCV_PIXELS = 1 << 30

_READ = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
_TAIL = 64
_MEND = "Download it again"
_END_MARKERS = {b"\x89PNG": b"IEND\xaeB`\x82", b"\xff\xd8\xff": b"\xff\xd9"}
BIT_DEPTHS = (8, 10, 11, 12, 14, 16)  # those that sensors have
FULL_DEPTH = BIT_DEPTHS[-1]
GREY, COLOUR = 1, 3  # channels
AT_ONCE = 4  # channels


class ChipForm(NamedTuple):
    """Input form of a modality: size, channels, bits of 16-bit images, ranges of others."""

    height: int
    width: int
    channels: int
    bits: int = FULL_DEPTH
    ranges: Ranges | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self[:3]

    @property
    def num_bytes(self) -> int:
        """Bytes of one image."""
        return self.height * self.width * self.channels


def chip_forms(
    sizes: Mapping[str, Sequence[int]],
    channels: Mapping[str, int],
    bits: Mapping[str, int] | None,
    ranges: Mapping[str, Sequence[Sequence[float]]] | None,
    names: Iterable[str],
) -> list[ChipForm]:
    """The form of each named modality; bits default to all."""
    known = ranges_of(ranges or {})
    return [
        ChipForm(height, width, channels[name], (bits or {}).get(name, FULL_DEPTH), known.get(name))
        for name in names
        for height, width in [sizes[name]]
    ]


class ImagePart(NamedTuple):
    """A file, and the place of a record in it or ``""``."""

    path: Path
    member: str = ""

    @property
    def named(self) -> Path:
        """The part as messages name it."""
        return Path(f"{self.path}{MEMBER}{self.member}") if self.member else self.path


@dataclass(frozen=True)
class ImageSource:
    """Where the pixels of an image lie, and the reader of the user for them, if any."""

    parts: tuple[ImagePart, ...]
    reader: str = ""

    def __str__(self) -> str:
        return " and ".join(str(part.named) for part in self.parts)


def source_of(folder: Path, cell: str, reader: str = "") -> ImageSource:
    """The source of the image that a cell of a path column names."""
    parts = (ImagePart(folder / file, member) for file, member in parts_of(cell))
    return ImageSource(tuple(parts), reader)


def read_pixels(path: Path | ImageSource) -> DeepPixels:
    """Decode an image: uint8, uint16 or float32 of shape (H, W, C).

    C is 1 for grey and 3 for RGB. The format of a file is one of
    :data:`comptool.io.image_readers.READERS`, or JPEG 2000. Raises an InputError if a file is
    missing, empty, truncated or not an image.
    """
    source = path if isinstance(path, ImageSource) else ImageSource((ImagePart(path),))
    return pixels_of(read_contents(source), source)


def read_contents(source: ImageSource) -> list[bytes]:
    """The content of each part of an image."""
    return [read_content(part) for part in source.parts]


def pixels_of(contents: Sequence[bytes], source: ImageSource) -> DeepPixels:
    """Decode the contents of an image; see :func:`read_pixels`.

    If there are several parts, smaller ones are resized to the largest, and one in 8-bit colour
    becomes one channel, see `_single`.
    """
    decoded: list[DeepPixels] = [
        decode_content(content, part.named, part.path.suffix, source.reader)
        for content, part in zip(contents, source.parts, strict=True)
    ]
    if len(decoded) == 1:
        return decoded[0]
    largest = max(range(len(decoded)), key=lambda place: decoded[place].size)
    height, width = decoded[largest].shape[:2]
    for place, (part, pixels) in enumerate(zip(source.parts, decoded, strict=True)):
        high, wide = pixels.shape[:2]
        if abs(wide * height - width * high) > max(width, height):
            raise InputError(
                f"has {wide}x{high} pixels and {source.parts[largest].named} {width}x{height}; "
                "channels of one image have the same proportions",
                file=part.named,
            )
        decoded[place] = _resized(pixels, (height, width), cv2.INTER_LINEAR)
    same = len({pixels.dtype for pixels in decoded}) == 1
    channels = [
        _single(pixels, part) if pixels.dtype == np.uint8 and pixels.shape[2] == COLOUR else pixels
        for part, pixels in zip(source.parts, decoded, strict=True)
    ]
    return np.concatenate(channels, axis=2, dtype=None if same else np.float32)


NEAR, STRAYS = 16, 0.01  # levels, and share of pixels beyond them: colour of a JPEG is inexact


def _single(pixels: DeepPixels, part: ImagePart) -> DeepPixels:
    """The brightest channel of an image of one shade, such as grey or pure red; else InputError."""
    brightest: DeepPixels = pixels.max(axis=2, keepdims=True)
    # Of one shade, each channel is black or as bright as the brightest.
    strays = np.minimum(pixels, brightest - pixels) > NEAR
    if strays.any(axis=2).mean() <= STRAYS:
        return brightest
    red, green, blue = pixels.reshape(-1, COLOUR).mean(axis=0)
    raise InputError(
        f"is in colour (on average red {red:.0f}, green {green:.0f}, blue {blue:.0f}), and of "
        "several files of one image each has to be one channel",
        file=part.named,
        mend="Make it a modality of its own, or pick its channel by --reader FILE.py:function",
    )


def read_by_opencv(content: bytes, path: Path) -> DeepPixels:
    """Decode by OpenCV; see :func:`read_pixels`."""
    size = _size(content)
    check_pixels(path, *size)
    if math.prod(size) > OPENCV_PIXELS:
        raise InputError(
            f"this image has {size[1]}x{size[0]} pixels, and OpenCV decodes {OPENCV_PIXELS:,}",
            file=path,
            mend="Split it, or read it with a reader of your own: --reader FILE.py:function",
        )
    if _lacks_end(content) and not _complete(content):
        raise InputError("this image is truncated", file=path, mend=_MEND)
    pixels = _decode(content)
    if pixels is None:
        raise InputError("this image is damaged, or no image", file=path, mend=_MEND)
    if pixels.ndim == 2:
        return pixels[:, :, None]
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), pixels.dtype)


def _size(content: bytes) -> tuple[int, int]:
    """Height and width by the header; zeros if it is not found, where OpenCV's own limit holds."""
    if content.startswith(TIFF):
        return tiff_size(content)
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.height, image.width
    # Of Pillow on damaged files, OSError, SyntaxError, ValueError, struct.error and more.
    except Exception:
        return 0, 0


def to_bytes(pixels: DeepPixels, bits: int, ranges: Ranges | None = None) -> Pixels:
    """Pixels of any shape as uint8; uint8 pixels are unchanged.

    ``bits`` are those in use of 16-bit pixels, 8 to 16: ``2 ** bits - 1`` and all above becomes
    255, and it is rounded down. ``ranges`` are for the pixels of `needs_range`.

    Examples
    --------
    >>> to_bytes(np.array([0, 2048, 4095, 9000], np.uint16), 12).tolist()
    [0, 127, 255, 255]
    """
    if pixels.dtype == np.uint8:
        return pixels.view(np.uint8)
    if ranges is not None and needs_range(pixels):
        return ranged(pixels, ranges)
    scaled: Pixels = _byte_of(bits)[pixels]
    return scaled


@lru_cache
def _byte_of(bits: int) -> Pixels:
    values = np.arange(2**FULL_DEPTH, dtype=np.uint32) * 255 // (2**bits - 1)
    return np.asarray(np.minimum(values, 255), np.uint8)


def depth_of(brightest: int) -> int:
    """The smallest of `BIT_DEPTHS` that holds a value from 0 to 65535."""
    return next(bits for bits in BIT_DEPTHS if brightest < 2**bits)


def read_content(part: ImagePart) -> bytes:
    """The bytes of an image file, or of a record."""
    with naming(part.path):
        if part.member:
            return read_record(part.path, part.member)
        content = part.path.read_bytes()
    if not content:
        raise InputError("this image is empty (0 bytes)", file=part.path, mend=_MEND)
    return content


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Convert system errors in this block to an InputError that names the image file."""
    try:
        yield
    except IsADirectoryError as error:
        raise InputError("is a folder; an image is needed", file=path) from error
    except OSError as error:
        what = "there is no such image" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(str(what), file=path) from error


def _lacks_end(content: bytes) -> bool:
    markers = (end for start, end in _END_MARKERS.items() if content.startswith(start))
    return any(end not in content[-_TAIL:] for end in markers)


def _complete(content: bytes) -> bool:
    # Some writers put data after the end marker; only a full decoder can tell.
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    # See `_size`.
    except Exception:
        return False
    return True


def _decode(content: bytes) -> npt.NDArray[Any] | None:
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), _READ)
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(pixels)


def digest(pixels: DeepPixels) -> bytes:
    """16-byte digest of decoded pixels, independent of compression and metadata."""
    shape = repr(pixels.shape).encode()
    return hashlib.blake2b(pixels.tobytes(), digest_size=16, key=shape).digest()


def is_grey(image: DeepPixels) -> bool:
    """Whether all channels are equal, as of grey stored as colour."""
    return bool((image == image[:, :, :1]).all())


def is_blank(image: DeepPixels) -> bool:
    """Whether every pixel is zero."""
    return not image.any()


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize ``image`` to ``size`` without keeping its aspect ratio.

    By area averaging, which does not alias, if both sides shrink; else linear.
    """
    height, width = size
    if image.shape[:2] == size:
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    return _resized(image, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _resized(image: npt.NDArray[Any], size: tuple[int, int], method: int) -> npt.NDArray[Any]:
    height, width = size
    channels = image.shape[2]
    if image.shape[:2] == size:
        return image
    if channels <= AT_ONCE:
        resized = cv2.resize(image, (width, height), interpolation=method)
        return np.asarray(resized, image.dtype).reshape(height, width, channels)
    # OpenCV averages areas of four channels at most.
    starts = range(0, channels, AT_ONCE)
    groups = (np.ascontiguousarray(image[:, :, start : start + AT_ONCE]) for start in starts)
    return np.concatenate([_resized(group, size, method) for group in groups], axis=2)


def to_channels(image: Pixels, channels: int) -> Pixels:
    """Repeat grey, or convert colour to luminance (ITU-R BT.601); others cannot be changed."""
    held = image.shape[2]
    if held == channels:
        return image
    if held == GREY:
        return np.repeat(image, channels, axis=2)
    if (held, channels) != (COLOUR, GREY):
        raise ValueError(f"an image of {held} channels cannot have {channels}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)[:, :, None]


def to_chip(pixels: DeepPixels, form: ChipForm, source: object) -> Pixels:
    """Pixels in the input form of a network, (height, width, channels).

    Raises an InputError that names the ``source`` if the network was trained on images of other
    channels or without a range for floating-point pixels.
    """
    if pixels.dtype == np.float32 and form.ranges is None:
        raise InputError(
            "this image has floating-point pixels, for which the run has no range: the images that "
            "it looked at have 8 or 16 bits",
            file=str(source),
        )
    held = pixels.shape[2]
    if held not in (GREY, form.channels) and (held, form.channels) != (COLOUR, GREY):
        raise InputError(
            f"this image has {held} channels, and the network takes {form.channels}",
            file=str(source),
        )
    scaled = to_bytes(pixels, form.bits, form.ranges)
    return to_channels(resize(scaled, (form.height, form.width)), form.channels)


_ZERO = "Allow it with --missing-modality zero"
_DROP = "Leave such rows out with --missing-modality drop"
_EITHER = "Allow it with --missing-modality zero, or leave such rows out with drop"
NONE_THERE = (
    "Paths are relative to the data folder, and in a table without a record (X.meta.json) to the "
    "folder it stands in"
)


def find_missing(samples: Samples) -> npt.NDArray[np.bool_]:
    """Mask of missing images, (N, M): a blank path, or a path without a file."""
    columns = [samples.frame[column] for column in samples.paths.values()]
    return np.stack([_not_there(samples.folder, column) for column in columns], axis=1)


def _not_there(root: Path, cells: pd.Series[str]) -> npt.NDArray[np.bool_]:
    # One listing per folder, compared by the hashes of names. An image missed by a collision is
    # reported when it is read.
    folders: dict[str, int] = {}
    parts = [(row, file) for row, cell in enumerate(cells) for file, _ in parts_of(cell)]
    numbers, names = np.empty(len(parts), np.int32), np.empty(len(parts), np.int64)
    for place, (_, file) in enumerate(parts):
        folder, name = os.path.split(file)
        numbers[place], names[place] = folders.setdefault(folder, len(folders)), hash(name)
    missing = np.array(cells == "")
    rows = np.fromiter((row for row, _ in parts), np.int64, len(parts))
    by_folder = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[by_folder], np.arange(1, len(folders)))
    for folder, here in zip(folders, np.split(by_folder, starts), strict=True):
        absent = ~np.isin(names[here], _listing(os.path.join(root, folder)))
        missing[rows[here[absent]]] = True
    return missing


def _listing(folder: str) -> npt.NDArray[np.int64]:
    try:
        with os.scandir(folder) as entries:
            return np.fromiter((hash(entry.name) for entry in entries), np.int64)
    except OSError:
        return np.empty(0, np.int64)


def spread(count: int, most: int) -> npt.NDArray[np.int64]:
    """Up to ``most`` evenly spaced row numbers from 0 to ``count - 1``, ends included."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def drop_missing(samples: Samples) -> tuple[Samples, int]:
    """The samples with all images, and the number left out; an InputError if none is left."""
    whole = ~find_missing(samples).any(axis=1)
    if not whole.any():
        raise InputError("no row has all of its images", file=samples.source)
    kept = samples.frame.take(np.flatnonzero(whole).tolist()).reset_index(drop=True)
    return replace(samples, frame=kept), int((~whole).sum())


class ImageFiles:
    """The image files of N samples.

    ``missing`` is ``"error"``, or ``"zero"`` for a black image in place of a missing one;
    ``may_drop``: whether the message may suggest dropping the row. Raises an InputError that names
    the sample and the file if an image is missing and that is an error; with ``"zero"``, if a
    sample has no image at all.
    """

    def __init__(self, samples: Samples, missing: str = "error", *, may_drop: bool = False) -> None:
        self._folder = samples.folder
        if samples.reader:
            users_reader(samples.reader)  # its errors come before any image
        self.reader = samples.reader
        # Fixed-width bytes: reference counts would copy Python strings into each worker.
        self._cells = [_encoded(samples.frame[column]) for column in samples.paths.values()]
        self._missing = find_missing(samples)
        if missing == "error":
            _refuse_missing(samples, self._missing, may_drop)
        elif missing == "zero":
            _refuse_empty(samples, self._missing, may_drop)
        else:
            raise ValueError(f"missing is 'error' or 'zero', not {missing!r}")

    def __len__(self) -> int:
        return len(self._missing)

    def source(self, row: int, modality: int) -> ImageSource:
        """Where an image lies."""
        cell = os.fsdecode(self._cells[modality][row])
        return source_of(self._folder, cell, self.reader)

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Mask of missing images, (N, M)."""
        return self._missing

    def is_missing(self, row: int, modality: int) -> bool:
        """Whether an image is missing."""
        return bool(self._missing[row, modality])

    def read(self, row: int, modality: int) -> DeepPixels | None:
        """The pixels of an image, or None if it is missing and may be."""
        return None if self.is_missing(row, modality) else read_pixels(self.source(row, modality))


def _encoded(cells: pd.Series[str]) -> npt.NDArray[np.bytes_]:
    width = max((len(os.fsencode(cell)) for cell in cells), default=0)
    return np.fromiter(map(os.fsencode, cells), np.dtype(f"S{max(1, width)}"), len(cells))


def _refuse_missing(samples: Samples, missing: npt.NDArray[np.bool_], may_drop: bool) -> None:
    rows, modalities = np.nonzero(missing)
    if not rows.size:
        return
    row, name = int(rows[0]), list(samples.paths)[modalities[0]]
    column = samples.paths[name]
    identity, cell = samples.frame[samples.id].iloc[row], samples.frame[column].iloc[row]
    more = f" ({rows.size} images are missing in all)" if rows.size > 1 else ""
    found = f"; there is no {_absent(samples.folder, cell)}" if cell else "; its path is blank"
    mend: str | None = _DROP if may_drop else None
    if missing.shape[1] > 1:
        mend = _EITHER if may_drop else _ZERO
    if missing.all():
        mend = f"No image is there at all. {NONE_THERE}"
    raise InputError(
        f"sample '{identity}' has no {name} image{found}{more}",
        file=samples.source,
        column=column,
        mend=mend,
    )


def _absent(folder: Path, cell: str) -> Path:
    """The first file of an image that is missing."""
    files = [folder / file for file, _ in parts_of(cell)]
    return next((file for file in files if not file.exists()), files[0])


def _refuse_empty(samples: Samples, missing: npt.NDArray[np.bool_], may_drop: bool) -> None:
    empty = np.flatnonzero(missing.all(axis=1))
    if empty.size:
        raise InputError(
            "a sample has no image at all",
            file=samples.source,
            values=samples.frame[samples.id].iloc[empty].tolist(),
            mend=_DROP if may_drop else None,
        )
