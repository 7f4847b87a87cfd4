"""``comptool inspect``: the first look at a download."""

from __future__ import annotations

from comptool.inspection.config import InspectConfig
from comptool.options import FOLDS

from .options import give, say


def inspect(config: InspectConfig) -> None:
    """Look at a download: what it contains, what is wrong with it, and what to do about that.

    Prints counts and shares of the classes, sizes and modes of the images. Findings, one per row of
    findings.csv: images that are missing, unreadable, constant or odd; duplicates, exact or near,
    within and across training and test data, classes, groups and folds; with several labels per row
    also rows with runs of adjacent labels, far too many labels or very rare label sets, and classes
    that only such rows have. Ends with the command that acts on them.

    Example: comptool inspect
    """
    from comptool.inspection import inspecting, inspection_report
    from comptool.io.atomic import refuse_existing

    output = config.output
    refuse_existing(output, config.force)
    sources = inspecting.read_sources(config.table, config.competition, config.folds, FOLDS)
    read = ", ".join(map(str, sources.files()))
    say("\n".join([*sources.competition.findings, f"looking at {read}"]), config.quiet)
    if config.dry_run:
        say(f"would write {output}", config.quiet)
        return
    done = inspecting.inspect(
        sources, similarity=config.similarity, workers=config.workers, quiet=config.quiet
    )
    arguments = {name: getattr(config, name) for name in ("table", "output", "folds", "similarity")}
    inspecting.write_findings(output, done, arguments, force=config.force)
    say(inspection_report.text(output, done, FOLDS), config.quiet)
    give(output, inspection_report.summary(output, done, FOLDS), config.json)
