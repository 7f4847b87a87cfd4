"""Images of a prediction are decoded once, in every form that is wanted."""

from __future__ import annotations

import time
from collections import Counter
from threading import active_count

import numpy as np
import pytest

from comptool.data.image_io import ChipForm
from comptool.errors import InputError
from comptool.inference.decode import DecodedSamples, Form


def test_each_image_is_decoded_once_however_many_forms_are_wanted():
    read = []

    class Files:
        def read(self, row, modality):
            read.append((row, modality))
            return np.full((8, 8, 1), row, np.uint8)

        def source(self, row, modality):
            return f"{row}.png"

        def __len__(self):
            return 4

    wanted = [(0, 4, 4, 3), (0, 8, 8, 1), (1, 4, 4, 3), (0, 16, 4, 3)]
    forms = [Form(modality, ChipForm(*chip)) for modality, *chip in wanted]
    samples = DecodedSamples(Files(), 2, forms)
    images = samples.batch([3, 1]).images
    assert read == [(3, 0), (3, 1), (1, 0), (1, 1)]
    assert [image.shape[1:] for image in images] == [(4, 4, 3), (8, 8, 1), (4, 4, 3), (16, 4, 3)]
    assert all((image[0] == 3).all() and (image[1] == 1).all() for image in images)


class SlowFiles:
    """A thousand images, all but the first hundred slow to read; one may be damaged."""

    def __init__(self, damaged: int | None = None) -> None:
        self.damaged = damaged
        self.read_rows: list[int] = []

    def __len__(self):
        return 1000

    def source(self, row, modality):
        return f"{row}.png"

    def read(self, row, modality):
        time.sleep(0.05 if row >= 100 else 0)
        self.read_rows.append(row)
        if row == self.damaged:
            raise InputError(f"image {row} is damaged")
        return np.full((4, 4, 1), row % 256, np.uint8)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, GeneratorExit])
def test_whoever_stops_waiting_stops_the_threads(interrupt):
    files, before = SlowFiles(), active_count()
    batches = DecodedSamples(files, 1, [Form(0, ChipForm(4, 4, 1))]).batches(100, workers=3)
    next(batches)
    with pytest.raises(interrupt):
        batches.throw(interrupt)
    # Nobody waits for them, for one may never come back; these end with the image they are at.
    patience = time.monotonic() + 10
    while active_count() > before and time.monotonic() < patience:
        time.sleep(0.01)
    assert active_count() == before
    whole = [
        batch
        for batch, rows in Counter(row // 100 for row in files.read_rows).items()
        if rows == 100
    ]
    assert whole == [0]


def test_a_damaged_image_is_told_in_the_place_of_its_batch():
    files = SlowFiles(damaged=25)
    batches = DecodedSamples(files, 1, [Form(0, ChipForm(4, 4, 1))]).batches(10, workers=3)
    assert [batch.images[0][0, 0, 0, 0] for batch in (next(batches), next(batches))] == [0, 10]
    with pytest.raises(InputError, match="image 25 is damaged"):
        next(batches)
    assert len(files.read_rows) < 200
