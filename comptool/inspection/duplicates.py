"""Exact and near duplicates: a Hamming index of perceptual hashes, and the findings.

A hash is four bands of 16 bits. If two hashes differ in up to seven bits, some band differs in at
most one, so that looking up each band and its 16 neighbours misses no pair (Greene, Parnas, Yao
1994, "Multi-Index Hashing for Information Retrieval", FOCS).

Of k images with the same pixels, k - 1 are copies of the first. Of similar images, a spanning
forest of the closest pairs is kept: 1,000 frames of a fixed camera make 999 pairs and not half a
million. If two labels, folds or groups meet among similar images, they still meet in some pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from comptool.competition import findings
from comptool.inspection.image_scan import MISSING, ONE, Direction, Images

BANDS, BITS = 4, 16
MOST = 2 * BANDS - 1  # bits by which a pair may differ
AT_ONCE = 2**18  # candidates

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


def near_pairs(hashes: Hashes, distance: int) -> Iterator[tuple[Rows, Rows]]:
    """All pairs of rows with hashes at most ``distance`` (0 to 7) bits apart, in portions.

    Yields the rows of the first and of the second hash; the first is the smaller.
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
            # Of two bands that differ in a bit, the smaller one looks up the other.
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
    """The near pairs of each place with those from ``begins`` to ``ends``."""
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


DISTANCE = 6  # bits of 64; half are above the median, so the distance is even
SIMILARITY = 0.98
# Pairs of directions multiplied at once: 2 x 32 MB.
PAIRS_AT_ONCE = 2**15
PLANES = 256
Edges = tuple[Rows, Rows, npt.NDArray[np.float64]]


def identical(images: Images) -> pd.DataFrame:
    """Images with the pixels of an earlier one: ``image``, ``other`` (the first), ``score`` (1)."""
    readable = np.flatnonzero((images.frame["problem"] == "").to_numpy())
    same = pd.Series(readable).groupby(images.frame["digest"].iloc[readable].to_numpy())
    first = same.transform("first").to_numpy(np.int64)
    copies = first != readable
    return pd.DataFrame({"image": readable[copies], "other": first[copies], "score": 1.0})


def nearly_identical(images: Images, similarity: float = SIMILARITY) -> pd.DataFrame:
    """Pairs of images with a correlation of at least ``similarity``, without exact copies.

    Images of one sample make no pair: two sensors that see one place are similar. Returns
    ``image``, ``other`` and ``score``, the correlation at low resolution. Connected images form a
    tree with its first image as root; ``other`` is nearer to the root.
    """
    digests = images.frame["digest"]
    ours = images.comparable
    ours = ours[~digests.iloc[ours].duplicated().to_numpy()]
    hashes = images.frame["hash"].to_numpy(np.uint64)[ours]
    tables = pd.factorize(images.frame["table"])[0][ours]
    samples = images.frame["row"].to_numpy()[ours] + tables * len(images.frame)
    directions = images.directions[ours]
    sketches = _sketches(directions)
    edges: Edges = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    for first, second in near_pairs(hashes, DISTANCE):
        maybe = _maybe_similar(sketches, first, second, similarity)
        maybe &= samples[first] != samples[second]
        first, second = first[maybe], second[maybe]
        scores = _correlations(directions, first, second)
        alike = np.flatnonzero(scores >= similarity)
        if alike.size:
            first, second = first[alike], second[alike]
            # Pairs within a table come first: what a split keeps together must not be connected
            # through test images alone.
            lengths = 2 - scores[alike] + 2 * (tables[first] != tables[second])
            edges = _forest(edges, (first, second, lengths), len(ours))
    image, other = _rooted(edges, len(ours))
    scores = np.minimum(_correlations(directions, image, other), 1.0)
    return pd.DataFrame({"image": ours[image], "other": ours[other], "score": scores})


def _sketches(directions: Direction) -> list[npt.NDArray[np.uint64]]:
    """The side of 256 random planes on which each direction lies, four times uint64 of shape (N,).

    Two directions are on different sides of a share of the planes, their angle over 180 degrees
    (Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms", STOC).
    """
    planes = np.random.default_rng(0).normal(size=(directions.shape[1], PLANES))
    sides = np.empty((len(directions), PLANES // 8), np.uint8)
    for begin in range(0, len(directions), PAIRS_AT_ONCE):
        some = slice(begin, begin + PAIRS_AT_ONCE)
        sides[some] = np.packbits(directions[some] @ planes > 0, axis=1)
    return list(np.ascontiguousarray(sides.view(np.uint64).T))


def _maybe_similar(
    sketches: Sequence[npt.NDArray[np.uint64]],
    first: Rows,
    second: Rows,
    similarity: float,
) -> npt.NDArray[np.bool_]:
    """Whether pairs of sketches may be of similar directions; misses one in 3 million."""
    share = math.acos(similarity) / math.pi
    most = PLANES * share + 5 * math.sqrt(PLANES * share * (1 - share))
    differing = np.zeros(len(first), np.uint16)
    for words in sketches:
        differing += np.bitwise_count(words[first] ^ words[second])
    return np.asarray(differing <= most)


def _correlations(directions: Direction, first: Rows, second: Rows) -> npt.NDArray[np.float64]:
    scores = np.empty(len(first))
    for begin in range(0, len(first), PAIRS_AT_ONCE):
        some = slice(begin, begin + PAIRS_AT_ONCE)
        ours, theirs = (directions[rows[some]].astype(np.float32) for rows in (first, second))
        scores[some] = np.einsum("nd,nd->n", ours, theirs) / ONE**2
    return scores


def _forest(edges: Edges, more: Edges, count: int) -> Edges:
    """The shortest edges that keep the components; in a sparse matrix 0 is not an edge."""
    first, second, lengths = (np.concatenate(both) for both in zip(edges, more, strict=True))
    tree = minimum_spanning_tree(coo_array((lengths, (first, second)), (count, count)).tocsr())
    kept = tree.tocoo()
    return kept.row.astype(np.int64), kept.col.astype(np.int64), kept.data


def _rooted(edges: Edges, count: int) -> tuple[Rows, Rows]:
    """The ends of each edge of a forest; the second is nearer to its tree's first node."""
    graph = coo_array((edges[2], edges[:2]), (count + 1, count + 1)).tocsr()
    parts = connected_components(graph, directed=False)[1]
    roots = np.unique(parts[:count], return_index=True)[1]
    # An extra node above the first node of each tree, so that one search visits all.
    above = coo_array((np.ones(len(roots)), (np.full(len(roots), count), roots)), graph.shape)
    before = breadth_first_order((graph + above).tocsr(), count, directed=False)[1][:count]
    image = np.flatnonzero(before < count)
    return image, before[image].astype(np.int64)


# If nine of ten images have one size, other sizes are findings.
NEARLY_ALL = 0.9


def image_findings(images: Images, similarity: float) -> list[pd.DataFrame]:
    """Missing, unreadable, constant and odd images, and copies (similarity 1: exact ones only)."""
    frame = images.frame
    missing = frame["problem"] == MISSING
    found = [
        _of(findings.MISSING, frame[missing]),
        _of(findings.UNREADABLE, frame[~missing & (frame["problem"] != "")], "problem"),
        _of(findings.CONSTANT, frame[frame["constant"] != ""], "constant"),
        *_odd(findings.ODD_SIZE, frame, "size"),
        *_odd(findings.ODD_MODE, frame, "mode"),
        _pairs(findings.DUPLICATE, frame, identical(images)),
    ]
    if similarity < 1:
        near = nearly_identical(images, similarity)
        found.append(_pairs(findings.NEAR_DUPLICATE, frame, near))
    return found


def _of(kind: str, images: pd.DataFrame, value: str | None = None) -> pd.DataFrame:
    values = images[value].to_numpy() if value else ""
    made = findings.made(kind, "", images["id"], column=images["column"].to_numpy(), value=values)
    return made.assign(table=images["table"].to_numpy())


def _odd(kind: str, frame: pd.DataFrame, field: str) -> list[pd.DataFrame]:
    readable = frame[frame["problem"] == ""]
    odd = []
    for _, images in readable.groupby("column"):
        shares = images[field].value_counts(normalize=True)
        if shares.iloc[0] >= NEARLY_ALL:
            odd.append(_of(kind, images[images[field] != shares.index[0]], field))
    return odd


def _pairs(kind: str, frame: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    one, other = (frame.take(pairs[name].tolist()) for name in ("image", "other"))
    return _of(kind, one).assign(
        other_table=other["table"].to_numpy(),
        other_id=other["id"].to_numpy(),
        other_column=other["column"].to_numpy(),
        score=pairs["score"].round(4).to_numpy(),
    )
