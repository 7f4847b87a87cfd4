"""Random numbers of many samples at once, each a function of that sample's seed alone.

SplitMix64: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", OOPSLA,
section 4; constants of Stafford's variant 13, as in Java's ``SplittableRandom``. It is a counter
and a mixing function, so that one expression gives the n-th numbers of all samples. NumPy's own
counter-based generator, Philox, is an object with a state per sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_FLOAT_BITS = np.uint64(11)  # that a float64 has no room for

Words = npt.NDArray[np.uint64]


class SeededNumbers:
    """A sequence of random numbers for each seed.

    Parameters
    ----------
    seeds
        Non-negative int64 of shape (B,).
    streams
        int64 of any shape (..., 1): sequences of the same seed that know nothing of one another.
        Numbers are drawn for all of them, with shape (..., B).

    Examples
    --------
    >>> both = SeededNumbers(np.array([5, 7]), np.array([0])).uniform()
    >>> both[1] == SeededNumbers(np.array([7]), np.array([0])).uniform()[0]
    True
    """

    def __init__(self, seeds: npt.NDArray[np.int64], streams: npt.NDArray[np.int64]) -> None:
        # Mixed before the streams are told apart, lest that of one seed be another's of the next.
        self._places = _mixed(_mixed(seeds.astype(np.uint64)) ^ streams.astype(np.uint64))

    def uniform(self) -> npt.NDArray[np.float64]:
        """The next numbers, from 0 to below 1, one for each seed and stream."""
        self._places = self._places + _STEP
        return (_mixed(self._places) >> _FLOAT_BITS).astype(np.float64) * 2.0**-53

    def below(self, count: int) -> npt.NDArray[np.int64]:
        """The next integers, from 0 to ``count - 1``, each equally likely."""
        return (self.uniform() * count).astype(np.int64)


def _mixed(words: Words) -> Words:
    for factor, shift in zip(_FACTORS, _SHIFTS[:2], strict=True):
        words = (words ^ (words >> shift)) * factor
    return words ^ (words >> _SHIFTS[2])
