"""``comptool runs``: what has been trained and predicted, with its local and leaderboard scores."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import CompetitionOption, DryRunOption, JsonOption, QuietOption


class Sort(StrEnum):
    """By what the rows are put in order."""

    time = "time"
    name = "name"
    score = "score"
    public = "public"
    private = "private"


def runs(
    record: Annotated[
        Path | None,
        typer.Option(help="A submission that was uploaded: write down its scores, list nothing."),
    ] = None,
    public: Annotated[
        float | None, typer.Option(help="With --record: its score on the public leaderboard.")
    ] = None,
    private: Annotated[
        float | None, typer.Option(help="With --record: its score on the private one.")
    ] = None,
    sort: Annotated[
        Sort | None,
        typer.Option(
            help="The newest, or the best by that score, first; name: from a. [default: time]"
        ),
    ] = None,
    bootstrap: Annotated[
        int | None,
        typer.Option(
            min=0, help="Resamples of the rows for the 95 % intervals; 0: none. [default: 200]"
        ),
    ] = None,
    competition: CompetitionOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """List runs and prediction files with their scores, and what they were made from.

    Local scores are those of the out-of-fold rows, by the competition's metric; a file's are those
    of the rows that stand for it, made as the file was. Leaderboard scores are those that
    'comptool score --record' or 'comptool runs --record FILE --public 0.71' wrote to
    submissions/scores.csv, under a digest of the file, so that they outlive it. Below the tables
    stands how local scores and those of the leaderboard go together.

    Example: comptool runs --sort score
    """
    from comptool.errors import UsageError
    from comptool.tracking import listing, local_scores, recording, records, report

    if record is None and (public is not None or private is not None):
        raise UsageError("--public and --private are scores of a file; name it with --record FILE")
    if record is not None and (sort is not None or bootstrap is not None):
        raise UsageError("--record lists nothing that --sort and --bootstrap could be about")
    if dry_run:
        reads = f"{_options.WEIGHTS} and {records.SCORES.parent}" if record is None else record
        writes = "nothing is written" if record is None else f"would add to {records.SCORES}"
        _options.say(f"would read {reads}; {writes}", quiet)
        return
    if record is not None:
        made = recording.record_score(
            record, records.LEADERBOARD, public=public, private=private, competition=competition
        )
        _options.say(recording.told(made), quiet)
        _options.give(records.SCORES, {"output": records.SCORES, **vars(made)}, json)
        return
    facts = recording.competition_here(competition)
    resamples = local_scores.RESAMPLES if bootstrap is None else bootstrap
    scores = local_scores.LocalScores(facts, resamples=resamples) if facts else None
    found = report.sort_listing(listing.take_stock(scores), (sort or Sort.time).value)
    together = []
    if found.records:
        # scipy's statistics take a while to import, and most listings need none.
        from comptool.tracking.correlation import correlations

        together = correlations(found.records)
    text = report.text(found, list(map(str, together)))
    summary = {**report.document(found), "correlations": [one.document() for one in together]}
    _options.give(text, summary, json)
