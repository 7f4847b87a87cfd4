"""Arrays of ``.npy`` files: their header is checked before memory is taken for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

HEADERS: dict[tuple[int, int], Callable[[Any], Any]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array that begins here; a ValueError if its header is damaged."""
    version = npy.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f"its version {version[0]}.{version[1]} is unknown")
    try:
        shape, _, dtype = HEADERS[version](stream)
    # Of Python's parser: SyntaxError, RecursionError, MemoryError, TokenError and more.
    except Exception as error:
        raise ValueError(" ".join(str(error).split()) or "its header is damaged") from error
    if any(length < 0 for length in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, dtype


def read_npy(stream: IO[bytes], size: int) -> npt.NDArray[Any]:
    """The array that begins here in a file of ``size`` bytes, never unpickled.

    Raises a ValueError if it is damaged, or longer than the file.
    """
    start = stream.tell()
    shape, dtype = npy_header(stream)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    needed, left = math.prod(shape) * max(dtype.itemsize, 1), size - stream.tell()
    if needed > left:
        raise ValueError(f"an array of shape {shape} takes {needed} bytes and {left} are there")
    stream.seek(start)
    try:
        return np.asarray(npy.read_array(stream, allow_pickle=False))
    except (OverflowError, TypeError) as error:
        raise ValueError(str(error)) from error
