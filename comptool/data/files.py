"""Where the images of samples are, and what is done about those that are not there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from comptool.data.images import DeepPixels, read_pixels
from comptool.errors import InputError
from comptool.samples import Samples

if TYPE_CHECKING:
    import pandas as pd

_ZERO = "Allow it with --missing-modality zero"
_DROP = "Leave such rows out with --missing-modality drop"
_EITHER = "Allow it with --missing-modality zero, or leave such rows out with drop"
NONE_THERE = (
    "Paths are relative to the data folder, and in a table without a record (X.meta.json) to the "
    "folder it stands in"
)


def find_missing(samples: Samples) -> npt.NDArray[np.bool_]:
    """Which images are not there, bool of shape (N, M): a blank path, or a path without a file."""
    columns = [samples.frame[column] for column in samples.paths.values()]
    return np.stack([_not_there(samples.folder, column) for column in columns], axis=1)


def _not_there(root: Path, cells: pd.Series[str]) -> npt.NDArray[np.bool_]:
    # One listing per folder: a table has many rows and few folders. Of names, their hashes are
    # compared: tables are long, and an image that is missed nonetheless is told when it is read.
    folders: dict[str, int] = {}
    numbers, names = np.empty(len(cells), np.int32), np.empty(len(cells), np.int64)
    for row, cell in enumerate(cells):
        folder, name = os.path.split(cell)
        numbers[row], names[row] = folders.setdefault(folder, len(folders)), hash(name)
    missing = np.array(cells == "")
    by_folder = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[by_folder], np.arange(1, len(folders)))
    for folder, rows in zip(folders, np.split(by_folder, starts), strict=True):
        missing[rows] |= ~np.isin(names[rows], _listing(os.path.join(root, folder)))
    return missing


def _listing(folder: str) -> npt.NDArray[np.int64]:
    try:
        with os.scandir(folder) as entries:
            return np.fromiter((hash(entry.name) for entry in entries), np.int64)
    except OSError:
        return np.empty(0, np.int64)


def spread(count: int, most: int) -> npt.NDArray[np.int64]:
    """Up to ``most`` of the row numbers from 0 to ``count - 1``, evenly spread, ends included."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def drop_missing(samples: Samples) -> tuple[Samples, int]:
    """The samples of which every image is there, and how many were left out.

    Raises
    ------
    InputError
        If none is left.
    """
    whole = ~find_missing(samples).any(axis=1)
    if not whole.any():
        raise InputError("no row has all of its images", file=samples.source)
    kept = samples.frame.take(np.flatnonzero(whole).tolist()).reset_index(drop=True)
    return replace(samples, frame=kept), int((~whole).sum())


class ImageFiles:
    """The image files of N samples.

    Parameters
    ----------
    samples
        Where the images are.
    missing
        What a missing image is: ``"error"``, or ``"zero"`` for a black chip.
    may_drop
        Whether a row may be left out instead, so that a message says how.

    Raises
    ------
    InputError
        If an image is missing and that is an error; names the sample and the file. With
        ``"zero"``, if a sample has no image at all.
    """

    def __init__(self, samples: Samples, missing: str = "error", *, may_drop: bool = False) -> None:
        self._folder = samples.folder
        # Fixed-width bytes: Python strings would be copied into each worker as they are counted.
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

    def path(self, row: int, modality: int) -> Path:
        """Where an image is."""
        return self._folder / os.fsdecode(self._cells[modality][row])

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Which images are not there, (N, M)."""
        return self._missing

    def is_missing(self, row: int, modality: int) -> bool:
        """Whether an image is not there."""
        return bool(self._missing[row, modality])

    def read(self, row: int, modality: int) -> DeepPixels | None:
        """The pixels of an image as they are, or None where it is missing and may be."""
        return None if self.is_missing(row, modality) else read_pixels(self.path(row, modality))


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
    found = f"; there is no {samples.folder / cell}" if cell else "; its path is blank"
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


def _refuse_empty(samples: Samples, missing: npt.NDArray[np.bool_], may_drop: bool) -> None:
    empty = np.flatnonzero(missing.all(axis=1))
    if empty.size:
        raise InputError(
            "a sample has no image at all",
            file=samples.source,
            values=samples.frame[samples.id].iloc[empty].tolist(),
            mend=_DROP if may_drop else None,
        )
