"""Pooling inside a network: the outputs for the images of a bag, to those of the bag.

A loss takes logits, so ``mean``, ``max`` and ``noisy-or`` give those logits whose activation is the
pooled probability: what is learnt is what :meth:`comptool.tasks.task.Task.pool` predicts. They are
computed by logarithms in float64, where neither a sure nor an impossible image loses its gradient.

``attention`` is the gated attention of Ilse, Tomczak & Welling 2018, "Attention-based Deep Multiple
Instance Learning", arXiv:1802.04712, section 2.4, equation 9. It averages features, ``z = sum a_k
h_k`` with ``sum a_k = 1``; a linear layer of z is the same average of the layer of each h_k. So a
network gives K logits and one score for each image, and a bag of any size is pooled from these
K + 1 numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from comptool.tasks import Task
from comptool.tasks.pooling import ATTENTION, MAX, MEAN

HIDDEN = 128  # rows of V and U in the paper
LEAST = 1e-300  # a probability that is still above 0 in float64
ALMOST_ONE = -1e-15  # the logarithm of a probability that is still below 1
Pool = Callable[[Tensor, "BagPlaces", str], Tensor]


class GatedAttention(nn.Module):
    """Score of each image: ``w . (tanh(V h) * sigmoid(U h))``, without biases."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.v = nn.Linear(width, HIDDEN, bias=False)
        self.u = nn.Linear(width, HIDDEN, bias=False)
        self.w = nn.Linear(HIDDEN, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Scores (B, 1) of features (B, F), in float32 or better."""
        # A softmax of scores in half precision would be wrong by several percent.
        with torch.autocast(features.device.type, enabled=False):
            precise = features.to(self.w.weight.dtype)
            scores: Tensor = self.w(torch.tanh(self.v(precise)) * torch.sigmoid(self.u(precise)))
            return scores


class BagPlaces(NamedTuple):
    """Where N images are in a table (B, S) of B bags, of which the largest has S images.

    Only outputs are laid out so: images are computed without padding, which would take time and
    enter the statistics of batch normalisation.
    """

    bag: Tensor  # of each image, int64 (N,)
    place: Tensor  # of each image in its bag, int64 (N,)
    sizes: Tensor  # images of each bag, int64 (B,)
    most: int  # S

    @classmethod
    def of(cls, bags: npt.NDArray[np.integer], device: torch.device) -> BagPlaces:
        """The places of images by the bag of each, (N,): 0 to B - 1, each at least once."""
        sizes = np.bincount(bags)
        order = np.argsort(bags, kind="stable")
        place = np.empty(len(bags), np.int64)
        place[order] = np.arange(len(bags)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        bag_of, place_of, size_of = (
            torch.from_numpy(one.astype(np.int64)).to(device, non_blocking=True)
            for one in (bags, place, sizes)
        )
        return cls(bag_of, place_of, size_of, int(sizes.max()))

    def spread(self, values: Tensor, fill: float) -> Tensor:
        """Values (N, K) of the images as (B, S, K), with ``fill`` where there is no image."""
        table = values.new_full((len(self.sizes), self.most, *values.shape[1:]), fill)
        # Not a sum over indices, whose order on a GPU is another each time.
        return table.index_put((self.bag, self.place), values)


def pool_outputs(task: Task, outputs: Tensor, places: BagPlaces, how: str) -> Tensor:
    """Outputs of a network for N images as logits of B bags, (B, K), float32.

    ``outputs`` are logits (N, K), with ``attention`` followed by the score: (N, K + 1); or several
    such tables of as many heads, (T, N, K), which gives (T, B, K). ``how`` is a pool of the task or
    ``attention``.
    """
    if outputs.ndim == 3:
        return torch.stack([pool_outputs(task, one, places, how) for one in outputs])
    precise = outputs.double()
    if how == ATTENTION:
        weights = places.spread(precise[:, -1:], -math.inf).softmax(dim=1)
        return (weights * places.spread(precise[:, :-1], 0)).sum(dim=1).float()
    pool: Pool = task.step("pool-logits")
    return pool(precise, places, how).float()


def pool_classes(logits: Tensor, places: BagPlaces, how: str) -> Tensor:
    """Logits (N, K) of one class per image as those of bags, whose softmax is pooled.

    Of two classes the second is pooled, except by the mean, which gives the same.
    """
    shares = logits.log_softmax(dim=1)
    if how != MEAN and logits.shape[1] == 2:
        return torch.cat(_pooled(shares[:, 1:], shares[:, :1], places, how)[::-1], dim=1)
    return _pooled(shares, _log_rest(shares), places, how)[0]


def pool_cells(logits: Tensor, places: BagPlaces, how: str) -> Tensor:
    """Logits (N, K) of several labels per image as those of bags, whose sigmoids are pooled."""
    there, absent = _pooled(logsigmoid(logits), logsigmoid(-logits), places, how)
    return there - absent


def pool_grades(logits: Tensor, places: BagPlaces, how: str) -> Tensor:
    """Conditional logits (N, K - 1) of grades as those of bags; P(above k) is pooled."""
    above = logsigmoid(logits).cumsum(dim=1).clamp(max=ALMOST_ONE)
    reached, _ = _pooled(above, _log_complement(above), places, how)
    before = torch.cat([torch.zeros_like(reached[:, :1]), reached[:, :-1]], dim=1)
    going_on = (reached - before).clamp(max=ALMOST_ONE)
    return going_on - _log_complement(going_on)


def pool_numbers(numbers: Tensor, places: BagPlaces, how: str) -> Tensor:
    """Numbers (N, T) of images as those of bags."""
    if how == MAX:
        return places.spread(numbers, -math.inf).amax(dim=1)
    return places.spread(numbers, 0).sum(dim=1) / places.sizes[:, None]


def _pooled(there: Tensor, absent: Tensor, places: BagPlaces, how: str) -> tuple[Tensor, Tensor]:
    """Logarithms of pooled probabilities and of one minus these, from those of the images."""
    if how == MEAN:
        count = places.sizes[:, None].log()
        tables = (places.spread(one, -math.inf).logsumexp(dim=1) for one in (there, absent))
        mean, rest = (table - count for table in tables)
        return mean, rest
    if how == MAX:
        return (
            places.spread(there, -math.inf).amax(dim=1),
            places.spread(absent, math.inf).amin(dim=1),
        )
    none = places.spread(absent, 0).sum(dim=1)
    return _log_complement(none), none


def _log_complement(logarithm: Tensor) -> Tensor:
    """log(1 - exp(x)) of x up to 0."""
    return (-torch.expm1(logarithm)).clamp(min=LEAST).log()


def _log_rest(shares: Tensor) -> Tensor:
    """log(1 - p) of log p, (N, K), of rows whose p sum to one."""
    # One minus the largest is the sum of the others: exact where that one is nearly sure.
    largest = shares.argmax(dim=1, keepdim=True)
    others = shares.scatter(1, largest, -math.inf).logsumexp(dim=1, keepdim=True)
    rest = _log_complement(shares.clamp(max=ALMOST_ONE))
    return rest.scatter(1, largest, others)
