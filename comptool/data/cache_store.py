"""Decoded images on the disk in immutable shards.

A shard is a pair of files: ``X.npy``, uint8 (N, H, W, C), and ``X.index.npy`` with a record for
each image. Any number of processes may read it, and two that build the same images at the same time
make two shards.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from time import time
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from comptool.data.image_io import ChipForm, Pixels
from comptool.io.atomic import atomic_output, together

FORMAT = 1
DIGEST = 16  # bytes
PIXELS, INDEX = ".npy", ".index.npy"
LEFT_OVER = 24 * 3600  # seconds
RECORD = np.dtype([("source", f"V{DIGEST}"), ("content", f"V{DIGEST}"), ("crc", "u4")])
Index = npt.NDArray[np.void]


def form_folder(folder: Path, form: ChipForm) -> Path:
    """Folder of a form in a cache; the cache format is part of it."""
    return folder / f"v{FORMAT}" / f"{form.height}x{form.width}x{form.channels}-{form.bits}"


def source_digest(path: Path) -> bytes:
    """Digest of a file's path, size and times of change."""
    seen = path.stat()
    # A copy may keep its modification time, but not its ctime.
    facts = (os.path.realpath(path), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    return blake2b(os.fsencode("\0".join(map(str, facts))), digest_size=DIGEST).digest()


def content_digest(content: bytes) -> bytes:
    """Digest of a file's content."""
    return blake2b(content, digest_size=DIGEST).digest()


def checksum(pixels: Pixels) -> int:
    """CRC-32 of an image."""
    return zlib.crc32(np.ascontiguousarray(pixels).data)


class Shard:
    """Images of one form: memory-mapped uint8 (N, H, W, C), read only, and their index."""

    def __init__(self, path: Path, index: Index, pixels: Pixels) -> None:
        self.path = path
        self.index = index
        self.pixels = pixels
        self.pixels.flags.writeable = False
        sources = (source.tobytes() for source in index["source"])
        self.places = {source: place for place, source in enumerate(sources)}

    def is_sound(self, place: int) -> bool:
        """Whether an image has its checksum."""
        return bool(checksum(self.pixels[place]) == self.index["crc"][place])


def open_shard(path: Path, form: ChipForm) -> Shard | None:
    """A shard, or None if damaged, unfinished or of another form."""
    try:
        index = np.load(path.with_suffix(INDEX), allow_pickle=False)
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = index.dtype == RECORD and pixels.dtype == np.uint8
    if not fits or index.ndim != 1 or pixels.shape != (len(index), *form.shape):
        return None
    return Shard(path, index, pixels)


def find_shards(folder: Path, form: ChipForm) -> list[Shard]:
    """The readable shards of a form in a cache; damaged ones are removed."""
    found = []
    # By the index, which appears last: without it a shard is still being written.
    for index in sorted(form_folder(folder, form).glob(f"[!.]*{INDEX}")):
        path = index.with_name(index.name.removesuffix(INDEX) + PIXELS)
        shard = open_shard(path, form)
        if shard is None:
            remove_shard(path)
        else:
            found.append(shard)
    return found


@contextmanager
def new_shard(folder: Path, form: ChipForm, count: int) -> Iterator[tuple[Path, Index, Pixels]]:
    """Room for a new shard, published when the block succeeds."""
    path = form_folder(folder, form) / f"{uuid4().hex}{PIXELS}"
    index = np.zeros(count, RECORD)
    # The index is written first, so that it appears last.
    with together(), atomic_output(path.with_suffix(INDEX)) as listing:
        with atomic_output(path) as temporary:
            pixels = open_memmap(temporary, "w+", np.uint8, (count, *form.shape))
            _take_room(temporary)
            yield path, index, pixels
            pixels.flush()
        np.save(listing, index)


def _take_room(path: Path) -> None:
    """Reserve disk space: writing to a mapped page on a full disk kills the process."""
    # Not on macOS and Windows.
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def remove_shard(path: Path) -> None:
    """Delete the files of a shard; existing maps stay valid."""
    for file in (path.with_suffix(INDEX), path):
        with suppress(OSError):
            file.unlink()


def mark_used(path: Path) -> None:
    """Update the time of last use of a shard."""
    with suppress(OSError):
        os.utime(path)


def make_room(folder: Path, limit: int, kept: Collection[Path]) -> None:
    """Delete leftovers of killed processes after a day, then the least recently used shards."""
    for left in folder.rglob(".*.partial*"):
        with suppress(OSError):
            if time() - left.stat().st_mtime > LEFT_OVER:
                left.unlink()
    shards = {}
    for path in folder.rglob(f"[!.]*{PIXELS}"):
        with suppress(OSError):
            if not path.name.endswith(INDEX):
                shards[path] = path.stat()
    total = sum(seen.st_size for seen in shards.values())
    for path in sorted(shards, key=lambda path: shards[path].st_mtime_ns):
        if total > limit and path not in kept:
            total -= shards[path].st_size
            remove_shard(path)
