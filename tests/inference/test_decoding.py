"""Images of a prediction are decoded once, in every form that is wanted."""

from __future__ import annotations

import numpy as np

from comptool.data.images import ChipForm
from comptool.inference.decoding import DecodedSamples, Form


def test_each_image_is_decoded_once_however_many_forms_are_wanted():
    read = []

    class Files:
        def read(self, row, modality):
            read.append((row, modality))
            return np.full((8, 8, 1), row, np.uint8)

        def __len__(self):
            return 4

    wanted = [(0, 4, 4, 3), (0, 8, 8, 1), (1, 4, 4, 3), (0, 16, 4, 3)]
    forms = [Form(modality, ChipForm(*chip)) for modality, *chip in wanted]
    samples = DecodedSamples(Files(), 2, forms)
    images = samples.batch([3, 1]).images
    assert read == [(3, 0), (3, 1), (1, 0), (1, 1)]
    assert [image.shape[1:] for image in images] == [(4, 4, 3), (8, 8, 1), (4, 4, 3), (16, 4, 3)]
    assert all((image[0] == 3).all() and (image[1] == 1).all() for image in images)
