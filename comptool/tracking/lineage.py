"""Lineage of a prediction file: the steps of the chain and the runs it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.io import provenance
from comptool.io.predictions import SUFFIXES
from comptool.io.provenance import PredictionFacts

TABLES = (*SUFFIXES, ".csv.gz", ".zip")
# Commands that make prediction files; what they read beside is no step.
STEPS = ("submit", "recalibrate", "ensemble", "tta", "infer")


@dataclass(frozen=True)
class Origin:
    """What a file was made from.

    Parameters
    ----------
    steps
        Commands, the last first.
    runs
        Names of the runs.
    facts
        What is recorded with the file.
    changed
        Tables that were changed since a step read them.
    """

    steps: tuple[str, ...]
    runs: tuple[str, ...]
    facts: PredictionFacts
    changed: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return ", ".join((*self.steps, *self.runs)) or "no record says"


def origin(path: Path) -> Origin:
    """What a file was made from, as the records beside it and beside its inputs say.

    Raises
    ------
    InputError
        If a record cannot be read.
    """
    facts = provenance.facts(path, PredictionFacts)
    steps: dict[str, None] = {}
    changed: list[Path] = []
    for _, record in provenance.history(path):
        if record.command in STEPS:
            steps[record.command] = None
            changed += provenance.changed_inputs(record, TABLES)
    runs = dict.fromkeys(Path(run).name for run in facts.runs or [])
    return Origin(tuple(steps), tuple(runs), facts, tuple(dict.fromkeys(changed)))
