"""Each test image decoded once, in every form that some network wants, and looked at on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from comptool.data.batches import stack
from comptool.data.files import ImageFiles
from comptool.data.images import (
    FULL_DEPTH,
    DeepPixels,
    Pixels,
    digest,
    is_blank,
    resize,
    to_bytes,
    to_channels,
)

MOST_NAMED = 20


class Form(NamedTuple):
    """How a network takes the images of one modality.

    ``bits`` are those that the 16-bit images it was trained on use.
    """

    modality: int
    height: int
    width: int
    channels: int
    bits: int = FULL_DEPTH


class Original(NamedTuple):
    """What an image was before it was resized.

    A digest of its pixels; whether all are zero; and for 16-bit images, whether all become zero at
    the scale of some network, and whether some are above all that it was trained on.
    """

    digest: bytes
    blank: bool
    darkened: bool = False
    exceeding: bool = False


class Decoded(NamedTuple):
    """One sample: its images, one per form; its originals, one per modality, None if missing."""

    row: int
    images: list[Pixels]
    originals: list[Original | None]


class DecodedBatch(NamedTuple):
    """B samples: one uint8 tensor [B, C, H, W] per form, and the originals of each."""

    rows: list[int]
    images: list[Tensor]
    originals: list[list[Original | None]]


class DecodedSamples(Dataset[Decoded]):
    """Samples in several forms.

    Parameters
    ----------
    files
        The image files of N samples of M modalities.
    num_modalities
        M.
    forms
        The distinct forms wanted, each once.
    """

    def __init__(self, files: ImageFiles, num_modalities: int, forms: Sequence[Form]) -> None:
        self._files = files
        self._num_modalities = num_modalities
        self._forms = list(forms)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> Decoded:
        decoded = [self._files.read(row, number) for number in range(self._num_modalities)]
        images = [_shaped(decoded[form.modality], form) for form in self._forms]
        originals = [_original(pixels, self._depths(n)) for n, pixels in enumerate(decoded)]
        return Decoded(row, images, originals)

    def _depths(self, modality: int) -> set[int]:
        return {form.bits for form in self._forms if form.modality == modality}

    def collate(self, samples: list[Decoded]) -> DecodedBatch:
        """One batch of samples."""
        images = [stack(pixels) for pixels in zip(*(one.images for one in samples), strict=True)]
        rows, originals = [one.row for one in samples], [one.originals for one in samples]
        return DecodedBatch(rows, images, originals)


def _original(pixels: DeepPixels | None, depths: Iterable[int]) -> Original | None:
    if pixels is None:
        return None
    same, blank = digest(pixels), is_blank(pixels)
    if pixels.dtype == np.uint8:
        return Original(same, blank)
    darkened = not blank and any(is_blank(to_bytes(pixels, bits)) for bits in depths)
    exceeding = any(int(pixels.max()) >= 2**bits for bits in depths)
    return Original(same, blank, darkened, exceeding)


def _shaped(pixels: DeepPixels | None, form: Form) -> Pixels:
    if pixels is None:
        return np.zeros((form.height, form.width, form.channels), np.uint8)
    scaled = to_bytes(pixels, form.bits)
    return to_channels(resize(scaled, (form.height, form.width)), form.channels)


def findings(
    ids: Sequence[str], modalities: Sequence[str], originals: Sequence[Sequence[Original | None]]
) -> list[str]:
    """What is odd about the images of N samples, one sentence each.

    Parameters
    ----------
    ids
        The N ids.
    modalities
        The M names.
    originals
        N rows of M, as `DecodedSamples` gives them.

    Returns
    -------
    list of str
        Names of the samples with a missing or an all-zero image, of those at another scale than the
        networks were trained at, and of those with the same pixels.
    """
    sentences = []
    for number, name in enumerate(modalities):
        column = [row[number] for row in originals]
        missing = [one for one, seen in zip(ids, column, strict=True) if seen is None]
        blank = [one for one, seen in zip(ids, column, strict=True) if seen and seen.blank]
        dark = [one for one, seen in zip(ids, column, strict=True) if seen and seen.darkened]
        bright = [one for one, seen in zip(ids, column, strict=True) if seen and seen.exceeding]
        same: dict[bytes, list[str]] = {}
        for one, seen in zip(ids, column, strict=True):
            if seen:
                same.setdefault(seen.digest, []).append(one)
        groups = [" = ".join(group) for group in same.values() if len(group) > 1]
        if missing:
            sentences.append(f"{_counted(missing, f'{name} image')} missing: {_named(missing)}")
        if blank:
            sentences.append(f"{_counted(blank, f'{name} image')} all zero: {_named(blank)}")
        if dark:
            sentences.append(
                f"WARNING: {_counted(dark, f'16-bit {name} image')} black at the scale that the "
                f"run was trained at: {_named(dark)}"
            )
        if bright:
            sentences.append(
                f"WARNING: {_counted(bright, f'16-bit {name} image')} brighter than all that the "
                f"run was trained on, and white there: {_named(bright)}"
            )
        if groups:
            what = f"group of pixel-identical {name} images"
            sentences.append(f"{_plural(len(groups), what)}: {_named(groups)}")
    return sentences


def _counted(names: Sequence[str], what: str) -> str:
    return f"{_plural(len(names), what)} {'is' if len(names) == 1 else 'are'}"


def _plural(count: int, what: str) -> str:
    first, space, rest = what.partition(" of ")
    return f"{count} {first}{'' if count == 1 else 's'}{space}{rest}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
