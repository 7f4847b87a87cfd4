"""Images that are there twice: the same pixels, or nearly.

Of k images with the same pixels k - 1 are copies of the first. Of images that are nearly alike the
closest pairs are kept that join all of them (a spanning forest): 1,000 frames of a camera that
stands still make 999 pairs and not half a million. What is asked of pairs is still answered: if two
labels, folds or groups meet among images that are alike, they meet in some pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from comptool.inspection.looking import Images
from comptool.inspection.neighbours import near_pairs
from comptool.inspection.perceptual import ONE, Direction

DISTANCE = 6  # of the 64 bits of a hash; half of them are above the median, so it is even
SIMILARITY = 0.98
# Pairs whose directions are multiplied at once: 2 x 32 MB.
AT_ONCE = 2**15
PLANES = 256
Edges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


def identical(images: Images) -> pd.DataFrame:
    """Images with the same pixels as an earlier one.

    Returns
    -------
    pandas.DataFrame
        ``image`` and ``other``, numbers in ``images``, and ``score``, which is 1; the other is
        the first of those that are alike.
    """
    readable = np.flatnonzero((images.frame["problem"] == "").to_numpy())
    same = pd.Series(readable).groupby(images.frame["digest"].iloc[readable].to_numpy())
    first = same.transform("first").to_numpy(np.int64)
    copies = first != readable
    return pd.DataFrame({"image": readable[copies], "other": first[copies], "score": 1.0})


def nearly_identical(images: Images, similarity: float = SIMILARITY) -> pd.DataFrame:
    """Pairs of images that are nearly alike, copies with the same pixels and constant ones aside.

    Images of one sample make no pair: two sensors that see one place are alike.

    Parameters
    ----------
    images
        N images.
    similarity
        Least correlation of two pictures at low resolution, 0 to 1.

    Returns
    -------
    pandas.DataFrame
        ``image``, ``other`` and ``score``, the correlation. Those that are joined directly or by
        way of others form a tree that hangs from its first image; ``other`` is the nearer to it.
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
            # Pairs within a table come first: what a split keeps together must not hang together
            # by way of test images alone.
            lengths = 2 - scores[alike] + 2 * (tables[first] != tables[second])
            edges = _forest(edges, (first, second, lengths), len(ours))
    image, other = _hung(edges, len(ours))
    scores = np.minimum(_correlations(directions, image, other), 1.0)
    return pd.DataFrame({"image": ours[image], "other": ours[other], "score": scores})


def _sketches(directions: Direction) -> list[npt.NDArray[np.uint64]]:
    """The sides of 256 random planes that each direction is on, four times uint64 of shape (N,).

    Two directions are on different sides of a share of them that is their angle over 180 degrees
    (Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms", STOC).
    """
    planes = np.random.default_rng(0).normal(size=(directions.shape[1], PLANES))
    sides = np.empty((len(directions), PLANES // 8), np.uint8)
    for begin in range(0, len(directions), AT_ONCE):
        some = slice(begin, begin + AT_ONCE)
        sides[some] = np.packbits(directions[some] @ planes > 0, axis=1)
    return list(np.ascontiguousarray(sides.view(np.uint64).T))


def _maybe_similar(
    sketches: Sequence[npt.NDArray[np.uint64]],
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    similarity: float,
) -> npt.NDArray[np.bool_]:
    """Which pairs of sketches may be of similar directions; one in 3 million is overlooked."""
    share = math.acos(similarity) / math.pi
    most = PLANES * share + 5 * math.sqrt(PLANES * share * (1 - share))
    differing = np.zeros(len(first), np.uint16)
    for words in sketches:
        differing += np.bitwise_count(words[first] ^ words[second])
    return np.asarray(differing <= most)


def _correlations(
    directions: Direction, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    scores = np.empty(len(first))
    for begin in range(0, len(first), AT_ONCE):
        some = slice(begin, begin + AT_ONCE)
        ours, theirs = (directions[rows[some]].astype(np.float32) for rows in (first, second))
        scores[some] = np.einsum("nd,nd->n", ours, theirs) / ONE**2
    return scores


def _forest(edges: Edges, more: Edges, count: int) -> Edges:
    """The shortest edges that join what is joined at all; in a sparse matrix 0 is no edge."""
    first, second, lengths = (np.concatenate(both) for both in zip(edges, more, strict=True))
    tree = minimum_spanning_tree(coo_array((lengths, (first, second)), (count, count)).tocsr())
    kept = tree.tocoo()
    return kept.row.astype(np.int64), kept.col.astype(np.int64), kept.data


def _hung(edges: Edges, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The ends of each edge of a forest; the second is the nearer to its tree's first node."""
    graph = coo_array((edges[2], edges[:2]), (count + 1, count + 1)).tocsr()
    parts = connected_components(graph, directed=False)[1]
    roots = np.unique(parts[:count], return_index=True)[1]
    # One more node, above the first one of each tree, so that one search meets them all.
    above = coo_array((np.ones(len(roots)), (np.full(len(roots), count), roots)), graph.shape)
    before = breadth_first_order((graph + above).tocsr(), count, directed=False)[1][:count]
    image = np.flatnonzero(before < count)
    return image, before[image].astype(np.int64)
