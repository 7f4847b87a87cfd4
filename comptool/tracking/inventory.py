"""Inventory of a working folder: runs, prediction files and what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from comptool.competition.classes import left_out
from comptool.errors import ComptoolError
from comptool.io import provenance
from comptool.io.provenance import PredictionFacts
from comptool.io.records import RunHeader
from comptool.io.runs import BEST, LAST, RUN_JSON, WEIGHTS, fold_folders, read_header, read_state
from comptool.tracking.lineage import TABLES, Origin, origin
from comptool.tracking.scores import SCORES, Local, LocalScores, Record, read_records


@dataclass(frozen=True)
class Run:
    """A run.

    Parameters
    ----------
    name
        Of its folder.
    time
        When its files last changed.
    state
        ``finished``, what else it is, or why it cannot be read.
    model
        Name of the model; blank where unknown.
    fold
        The fold it validates, ``0-4`` of a folded run, ``none``; blank where unknown.
    best
        Score that its checkpoint was chosen by, the mean over folds; None where unknown.
    local
        Score on the rows that it held out.
    made_from
        Tables, extra tables and runs that it was trained from.
    note
        What to know of its classes; blank where there is nothing.
    """

    name: str
    time: datetime
    state: str
    model: str = ""
    fold: str = ""
    best: float | None = None
    local: Local = field(default_factory=lambda: Local(None, 0))
    made_from: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class File:
    """A prediction file or submission.

    Parameters
    ----------
    name
        Of the file.
    time
        When it last changed.
    made
        What it was made from; None where its record cannot be read.
    local
        Score on the out-of-fold rows that stand for it.
    record
        Its latest score on a leaderboard, if it has one.
    warnings
        What has changed since it was made, or why its record cannot be read.
    """

    name: str
    time: datetime
    made: Origin | None
    local: Local
    record: Record | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What there is.

    Parameters
    ----------
    metric
        Of the local scores; blank where there is no competition.
    runs, files
        All of them.
    replaced
        Records of submissions whose file is gone or has other bytes now, the latest of each.
    records
        All records, the oldest first.
    """

    metric: str
    runs: Sequence[Run]
    files: Sequence[File]
    replaced: Sequence[Record]
    records: Sequence[Record]


def take_stock(
    scores: LocalScores | None, weights: Path = WEIGHTS, submissions: Path = SCORES.parent
) -> Listing:
    """Look at all runs and prediction files.

    Parameters
    ----------
    scores
        Scores on out-of-fold rows; None where nobody knows the competition.
    weights, submissions
        The folders.

    Raises
    ------
    InputError
        If the table of recorded scores is not in order.
    """
    records = read_records(submissions / SCORES.name)
    of_run: Callable[[Path], Local] = scores.of_run if scores else _unscored
    of_facts: Callable[[PredictionFacts], Local] = scores.of_predictions if scores else _unscored
    runs = [_run(folder, of_run) for folder in _folders(weights)]
    latest = _latest(records)
    paths = _files(submissions)
    digests = {path: provenance.sha256(path) for path in paths} if latest else {}
    files = [_file(path, latest.get(digests.get(path, "")), of_facts) for path in paths]
    here = set(digests.values())
    replaced = [record for sha256, record in latest.items() if sha256 not in here]
    if scores:
        scores.keep()
    metric = scores.metric if scores else ""
    return Listing(metric, runs, files, replaced, records)


def _latest(records: Sequence[Record]) -> dict[str, Record]:
    """The latest scores of each submission: of either part, whenever it was recorded."""
    latest: dict[str, Record] = {}
    for record in records:
        before = latest.get(record.sha256, record)
        public = before.public if record.public is None else record.public
        private = before.private if record.private is None else record.private
        latest[record.sha256] = replace(record, public=public, private=private)
    return latest


def _unscored(of: object) -> Local:
    return Local(None, 0)


def _folders(weights: Path) -> list[Path]:
    """Folders that a training has written to."""
    if not weights.is_dir():
        return []
    names = (BEST, LAST, RUN_JSON)
    return [
        folder
        for folder in sorted(weights.iterdir())
        if folder.is_dir()
        and any((one / name).exists() for one in (folder, *fold_folders(folder)) for name in names)
    ]


def _run(folder: Path, score: Callable[[Path], Local]) -> Run:
    folds = [] if (folder / BEST).exists() else fold_folders(folder)
    members = [one for one in folds or [folder] if (one / BEST).exists()]
    time = _time([folder / RUN_JSON, *(one / BEST for one in members), folder])
    try:
        headers = [read_header(one) for one in members]
    except ComptoolError as error:
        return Run(folder.name, time, f"broken: {error}")
    state = read_state(folder)
    if not headers:
        return Run(folder.name, time, f"{state}, no checkpoint yet")
    bests = [header.score for header in headers if header.score is not None]
    return Run(
        name=folder.name,
        time=time,
        state=state,
        model=_model(headers[0]),
        fold=_fold(headers),
        best=sum(bests) / len(bests) if len(bests) == len(headers) else None,
        local=score(folder),
        made_from=_parents(headers),
        note=left_out(folder, headers[0]) or "",
    )


def _model(header: RunHeader) -> str:
    return header.model.name


def _fold(headers: Sequence[RunHeader]) -> str:
    folds = [header.fold for header in headers]
    if len(folds) == 1:
        return "none" if folds[0] is None else str(folds[0])
    return f"{folds[0]}-{folds[-1]}"


def _parents(headers: Sequence[RunHeader]) -> tuple[str, ...]:
    """Tables that a run was trained with, and the run that it started from."""
    found = dict.fromkeys(
        Path(name).name
        for header in headers
        for name in header.inputs
        if not name.endswith((BEST, ".toml"))
    )
    starts = dict.fromkeys(str(header.init_from) for header in headers if header.init_from)
    return (*found, *(f"weights of {start}" for start in starts))


def _files(submissions: Path) -> list[Path]:
    """Prediction files, out-of-fold rows that others stand for left out."""
    if not submissions.is_dir():
        return []
    return [
        path
        for path in sorted(submissions.iterdir())
        if path.name.endswith(TABLES)
        and path.is_file()
        and not path.name.startswith((".", "oof"))
        and path.name != SCORES.name
    ]


def _file(path: Path, record: Record | None, score: Callable[[PredictionFacts], Local]) -> File:
    time = _time([path])
    try:
        made = origin(path)
    except ComptoolError as error:
        return File(path.name, time, None, Local(None, 0), record, (str(error),))
    stale = tuple(f"stale: {source} has changed since" for source in made.changed)
    return File(path.name, time, made, score(made.facts), record, stale)


def _time(paths: Sequence[Path]) -> datetime:
    """When the first of these that exists was written."""
    first = next(path for path in paths if path.exists())
    return datetime.fromtimestamp(first.stat().st_mtime, UTC)
