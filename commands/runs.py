"""``comptool runs``: runs and prediction files, with their local and leaderboard scores."""

from __future__ import annotations

from comptool.tracking.config import RunsConfig

from .options import give, say


def runs(config: RunsConfig) -> None:
    """List runs and prediction files with their scores, and what they were made from.

    Local scores are the competition's metric on out-of-fold rows; for a prediction file, on the
    out-of-fold rows treated as the file was. Leaderboard scores are those that 'comptool score
    --record' or 'comptool runs --record FILE --public 0.71' wrote to submissions/scores.csv, under
    a digest of the file, so that they outlive it. Below the tables, the correlation of local and
    leaderboard scores.

    Example: comptool runs --sort score
    """
    from comptool.io.runs import WEIGHTS
    from comptool.tracking import inventory, tracking_report
    from comptool.tracking import scores as local_scores
    from comptool.tracking import scores as recording
    from comptool.tracking import scores as records

    config.check()
    record = config.record
    if config.dry_run:
        reads = f"{WEIGHTS} and {records.SCORES.parent}" if record is None else record
        writes = "nothing is written" if record is None else f"would add to {records.SCORES}"
        say(f"would read {reads}; {writes}", config.quiet)
        return
    if record is not None:
        made = recording.record_score(
            record,
            records.LEADERBOARD,
            public=config.public,
            private=config.private,
            competition=config.competition,
        )
        say(recording.told(made), config.quiet)
        give(records.SCORES, {"output": records.SCORES, **vars(made)}, config.json)
        return
    facts = recording.competition_here(config.competition)
    resamples = local_scores.RESAMPLES if config.bootstrap is None else config.bootstrap
    scores = local_scores.LocalScores(facts, resamples=resamples) if facts else None
    found = tracking_report.sort_listing(inventory.take_stock(scores), config.sort or "time")
    together = []
    if found.records:
        # scipy's statistics take a while to import, and most listings need none.
        from comptool.tracking.tracking_report import correlations

        together = correlations(found.records)
    text = tracking_report.text(found, list(map(str, together)))
    summary = {
        **tracking_report.document(found),
        "correlations": [one.document() for one in together],
    }
    give(text, summary, config.json)
