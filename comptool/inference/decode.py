"""Decoding of test images: each once, in every input form, with checks.

Threads decode while the network computes: OpenCV and hashing release Python's lock.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from threading import Event
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from comptool.data.image_io import (
    ChipForm,
    DeepPixels,
    ImageFiles,
    Pixels,
    is_blank,
    to_bytes,
    to_chip,
)
from comptool.errors import counted
from comptool.machine import hear_interrupts, threads

MOST_NAMED = 20
AHEAD = 2  # batches per thread that are decoded before they are wanted
# An image before resizing: presence, digest, all-zero flag; for 16 bits also whether it is zero
# at the scale of some network, or exceeds the training range.
ORIGINAL = np.dtype(
    [("there", "?"), ("digest", "u8"), ("blank", "?"), ("darkened", "?"), ("exceeding", "?")]
)
Originals = npt.NDArray[np.void]
# Allocates zeros.
Room = Callable[[tuple[int, ...], Any], Pixels]


class Form(NamedTuple):
    """A modality and its input form."""

    modality: int
    chip: ChipForm


class DecodedBatch(NamedTuple):
    """B samples: one uint8 array (B, H, W, C) per form, and their originals, (B, M)."""

    images: list[Pixels]
    originals: Originals


class DecodedSamples:
    """N samples of M modalities in distinct forms; ``room`` allocates batch arrays."""

    def __init__(
        self,
        files: ImageFiles,
        num_modalities: int,
        forms: Sequence[Form],
        room: Room = np.zeros,
    ) -> None:
        self._files = files
        self._room = room
        self._num_modalities = num_modalities
        self._forms = list(forms)
        self._ended = Event()

    def __len__(self) -> int:
        return len(self._files)

    def batch(self, rows: Sequence[int]) -> DecodedBatch:
        """Decode B samples; an InputError names an unreadable file."""
        images = [self._room((len(rows), *form.chip.shape), np.uint8) for form in self._forms]
        originals = np.zeros((len(rows), self._num_modalities), ORIGINAL)
        for place, row in enumerate(rows):
            if self._ended.is_set():
                break  # The consumer has stopped.
            decoded = [self._files.read(row, number) for number in range(self._num_modalities)]
            for number, pixels in enumerate(decoded):
                if pixels is not None:
                    originals[place, number] = _original(pixels, self._depths(number))
            for form, batch in zip(self._forms, images, strict=True):
                pixels = decoded[form.modality]
                if pixels is not None:
                    batch[place] = to_chip(
                        pixels, form.chip, self._files.source(row, form.modality)
                    )
        return DecodedBatch(images, originals)

    def batches(self, batch_size: int, workers: int) -> Generator[DecodedBatch, None, None]:
        """Decode all samples in order, ahead by threads if there are any; iterate once.

        No thread is left if closed early. An InputError names the first unreadable file.
        """
        starts = range(0, len(self), batch_size)
        chunks = [range(start, min(start + batch_size, len(self))) for start in starts]
        if workers == 0:
            hear_interrupts()
            yield from map(self.batch, chunks)
            return
        # OpenCV's own threads would compete with these.
        cv2.setNumThreads(0)
        waiting: deque[Future[DecodedBatch]] = deque()
        with threads(workers) as pool:
            try:
                for chunk in chunks:
                    waiting.append(pool.submit(self.batch, chunk))
                    if len(waiting) > AHEAD * workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                self._ended.set()

    def _depths(self, modality: int) -> set[int]:
        return {
            form.chip.bits
            for form in self._forms
            if form.modality == modality and form.chip.ranges is None
        }


def _original(pixels: DeepPixels, depths: Iterable[int]) -> tuple[bool, int, bool, bool, bool]:
    shape = repr(pixels.shape).encode()
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8, key=shape).digest()
    number, blank = int.from_bytes(digest), is_blank(pixels)
    if pixels.dtype != np.uint16:
        return True, number, blank, False, False
    darkened = not blank and any(is_blank(to_bytes(pixels, bits)) for bits in depths)
    exceeding = any(int(pixels.max()) >= 2**bits for bits in depths)
    return True, number, blank, darkened, exceeding


def findings(ids: Sequence[str], modalities: Sequence[str], originals: Originals) -> list[str]:
    """Warnings about the images of N samples, one sentence each."""
    sentences = []
    for name, column in zip(modalities, originals.T, strict=True):
        missing, blank, dark, bright = (
            [ids[row] for row in np.flatnonzero(odd).tolist()]
            for odd in (~column["there"], column["blank"], column["darkened"], column["exceeding"])
        )
        count, groups = _identical(column)
        if missing:
            sentences.append(f"{_are(missing, f'{name} image')} missing: {_named(missing)}")
        if blank:
            sentences.append(f"{_are(blank, f'{name} image')} all zero: {_named(blank)}")
        if dark:
            sentences.append(
                f"WARNING: {_are(dark, f'16-bit {name} image')} black at the scale that the "
                f"run was trained at: {_named(dark)}"
            )
        if bright:
            sentences.append(
                f"WARNING: {_are(bright, f'16-bit {name} image')} brighter than all that the "
                f"run was trained on, and white there: {_named(bright)}"
            )
        if groups:
            what = f"group of pixel-identical {name} images"
            copies = [_named([ids[row] for row in group], " = ") for group in groups]
            sentences.append(f"{counted(count, what)}: {_named(copies, of=count)}")
    return sentences


def _identical(column: Originals) -> tuple[int, list[npt.NDArray[np.intp]]]:
    """Number of groups of duplicate images, and the rows of the first few groups."""
    there = np.flatnonzero(column["there"])
    digests = column["digest"][there]
    in_order = np.sort(digests)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    if not repeated.size:
        return 0, []
    rows = there[np.isin(digests, repeated)]
    _, firsts = np.unique(column["digest"][rows], return_index=True)
    named = column["digest"][rows[np.sort(firsts)[:MOST_NAMED]]]
    return len(repeated), [there[digests == digest] for digest in named]


def _are(names: Sequence[str], what: str) -> str:
    return f"{counted(len(names), what)} {'is' if len(names) == 1 else 'are'}"


def _named(names: Sequence[str], joint: str = ", ", of: int = 0) -> str:
    count = max(of, len(names))
    more = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
    return joint.join(names[:MOST_NAMED]) + more
