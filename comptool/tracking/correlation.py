"""Whether a better local score has meant a better one on the leaderboard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.stats import pearsonr, spearmanr

from comptool.errors import counted
from comptool.tracking.records import Record

# Fewer give no interval, and any two points lie on a line.
FEWEST = 4
PARTS = ("public", "private")


@dataclass(frozen=True)
class Correlation:
    """How local scores and those of a part of the leaderboard go together.

    Parameters
    ----------
    part
        ``"public"`` or ``"private"``.
    metric
        Name of the metric of both.
    n
        Submissions with both scores.
    pearson
        Correlation of the scores; None where there are too few, or all scores of a side are equal.
    low, high
        Ends of its 95 % interval, by Fisher's transformation.
    spearman
        Correlation of the ranks.
    """

    part: str
    metric: str
    n: int
    pearson: float | None = None
    low: float | None = None
    high: float | None = None
    spearman: float | None = None

    def __str__(self) -> str:
        pair = f"local and {self.part} {self.metric}, {counted(self.n, 'submission')}"
        if self.pearson is not None:
            return (
                f"{pair}\n    Pearson {self.pearson:.2f} (95 %: {self.low:.2f} to "
                f"{self.high:.2f}), Spearman {self.spearman:.2f}"
            )
        if self.n < FEWEST:
            return f"{pair} with both: too few, {FEWEST} are needed"
        return f"{pair}: undefined, all scores of a side are equal"

    def document(self) -> dict[str, object]:
        """The correlation as JSON values."""
        return asdict(self)


def correlations(records: Iterable[Record]) -> list[Correlation]:
    """The correlation for each metric and part of the leaderboard that any record has.

    A file that was recorded more than once counts once, by its latest record with that score.

    Parameters
    ----------
    records
        The oldest first.
    """
    pairs: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    for record in records:
        for part in PARTS:
            score = getattr(record, part)
            if score is None:
                continue
            of_part = pairs.setdefault((record.metric, part), {})
            if record.local is not None:
                of_part[record.sha256] = (record.local, score)
    return [
        _correlation(part, metric, list(found.values())) for (metric, part), found in pairs.items()
    ]


def _correlation(part: str, metric: str, pairs: list[tuple[float, float]]) -> Correlation:
    one = Correlation(part, metric, len(pairs))
    local, scores = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    if len(pairs) < FEWEST or not np.ptp(local) or not np.ptp(scores):
        return one
    pearson = pearsonr(local, scores)
    interval = pearson.confidence_interval()
    ranks = spearmanr(local, scores)
    return replace(
        one,
        pearson=float(pearson.statistic),
        low=float(interval.low),
        high=float(interval.high),
        spearman=float(ranks.statistic),
    )
