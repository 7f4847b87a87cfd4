"""``metrics.csv``: one row per epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from comptool.outputs import atomic_output

COLUMNS = ("epoch", "lr", "train_loss", "val_loss", "val_{metric}", "seconds", "images_per_second")


def columns(metric: str) -> list[str]:
    """What every ``metrics.csv`` has; the score's column is called after the metric."""
    return [name.format(metric=metric) for name in COLUMNS]


def write_history(
    path: Path, rows: Sequence[Mapping[str, float | int | None]], metric: str
) -> None:
    """Write every epoch's row, atomically; numbers are written so that they read back exactly.

    Columns of gauges follow, also those that only some rows have: a run may have been begun with
    a version that did not write them.
    """
    header = list(dict.fromkeys([*columns(metric), *chain.from_iterable(rows)]))
    with atomic_output(path, force=True) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, header, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
