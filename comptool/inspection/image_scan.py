"""One pass over the images: digests, perceptual hashes, sizes and statistics.

What two copies of a picture share although their pixels differ.

The hash is the DCT hash that is known as pHash (Zauner 2010, "Implementation and Benchmarking of
Perceptual Image Hash Functions", section 3.2.1): the picture at 32 x 32, grey, its cosine
transform, and for each of the 64 lowest frequencies whether it is above their median. Copies differ
in few of the bits; so do many pictures of one kind, chips of a radar among them. A pair whose
hashes are near is therefore looked at again by the angle between the 255 lowest frequencies,
without the mean.

Neither notices a change of size, of brightness or contrast, or the losses of a JPEG. Both are of
little use for a picture that shows next to nothing, such as open sea: what its copies share is
smaller than the rounding of the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from comptool.competition.samples import Samples
from comptool.data.image_io import NONE_THERE, DeepPixels, digest, find_missing, read_pixels
from comptool.errors import InputError
from comptool.machine import threads

SIDE, HASHED, COMPARED = 32, 8, 16  # pixels; frequencies in each direction
ONE = 2**15 - 1  # int16 takes the room of float16, and becomes float32 ten times as fast
Floats = npt.NDArray[np.floating]
Direction = npt.NDArray[np.int16]


def spectrum(pixels: DeepPixels) -> Floats:
    """The lowest frequencies of a picture, float32 of shape (16, 16).

    Parameters
    ----------
    pixels
        uint8 or uint16 of shape (H, W, C); the scale of the values does not matter.
    """
    image = pixels.astype(np.float32)
    if image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dct(small)[:COMPARED, :COMPARED], np.float32)


def perceptual_hash(frequencies: Floats) -> int:
    """64 bits: which of the 8 x 8 lowest frequencies are above their median.

    Parameters
    ----------
    frequencies
        From `spectrum`.
    """
    low = frequencies[:HASHED, :HASHED].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def direction(frequencies: Floats) -> Direction:
    """The frequencies but for the mean at length `ONE`, int16 of shape (256,).

    The product of two of them over `ONE` squared is the correlation of the pictures at low
    resolution, -1 to 1.
    """
    flat = frequencies.ravel().copy()
    flat[0] = 0
    return np.asarray(np.rint(flat * (ONE / max(float(np.linalg.norm(flat)), 1e-9))), np.int16)


AT_ONCE = 4096  # images; between two lots only what is kept of them is in memory
MISSING = "missing"


class ImageScan(NamedTuple):
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
        int16 of shape (N, 256), see `comptool.inspection.image_scan.direction`; zero where an
        image could not be read or is constant.
    """

    frame: pd.DataFrame
    directions: Direction

    @property
    def comparable(self) -> npt.NDArray[np.intp]:
        """Images that could be read and show something."""
        shows = (self.frame["problem"] == "") & (self.frame["constant"] == "")
        return np.flatnonzero(shows.to_numpy())


def look_at(path: Path) -> tuple[ImageScan, Direction | None]:
    """What is to be kept of an image, and its direction if it can be read and shows something."""
    try:
        pixels = read_pixels(path)
    except InputError as error:
        return ImageScan(error.what), None
    height, width = pixels.shape[:2]
    constant = bool((pixels == pixels[0, 0]).all())
    look = ImageScan(
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
    looks = [ImageScan(MISSING)] * len(places)
    paths = places["path"].iloc[there].tolist()
    for place, (look, found) in zip(there, _looks(paths, workers, quiet), strict=True):
        looks[place] = look
        if found is not None:
            directions[place] = found
    seen = pd.DataFrame(looks, columns=list(ImageScan._fields)).astype({"hash": np.uint64})
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
) -> Iterator[tuple[ImageScan, Direction | None]]:
    bar = tqdm(total=len(paths), unit="img", leave=False, disable=True if quiet else None)
    # Threads, for nearly all of the work is done outside of Python, without its lock.
    with threads(workers) as pool, bar:
        for begin in range(0, len(paths), AT_ONCE):
            for found in pool.map(look_at, paths[begin : begin + AT_ONCE]):
                yield found
                bar.update()
