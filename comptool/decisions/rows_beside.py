"""Out-of-fold rows that a command leaves beside its predictions, made as these were made.

Whatever follows (ensembles, recalibration, pseudo-labels) is then weighed by what it starts from.
Of what was searched, each row is by a search that did not see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from comptool import provenance
from comptool.predictions import Predictions, write_predictions


def rows_path(output: Path) -> Path:
    """Where the out-of-fold rows stand: ``preds_tta.csv`` has ``oof_preds_tta.csv``."""
    return output.with_name(f"oof_{output.name}")


def write_rows(
    output: Path,
    rows: Predictions,
    *,
    command: str,
    inputs: Iterable[Path],
    facts: Mapping[str, Any],
    force: bool = False,
) -> dict[str, str]:
    """Write out-of-fold rows beside predictions, with their record.

    Parameters
    ----------
    output
        Where the predictions go.
    rows
        The rows; all of them evidence.
    command
        What made them.
    inputs
        What they were made of, the table of their labels among them.
    facts
        As recorded with the predictions.
    force
        Whether an existing file is replaced.

    Returns
    -------
    dict
        ``out_of_fold``, the fact of the predictions that leads to the rows.
    """
    path = rows_path(output)
    write_predictions(path, rows, force=force)
    known = {**facts, "leak": None}
    provenance.record(path, command=command, arguments={}, inputs=inputs, facts=known)
    return {"out_of_fold": str(path)}
