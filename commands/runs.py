"""``comptool runs``: runs and prediction files, with their local and leaderboard scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from comptool.errors import UsageError
from comptool.options import WithCompetition, WithDryRun, option

from .options import give, say

RECORD = "Leaderboard scores"


@dataclass(frozen=True)
class RunsConfig(WithDryRun, WithCompetition):
    """The options of ``comptool runs``; it replaces no file."""

    sort: Literal["time", "name", "score", "public", "private"] | None = option(
        help="Order: newest first, best score first, or by name.", shown="time"
    )
    bootstrap: int | None = option(
        help="Bootstrap resamples for the 95 % confidence intervals; 0: none.", min=0, shown="200"
    )
    record: Path | None = option(
        help="Uploaded submission whose leaderboard scores are recorded; nothing is listed.",
        panel=RECORD,
    )
    public: float | None = option(
        help="With --record: score on the public leaderboard.", panel=RECORD
    )
    private: float | None = option(
        help="With --record: score on the private leaderboard.", panel=RECORD
    )

    def check(self) -> None:
        """Raise a UsageError for options of a listing together with those of a record."""
        if self.record is None and (self.public is not None or self.private is not None):
            raise UsageError("--public and --private are scores of a file: add --record FILE")
        if self.record is not None and (self.sort is not None or self.bootstrap is not None):
            raise UsageError("--sort and --bootstrap are for the listing, which --record omits")


def runs(config: RunsConfig) -> None:
    """List runs and prediction files with their scores.

    Also lists what they were made from. Local scores are the competition's metric on out-of-fold
    rows, processed like the prediction file. Leaderboard scores come from 'comptool score --record'
    or 'comptool runs --record FILE --public 0.71'; submissions/scores.csv keeps them by a digest of
    the file, so that they outlive it. The correlation of local and leaderboard scores follows below
    the tables; submissions of runs that differ in seed or fold alone, or started from one another,
    count as one.

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
    lineages = inventory.lineages_of(found.records, found.runs)
    together = tracking_report.correlations(found.records, lineages)
    text = tracking_report.text(found, list(map(str, together)))
    summary = {
        **tracking_report.document(found),
        "correlations": [asdict(one) for one in together],
    }
    give(text, summary, config.json)
