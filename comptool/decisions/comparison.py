"""All recalibrations compared for a prediction file, as its competition's task has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comptool import provenance
from comptool.competition import load
from comptool.decisions import sources
from comptool.decisions.recalibration import deciding, deciding_cells
from comptool.decisions.recalibration.config import THRESHOLDS, Settings
from comptool.decisions.recalibration.knowing import question_of
from comptool.errors import UsageError


def compare_file(
    source: Path | None,
    settings: Settings,
    *,
    methods: Sequence[str] | None = None,
    competition: Path | None = None,
    seed: int = 0,
) -> tuple[str, dict[str, object]]:
    """All methods compared for the test set of a prediction file: for a reader, for a program.

    Parameters
    ----------
    source
        Predictions, whose number of rows is that of the simulated test sets and whose run has the
        out-of-fold rows; None if ``settings`` name these.
    settings
        Quotas, out-of-fold rows and target prior.
    methods
        Names; None for all.
    competition
        A ``comptool.toml``.
    seed
        Of the simulation.

    Raises
    ------
    UsageError, InputError
        If there are no out-of-fold rows, or they are no evidence.
    """
    settings.check_compare()
    about = load(competition)
    facts = {} if source is None else provenance.facts(source)
    if about.task == "multilabel":
        settings.check_cells()
        predictions = None if source is None else sources.read_cells(source, facts)
        comparisons = [
            deciding_cells.compared_cells(
                predictions, facts, settings, about, methods=methods, seed=seed
            )
        ]
    else:
        if methods and THRESHOLDS in methods:
            raise UsageError("--method thresholds is for several labels per image")
        rows = None if source is None else len(sources.read_multiclass(source, facts))
        comparisons = deciding.compared(
            source, rows, facts, question_of(settings), about, methods=methods, seed=seed
        )
    text = "\n\n".join(one.text() for one in comparisons)
    return text, {"comparisons": [one.summary() for one in comparisons]}
