"""One pass over the images: digests, perceptual hashes, sizes and statistics.

The perceptual hash is the DCT hash known as pHash (Zauner 2010, "Implementation and Benchmarking of
Perceptual Image Hash Functions", section 3.2.1): the picture at 32 x 32, grey, its cosine
transform, and for each of the 64 lowest frequencies whether it is above their median. Copies differ
in few bits, but so do many pictures of one kind, such as radar chips. Pairs with near hashes are
therefore compared again by the angle between the 255 lowest frequencies, without the mean.

Neither depends on size, brightness, contrast or JPEG losses. Both are useless for a picture that
shows almost nothing, such as open sea: what its copies share is smaller than the rounding of the
pixels.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from comptool.competition.samples import Samples
from comptool.data.image_io import (
    COLOUR,
    GREY,
    NONE_THERE,
    DeepPixels,
    ImageSource,
    digest,
    find_missing,
    is_grey,
    read_pixels,
    source_of,
)
from comptool.errors import ComptoolError, InputError
from comptool.io.image_readers import users_reader
from comptool.limits import limit_pixels, most_pixels
from comptool.machine import ending, hear_interrupts, threads

SIDE, HASHED, COMPARED = 32, 8, 16  # pixels; frequencies in each direction
ONE = 2**15 - 1  # int16 is as small as float16, and converts to float32 ten times faster
Floats = npt.NDArray[np.floating]
Direction = npt.NDArray[np.int16]


def spectrum(pixels: DeepPixels) -> Floats:
    """The lowest frequencies, float32 of shape (16, 16), of (H, W, C) pixels of any scale."""
    image = pixels.astype(np.float32)
    if image.shape[2] == COLOUR:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    elif image.shape[2] != GREY:
        image = np.asarray(image.mean(axis=2), np.float32)
    image = np.nan_to_num(image, copy=False, posinf=0, neginf=0)
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dct(small)[:COMPARED, :COMPARED], np.float32)


def perceptual_hash(frequencies: Floats) -> int:
    """64 bits: which of the 8 x 8 lowest frequencies of `spectrum` are above their median."""
    low = frequencies[:HASHED, :HASHED].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def direction(frequencies: Floats) -> Direction:
    """The frequencies without the mean, scaled to length `ONE`, int16 of shape (256,).

    The product of two directions over `ONE` squared is the correlation of the pictures at low
    resolution, -1 to 1.
    """
    flat = frequencies.ravel().copy()
    flat[0] = 0
    return np.asarray(np.rint(flat * (ONE / max(float(np.linalg.norm(flat)), 1e-9))), np.int16)


AT_ONCE = 4096  # images; then their pixels are dropped
SENT = 64  # images
MISSING = "missing"


class ImageScan(NamedTuple):
    """Statistics of an image."""

    problem: str = ""  # why it could not be read
    size: str = ""  # width x height in pixels
    mode: str = ""
    brightest: int = 0
    constant: str = ""  # the single value of all pixels
    digest: bytes = b""
    hash: int = 0
    # Of the pixels as they are read; NaN if unreadable.
    brightness: float = np.nan  # mean
    contrast: float = np.nan  # standard deviation
    colour: float = np.nan  # mean over pixels of the largest minus the least channel
    sharpness: float = np.nan  # mean square of the Laplacian over the variance, in the middle


STATISTICS = ("brightness", "contrast", "colour", "sharpness")
MIDDLE = 256  # pixels, of a side


@dataclass(frozen=True)
class Images:
    """The images of tables, in an order that does not depend on the order of rows."""

    frame: pd.DataFrame  # ``table``, ``id``, ``column``, ``row``, and the fields of `ImageScan`
    # int16 of shape (N, 256), see `direction`; zero for unreadable and constant images
    directions: Direction

    @property
    def comparable(self) -> npt.NDArray[np.intp]:
        """Readable images that are not constant."""
        shows = (self.frame["problem"] == "") & (self.frame["constant"] == "")
        return np.flatnonzero(shows.to_numpy())


def look_at(path: Path | ImageSource) -> tuple[ImageScan, Direction | None]:
    """The statistics of an image, and its direction unless it is unreadable or constant."""
    try:
        pixels = read_pixels(path)
    except InputError as error:
        return ImageScan(error.what), None
    height, width = pixels.shape[:2]
    constant = bool((pixels == pixels[0, 0]).all())
    look = ImageScan(
        size=f"{width}x{height}",
        mode=_mode(pixels),
        brightest=int(pixels.max()) if pixels.dtype != np.float32 else 0,
        constant=" ".join(map(str, pixels[0, 0].tolist())) if constant else "",
        digest=digest(pixels),
    )._replace(**statistics(pixels))
    if constant:
        return look, None
    frequencies = spectrum(pixels)
    return look._replace(hash=perceptual_hash(frequencies)), direction(frequencies)


def statistics(pixels: DeepPixels) -> dict[str, Any]:
    """The `STATISTICS` of (H, W, C) pixels, of the middle 256 x 256 of a larger image."""
    height, width = pixels.shape[:2]
    top, left = max(height - MIDDLE, 0) // 2, max(width - MIDDLE, 0) // 2
    middle = pixels[top : top + MIDDLE, left : left + MIDDLE].astype(np.float32)
    middle = np.nan_to_num(middle, copy=False, posinf=0, neginf=0)
    grey = middle.mean(axis=2)
    variance = float(grey.var())
    edges = np.square(cv2.Laplacian(grey, cv2.CV_32F)).mean()
    return {
        "brightness": float(grey.mean()),
        "contrast": variance**0.5,
        "colour": float((middle.max(axis=2) - middle.min(axis=2)).mean()),
        "sharpness": float(edges / max(variance, 1e-6)),
    }


def _mode(pixels: DeepPixels) -> str:
    depth = "float" if pixels.dtype == np.float32 else f"{8 * pixels.dtype.itemsize} bits"
    channels = pixels.shape[2]
    if channels == GREY:
        return f"grey, {depth}"
    if channels != COLOUR:
        return f"{channels} channels, {depth}"
    return f"{'grey in three channels' if is_grey(pixels) else 'colour'}, {depth}"


def look_at_all(tables: dict[str, Samples], workers: int | None, quiet: bool) -> Images:
    """Scan all images of tables, given by name; InputError if a table has no image file.

    ``workers`` decode (None: as many as `concurrent.futures` chooses); ``quiet``: no progress bar.
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
        what = "none of its images exists"
        raise InputError(what, file=samples.source, column=column, values=values, mend=NONE_THERE)
    parts = [
        pd.DataFrame(
            {
                # If a sample is in both tables, the copy is in the test table.
                "rank": name != "train",
                "table": name,
                "id": samples.frame[samples.id],
                "column": column,
                "row": np.arange(len(samples)),
                "path": [
                    source_of(samples.folder, cell, samples.reader)
                    for cell in samples.frame[column]
                ],
                MISSING: missing[:, number],
            }
        )
        for number, column in enumerate(samples.paths.values())
    ]
    return pd.concat(parts)


Look = tuple[ImageScan, Direction | None]


def _looks(paths: Sequence[ImageSource], workers: int | None, quiet: bool) -> Iterator[Look]:
    """The statistics of images, by a process of its own, as an image can crash a decoder.

    The images after a crash are looked at one by one until it comes again, which tells its image.
    """
    for spec in {path.reader for path in paths} - {""}:
        users_reader(spec)  # threads would load it at the same time
    hear_interrupts()
    done, alone = 0, False
    with tqdm(total=len(paths), unit="img", leave=False, disable=True if quiet else None) as bar:
        while done < len(paths):
            with _Scanning(paths[done:], workers, alone) as scanning:
                for look in scanning.looks():
                    yield look
                    done += 1
                    bar.update()
            if done == len(paths):
                return
            if alone:
                yield ImageScan(f"the process that decoded it {ending(scanning.code)}"), None
                done += 1
            alone = not alone


class _Scanning:
    """A process that looks at images; threads decode, as nearly all of it releases the GIL.

    ``alone``: one after the other, each sent before the next is begun.
    """

    def __init__(self, paths: Sequence[ImageSource], workers: int | None, alone: bool) -> None:
        # As for loaders: spawn would import everything again.
        context: Any = get_context("fork" if sys.platform == "linux" else None)
        self._receiver, sender = context.Pipe(duplex=False)
        arguments = (self._receiver, sender, paths, workers, alone, most_pixels())
        self._process = context.Process(target=_send_looks, args=arguments, daemon=True)
        self._process.start()
        sender.close()

    @property
    def code(self) -> int | None:
        """The exit code of the process, once it has ended."""
        code: int | None = self._process.exitcode
        return code

    def __enter__(self) -> Self:
        return self

    def looks(self) -> Iterator[Look]:
        """What the process sends until it ends, by itself or by a crash."""
        while True:
            try:
                found = self._receiver.recv()
            except (EOFError, ConnectionError):
                self._process.join()
                return
            if isinstance(found, Exception):
                raise found
            yield from found

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._receiver.close()


def _send_looks(
    receiver: Connection,
    sender: Connection,
    paths: Sequence[ImageSource],
    workers: int | None,
    alone: bool,
    pixels: int,
) -> None:
    receiver.close()  # without it, sending ends where the parent is killed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent handles Ctrl-C
    limit_pixels(pixels)
    try:
        if alone:
            for path in paths:
                sender.send([look_at(path)])
            return
        with threads(workers) as pool:
            for begin in range(0, len(paths), AT_ONCE):
                found: list[Look] = []
                for look in pool.map(look_at, paths[begin : begin + AT_ONCE]):
                    found.append(look)
                    if len(found) == SENT:
                        sender.send(found)
                        found = []
                sender.send(found)
    except ConnectionError:
        return
    except ComptoolError as error:
        sender.send(error)
    except Exception:
        sender.send(RuntimeError(traceback.format_exc()))
