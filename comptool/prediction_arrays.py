"""Predictions as numpy arrays in one ``.npy`` file, one after the other.

``np.load(path)`` gives the first of them, the probabilities, as of any ``.npy`` file. What says
whose they are stands behind it in the same file, so that nobody moves or replaces one without the
other. numpy reads it by ``np.load`` of the open file, again and again; see its help of ``np.save``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError  # what numpy lets through of a damaged header
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from comptool.errors import InputError
from comptool.tables import check_header

NPY = ".npy"
MEND = "Bring them as .csv or .parquet: id, and one column per class"


class Arrays(NamedTuple):
    """The arrays of a file of N predictions of K classes, in their order.

    Parameters
    ----------
    probabilities
        Floats of shape (N, K).
    columns
        Name of the id column and of the K classes, text of shape (K + 1,).
    ids
        Text of shape (N,).
    fold
        Whole numbers of shape (N,), or (0,) for none.
    pred
        Decided class names, text of shape (N,), or (0,) for none.
    """

    probabilities: npt.NDArray[np.floating]
    columns: npt.NDArray[np.str_]
    ids: npt.NDArray[np.str_]
    fold: npt.NDArray[np.integer]
    pred: npt.NDArray[np.str_]


def fixed_width(path: Path, texts: Iterable[str]) -> npt.NDArray[np.str_]:
    """Text as numpy keeps it without pickle; ``path`` is where it is to go.

    Raises
    ------
    InputError
        If a text ends in NUL, with which numpy fills up.
    """
    found = list(texts)
    lost = [text for text in found if text.endswith("\0")]
    if lost:
        raise InputError("numpy would lose the NUL at the end of a text", file=path, values=lost)
    return np.array(found, dtype=np.str_)


def save(path: Path, arrays: Arrays) -> None:
    """Write the arrays one after the other."""
    with path.open("wb") as stream:
        for array in map(np.ascontiguousarray, arrays):
            npy.write_array_header_1_0(stream, npy.header_data_from_array_1_0(array))
            # Not array.tofile, which does not tell a full disk from any other failure.
            stream.write(array.data)


def load(path: Path) -> Arrays:
    """The arrays of a file that `save` has written.

    Raises
    ------
    InputError
        If it cannot be read, lacks ids and classes, or its arrays do not fit one another.
    """
    arrays = []
    try:
        with path.open("rb") as stream:
            for _ in Arrays._fields:
                arrays.append(npy.read_array(stream, allow_pickle=False))
                if not stream.peek(1) and len(arrays) == 1:
                    what = "says neither of which images nor of which classes its numbers are"
                    raise InputError(what, file=path, mend=MEND)
            if stream.read(1):
                raise ValueError("there is more in it than their arrays")
    except (ValueError, OSError, MemoryError, TokenError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"is no .npy file of predictions ({reason})", file=path) from error
    found = Arrays(*arrays)
    _check(path, found)
    return found


def _check(path: Path, found: Arrays) -> None:
    kinds = "".join(array.dtype.kind for array in found)
    num_rows, num_classes = found.probabilities.shape if found.probabilities.ndim == 2 else (0, -1)
    shapes = [array.shape for array in found[1:]]
    wanted = [(num_classes + 1,), (num_rows,)]
    optional = all(shape in ((0,), (num_rows,)) for shape in shapes[2:])
    if kinds not in ("fUUiU", "fUUuU") or shapes[:2] != wanted or not optional:
        shown = [f"{array.dtype} {array.shape}" for array in found]
        raise InputError("its arrays are not those of predictions", file=path, values=shown)
    check_header(path, found.columns.tolist(), ())
