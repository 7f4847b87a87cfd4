"""Report of ``runs``, with the correlation of local and leaderboard scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from comptool.errors import counted
from comptool.io.runs import FINISHED
from comptool.metrics.bootstrap import NORMAL
from comptool.reports.score import figure
from comptool.tracking.inventory import File, Listing, Run
from comptool.tracking.scores import Local, Record

Floats = npt.NDArray[np.float64]

# Fewer give no interval.
FEWEST = 4
PARTS = ("public", "private")


@dataclass(frozen=True)
class Correlation:
    """Correlation of local scores and one part of the leaderboard.

    Submissions of the same lineages of runs are near-copies: each lineage counts once in Pearson's
    correlation, shared by its submissions, and the interval is that of as many independent pairs.
    """

    part: str  # ``"public"`` or ``"private"``
    metric: str
    n: int  # submissions with both scores
    lineages: int  # their different lineages
    pearson: float | None = None  # None: too few or constant scores
    low: float | None = None  # 95 % interval, by the Fisher transformation; None: few lineages
    high: float | None = None
    spearman: float | None = None  # of all submissions

    def __str__(self) -> str:
        pair = f"local and {self.part} {self.metric}, {counted(self.n, 'submission')}"
        if self.lineages < self.n:
            pair = f"{pair} of {counted(self.lineages, 'independent lineage')} of runs"
        if self.pearson is not None:
            interval = f"no interval from fewer than {FEWEST} lineages"
            if self.low is not None:
                interval = f"95 %: {self.low:.2f} to {self.high:.2f}"
            return (
                f"{pair}\n    Pearson {self.pearson:.2f} ({interval}), Spearman {self.spearman:.2f}"
            )
        if self.n < FEWEST:
            return f"{pair} with both: too few, {FEWEST} are needed"
        return f"{pair}: undefined, all scores of a side are equal"


def correlations(
    records: Iterable[Record], lineages: Mapping[str, str] | None = None
) -> list[Correlation]:
    """The correlation for each metric and part of the leaderboard in the records, oldest first.

    A file that was recorded more than once counts once, by its latest record with that score.
    ``lineages`` names what each file was made from, by its digest; a file that is not in it is a
    lineage of its own.
    """
    known = lineages or {}
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
        _correlation(
            part, metric, list(found.values()), [known.get(digest, digest) for digest in found]
        )
        for (metric, part), found in pairs.items()
    ]


def _correlation(
    part: str, metric: str, pairs: list[tuple[float, float]], lineages: list[str]
) -> Correlation:
    sizes = Counter(lineages)
    one = Correlation(part, metric, len(pairs), len(sizes))
    local, scores = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    if len(pairs) < FEWEST or not np.ptp(local) or not np.ptp(scores):
        return one
    pearson = _pearson(local, scores, np.array([1 / sizes[lineage] for lineage in lineages]))
    ranks = scipy.stats.spearmanr(local, scores)
    one = replace(one, pearson=pearson, spearman=float(ranks.statistic))
    if len(sizes) < FEWEST:
        return one
    with np.errstate(divide="ignore"):  # a correlation of 1 has no width
        centre, half = np.arctanh(pearson), NORMAL / np.sqrt(len(sizes) - 3)
    return replace(one, low=float(np.tanh(centre - half)), high=float(np.tanh(centre + half)))


def _pearson(local: Floats, scores: Floats, weights: Floats) -> float:
    """Pearson's correlation of pairs (N,) that count so much, (N,)."""
    a = local - np.average(local, weights=weights)
    b = scores - np.average(scores, weights=weights)
    spread = np.sqrt((weights @ a**2) * (weights @ b**2))
    return float(np.clip((weights * a) @ b / spread, -1, 1))


# Fits two names, the scores and their interval into 80 columns.
NAME_LENGTH = 22
GAP = "  "
INTERVAL = "95 % interval"
RECORDED = ("public", "private", "recorded")
# Marks an approximate score, explained below the row.
NEARLY = "~"


def sort_listing(listing: Listing, by: str) -> Listing:
    """The listing sorted by ``time``, ``name``, ``score`` (local), ``public`` or ``private``."""
    sign = -1 if listing.greater_is_better else 1

    def key(one: Run | File) -> tuple[bool, float | str]:
        if by == "name":
            return False, one.name
        if by == "time":
            return False, -one.time.timestamp()
        value = _value(one, by)
        return value is None, sign * (value or 0)

    runs, files = sorted(listing.runs, key=key), sorted(listing.files, key=key)
    return replace(listing, runs=runs, files=files)


def _value(one: Run | File, score: str) -> float | None:
    """The local score, or a leaderboard score."""
    if score == "score":
        return one.local.figure.value if one.local.figure else None
    record = one.record if isinstance(one, File) else None
    return None if record is None else {"public": record.public, "private": record.private}[score]


def text(listing: Listing, correlations: Sequence[str] = ()) -> str:
    """Tables of runs, files and replaced submissions with their lineage, and correlations."""
    parts = []
    if listing.runs:
        rows = [(_run_row(run), _run_notes(run)) for run in listing.runs]
        parts.append(_table(("run", "model", "fold", "score", INTERVAL), rows))
    if listing.files:
        rows = [(_file_row(file), _file_notes(file)) for file in listing.files]
        parts.append(_table(("file", "score", INTERVAL, *RECORDED), rows))
    if listing.replaced:
        rows = [(_replaced_row(one), [f"from {one.made_from}"]) for one in listing.replaced]
        parts.append(_table(("replaced since", "score", "metric", *RECORDED), rows))
    if not parts:
        return "there are no runs and no prediction files here"
    if correlations:
        parts.append("\n".join(correlations))
    of = f"{listing.metric} of out-of-fold rows" if listing.metric else "no competition here"
    return "\n\n".join([f"score: {of}", *parts])


def _table(header: Sequence[str], rows: Sequence[tuple[Sequence[str], Sequence[str]]]) -> str:
    """Aligned columns, with notes below each row."""
    columns = zip(header, *(cells for cells, _ in rows), strict=True)
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        return GAP.join(padded).rstrip()

    lines = [line(header)]
    for cells, notes in rows:
        lines += [line(cells), *(f"{GAP}{GAP}{note}" for note in notes)]
    return "\n".join(lines)


def _run_row(run: Run) -> tuple[str, ...]:
    score, interval = _score(run.local)
    if run.local.figure is None and run.best is not None:
        score = f"{NEARLY}{run.best:.4f}"
    return _short(run.name), _short(run.model), run.fold, score, interval


def _run_notes(run: Run) -> list[str]:
    notes = [] if run.state == FINISHED else [run.state]
    rows = f"; {run.local.rows} rows held out" if run.local.rows else ""
    if run.made_from:
        notes.append(f"from {', '.join(run.made_from)}{rows}")
    if run.note:
        notes.append(run.note)
    if run.local.note:
        best = f"; {NEARLY} is what its checkpoint was chosen by" if run.best is not None else ""
        notes.append(f"{run.local.note}{best if run.local.figure is None else ''}")
    return notes


def _file_row(file: File) -> tuple[str, ...]:
    score, interval = _score(file.local)
    record = file.record
    return (
        _short(file.name),
        f"{NEARLY}{score}" if score and file.local.note else score,
        interval,
        _leaderboard(record.public if record else None),
        _leaderboard(record.private if record else None),
        record.time[:10] if record else "",
    )


def _file_notes(file: File) -> list[str]:
    notes = [f"from {file.made}"] if file.made else []
    if file.local.note and file.made and file.made.facts:
        mark = f"{NEARLY} " if file.local.figure else ""
        notes.append(f"{mark}{file.local.note}")
    return [*notes, *file.warnings]


def _replaced_row(record: Record) -> tuple[str, ...]:
    return (
        _short(record.file),
        "" if record.local is None else f"{record.local:.4f}",
        record.metric,
        _leaderboard(record.public),
        _leaderboard(record.private),
        record.time[:10],
    )


def _score(local: Local) -> tuple[str, str]:
    if local.figure is None:
        return "", ""
    low, high = local.figure.low, local.figure.high
    interval = "" if low != low else f"{low:.4f} to {high:.4f}"
    return f"{local.figure.value:.4f}", interval


def _leaderboard(value: float | None) -> str:
    return "" if value is None else figure(value)


def _short(name: str) -> str:
    """A name, shortened in the middle if it is long."""
    if len(name) <= NAME_LENGTH:
        return name
    half = (NAME_LENGTH - 1) // 2
    return f"{name[: NAME_LENGTH - 1 - half]}…{name[-half:]}"


# Of a run: what its lineage was found by.
HIDDEN = ("settings", "parents")


def document(listing: Listing) -> dict[str, Any]:
    """The listing as JSON values."""
    return {
        "metric": listing.metric,
        "runs": [
            {name: value for name, value in vars(run).items() if name not in HIDDEN}
            | {
                "time": run.time.isoformat(timespec="seconds"),
                "local": _local_document(run.local),
                "made_from": list(run.made_from),
            }
            for run in listing.runs
        ],
        "files": [
            {
                "name": file.name,
                "time": file.time.isoformat(timespec="seconds"),
                "steps": list(file.made.steps) if file.made else [],
                "runs": list(file.made.runs) if file.made else [],
                "local": _local_document(file.local),
                "record": asdict(file.record) if file.record else None,
                "warnings": list(file.warnings),
            }
            for file in listing.files
        ],
        "records": [asdict(record) for record in listing.records],
    }


def _local_document(local: Local) -> dict[str, Any]:
    figures = local.figure.document() if local.figure else {}
    return {**figures, "rows": local.rows, "note": local.note}
