"""Labels that a labeller overlooked: positives taken out of a complete table of labels.

Exactly the share asked for is deleted. A positive is the likelier to go the more its class is
overlooked (`ClassRule.missed`) and the less of the picture it fills, so that classes lose
different shares, as they do in tables labelled by hand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from comptool.simulation.aicoss.classes import RULES, ClassRule

# What fills this many times its class's least share is missed at the class's usual rate.
USUAL_SIZE = 4.0
SIZE_EFFECT = 0.5
LARGEST_EFFECT = 2.0


def labels_kept(
    shares: npt.NDArray[np.float64],
    deleted: float,
    rng: np.random.Generator,
    rules: tuple[ClassRule, ...] = RULES,
) -> npt.NDArray[np.bool_]:
    """The true labels that are left after deletion.

    Parameters
    ----------
    shares
        Share of each picture that each class fills, of shape (N, K).
    deleted
        Share of the positives to delete, 0 to 1.
    rng
        Source of the choice.
    rules
        The K classes.

    Returns
    -------
    numpy.ndarray
        Of shape (N, K). Every class that has positives keeps at least one of them; where that is
        in the way, fewer than the share asked for are deleted.
    """
    least = np.array([rule.least for rule in rules])
    truth = shares >= least
    rows, columns = np.nonzero(truth)
    size = USUAL_SIZE * least[columns] / shares[rows, columns]
    effect = np.minimum(size**SIZE_EFFECT, LARGEST_EFFECT)
    weight = np.array([rule.missed for rule in rules])[columns] * effect
    # The smallest exponential waiting times are a draw without replacement in proportion to weight.
    waiting = rng.exponential(size=len(rows)) / weight
    latest = np.zeros(len(rules))
    np.maximum.at(latest, columns, waiting)
    waiting[waiting == latest[columns]] = np.inf
    chosen = np.argsort(waiting, kind="stable")[: round(deleted * len(rows))]
    chosen = chosen[np.isfinite(waiting[chosen])]
    kept = truth.copy()
    kept[rows[chosen], columns[chosen]] = False
    return kept
