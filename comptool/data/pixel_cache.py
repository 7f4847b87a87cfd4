"""Each image decoded and resized once: for all epochs, for all folds, for the next run.

What is kept is exactly what `comptool.data.batches.SampleDataset` gives to augmentation, so that
nothing about a training changes but its speed. An image is known by the place, size and time of
change of its file, and where those differ by its content: a file that was changed is decoded
again, one that was moved is not. What lies on the disk is checked against its checksums before it
is used.
"""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from comptool.data.files import ImageFiles
from comptool.data.images import (
    DeepPixels,
    Pixels,
    pixels_of,
    read_content,
    resize,
    to_bytes,
    to_channels,
)
from comptool.data.pixel_shards import (
    RECORD,
    ChipForm,
    Index,
    Shard,
    checksum,
    content_digest,
    find_shards,
    make_room,
    mark_used,
    new_shard,
    open_shard,
    remove_shard,
    source_digest,
)
from comptool.errors import InputError, OutputError
from comptool.machine import available_memory, usable_cores

Mode = Literal["auto", "ram", "disk", "off"]
FOLDER, LIMIT = "COMPTOOL_CACHE", "COMPTOOL_CACHE_GB"
DEFAULT_LIMIT = 20.0  # GB
SPARE_DISK = 1 << 30  # bytes that are left free
MOST_OF_MEMORY = 0.5  # of what is available
MISSING = -1
CHUNK = 64  # images per task of a thread
_MEND = "Take --cache off, or smaller images with --img-size"
Say = Callable[[str], None]


def cache_folder() -> Path:
    """``$COMPTOOL_CACHE``, else ``comptool`` in the user's folder of caches."""
    if given := os.environ.get(FOLDER):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "comptool"


def cache_limit() -> int:
    """Bytes that the cache on the disk may have: ``$COMPTOOL_CACHE_GB`` gigabytes, or 20.

    Raises
    ------
    InputError
        If the variable is no positive number.
    """
    text = os.environ.get(LIMIT) or str(DEFAULT_LIMIT)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < float("inf"):
        raise InputError(f"the variable {LIMIT} has to be a number above 0", values=[text])
    return int(gigabytes * 1e9)


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


@dataclass
class PixelCache:
    """Where decoded images are kept between epochs.

    Parameters
    ----------
    mode
        ``disk``: in the folder of caches. ``ram``: in this process and those that it forks.
        ``auto``: on the disk if there is room, else in memory if there is, else not at all.
        ``off``: not at all.
    say
        Takes a sentence about what was not possible.
    quiet
        Whether there is no bar.
    folder, limit
        Of the cache on the disk, and how many bytes it may have.
    """

    mode: Mode
    say: Say
    quiet: bool = False
    folder: Path = field(default_factory=cache_folder)
    limit: int = field(default_factory=cache_limit)

    def images(self, files: ImageFiles, modality: int, form: ChipForm) -> DecodedImages | None:
        """The images of a modality in one form, or None if each is to be decoded anew.

        Raises
        ------
        InputError
            If an image cannot be read; if there is not the room that ``disk`` or ``ram`` needs.
        """
        if self.mode == "off":
            return None
        wanted = _Wanted(files, modality)
        if self.mode != "ram":
            try:
                return self._on_disk(wanted, form)
            except OutputError as error:
                if self.mode == "disk":
                    raise
                self.say(f"decoded images are not kept on the disk: {error}")
        needed = len(wanted.paths) * form.num_bytes
        if needed <= MOST_OF_MEMORY * available_memory():
            return self._in_memory(wanted, form)
        if self.mode == "ram":
            raise InputError(f"the decoded images take {_size(needed)} of memory", mend=_MEND)
        self.say(f"nor in memory, of which they take {_size(needed)}: each epoch decodes anew")
        return None

    def _on_disk(self, wanted: _Wanted, form: ChipForm) -> DecodedImages:
        shards = [shard for shard in find_shards(self.folder, form) if _is_whole(shard, wanted)]
        lacking = wanted.without(shards)
        if lacking:
            self._check_room(len(lacking) * form.num_bytes)
            with new_shard(self.folder, form, len(lacking)) as (path, index, pixels):
                self._fill(lacking, _by_content(shards), form, index, pixels)
            shard = open_shard(path, form)
            if shard is None:
                raise OutputError("was removed while it was in use", file=path)
            shards.append(shard)
            make_room(self.folder, self.limit, {shard.path for shard in shards})
        for shard in shards:
            mark_used(shard.path)
        return wanted.among(shards)

    def _in_memory(self, wanted: _Wanted, form: ChipForm) -> DecodedImages:
        count = len(wanted.paths)
        # Anonymous and shared: processes that are forked use the same memory.
        memory = mmap.mmap(-1, max(count * form.num_bytes, 1))
        pixels = np.frombuffer(memory, np.uint8, count * form.num_bytes).reshape(count, *form[:3])
        index = np.zeros(count, RECORD)
        self._fill(wanted.paths, {}, form, index, pixels)
        return wanted.among([Shard(self.folder, index, pixels)])

    def _fill(
        self,
        paths: Mapping[bytes, Path],
        known: Mapping[bytes, Pixels],
        form: ChipForm,
        index: Index,
        pixels: Pixels,
    ) -> None:
        """Read files into an array and its index, with every core; OpenCV and zlib let go of it."""
        items = list(paths.items())

        def read(places: range) -> int:
            for place in places:
                source, path = items[place]
                content = read_content(path)
                digest = content_digest(content)
                found = known.get(digest)
                pixels[place] = _chip(pixels_of(content, path), form) if found is None else found
                index[place] = (np.void(source), np.void(digest), checksum(pixels[place]))
            return len(places)

        chunks = [range(n, min(n + CHUNK, len(items))) for n in range(0, len(items), CHUNK)]
        # None: no bar where stderr is no terminal.
        hidden = True if self.quiet else None
        bar = tqdm(total=len(items), unit="img", desc="decode", leave=False, disable=hidden)
        with bar, ThreadPoolExecutor(usable_cores()) as pool:
            try:
                for done in pool.map(read, chunks):
                    bar.update(done)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _check_room(self, needed: int) -> None:
        place = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        free = shutil.disk_usage(place).free - SPARE_DISK
        if needed > min(free, self.limit):
            raise OutputError(
                f"the decoded images take {_size(needed)}; the disk has {_size(max(free, 0))} to "
                f"spare and {LIMIT} allows {_size(self.limit)}",
                file=self.folder,
                mend=_MEND,
            )


class _Wanted:
    """The files of the images of a modality, by what they are known by.

    ``paths`` holds each file once; ``digests`` has one for each of N samples, None if missing.
    """

    def __init__(self, files: ImageFiles, modality: int) -> None:
        self.paths: dict[bytes, Path] = {}
        self.digests: list[bytes | None] = []
        for row in range(len(files)):
            digest = None
            if not files.is_missing(row, modality):
                path = files.path(row, modality)
                digest = source_digest(path)
                self.paths[digest] = path
            self.digests.append(digest)

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


def _is_whole(shard: Shard, wanted: _Wanted) -> bool:
    """Whether what is wanted of a shard has its checksums; if not, it is removed."""
    places = [place for source, place in shard.places.items() if source in wanted.paths]

    def sound(place: int) -> bool:
        return bool(checksum(shard.pixels[place]) == shard.index["crc"][place])

    with ThreadPoolExecutor(usable_cores()) as pool:
        whole = all(pool.map(sound, places))
    if not whole:
        remove_shard(shard.path)
    return whole


def _by_content(shards: Sequence[Shard]) -> dict[bytes, Pixels]:
    return {
        content.tobytes(): shard.pixels[place]
        for shard in shards
        for place, content in enumerate(shard.index["content"])
    }


def _chip(pixels: DeepPixels, form: ChipForm) -> Pixels:
    scaled = to_bytes(pixels, form.bits)
    return to_channels(resize(scaled, (form.height, form.width)), form.channels)


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"
