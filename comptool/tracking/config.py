"""Options of ``comptool runs``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comptool.errors import UsageError
from comptool.options import WithCompetition, WithDryRun, option

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
