"""Lineage of a prediction file: the steps and runs that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.io import provenance
from comptool.io.predictions import SUFFIXES
from comptool.io.provenance import PredictionFacts

TABLES = (*SUFFIXES, ".csv.gz", ".zip")
# Commands that make prediction files; other inputs are not steps.
STEPS = ("submit", "recalibrate", "ensemble", "tta", "infer")


@dataclass(frozen=True)
class Origin:
    """The lineage of a file."""

    steps: tuple[str, ...]  # commands, the last first
    runs: tuple[str, ...]  # names of the runs
    facts: PredictionFacts  # recorded facts of the file
    changed: tuple[Path, ...] = ()  # tables changed since a step read them

    def __str__(self) -> str:
        return ", ".join((*self.steps, *self.runs)) or "no record says"


def origin(path: Path) -> Origin:
    """The lineage of a file, from its record and those of its inputs."""
    facts = provenance.facts(path, PredictionFacts)
    steps: dict[str, None] = {}
    changed: list[Path] = []
    for _, record in provenance.history(path):
        if record.command in STEPS:
            steps[record.command] = None
            changed += provenance.changed_inputs(record, TABLES)
    runs = dict.fromkeys(Path(run).name for run in facts.runs or [])
    return Origin(tuple(steps), tuple(runs), facts, tuple(dict.fromkeys(changed)))
