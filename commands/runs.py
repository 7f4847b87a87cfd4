"""``comptool runs``: runs and prediction files, with their local and leaderboard scores."""

from __future__ import annotations

from comptool.tracking.config import RunsConfig

from .options import give, say


def runs(config: RunsConfig) -> None:
    """List runs and prediction files with their scores.

    Also lists what they were made from. Local scores are the competition's metric on out-of-fold
    rows, processed like the prediction file. Leaderboard scores come from 'comptool score --record'
    or 'comptool runs --record FILE --public 0.71'; submissions/scores.csv keeps them by a digest of
    the file, so that they outlive it. The correlation of local and leaderboard scores follows below
    the tables.

    Example: comptool runs --sort score
    """
    from comptool.io.runs import WEIGHTS
    from comptool.tracking import inventory, scores, tracking_report

    config.check()
    record = config.record
    if config.dry_run:
        reads = f"{WEIGHTS} and {scores.SCORES.parent}" if record is None else record
        writes = "nothing is written" if record is None else f"would add to {scores.SCORES}"
        say(f"would read {reads}; {writes}", config.quiet)
        return
    if record is not None:
        made = scores.record_score(
            record,
            scores.LEADERBOARD,
            public=config.public,
            private=config.private,
            competition=config.competition,
        )
        say(scores.described(made), config.quiet)
        give(scores.SCORES, {"output": scores.SCORES, **vars(made)}, config.json)
        return
    facts = scores.competition_here(config.competition)
    resamples = scores.RESAMPLES if config.bootstrap is None else config.bootstrap
    local = scores.LocalScores(facts, resamples=resamples) if facts else None
    found = tracking_report.sort_listing(inventory.take_stock(local), config.sort or "time")
    together = tracking_report.correlations(found.records)
    text = tracking_report.text(found, list(map(str, together)))
    summary = {
        **tracking_report.document(found),
        "correlations": [one.document() for one in together],
    }
    give(text, summary, config.json)
