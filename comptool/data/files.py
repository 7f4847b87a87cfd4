"""Where the images of samples are, and what is done about those that are not there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from comptool.data.images import DeepPixels, read_pixels
from comptool.errors import InputError
from comptool.samples import Samples

_ZERO = "Allow it with --missing-modality zero"
_DROP = "Leave such rows out with --missing-modality drop"
_EITHER = "Allow it with --missing-modality zero, or leave such rows out with drop"
NONE_THERE = (
    "Paths are relative to the data folder, and in a table without a record (X.meta.json) to the "
    "folder it stands in"
)


def find_missing(samples: Samples) -> npt.NDArray[np.bool_]:
    """Which images are not there, bool of shape (N, M): a blank path, or a path without a file."""
    columns = [samples.frame[column].tolist() for column in samples.paths.values()]
    # One listing per folder: a table has many rows and few folders.
    listings: dict[str, frozenset[str]] = {}
    missing = np.empty((len(samples), len(columns)), np.bool_)
    for modality, cells in enumerate(columns):
        for row, cell in enumerate(cells):
            folder, name = os.path.split(os.path.join(samples.folder, cell))
            if folder not in listings:
                listings[folder] = _listing(folder)
            missing[row, modality] = not cell or name not in listings[folder]
    return missing


def _listing(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


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
        # Fixed-width text: Python strings would be copied into each worker as they are counted.
        self._cells = [
            np.array(samples.frame[column].tolist(), dtype=np.str_)
            for column in samples.paths.values()
        ]
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
        return self._folder / str(self._cells[modality][row])

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
