"""``comptool inspect``: the first look at a download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import CompetitionOption, DryRunOption, ForceOption, JsonOption, QuietOption


def inspect(
    table: Annotated[
        Path | None,
        typer.Argument(help="A labelled table. [default: the competition's tables, test too]"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the findings go.")
    ] = _options.FINDINGS,
    folds: Annotated[
        Path | None,
        typer.Option(help="Folds that copies must not cross. [default: folds.csv, if it fits]"),
    ] = None,
    similarity: Annotated[
        float,
        typer.Option(
            min=0.9, max=1, help="Correlation from which images are nearly alike; 1: off."
        ),
    ] = 0.98,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-j", min=1, help="Threads that decode. [default: chosen]"),
    ] = None,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Look at a download: what is in it, what is wrong with it, and what to do about that.

    Counts and shares of the classes, sizes and modes of the images. Findings, a row each in
    findings.csv: images that are missing, unreadable, constant or odd; copies, exact or nearly,
    within and across training and test data, classes, groups and folds; with several labels per
    row also rows with runs of adjacent labels, far too many labels or sets that hardly occur, and
    classes that only such rows have. Ends with the command that acts on them.

    Example: comptool inspect
    """
    from comptool.inspection import inspecting, report
    from comptool.outputs import refuse_existing

    refuse_existing(output, force)
    sources = inspecting.read_sources(table, competition, folds, _options.FOLDS)
    read = ", ".join(map(str, sources.files()))
    _options.say("\n".join([*sources.competition.findings, f"looking at {read}"]), quiet)
    if dry_run:
        _options.say(f"would write {output}", quiet)
        return
    done = inspecting.inspect(sources, similarity=similarity, workers=workers, quiet=quiet)
    arguments = {"table": table, "output": output, "folds": folds, "similarity": similarity}
    inspecting.write_findings(output, done, arguments, force=force)
    _options.say(report.text(output, done, _options.FOLDS), quiet)
    _options.give(output, report.summary(output, done, _options.FOLDS), json)
