"""A practice MAVOC: ten vehicle types, each shown by a SAR and an EO chip, with a long tail.

What it has from the real competition: the proportions of the training counts; 32 x 32 EO and
54 to 60 px SAR chips, grey; a test set of 826 pairs in which the classes are nearly equally
frequent; and what :mod:`comptool.simulation.chips` says of ids, repeated scenes and blank chips.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from comptool.simulation.chips import EO, SAR, num_test_rows, write_competition
from comptool.simulation.vehicles import VEHICLES

# Training images of classes 0 to 9 in the MAVOC challenge of 2021.
PUBLISHED = (234209, 28089, 15301, 10655, 1741, 852, 828, 624, 840, 633)
FEWEST = 20
TASK = "Say for each SAR and EO pair of test.csv which vehicle it shows."


def simulate(
    folder: Path,
    *,
    scale: float,
    seed: int,
    say: Callable[[str], None],
    processes: int | None = None,
    quiet: bool = True,
    looks: int = 4,
) -> dict[str, object]:
    """Fill an empty folder with a practice MAVOC.

    Parameters
    ----------
    folder
        Where ``train/<class>/{SAR,EO}_<id>.png``, ``test/{SAR,EO}_<id>.png``, the tables,
        ``answers.csv`` and a README go.
    scale
        Share of the published training counts, above 0 and at most 1; each class keeps at least
        20. From 0.02 on the test set has 826 pairs, below it shrinks in proportion to 60.
    seed
        Decides every byte, with scale and looks.
    say
        Takes messages.
    processes
        How many draw; None = one per core.
    quiet
        Whether there is no bar.
    looks
        Looks averaged in a SAR image: the variance of its speckle is 1 / looks.

    Returns
    -------
    dict
        Facts to record: metric, class names and counts.
    """
    counts, num_test = train_counts(scale), num_test_rows(scale)
    write_competition(
        folder,
        counts,
        num_test,
        sensors=(SAR, EO),
        task=TASK,
        seed=seed,
        looks=looks,
        processes=processes,
        quiet=quiet,
    )
    say(f"{sum(counts)} training pairs ({', '.join(map(str, counts))}), {num_test} test")
    return facts(counts)


def facts(counts: list[int]) -> dict[str, object]:
    """What is recorded of a competition of the ten vehicles with so many training rows each."""
    return {
        "metric": "accuracy",
        "classes": [str(kind) for kind in range(len(VEHICLES))],
        "class_names": [kind.name for kind in VEHICLES],
        "class_counts": {str(kind): int(count) for kind, count in enumerate(counts)},
    }


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
