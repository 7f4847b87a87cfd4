"""Inventory of a working folder: runs and prediction files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from comptool import models
from comptool.competition.classes import left_out
from comptool.errors import ComptoolError
from comptool.io import provenance
from comptool.io.provenance import PredictionFacts
from comptool.io.records import RunHeader
from comptool.io.runs import (
    BEST,
    LAST,
    RUN_JSON,
    WEIGHTS,
    damaged_record,
    fold_folders,
    read_header,
    read_state,
)
from comptool.tracking.scores import (
    SCORES,
    STEPS,
    TABLES,
    UNRECORDED,
    Local,
    LocalScores,
    Origin,
    Record,
    origin,
    read_records,
)


@dataclass(frozen=True)
class Run:
    """A run, finished or not."""

    name: str  # of the folder
    time: datetime  # of the last change
    state: str  # ``finished``, another state, or why it cannot be read
    model: str = ""  # blank: unknown
    fold: str = ""  # the validation fold, ``0-4`` of a folded run, or ``none``; blank: unknown
    best: float | None = None  # score that selected the checkpoint, mean over folds
    local: Local = field(default_factory=lambda: Local(None, 0))  # score on the held-out rows
    made_from: tuple[str, ...] = ()  # tables, extra tables and runs that it was trained from
    note: str = ""  # warning about its classes
    settings: str = ""  # of the training but for seed and fold; blank: unknown
    parents: tuple[str, ...] = ()  # names of the runs that it started from
    lineage: str = ""  # the first of the runs that differ in seed, fold or start alone


@dataclass(frozen=True)
class File:
    """A prediction file or submission."""

    name: str
    time: datetime  # of the last change
    made: Origin | None  # None: its record cannot be read
    local: Local  # score on the corresponding out-of-fold rows
    record: Record | None = None  # its latest leaderboard score
    warnings: tuple[str, ...] = ()  # inputs changed since, or why its record cannot be read


@dataclass(frozen=True)
class Listing:
    """All runs, prediction files and records."""

    metric: str  # of the local scores; blank without a competition
    runs: Sequence[Run]
    files: Sequence[File]
    replaced: Sequence[Record]  # latest records of submissions that are gone or have changed
    records: Sequence[Record]  # oldest first
    greater_is_better: bool = True  # of the metric


def take_stock(scores: LocalScores | None) -> Listing:
    """List all runs and prediction files; ``scores`` is None without a competition."""
    records = read_records()
    of_run: Callable[[Path], Local] = scores.of_run if scores else _unscored
    of_facts: Callable[[PredictionFacts], Local] = scores.of_predictions if scores else _unscored
    runs = with_lineages([_run(folder, of_run) for folder in _folders()])
    latest = _latest(records)
    paths = _files()
    digests = {path: provenance.sha256(path) for path in paths} if latest else {}
    files = [_file(path, latest.get(digests.get(path, "")), of_facts) for path in paths]
    here = set(digests.values())
    replaced = [record for sha256, record in latest.items() if sha256 not in here]
    if scores:
        scores.keep()
    if scores is None:
        return Listing("", runs, files, replaced, records)
    return Listing(scores.metric, runs, files, replaced, records, scores.greater_is_better())


def _latest(records: Sequence[Record]) -> dict[str, Record]:
    """The latest public and private scores of each submission, perhaps of different records."""
    latest: dict[str, Record] = {}
    for record in records:
        before = latest.get(record.sha256, record)
        public = before.public if record.public is None else record.public
        private = before.private if record.private is None else record.private
        latest[record.sha256] = replace(record, public=public, private=private)
    return latest


def _unscored(of: object) -> Local:
    return Local(None, 0)


def _folders() -> list[Path]:
    """Folders of runs."""
    if not WEIGHTS.is_dir():
        return []
    names = (BEST, LAST, RUN_JSON)
    return [
        folder
        for folder in sorted(WEIGHTS.iterdir())
        if folder.is_dir()
        and any((one / name).exists() for one in (folder, *fold_folders(folder)) for name in names)
    ]


def _run(folder: Path, score: Callable[[Path], Local]) -> Run:
    folds = [] if (folder / BEST).exists() else fold_folders(folder)
    members = [one for one in folds or [folder] if (one / BEST).exists()]
    time = _time([folder / RUN_JSON, *(one / BEST for one in members), folder])
    try:
        headers = [read_header(one) for one in members]
        for one, header in zip(members, headers, strict=True):
            models.check_recorded(header, one / BEST)
    except ComptoolError as error:
        return Run(folder.name, time, f"broken: {error}")
    damages = map(damaged_record, (folder, *fold_folders(folder)))
    state = next(filter(None, damages), None) or read_state(folder)
    if not headers:
        return Run(folder.name, time, f"{state}, no checkpoint yet")
    bests = [header.score for header in headers if header.score is not None]
    return Run(
        name=folder.name,
        time=time,
        state=state,
        model=headers[0].model.name,
        fold=_fold(headers),
        best=sum(bests) / len(bests) if len(bests) == len(headers) else None,
        local=score(folder),
        made_from=_parents(headers),
        note=left_out(folder, headers[0]) or "",
        settings=_settings(headers[0]),
        parents=tuple(dict.fromkeys(_run_name(one.init_from) for one in headers if one.init_from)),
    )


# Settings in which near-copies of a run may differ: the draw, and how it was computed.
FREE = ("seed", "fold", "workers", "device", "max_pixels", "init_from")


def _settings(header: RunHeader) -> str:
    kept = {name: value for name, value in header.arguments.items() if name not in FREE}
    if not kept:
        return ""
    return json.dumps([header.model.name, header.dropped, kept], sort_keys=True, default=str)


def _run_name(start: str) -> str:
    """The run of a checkpoint's folder, which may be that of a fold."""
    folder = Path(start)
    return folder.parent.name if folder.parent.parent.name == WEIGHTS.name else folder.name


def with_lineages(runs: Sequence[Run]) -> list[Run]:
    """The runs with their lineages.

    Runs whose settings differ in seed and fold alone are near-copies of one another, and a run that
    started from another is one of it: what happens to one, happens to all.
    """
    by_name = {run.name: run for run in runs}
    first: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: (run.time, run.name)):
        if run.settings and not run.parents:
            first.setdefault(run.settings, run.name)

    def root(name: str, seen: frozenset[str] = frozenset()) -> str:
        run = by_name.get(name)
        if run is None or name in seen:
            return name
        if run.parents:
            return root(run.parents[0], seen | {name})
        return first.get(run.settings, name)

    return [replace(run, lineage=root(run.name)) for run in runs]


def lineages_of(records: Sequence[Record], runs: Sequence[Run]) -> dict[str, str]:
    """What each submission was made from: the lineages of its runs; by digest of the file.

    A submission without a known run is a lineage of its own.
    """
    known = {run.name: run.lineage for run in runs}
    found = {}
    for record in records:
        names = [name for name in record.made_from.split(", ") if name not in STEPS]
        if record.made_from in ("", UNRECORDED) or not names:
            found[record.sha256] = record.sha256
        else:
            found[record.sha256] = ", ".join(sorted({known.get(name, name) for name in names}))
    return found


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


def _files() -> list[Path]:
    """Prediction files, without the out-of-fold files next to them."""
    if not SCORES.parent.is_dir():
        return []
    return [
        path
        for path in sorted(SCORES.parent.iterdir())
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
    """Time of the last change of the first existing file."""
    first = next(path for path in paths if path.exists())
    return datetime.fromtimestamp(first.stat().st_mtime, UTC)
