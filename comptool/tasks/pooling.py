"""Pooling: predictions of the images of a bag, to one answer.

- ``mean``: the mean over the images;
- ``max``: the image that shows a class most;
- ``noisy-or``: 1 - prod(1 - p), the chance that at least one image shows the class if the images
  err independently (Pearl 1988, "Probabilistic Reasoning in Intelligent Systems", section 4.3);
- ``attention``: the mean of the outputs, weighted by scores that the network gives to the images
  and has learnt by bags (Ilse, Tomczak & Welling 2018, arXiv:1802.04712, section 2.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from comptool.errors import unknown_name

if TYPE_CHECKING:
    from comptool.tasks.task import Floats

MEAN, MAX, NOISY_OR = "mean", "max", "noisy-or"
POOLS = (MEAN, MAX, NOISY_OR)
# Of outputs, before they are probabilities; by a network that has learnt it.
ATTENTION = "attention"
# In place of such a name: predictions of images are kept.
NO_POOL = "none"


def pooled(values: Floats, bags: npt.NDArray[np.integer], how: str) -> Floats:
    """Values (N, K) of N images as those of B bags, float64 (B, K), each column by itself.

    Parameters
    ----------
    values
        Probabilities in [0, 1] for ``noisy-or``, otherwise any numbers.
    bags
        Bag of each image, shape (N,): 0 to B - 1, each at least once.
    how
        A name in `POOLS`.

    Raises
    ------
    UsageError
        If the name is unknown.

    Examples
    --------
    >>> pooled(np.array([[0.5], [0.25], [0.75]]), np.array([0, 0, 1]), "noisy-or").round(3).tolist()
    [[0.625], [0.75]]
    """
    if how not in POOLS:
        raise unknown_name("pool", how, POOLS)
    order = np.argsort(bags, kind="stable")
    sorted_values = np.asarray(values, np.float64)[order]
    sizes = np.bincount(bags)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if how == MEAN:
        return np.asarray(np.add.reduceat(sorted_values, starts) / sizes[:, None])
    if how == MAX:
        return np.asarray(np.maximum.reduceat(sorted_values, starts))
    # A sum of logarithms, so that many small probabilities are not rounded away.
    with np.errstate(divide="ignore"):
        none = np.add.reduceat(np.log1p(-sorted_values), starts)
    return np.asarray(-np.expm1(none))


def attended(outputs: Floats, bags: npt.NDArray[np.integer]) -> Floats:
    """Outputs (N, ..., K + 1) of N images as those of their bags, float64 (B, ..., K).

    The last output is the score; the weights of the images of a bag are the softmax of these.

    Examples
    --------
    >>> attended(np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 9.0]]), np.array([0, 0, 1])).tolist()
    [[2.0], [5.0]]
    """
    order = np.argsort(bags, kind="stable")
    found = np.asarray(outputs, np.float64)[order]
    sizes = np.bincount(bags)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    scores = found[..., -1:]
    weights = np.exp(scores - np.repeat(np.maximum.reduceat(scores, starts), sizes, axis=0))
    sums = np.add.reduceat(weights * found[..., :-1], starts)
    return np.asarray(sums / np.add.reduceat(weights, starts))


def pooled_in_order(values: Floats, bags: npt.NDArray[np.integer], how: str) -> Floats:
    """Probabilities (N, K) of classes in order, pooled by those of all classes above each.

    With ``max`` and ``noisy-or`` a bag is at least as high as its highest image.
    """
    above = np.clip(values[:, ::-1].cumsum(axis=1, dtype=np.float64)[:, ::-1], 0, 1)
    reached = pooled(above[:, 1:], bags, how)
    ends = np.ones((len(reached), 1)), np.zeros((len(reached), 1))
    edges = np.concatenate([ends[0], reached, ends[1]], axis=1)
    return np.asarray(np.maximum(edges[:, :-1] - edges[:, 1:], 0))
