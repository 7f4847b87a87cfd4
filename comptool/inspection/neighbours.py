"""Pairs of 64-bit hashes that differ in few bits, without looking at all pairs.

A hash is four bands of 16 bits. If two differ in up to seven bits, some band differs in at most
one, so that looking each band up, and its 16 neighbours, misses no pair (Greene, Parnas, Yao 1994,
"Multi-Index Hashing for Information Retrieval", FOCS).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

BANDS, BITS = 4, 16
MOST = 2 * BANDS - 1  # bits that a pair may differ in
AT_ONCE = 2**21  # candidates

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


def near_pairs(hashes: Hashes, distance: int) -> Iterator[tuple[Rows, Rows]]:
    """Every pair of rows whose hashes differ in at most ``distance`` bits, once, in portions.

    Parameters
    ----------
    hashes
        uint64 of shape (N,).
    distance
        0 to 7.

    Yields
    ------
    tuple of numpy.ndarray
        The first rows and, of the same length, the second; the first is the smaller.

    Raises
    ------
    ValueError
        If the distance is one at which pairs would be missed.
    """
    if not 0 <= distance <= MOST:
        raise ValueError(f"the distance must be 0 to {MOST}, not {distance}")
    for band in range(BANDS):
        keys = _band(hashes, band)
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], np.arange(2**BITS + 1))
        for change in (0, *(1 << bit for bit in range(BITS))):
            wanted = keys ^ np.uint64(change)
            for first, places in _candidates(starts[wanted], starts[wanted + np.uint64(1)]):
                second = order[places]
                differing = hashes[first] ^ hashes[second]
                near = (np.bitwise_count(differing) <= distance) & (first < second)
                near &= ~_met_before(differing, band)
                if near.any():
                    yield first[near], second[near]


def _band(values: Hashes, band: int) -> Hashes:
    return (values >> np.uint64(BITS * band)) & np.uint64(2**BITS - 1)


def _met_before(differing: Hashes, band: int) -> npt.NDArray[np.bool_]:
    met = np.zeros(len(differing), np.bool_)
    for earlier in range(band):
        met |= np.bitwise_count(_band(differing, earlier)) <= 1
    return met


def _candidates(begins: Rows, ends: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Rows with the places from ``begins`` to ``ends`` of each, some rows at a time."""
    counts = ends - begins
    total = np.concatenate([[0], np.cumsum(counts)])
    row = 0
    while row < len(counts):
        until = max(int(np.searchsorted(total, total[row] + AT_ONCE, side="right")) - 1, row + 1)
        some = np.arange(row, until)
        rows = np.repeat(some, counts[some])
        offsets = np.arange(len(rows)) - np.repeat(total[some] - total[row], counts[some])
        yield rows, begins[rows] + offsets
        row = until
