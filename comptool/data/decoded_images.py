"""The images of one modality: which files they are, and where each is once it is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from comptool.data.files import ImageFiles
from comptool.data.images import Pixels, naming
from comptool.data.pixel_shards import Shard, source_digest

MISSING = -1


@dataclass(frozen=True)
class DecodedImages:
    """The images of one modality of N samples.

    Parameters
    ----------
    arrays
        uint8 arrays (n, H, W, C).
    array, place
        Of each sample's image the number of its array and the place in it, both (N,); `MISSING`
        where the sample has none.
    """

    arrays: Sequence[npt.NDArray[np.uint8]]
    array: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]

    def __getitem__(self, row: int) -> Pixels | None:
        """The image of a sample, (H, W, C), not to be written to; None where it is missing."""
        number = int(self.array[row])
        return None if number == MISSING else self.arrays[number][self.place[row]]

    def copy_to(self, chips: Pixels, rows: slice) -> None:
        """Write the images of samples into ``chips`` (n, H, W, C), but for missing ones."""
        array, place = self.array[rows], self.place[rows]
        for number, pixels in enumerate(self.arrays):
            here = np.flatnonzero(array == number)
            chips[here] = pixels[place[here]]


class WantedImages:
    """The files of the images of one modality of N samples, by what they are known by.

    Raises
    ------
    InputError
        If a file cannot be looked at.

    Attributes
    ----------
    paths
        Each file once.
    digests
        One for each sample, None where it has no image.
    """

    def __init__(self, files: ImageFiles, modality: int) -> None:
        self.paths: dict[bytes, Path] = {}
        self.digests: list[bytes | None] = []
        for row in range(len(files)):
            digest = None
            if not files.is_missing(row, modality):
                path = files.path(row, modality)
                with naming(path):
                    digest = source_digest(path)
                self.paths[digest] = path
            self.digests.append(digest)

    def places(self, shard: Shard) -> list[int]:
        """Where those are that a shard has."""
        return [place for source, place in shard.places.items() if source in self.paths]

    def without(self, shards: Sequence[Shard]) -> dict[bytes, Path]:
        """The files that no shard has."""
        known = {source for shard in shards for source in shard.places}
        return {digest: path for digest, path in self.paths.items() if digest not in known}

    def among(self, shards: Sequence[Shard]) -> DecodedImages:
        """The images of the samples, all of which some shard has."""
        places = {
            source: (number, place)
            for number, shard in enumerate(shards)
            for source, place in shard.places.items()
        }
        nowhere = (MISSING, 0)
        found = [nowhere if one is None else places[one] for one in self.digests]
        array, place = np.array(found, np.int64).reshape(-1, 2).T
        return DecodedImages([shard.pixels for shard in shards], array, place)
