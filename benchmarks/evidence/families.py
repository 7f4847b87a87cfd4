"""Predictions whose truth is known: simulated families, and folders of real logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Population:
    """Labels of ``n`` rows and the logits of several members for them.

    ``labels``: (n,) class numbers; ``logits``: (members, n, classes).
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float64]

    def rows(self, chosen: NDArray[np.int64]) -> Population:
        """These rows alone."""
        return Population(self.labels[chosen], self.logits[:, chosen])

    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, (members, n, classes)."""
        moved = np.exp(self.logits - self.logits.max(axis=2, keepdims=True))
        return moved / moved.sum(axis=2, keepdims=True)


def simulated(
    random: np.random.Generator,
    rows: int,
    *,
    classes: int = 10,
    strengths: Sequence[float] = (2.0, 2.0, 2.0),
    shared: float = 0.5,
    sharpness: Sequence[float] | float = 1.0,
    shares: Sequence[float] | None = None,
) -> Population:
    """Members that see the label through Gaussian noise, of which they share a part.

    A member's evidence for class c is ``strength * [label = c]`` plus unit noise, of whose variance
    ``shared`` (0 to 1) is common to all members. Its logits ``strength * evidence`` plus log shares
    are calibrated; times ``sharpness`` they are not (above 1: too sure).
    """
    share = np.full(classes, 1 / classes) if shares is None else np.asarray(shares, dtype=float)
    labels = random.choice(classes, size=rows, p=share / share.sum())
    common = random.standard_normal((rows, classes))
    sharp = np.broadcast_to(np.asarray(sharpness, dtype=float), (len(strengths),))
    members = []
    for strength, factor in zip(strengths, sharp, strict=True):
        own = random.standard_normal((rows, classes))
        evidence = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        evidence[np.arange(rows), labels] += strength
        members.append(factor * (strength * evidence + np.log(share / share.sum())))
    return Population(labels, np.stack(members))


def read_logits(folder: Path) -> Population:
    """Real logits: ``labels.npy``, (n,), and ``NAME.npy``, (n, classes), of each member."""
    labels = np.load(folder / "labels.npy").astype(np.int64)
    names = sorted(path for path in folder.glob("*.npy") if path.name != "labels.npy")
    return Population(labels, np.stack([np.load(path).astype(float) for path in names]))
