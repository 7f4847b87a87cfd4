"""A practice MAVOC: ten vehicle types, each shown by a SAR and an EO chip, with a long tail.

What it has from the real competition: the proportions of the training counts; 32 x 32 EO and
54 to 60 px SAR chips, grey; a test set of 826 pairs in which the classes are nearly equally
frequent; and what :mod:`comptool.simulation.chips` says of ids, repeated scenes and blank chips.
"""

from __future__ import annotations

from comptool.simulation.chips import EO, SAR, ChipCompetition

# Training images of classes 0 to 9 in the MAVOC challenge of 2021.
PUBLISHED = (234209, 28089, 15301, 10655, 1741, 852, 828, 624, 840, 633)
FEWEST = 20
TASK = "Say for each SAR and EO pair of test.csv which vehicle it shows."


def train_counts(scale: float) -> list[int]:
    """Training pairs of classes 0 to 9 at a scale above 0 and at most 1.

    Examples
    --------
    >>> train_counts(0.01)
    [2342, 281, 153, 107, 20, 20, 20, 20, 20, 20]
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale must be above 0 and at most 1, not {scale}")
    return [max(FEWEST, round(count * scale)) for count in PUBLISHED]


simulate = ChipCompetition((SAR, EO), "pairs", TASK, train_counts)
