"""Order of the rows of an epoch, and their augmentation seeds.

Both follow from (seed, epoch) alone, so that neither the number of workers nor an interruption
changes them. A row drawn twice in one epoch has two seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from comptool.errors import unknown_name

ORDERS = ("shuffle", "over", "class-aware")
Rows = npt.NDArray[np.int64]


class Draw(NamedTuple):
    """One row of a batch: its number in the table and its augmentation seed."""

    row: int
    seed: int


class EpochBatches(Sampler[list[Draw]]):
    """The batches of one epoch, for one of several processes.

    A last batch of a single row is left out, unless it is the only one: batch normalisation learns
    nothing from one image. Processes take equal numbers of rows; the first rows of the epoch are
    repeated to make up the difference.

    ``labels`` are class indices (N,), or multi-label cells (N, K), 1 for present; ``batch_size``
    rows per step and process; ``rank`` the index of this of ``world_size`` processes. With
    ``partners`` each batch is followed by as many ``class-aware`` rows, for balanced mixup.

    Orders are ``shuffle``: every row once; ``over``: smaller classes are oversampled to the size of
    the largest, single-label only; ``class-aware``: N rows, one of each class in turn, and within a
    class its rows in turn (Shen et al. 2016, arXiv:1512.05830, section 3). A row of several classes
    has its turn with each, one of none has none. An unknown order is a UsageError.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.integer],
        batch_size: int,
        *,
        order: str = "shuffle",
        seed: int = 0,
        partners: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if order not in ORDERS:
            raise unknown_name("sampling order", order, ORDERS)
        self._labels = np.asarray(labels)
        self._batch_size = batch_size
        self._orders = (order, "class-aware") if partners else (order,)
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._epoch = 0
        self._first_step = 0

    def set_epoch(self, epoch: int, first_step: int = 0) -> None:
        """Set the epoch and first step of the next iteration."""
        self._epoch = epoch
        self._first_step = first_step

    @property
    def num_draws(self) -> int:
        """Rows of one epoch, over all processes, without partners, with any last batch."""
        if self._orders[0] == "over":
            counts = np.unique(self._labels, return_counts=True)[1]
            return int(counts.max() * len(counts))
        return len(self._labels)

    @property
    def images_per_draw(self) -> float:
        """Mean number of images of a draw."""
        return 1.0

    @property
    def images_per_step(self) -> int:
        """Images of a whole batch."""
        return self._batch_size

    @property
    def least_per_draw(self) -> int:
        """Images of the smallest draw."""
        return 1

    def draw_of(self, rows: Rows) -> Rows:
        """Which draw of its batch each row is, for the rows of a batch in order."""
        return np.arange(len(rows))

    @property
    def num_steps(self) -> int:
        """Steps of a whole epoch."""
        full, rest = divmod(self.num_draws, self._batch_size * self._world_size)
        return full + int(rest > 0 and (full == 0 or -(-rest // self._world_size) > 1))

    def __len__(self) -> int:
        """Remaining steps of the epoch."""
        return max(self.num_steps - self._first_step, 0)

    def __iter__(self) -> Iterator[list[Draw]]:
        for rows, seeds in self.arrays():
            yield [Draw(*pair) for pair in zip(rows.tolist(), seeds.tolist(), strict=True)]

    def arrays(self) -> Iterator[tuple[Rows, Rows]]:
        """Rows and seeds of each batch, as two int64 arrays (B,)."""
        rng = np.random.default_rng([self._seed, self._epoch])
        drawn = [self._drawn(order, rng) for order in self._orders]
        for step in range(self._first_step, self.num_steps):
            at = np.array(self._places(step))
            yield (
                np.concatenate([rows[at % len(rows)] for rows, _ in drawn]),
                np.concatenate([seeds[at] for _, seeds in drawn]),
            )

    def _drawn(self, order: str, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Rows of an epoch, and more seeds than rows, for repeated rows at the end."""
        rows = epoch_rows(self._labels, order, rng)
        return rows, rng.integers(2**62, size=len(rows) + self._world_size)

    def _places(self, step: int) -> range:
        whole = self._batch_size * self._world_size
        left = self.num_draws - step * whole
        share = min(self._batch_size, -(-left // self._world_size))
        start = step * whole + self._rank * share
        return range(start, start + share)


class BagBatches(EpochBatches):
    """Batches of bags: of each bag that is drawn, ``bag_size`` of its images without replacement.

    A smaller bag gives all its images and no more: a repeated image would count twice in a
    noisy-or, and a blank one in batch normalisation. Which images these are, and their augmentation
    seeds, follow from the seed of the draw. ``bags`` (N,) is the bag of each image, 0 to B - 1, in
    order; ``labels`` are those of the B bags, and ``batch_size`` is the number of bags.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.integer],
        batch_size: int,
        *,
        bags: Rows,
        bag_size: int,
        order: str = "shuffle",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(
            labels, batch_size, order=order, seed=seed, rank=rank, world_size=world_size
        )
        self._bags = bags
        self._bag_size = bag_size
        self._sizes = np.bincount(bags)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._taken = np.minimum(self._sizes, bag_size)

    @property
    def images_per_draw(self) -> float:
        """Mean number of images of a bag that are drawn."""
        return float(self._taken.mean())

    @property
    def images_per_step(self) -> int:
        """Images of a batch of large bags."""
        return self._batch_size * self._bag_size

    @property
    def least_per_draw(self) -> int:
        """Images that are drawn of the smallest bag."""
        return int(self._taken.min())

    def draw_of(self, rows: Rows) -> Rows:
        """The bag of each row within its batch, 0 and up; a bag drawn twice is two."""
        found, at, number = np.empty(len(rows), np.int64), 0, 0
        while at < len(rows):
            end = at + self._taken[self._bags[rows[at]]]
            found[at:end] = number
            at, number = end, number + 1
        return found

    def arrays(self) -> Iterator[tuple[Rows, Rows]]:
        """Rows and seeds of the images of each batch, those of a bag one after the other."""
        for bags, seeds in super().arrays():
            images = [self._images(*pair) for pair in zip(bags, seeds, strict=True)]
            rows, own_seeds = zip(*images, strict=True)
            yield np.concatenate(rows), np.concatenate(own_seeds)

    def _images(self, bag: int, seed: int) -> tuple[Rows, Rows]:
        rng = np.random.default_rng(seed)
        chosen = rng.choice(self._sizes[bag], self._taken[bag], replace=False)
        return self._starts[bag] + chosen, rng.integers(2**62, size=len(chosen))


def epoch_rows(labels: npt.NDArray[np.integer], order: str, rng: np.random.Generator) -> Rows:
    """The rows of one epoch in one of `ORDERS`."""
    if order == "shuffle":
        return rng.permutation(len(labels))
    members = _members(labels)
    if order == "over":
        most = max(len(rows) for rows in members)
        sequence = rng.permutation(np.repeat(np.arange(len(members)), most))
    else:
        cycles = np.tile(np.arange(len(members)), (-(-len(labels) // len(members)), 1))
        sequence = rng.permuted(cycles, axis=1).ravel()[: len(labels)]
    drawn = np.empty(len(sequence), np.int64)
    for number, rows in enumerate(members):
        places = np.flatnonzero(sequence == number)
        drawn[places] = _in_turn(rows, len(places), rng)
    return drawn


def _members(labels: npt.NDArray[np.integer]) -> list[Rows]:
    if labels.ndim == 2:
        classes = [np.flatnonzero(column == 1) for column in labels.T]
        return [rows for rows in classes if rows.size]
    return [np.flatnonzero(labels == index) for index in np.unique(labels)]


def _in_turn(members: Rows, count: int, rng: np.random.Generator) -> Rows:
    rounds = -(-count // len(members))
    return rng.permuted(np.tile(members, (rounds, 1)), axis=1).ravel()[:count]


def in_order(
    num_rows: int, batch_size: int, *, rank: int = 0, world_size: int = 1
) -> list[list[int]]:
    """Batches for evaluation: each row once and in order, every ``world_size``-th for this process.

    Examples
    --------
    >>> in_order(5, 2)
    [[0, 1], [2, 3], [4]]
    """
    rows = list(range(rank, num_rows, world_size))
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
