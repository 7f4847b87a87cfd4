"""The image formats that are read, in a table that imports no decoder.

``reader(content, path)`` decodes the bytes of a file (the path is for messages) into uint8 or
uint16 of shape (H, W, C), C being 1 for grey and 3 for RGB, or raises an InputError. To add a
format: its function, and its entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from comptool.registry import Entry, Registry


@dataclass(frozen=True)
class Reader(Entry):
    """A row of the table of image readers; ``suffixes`` are lower case with the dot."""

    suffixes: tuple[str, ...] = ()


READERS: Registry[Reader] = Registry(
    "image reader",
    Reader(
        "opencv",
        "comptool.data.image_io:read_by_opencv",
        "PNG, JPEG, TIFF, BMP, WebP and GIF, with 8 or 16 bits per channel.",
        "cv2.imdecode",
        suffixes=(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif"),
    ),
)
# Detects the format by content.
USUAL = "opencv"


def reader_of(suffix: str) -> Reader:
    """The reader for a suffix in upper or lower case; OpenCV for an unknown one."""
    fitting = (reader for reader in READERS if suffix.lower() in reader.suffixes)
    return next(fitting, READERS.find(USUAL))


@lru_cache
def load_reader(suffix: str) -> Callable[..., Any]:
    """Import the function that reads files with that suffix."""
    read: Callable[..., Any] = reader_of(suffix).load()
    return read
