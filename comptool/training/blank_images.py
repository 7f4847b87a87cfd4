"""Images that are trained on and show nothing, found while the first epoch reads them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comptool.data.batches import Batch
from comptool.errors import quoted

Blank = set[tuple[int, int]]


class BlankImages:
    """All-zero images among those that batches were made of, each counted once."""

    def __init__(self) -> None:
        self.found: Blank = set()  # (row, modality)

    def look(self, batch: Batch) -> None:
        """Take note of the blank images of a batch."""
        rows = batch.rows.numpy()
        for place, modality in np.argwhere(batch.blank.numpy()):
            self.found.add((int(rows[place]), int(modality)))


def told(found: Blank, modalities: Sequence[str], ids: Sequence[str]) -> list[str]:
    """A warning for each modality with blank images.

    Parameters
    ----------
    found
        Rows, as numbers in ``ids``, and modalities, as numbers in ``modalities``.
    modalities
        The M names.
    ids
        Of the N rows that are trained on.

    Examples
    --------
    >>> told({(1, 0)}, ["sar", "eo"], ["s0", "s1", "s2"])
    ["WARNING: 1 of the 3 sar images to train on is all zero: 's1'"]
    """
    sentences = []
    for number, name in enumerate(modalities):
        blank = [ids[row] for row, modality in sorted(found) if modality == number]
        if blank:
            verb = "is" if len(blank) == 1 else "are"
            sentences.append(
                f"WARNING: {len(blank)} of the {len(ids)} {name} images to train on {verb} all "
                f"zero: {quoted(blank)}"
            )
    return sentences
