"""``comptool inspect``: contents and problems of a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.options import (
    ADVANCED,
    FINDINGS,
    FOLDS,
    Output,
    WithCompetition,
    WithReader,
    WithSeed,
    argument,
    option,
)

from .options import give, say


@dataclass(frozen=True)
class InspectConfig(Output, WithCompetition, WithReader, WithSeed):
    """The options of ``comptool inspect``."""

    table: Path | None = argument(
        None, help="Labelled table.", shown="the competition's tables, including the test set"
    )
    output: Path = option(FINDINGS, help="Findings to write.", names=("--output", "-o"))
    folds: Path | None = option(
        help="Table with folds, to find copies in different folds.", shown="folds.csv, if it fits"
    )
    similarity: float = option(
        0.98, help="Correlation from which two images are near-duplicates; 1: off.", min=0.9, max=1
    )
    shift: bool = option(
        False, help="Compare training and test set; writes shift.csv beside the findings."
    )
    workers: int | None = option(
        help="Threads that decode images.",
        names=("--workers", "-j"),
        min=1,
        shown="by the number of cores",
        panel=ADVANCED,
    )


def inspect(config: InspectConfig) -> None:
    """Report the contents and problems of a download.

    Prints counts and shares of the classes, and sizes and modes of the images. Writes findings, one
    per row: images that are missing, unreadable, constant or of unusual size or mode; exact and
    near duplicates within and across training and test data, classes, groups and folds; with
    several labels per row also runs of adjacent labels, implausibly many labels, very rare label
    sets, and classes found only in such rows. With --shift, a classifier tries to tell test from
    training rows by image statistics and shared columns: its AUC, what gives them away, and the
    weight of each training row in shift.csv, for split --like-test. Ends with the command that acts
    on the findings.

    Example: comptool inspect
    """
    from comptool.errors import UsageError
    from comptool.inspection import inspecting
    from comptool.io.atomic import refuse_existing

    if config.seed and not config.shift:
        raise UsageError("--seed belongs to --shift")
    output = config.output
    written = [output, *([inspecting.shift_file(output)] if config.shift else [])]
    for path in written:
        refuse_existing(path, config.force)
    sources = inspecting.read_sources(
        config.table, config.competition, config.folds, FOLDS, config.reader, shift=config.shift
    )
    read = ", ".join(map(str, sources.files()))
    say("\n".join([*sources.competition.findings, f"inspecting {read}"]), config.quiet)
    if config.dry_run:
        say(f"would write {' and '.join(map(str, written))}", config.quiet)
        return
    done = inspecting.inspect(
        sources,
        similarity=config.similarity,
        workers=config.workers,
        quiet=config.quiet,
        shift=config.shift,
        seed=config.seed,
    )
    names = ("table", "output", "folds", "similarity", *(("shift", "seed") if config.shift else ()))
    arguments = {name: getattr(config, name) for name in names}
    inspecting.write_findings(output, done, arguments, force=config.force)
    say(inspecting.text(output, done, FOLDS), config.quiet)
    give(output, inspecting.summary(output, done, FOLDS), config.json)
