"""``comptool inspect``: contents and problems of a download."""

from __future__ import annotations

from comptool.inspection.config import InspectConfig
from comptool.options import FOLDS

from .options import give, say


def inspect(config: InspectConfig) -> None:
    """Report the contents and problems of a download.

    Prints counts and shares of the classes, and sizes and modes of the images. Writes findings, one
    per row: images that are missing, unreadable, constant or of unusual size or mode; exact and
    near duplicates within and across training and test data, classes, groups and folds; with
    several labels per row also runs of adjacent labels, implausibly many labels, very rare label
    sets, and classes found only in such rows. Ends with the command that acts on the findings.

    Example: comptool inspect
    """
    from comptool.inspection import inspecting, inspection_report
    from comptool.io.atomic import refuse_existing

    output = config.output
    refuse_existing(output, config.force)
    sources = inspecting.read_sources(config.table, config.competition, config.folds, FOLDS)
    read = ", ".join(map(str, sources.files()))
    say("\n".join([*sources.competition.findings, f"inspecting {read}"]), config.quiet)
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
