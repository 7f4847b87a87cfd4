"""Every image of a table decoded once, several at a time; what is kept of one is small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from comptool.data.files import NONE_THERE, find_missing
from comptool.data.images import DeepPixels, digest, read_pixels
from comptool.errors import InputError
from comptool.inspection.perceptual import (
    COMPARED,
    Direction,
    direction,
    perceptual_hash,
    spectrum,
)
from comptool.machine import threads
from comptool.samples import Samples

AT_ONCE = 4096  # images; between two lots only what is kept of them is in memory
MISSING = "missing"


class Look(NamedTuple):
    """What is kept of an image.

    ``problem`` says why it could not be read, and is blank where it could. ``size`` is width x
    height in pixels; ``constant`` is the one value of all pixels, or blank.
    """

    problem: str = ""
    size: str = ""
    mode: str = ""
    brightest: int = 0
    constant: str = ""
    digest: bytes = b""
    hash: int = 0


@dataclass(frozen=True)
class Images:
    """The images of tables, in an order that does not depend on that of their rows.

    Parameters
    ----------
    frame
        One row per image: ``table``, ``id``, ``column``, ``row`` of its table, and the fields of
        `Look`.
    directions
        int16 of shape (N, 256), see `comptool.inspection.perceptual.direction`; zero where an
        image could not be read or is constant.
    """

    frame: pd.DataFrame
    directions: Direction

    @property
    def comparable(self) -> npt.NDArray[np.intp]:
        """Images that could be read and show something."""
        shows = (self.frame["problem"] == "") & (self.frame["constant"] == "")
        return np.flatnonzero(shows.to_numpy())


def look_at(path: Path) -> tuple[Look, Direction | None]:
    """What is to be kept of an image, and its direction if it can be read and shows something."""
    try:
        pixels = read_pixels(path)
    except InputError as error:
        return Look(error.what), None
    height, width = pixels.shape[:2]
    constant = bool((pixels == pixels[0, 0]).all())
    look = Look(
        size=f"{width}x{height}",
        mode=_mode(pixels),
        brightest=int(pixels.max()),
        constant=" ".join(map(str, pixels[0, 0].tolist())) if constant else "",
        digest=digest(pixels),
    )
    if constant:
        return look, None
    frequencies = spectrum(pixels)
    return look._replace(hash=perceptual_hash(frequencies)), direction(frequencies)


def _mode(pixels: DeepPixels) -> str:
    bits = 8 * pixels.dtype.itemsize
    if pixels.shape[2] == 1:
        return f"grey, {bits} bits"
    grey = bool((pixels == pixels[:, :, :1]).all())
    return f"{'grey in three channels' if grey else 'colour'}, {bits} bits"


def look_at_all(tables: dict[str, Samples], workers: int | None, quiet: bool) -> Images:
    """Look at every image of some tables.

    Parameters
    ----------
    tables
        Samples by the name of their table.
    workers
        Threads that decode; None leaves it to `concurrent.futures`.
    quiet
        Whether the progress bar is left out; it is where stderr is no terminal, too.

    Raises
    ------
    InputError
        If no image of a table is there.
    """
    places = pd.concat([_places(name, samples) for name, samples in tables.items()])
    places = places.sort_values(["rank", "id", "column"], ignore_index=True)
    there = places.index[~places[MISSING]]
    directions = np.zeros((len(places), COMPARED**2), np.int16)
    looks = [Look(MISSING)] * len(places)
    paths = places["path"].iloc[there].tolist()
    for place, (look, found) in zip(there, _looks(paths, workers, quiet), strict=True):
        looks[place] = look
        if found is not None:
            directions[place] = found
    seen = pd.DataFrame(looks, columns=list(Look._fields)).astype({"hash": np.uint64})
    return Images(places[["table", "id", "column", "row"]].join(seen), directions)


def _places(name: str, samples: Samples) -> pd.DataFrame:
    missing = find_missing(samples)
    if missing.all():
        column = next(iter(samples.paths.values()))
        values = samples.frame[column].tolist()
        what = "none of its images is there"
        raise InputError(what, file=samples.source, column=column, values=values, mend=NONE_THERE)
    parts = [
        pd.DataFrame(
            {
                # Where a sample is in both tables, the copy is the one in the test table.
                "rank": name != "train",
                "table": name,
                "id": samples.frame[samples.id],
                "column": column,
                "row": np.arange(len(samples)),
                "path": [samples.folder / cell for cell in samples.frame[column]],
                MISSING: missing[:, number],
            }
        )
        for number, column in enumerate(samples.paths.values())
    ]
    return pd.concat(parts)


def _looks(
    paths: Sequence[Path], workers: int | None, quiet: bool
) -> Iterator[tuple[Look, Direction | None]]:
    bar = tqdm(total=len(paths), unit="img", leave=False, disable=True if quiet else None)
    # Threads, for nearly all of the work is done outside of Python, without its lock.
    with threads(workers) as pool, bar:
        for begin in range(0, len(paths), AT_ONCE):
            for found in pool.map(look_at, paths[begin : begin + AT_ONCE]):
                yield found
                bar.update()
