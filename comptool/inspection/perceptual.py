"""What two copies of a picture share although their pixels differ.

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

import cv2
import numpy as np
import numpy.typing as npt

from comptool.data.images import DeepPixels

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
