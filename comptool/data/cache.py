"""Cache of decoded and resized images, shared by epochs, folds and runs.

It holds what `comptool.data.dataset.SampleDataset` passes to augmentation, so that only the speed
of a training changes. An image is identified by path, size and times of its file, and if those
differ by content: a changed file is decoded again, a moved one is not. Cached files are checked
against their checksums before use.
"""

from __future__ import annotations

import mmap
import os
import shutil
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Literal
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap
from tqdm import tqdm

from comptool.data.image_io import (
    ChipForm,
    ImageFiles,
    ImageSource,
    Pixels,
    naming,
    pixels_of,
    read_contents,
    to_chip,
)
from comptool.errors import InputError, OutputError
from comptool.io.atomic import atomic_output, together
from comptool.io.image_readers import READERS
from comptool.io.leftovers import PARTIAL, is_leftover
from comptool.machine import available_memory, cache_folder, threads, usable_cores

FORMAT = 2  # raised with every change of what a file is decoded to
DIGEST = 16  # bytes
PIXELS, INDEX = ".npy", ".index.npy"
RECORD = np.dtype([("source", f"V{DIGEST}"), ("content", f"V{DIGEST}"), ("crc", "u4")])
Index = npt.NDArray[np.void]


def form_folder(folder: Path, form: ChipForm) -> Path:
    """Folder of a form in a cache; the cache format is part of it."""
    name = f"{form.height}x{form.width}x{form.channels}-{form.bits}"
    if form.ranges is not None:
        name += f"-{blake2b(repr(form.ranges).encode(), digest_size=DIGEST).hexdigest()}"
    return folder / f"v{FORMAT}" / name


def source_digest(source: ImageSource, salt: bytes = b"") -> bytes:
    """Digest of path, size and times of change of the files of an image."""
    facts: list[object] = []
    for part in source.parts:
        with naming(part.path):
            seen = part.path.stat()
        # A copy may keep its modification time, but not its ctime.
        facts += [os.path.realpath(part.path), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]
        facts += [part.member] if part.member else []
    text = os.fsencode("\0".join(map(str, facts)))
    return blake2b(text + salt, digest_size=DIGEST).digest()


def content_digest(contents: Sequence[bytes], source: ImageSource, salt: bytes = b"") -> bytes:
    """Digest of the content of the files of an image."""
    found = blake2b(digest_size=DIGEST)
    for content in contents:
        found.update(content)
    if len(contents) > 1 or source.parts[0].member:
        # Where one ends, and its field of a record.
        fields = [part.member.partition("/")[2] for part in source.parts]
        found.update(repr((fields, list(map(len, contents)))).encode())
    found.update(salt)
    return found.digest()


def reader_salt(reader: str) -> bytes:
    """What tells a reader that is asked for from others, and from other versions of itself.

    Its name, the content of its file, and the version of the package of a plugin.
    """
    if not reader:
        return b""
    entry = READERS.find(reader)
    place = entry.target.rpartition(":")[0]
    spec = None if entry.is_users else find_spec(place)
    file = Path(spec.origin if spec and spec.origin else place)
    return blake2b(f"{reader}\0{entry.version}\0".encode() + file.read_bytes()).digest()


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


def make_room(folder: Path, limit: int, kept: Collection[Path]) -> None:
    """Delete leftovers of killed processes, then the least recently used shards."""
    for left in folder.rglob(f".*{PARTIAL}*"):
        with suppress(OSError):
            if is_leftover(left):
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


MISSING = -1


@dataclass(frozen=True)
class DecodedImages:
    """The images of one modality of N samples."""

    arrays: Sequence[npt.NDArray[np.uint8]]  # uint8 arrays (n, H, W, C)
    # array number and index of each sample's image, (N,); `MISSING` if none
    array: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]

    def __getitem__(self, row: int) -> Pixels | None:
        """The image of a sample, (H, W, C), read only; None if missing."""
        number = int(self.array[row])
        return None if number == MISSING else self.arrays[number][self.place[row]]

    def copy_to(self, chips: Pixels, rows: slice) -> None:
        """Copy the images of samples into ``chips`` (n, H, W, C), except missing ones."""
        array, place = self.array[rows], self.place[rows]
        for number, pixels in enumerate(self.arrays):
            here = np.flatnonzero(array == number)
            chips[here] = pixels[place[here]]


class WantedImages:
    """The images of one modality: distinct ``sources``, and a digest or None for each sample."""

    def __init__(self, files: ImageFiles, modality: int) -> None:
        self.sources: dict[bytes, ImageSource] = {}
        self.salt = reader_salt(files.reader)
        self.digests: list[bytes | None] = []
        for row in range(len(files)):
            digest = None
            if not files.is_missing(row, modality):
                source = files.source(row, modality)
                digest = source_digest(source, self.salt)
                self.sources[digest] = source
            self.digests.append(digest)

    def places(self, shard: Shard) -> list[int]:
        """Indices of the wanted images in a shard."""
        return [place for source, place in shard.places.items() if source in self.sources]

    def without(self, shards: Sequence[Shard]) -> dict[bytes, ImageSource]:
        """Files missing from all shards."""
        known = {source for shard in shards for source in shard.places}
        return {digest: one for digest, one in self.sources.items() if digest not in known}

    def among(self, shards: Sequence[Shard]) -> DecodedImages:
        """The images of the samples from shards that together hold all of them."""
        places = {
            source: (number, place)
            for number, shard in enumerate(shards)
            for source, place in shard.places.items()
        }
        nowhere = (MISSING, 0)
        found = [nowhere if one is None else places[one] for one in self.digests]
        array, place = np.array(found, np.int64).reshape(-1, 2).T
        return DecodedImages([shard.pixels for shard in shards], array, place)


Mode = Literal["auto", "ram", "disk", "off"]
LIMIT = "COMPTOOL_CACHE_GB"
DEFAULT_LIMIT = 20.0  # GB
SPARE_DISK = 1 << 30  # bytes that are left free
MOST_OF_MEMORY = 0.5  # of what is available
CHUNK = 64  # images per task of a thread
_MEND = "Take --cache off, or smaller images with --img-size"
Say = Callable[[str], None]


def cache_limit() -> int:
    """Size limit of the cache in bytes: ``$COMPTOOL_CACHE_GB`` gigabytes, or 20."""
    text = os.environ.get(LIMIT) or str(DEFAULT_LIMIT)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < float("inf"):
        raise InputError(f"the variable {LIMIT} has to be a number above 0", values=[text])
    return int(gigabytes * 1e9)


@dataclass
class PixelCache:
    """Decoded images, kept between epochs."""

    # ``disk``: in the cache folder. ``ram``: in this process and its forks. ``auto``: on the disk,
    # else in memory, where there is room. ``off``: not at all.
    mode: Mode
    say: Say  # takes warnings
    quiet: bool = False  # hides the progress bar
    folder: Path = field(default_factory=cache_folder)
    limit: int = field(default_factory=cache_limit)  # bytes on the disk
    sharers: int = 1  # processes that keep their own images in memory, this one included

    def __post_init__(self) -> None:
        """Start empty."""
        self._memory = int(MOST_OF_MEMORY * available_memory() / self.sharers)
        self._in_use: dict[Path, int] = {}

    def images(self, files: ImageFiles, modality: int, form: ChipForm) -> DecodedImages | None:
        """The images of a modality in one form, or None if nothing is cached.

        Raises an InputError if an image cannot be read, or there is no room for ``disk`` or
        ``ram``.
        """
        if self.mode == "off":
            return None
        wanted = WantedImages(files, modality)
        if self.mode != "ram":
            try:
                return self._on_disk(wanted, form)
            except OutputError as error:
                if self.mode == "disk":
                    raise
                self.say(f"decoded images are not kept on the disk: {error}")
        needed = len(wanted.sources) * form.num_bytes
        if needed <= self._memory:
            self._memory -= needed
            return self._in_memory(wanted, form)
        if self.mode == "ram":
            raise InputError(f"the decoded images take {spelled(needed)} of memory", mend=_MEND)
        self.say(
            f"nor in memory, of which they take {spelled(needed)}: they are decoded whenever they "
            "are needed"
        )
        return None

    def _on_disk(self, wanted: WantedImages, form: ChipForm) -> DecodedImages:
        found = find_shards(self.folder, form)
        shards = [
            shard for shard in found if wanted.places(shard) and self._is_whole(shard, wanted)
        ]
        self._use(shards)
        lacking = wanted.without(shards)
        if lacking:
            self._check_room(len(lacking) * form.num_bytes)
            with new_shard(self.folder, form, len(lacking)) as (path, index, pixels):
                self._fill(lacking, wanted.salt, _by_content(found), form, index, pixels)
            # Not reopened by name: another process may have removed it.
            shards.append(Shard(path, index, pixels))
            self._use(shards[-1:])
            make_room(self.folder, self.limit, self._in_use)
        return wanted.among(shards)

    def _use(self, shards: Sequence[Shard]) -> None:
        for shard in shards:
            with suppress(OSError):
                os.utime(shard.path)  # the time of last use
            self._in_use[shard.path] = shard.pixels.nbytes

    def _in_memory(self, wanted: WantedImages, form: ChipForm) -> DecodedImages:
        count = len(wanted.sources)
        # Anonymous and shared with forked processes.
        memory = mmap.mmap(-1, max(count * form.num_bytes, 1))
        pixels = np.frombuffer(memory, np.uint8, count * form.num_bytes).reshape(count, *form.shape)
        index = np.zeros(count, RECORD)
        self._fill(wanted.sources, wanted.salt, {}, form, index, pixels)
        return wanted.among([Shard(self.folder, index, pixels)])

    def _fill(
        self,
        sources: Mapping[bytes, ImageSource],
        salt: bytes,
        known: Mapping[bytes, tuple[Shard, int]],
        form: ChipForm,
        index: Index,
        pixels: Pixels,
    ) -> None:
        items = list(sources.items())

        def read(place: int) -> None:
            name, source = items[place]
            contents = read_contents(source)
            digest = content_digest(contents, source, salt)
            shard, elsewhere = known.get(digest, (None, 0))
            if shard is not None and shard.is_sound(elsewhere):
                pixels[place] = shard.pixels[elsewhere]
            else:
                pixels[place] = to_chip(pixels_of(contents, source), form, source)
            index[place] = (np.void(name), np.void(digest), checksum(pixels[place]))

        self._with_every_core(read, range(len(items)), "decode")

    def _is_whole(self, shard: Shard, wanted: WantedImages) -> bool:
        """Check the checksums of the wanted images of a shard; remove a damaged shard."""
        damaged: list[int] = []

        def check(place: int) -> None:
            if not shard.is_sound(place):
                damaged.append(place)

        self._with_every_core(check, wanted.places(shard), "check")
        if damaged:
            remove_shard(shard.path)
        return not damaged

    def _with_every_core(
        self, work: Callable[[int], None], places: Sequence[int], what: str
    ) -> None:
        ended = Event()

        def several(chunk: Sequence[int]) -> int:
            for place in chunk:
                if not ended.is_set():
                    work(place)
            return len(chunk)

        chunks = [places[start : start + CHUNK] for start in range(0, len(places), CHUNK)]
        # None: no bar where stderr is no terminal.
        hidden = True if self.quiet else None
        bar = tqdm(total=len(places), unit="img", desc=what, leave=False, disable=hidden)
        with bar, threads(usable_cores()) as pool:
            try:
                for done in pool.map(several, chunks):
                    bar.update(done)
            except BaseException:
                ended.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _check_room(self, needed: int) -> None:
        place = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        free = max(shutil.disk_usage(place).free - SPARE_DISK, 0)
        # Shards in use by this process cannot make room.
        allowed = max(self.limit - sum(self._in_use.values()), 0)
        if needed > min(free, allowed):
            raise OutputError(
                f"the decoded images take {spelled(needed)}; the disk has {spelled(free)} to "
                f"spare and {LIMIT} allows {spelled(allowed)} more",
                file=self.folder,
                mend=_MEND,
            )


def _by_content(shards: Sequence[Shard]) -> dict[bytes, tuple[Shard, int]]:
    return {
        content.tobytes(): (shard, place)
        for shard in shards
        for place, content in enumerate(shard.index["content"])
    }


def spelled(num_bytes: int) -> str:
    """Bytes as text."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.1f} MB"
