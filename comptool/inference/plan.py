"""Which runs predict which samples into which file; checked before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comptool import competition as competitions
from comptool.competition import Competition
from comptool.inference.config import InferConfig, TtaConfig
from comptool.inference.members import (
    Member,
    check_alike,
    check_competition,
    in_model_order,
    read_members,
    without_classes,
)
from comptool.outputs import refuse_existing
from comptool.runs import BEST, check_finished, find_run
from comptool.samples import Samples, read_samples, test_samples

AGREEING = ("task", "classes", "modalities")


@dataclass(frozen=True)
class Plan:
    """What `comptool.inference.infer.infer` and `comptool.inference.tta.tta` do.

    Parameters
    ----------
    runs
        The runs as chosen; a folded run is one.
    members
        The networks that are averaged; they have one task, class list and list of modalities.
    competition
        The facts of the competition.
    samples
        What is predicted; ``paths`` in the order in which the networks take the modalities.
    output
        Prediction file to write.
    force
        Whether it may be replaced.
    chosen
        How the run was chosen where nobody named one, otherwise empty.
    notes
        What to know of the runs, one sentence each.
    """

    runs: tuple[Path, ...]
    members: tuple[Member, ...]
    competition: Competition
    samples: Samples
    output: Path
    force: bool = False
    chosen: str = ""
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> dict[str, Any]:
        """The first member's header; of what it says, all members share `AGREEING`."""
        return self.members[0].header

    @property
    def inputs(self) -> list[Path]:
        """The files that the predictions are made of, images aside."""
        return [self.samples.source, *(member.folder / BEST for member in self.members)]

    @property
    def facts(self) -> dict[str, Any]:
        """What later commands need to know of the predictions."""
        kept = ("task", "classes", "metric", "class_counts")
        facts = {key: self.header.get(key) for key in kept}
        return {**facts, "runs": [str(run) for run in self.runs]}

    def __str__(self) -> str:
        runs = ", ".join(str(run) for run in self.runs)
        averaged = f" ({len(self.members)} networks, averaged)" if len(self.members) > 1 else ""
        told = [
            f"{'runs' if len(self.runs) > 1 else 'run'}: {runs}{self.chosen}{averaged}",
            *(f"warning: {note}" for note in self.notes),
            f"samples: {len(self.samples)} of {self.samples.source}",
            f"output: {self.output}",
        ]
        return "\n".join(told)


def plan_prediction(config: InferConfig | TtaConfig) -> Plan:
    """The plan that the options of ``infer`` or ``tta`` ask for; errors as of :func:`make_plan`."""
    return make_plan(
        config.runs,
        output=config.output,
        test=config.test,
        competition=config.competition,
        force=config.force,
    )


def make_plan(
    names: Sequence[str],
    *,
    output: Path,
    test: Path | None = None,
    competition: Path | None = None,
    force: bool = False,
) -> Plan:
    """Find the runs and the samples, and check that they belong together.

    Parameters
    ----------
    names
        Names or folders of runs; none means the newest run in ``weights``.
    output
        Prediction file to write.
    test
        Table of the samples; None means the competition's test set.
    competition
        File of the competition's facts; None means the conventional one, else detection.
    force
        Whether ``output`` may be replaced.

    Raises
    ------
    InputError
        If a run or the samples cannot be had, if a folded run has folds that are not trained, if
        the runs differ in task, classes or modalities from one another or from the competition, or
        if ``output`` cannot be written.
    """
    refuse_existing(output, force)
    runs = tuple(dict.fromkeys(find_run(name) for name in names)) or (find_run(),)
    unfinished = [note for run in runs if (note := check_finished(run))]
    networks = read_members(runs)
    check_alike(
        networks, AGREEING, "their predictions cannot be averaged", "Predict with each by itself"
    )
    notes = (*unfinished, *without_classes(networks))
    facts = competitions.load(competition)
    check_competition(networks[0], facts)
    samples = test_samples(facts) if test is None else read_samples(test, facts, labelled=False)
    return Plan(
        runs=runs,
        members=networks,
        competition=facts,
        samples=in_model_order(samples, networks[0].header),
        output=output,
        force=force,
        chosen="" if names else " (the latest)",
        notes=notes,
    )
