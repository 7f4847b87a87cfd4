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
AT_ONCE = 2**18  # candidates

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
        order = np.argsort(_band(hashes, band), kind="stable")
        ordered = hashes[order]
        keys = _band(ordered, band)
        starts = np.searchsorted(keys, np.arange(2**BITS + 1))
        for change in (0, *(1 << bit for bit in range(BITS))):
            wanted = keys ^ np.uint64(change)
            begins = starts[wanted] if change else np.arange(1, len(keys) + 1)
            # Of two bands that differ in a bit, the smaller one looks for the other.
            ends = np.where(keys <= wanted, starts[wanted + np.uint64(1)], begins)
            for one, other in _near(ordered, begins, ends, distance, band):
                yield np.minimum(order[one], order[other]), np.maximum(order[one], order[other])


def _band(values: Hashes, band: int) -> Hashes:
    return (values >> np.uint64(BITS * band)) & np.uint64(2**BITS - 1)


def _met_before(differing: Hashes, band: int) -> npt.NDArray[np.bool_]:
    met = np.zeros(len(differing), np.bool_)
    for earlier in range(band):
        met |= np.bitwise_count(_band(differing, earlier)) <= 1
    return met


def _near(
    hashes: Hashes, begins: Rows, ends: Rows, distance: int, band: int
) -> Iterator[tuple[Rows, Rows]]:
    """Of the pairs of each place with those from ``begins`` to ``ends`` the near ones."""
    counts = ends - begins
    total = np.concatenate([[0], np.cumsum(counts)])
    place = 0
    while place < len(counts):
        until = int(np.searchsorted(total, total[place] + AT_ONCE, side="right")) - 1
        some = slice(place, max(until, place + 1))
        before = total[some] - total[place]
        candidates = np.repeat(begins[some] - before, counts[some])
        candidates += np.arange(len(candidates))
        differing = np.repeat(hashes[some], counts[some]) ^ hashes[candidates]
        near = np.flatnonzero(np.bitwise_count(differing) <= distance)
        near = near[~_met_before(differing[near], band)]
        if near.size:
            yield place + np.searchsorted(before, near, side="right") - 1, candidates[near]
        place = some.stop
