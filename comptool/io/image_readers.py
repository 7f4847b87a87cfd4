"""The image formats that are read, in a table that imports no decoder.

``reader(content, path)`` decodes the bytes of a file (the path is for messages) into numbers of
shape (H, W) or (H, W, C), or with ``any_axes`` (C, H, W), or raises an InputError; `as_image` makes
one form of them. To add a format: its function, and its entry here.

A reader of the user, ``FILE.py:function``, reads all image files instead, or those of its attribute
``suffixes``. Its channels are the last axis.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool.errors import ComptoolError, InputError
from comptool.registry import Entry, Registry, is_user_object, load_user_object, users_code

# uint8, uint16 or float32, of shape (H, W, C).
Decoded = npt.NDArray[Any]


@dataclass(frozen=True)
class Reader(Entry):
    """A row of the table of image readers.

    ``suffixes`` are lower case with the dot; ``records`` those of files whose records hold images;
    files of another suffix are recognised by ``magic``, the bytes at an offset.
    """

    suffixes: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    magic: tuple[int, bytes] | None = None
    any_axes: bool = False  # the channels may be the first axis


READERS: Registry[Reader] = Registry(
    "image reader",
    Reader(
        "opencv",
        "comptool.data.image_io:read_by_opencv",
        "PNG, JPEG, BMP, WebP and GIF, with 8 or 16 bits per channel.",
        "cv2.imdecode",
        suffixes=(".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"),
    ),
    Reader(
        "tiff",
        "comptool.io.image_formats:read_tiff",
        "TIFF of any number of bands or of pages as bands; more than OpenCV reads by tifffile.",
        "cv2.imdecode, tifffile",
        suffixes=(".tif", ".tiff"),
    ),
    Reader(
        "numpy",
        "comptool.io.image_formats:read_numpy",
        "Arrays of numpy, .npy or .npz with one image.",
        "numpy.lib.format",
        suffixes=(".npy", ".npz"),
        magic=(0, b"\x93NUMPY"),
        any_axes=True,
    ),
    Reader(
        "dicom",
        "comptool.io.image_formats:read_dicom",
        "DICOM: window, rescale, MONOCHROME1 inverted, the middle one of several frames.",
        "pydicom; DICOM PS3.3 C.7.6.3, C.11.1 and C.11.2",
        suffixes=(".dcm", ".dicom"),
        magic=(128, b"DICM"),
    ),
    Reader(
        "json",
        "comptool.io.image_records:read_json",
        "Arrays of numbers in the records of a JSON file.",
        "json",
        records=(".json", ".jsonl"),
        any_axes=True,
    ),
    Reader(
        "bson",
        "comptool.io.image_records:read_bson",
        "Images in the records of a BSON file, each encoded as a file of its own.",
        "bson of pymongo",
        records=(".bson",),
    ),
)
# Detects the format by content.
USUAL = "opencv"
# In a cell of a path column: between the files of one image, and before the place of a record.
CHANNELS, MEMBER = "|", "#"
IMAGE_SUFFIXES = frozenset(suffix for reader in READERS for suffix in reader.suffixes)
RECORD_SUFFIXES = frozenset(suffix for reader in READERS for suffix in reader.records)


def reader_of(suffix: str, content: bytes = b"") -> Reader:
    """The reader for a suffix in upper or lower case; for another one by the content, or OpenCV."""
    suffix = suffix.lower()
    for reader in READERS:
        if suffix in reader.suffixes or suffix in reader.records:
            return reader
    marked = (reader for reader in READERS if _is_marked(reader, content))
    return next(marked, READERS.find(USUAL))


def _is_marked(reader: Reader, content: bytes) -> bool:
    if reader.magic is None:
        return False
    start, marker = reader.magic
    return content[start : start + len(marker)] == marker


@lru_cache
def _function(name: str) -> Callable[..., Any]:
    read: Callable[..., Any] = READERS.load(name)
    return read


def parts_of(cell: str) -> list[tuple[str, str]]:
    """The files that a cell of a path column names, and the place of a record in each or ``""``.

    >>> parts_of("a/red.png|a/green.png"), parts_of("a.bson#0+2711/imgs")
    ([('a/red.png', ''), ('a/green.png', '')], [('a.bson', '0+2711/imgs')])
    """
    found = []
    for part in cell.split(CHANNELS):
        file, mark, member = part.partition(MEMBER)
        is_record = mark and os.path.splitext(file)[1].lower() in RECORD_SUFFIXES
        found.append((file, member) if is_record else (part, ""))
    return found


def users_reader(spec: str) -> tuple[Callable[..., Any], frozenset[str]]:
    """The function of a reader that is asked for, and its suffixes, empty for all files.

    ``spec`` is ``FILE.py:function``, or the name of a reader of the table or of a plugin.

    Raises
    ------
    UsageError
        If there is no reader of that name, or the file has no such function.
    InputError
        If the file does not exist or cannot be imported.
    """
    return _users(spec, os.getcwd())


@lru_cache
def _users(spec: str, folder: str) -> tuple[Callable[..., Any], frozenset[str]]:
    users = is_user_object(spec)
    read: Callable[..., Any] = load_user_object(spec, "reader") if users else READERS.load(spec)
    own = getattr(read, "suffixes", ())
    return read, frozenset(suffix.lower() for suffix in ((own,) if isinstance(own, str) else own))


def suffixes_of(spec: str) -> frozenset[str]:
    """Suffixes of image files: those of the table, and those of a reader of the user, if any."""
    return IMAGE_SUFFIXES | users_reader(spec)[1] if spec else IMAGE_SUFFIXES


def decode_content(content: bytes, path: Path, suffix: str, spec: str = "") -> Decoded:
    """Decode the content of an image file or of a record.

    Parameters
    ----------
    content
        Bytes of the file or record.
    path
        For messages.
    suffix
        Of the file, which chooses the reader.
    spec
        Reader of the user, ``FILE.py:function``; "" for none.

    Returns
    -------
    numpy.ndarray
        uint8, uint16 or float32 of shape (H, W, C), see `as_image`.

    Raises
    ------
    InputError
        If the reader fails or returns no image; names the file and the reader.
    UserFunctionError
        If a reader of the user calls ``sys.exit``.
    """
    name, read, any_axes = _chosen(content, suffix, spec)
    try:
        with users_code(name) if name == spec else nullcontext():
            found = read(content, path)
    except ComptoolError:
        raise
    except Exception as error:
        # Decoders and functions of the user raise errors of any type.
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the reader '{name}' fails on this image ({type(error).__name__}: {reason})", file=path
        ) from error
    return as_image(found, path, name, any_axes=any_axes)


def _chosen(content: bytes, suffix: str, spec: str) -> tuple[str, Callable[..., Any], bool]:
    if spec and suffix.lower() not in RECORD_SUFFIXES:
        read, own = users_reader(spec)
        if not own or suffix.lower() in own:
            return spec, read, spec in READERS and READERS.find(spec).any_axes
    reader = reader_of(suffix, content)
    return reader.name, _function(reader.name), reader.any_axes


def as_image(found: object, path: Path, reader: str, *, any_axes: bool = True) -> Decoded:
    """What a reader returned, as uint8, uint16 or float32 of shape (H, W, C).

    Two axes are a grey image. Of three, the channels are the last axis, or with ``any_axes`` the
    first one if that fits better: if the other two are equal, or else if it is shorter than the
    last. Boolean pixels become 0 and 255; numbers of other types become float32, as their range is
    unknown.

    Raises
    ------
    InputError
        If it is not an array of numbers with two or three axes, or is empty.

    Examples
    --------
    >>> as_image(np.zeros((6, 273, 256), np.float16), Path("a.npy"), "numpy").shape
    (273, 256, 6)
    """
    pixels = np.ma.filled(found, 0) if isinstance(found, np.ma.MaskedArray) else found
    if not isinstance(pixels, np.ndarray):
        raise InputError(
            f"the reader '{reader}' returns a {type(found).__name__} for this image, and no array",
            file=path,
        )
    if pixels.dtype.kind not in "buif":
        raise InputError(
            f"the reader '{reader}' finds no numbers in this image, but {pixels.dtype}", file=path
        )
    if pixels.ndim == 4 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise InputError(
            f"the reader '{reader}' finds an array of shape {pixels.shape} in this image; two axes "
            "are needed, or three with the channels",
            file=path,
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    elif any_axes and _channels_first(pixels.shape):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        pixels = pixels.astype(np.float32)
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))


def _channels_first(shape: tuple[int, ...]) -> bool:
    first, middle, last = shape
    if first == middle or middle == last:
        return first != middle
    return first < last
