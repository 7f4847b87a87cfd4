"""Scores of runs and submissions: recorded in ``submissions/scores.csv``, and out-of-fold.

A submission is usually overwritten by the next one. A record therefore names a file by the SHA-256
of its bytes, and keeps the lineage of the file (the steps and runs that it was made from) and its
out-of-fold score.

The bootstrap interval of 65,000 rows and 60 classes takes seconds per run, so that scores are
cached in a file next to the runs, by a digest of everything they depend on. It can be deleted any
time.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from comptool import __version__
from comptool.competition.config import FILE, Competition, load
from comptool.errors import ComptoolError, InputError, UsageError
from comptool.io import provenance
from comptool.io.atomic import atomic_output, refuse_existing
from comptool.io.documents import read_json
from comptool.io.predictions import SUFFIXES
from comptool.io.provenance import PredictionFacts
from comptool.io.records import parse
from comptool.io.runs import OOF, WEIGHTS
from comptool.io.tables import read_table, write_table
from comptool.metrics.bootstrap import IntervalEstimate, metric_with_interval
from comptool.metrics.metric_options import is_table
from comptool.postprocess.oof import FOLDS, Labelled, own_evidence, read_labelled
from comptool.registry import is_user_object
from comptool.reports.score import Grade, figure

TABLES = (*SUFFIXES, ".csv.gz", ".zip")
UNRECORDED = "no record says"
# Commands that make prediction files; other inputs are not steps.
STEPS = ("submit", "recalibrate", "ensemble", "tta", "infer")


@dataclass(frozen=True)
class Origin:
    """The lineage of a file."""

    steps: tuple[str, ...]  # commands, the last first
    runs: tuple[str, ...]  # names of the runs
    facts: PredictionFacts  # recorded facts of the file
    changed: tuple[Path, ...] = ()  # tables changed since a step read them

    def __str__(self) -> str:
        return ", ".join((*self.steps, *self.runs)) or UNRECORDED


def origin(path: Path) -> Origin:
    """The lineage of a file, from its record and those of its inputs."""
    facts = provenance.facts(path, PredictionFacts)
    steps: dict[str, None] = {}
    changed: list[Path] = []
    for _, record in provenance.history(path):
        if record.command in STEPS:
            steps[record.command] = None
            changed += provenance.changed_inputs(record, TABLES)
    runs = dict.fromkeys(Path(run).name for run in facts.runs or [])
    return Origin(tuple(steps), tuple(runs), facts, tuple(dict.fromkeys(changed)))


SCORES = Path("submissions/scores.csv")
ANSWERS, LEADERBOARD = "answers", "leaderboard"
NUMBERS = ("public", "private", "local")
PATIENCE = 60.0


@dataclass(frozen=True)
class Record:
    """The score of one submission."""

    time: str  # ISO 8601 in UTC
    file: str  # its path at that time
    sha256: str
    source: str  # ``"answers"`` (comptool score) or ``"leaderboard"`` (typed in)
    metric: str
    public: float | None
    private: float | None
    local: float | None  # metric of the corresponding out-of-fold rows
    made_from: str  # steps and runs, in words


COLUMNS = tuple(one.name for one in fields(Record))
# What makes two records the same score.
IDENTITY = ("sha256", "source", "metric", "public", "private")


def of_file(path: Path) -> str:
    """SHA-256 of a submission; InputError if there is no such file."""
    if not path.is_file():
        raise InputError("there is no such file", file=path)
    return provenance.sha256(path)


def read_records(path: Path = SCORES) -> list[Record]:
    """All records, oldest first; InputError if the file is not a table of records."""
    if not path.exists():
        return []
    table = read_table(path, required=COLUMNS, allow_empty=True)
    columns: dict[str, list[Any]] = {
        name: _numbers(path, table[name]) if name in NUMBERS else table[name].tolist()
        for name in COLUMNS
    }
    return [Record(*cells) for cells in zip(*columns.values(), strict=True)]


def add_record(record: Record, path: Path = SCORES) -> Record:
    """Add a record, and give it; several processes may do so at once.

    A score that is there already, of the same bytes, stays as it was recorded first.
    """
    refuse_existing(path, force=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        known = read_records(path)
        for one in known:
            if all(getattr(one, name) == getattr(record, name) for name in IDENTITY):
                return one
        table = pd.DataFrame([asdict(one) for one in (*known, record)], columns=list(COLUMNS))
        for name in NUMBERS:
            table[name] = [_text(value) for value in table[name]]
        write_table(path, table, force=True)
    return record


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lock the table against other processes."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        with FileLock(lock, timeout=PATIENCE):
            yield
    except Timeout:
        what = f"another program has been writing to it for {PATIENCE:.0f} seconds"
        raise InputError(what, file=path, mend=f"If none is running, delete {lock}") from None


def _numbers(path: Path, column: pd.Series[str]) -> list[float | None]:
    values: list[float | None] = []
    for row, text in enumerate(column, start=1):
        try:
            value = float(text) if text.strip() else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            what = "is not a number"
            raise InputError(what, file=path, row=row, column=str(column.name), values=[text])
        values.append(value)
    return values


def _text(value: float | None) -> str:
    # repr reads back exactly. A column of None and numbers has NaN for None.
    return "" if value is None or math.isnan(value) else repr(float(value))


RESAMPLES = 200
KEPT = WEIGHTS / ".local_scores.json"
RECALIBRATED = "before recalibration"


@dataclass(frozen=True)
class Local:
    """A score on out-of-fold rows."""

    figure: IntervalEstimate | None  # None: no score
    rows: int  # their number
    note: str = ""  # why there is no score, or a qualification of it


class LocalScores:
    """Cached scores of out-of-fold rows by ``metric`` (default: that of the competition)."""

    def __init__(
        self,
        competition: Competition,
        *,
        metric: str | None = None,
        resamples: int = RESAMPLES,
    ) -> None:
        self.metric = metric or competition.metric
        self._competition = competition
        self._resamples = resamples
        self._new: dict[str, Any] = {}
        self._digests: dict[Path, str | None] = {}

    def greater_is_better(self) -> bool:
        """Whether higher scores are better; so long as the metric cannot be found, they are."""
        with suppress(ComptoolError):
            return self._competition.find_metric(self.metric).greater_is_better
        return True

    def of_run(self, run: Path) -> Local:
        """The score of a run on its held-out rows."""
        if not (run / OOF).is_file():
            return Local(None, 0, "no out-of-fold rows")
        return self._score(
            str(run), [run / OOF], lambda: read_labelled(str(run), self._competition)
        )

    def of_predictions(self, facts: PredictionFacts) -> Local:
        """The score of the out-of-fold rows that correspond to a file with these recorded facts."""
        if not facts.runs:
            return Local(None, 0, "no run is recorded with it")
        known = facts.document()
        # Rows of another run may stand in for a run without any, so all files matter.
        files = [*WEIGHTS.glob(f"*/{OOF}"), *map(Path, _paths(known))]
        found = self._score(known, files, lambda: own_evidence(None, facts, self._competition))
        if found.figure is not None and facts.recalibration:
            return Local(found.figure, found.rows, RECALIBRATED)
        return found

    def keep(self) -> None:
        """Cache the new scores, if the folder is writable."""
        if self._new and KEPT.parent.is_dir():
            with suppress(InputError), atomic_output(KEPT, force=True) as temporary:
                temporary.write_text(json.dumps(self._kept | self._new), encoding="utf-8")

    def _score(self, of: Any, files: Collection[Path], read: Callable[[], Labelled]) -> Local:
        key = self._key(of, files)
        found = self._kept.get(key)
        if found is not None:
            with suppress(InputError):
                return parse(Local, found, KEPT)
        try:
            labelled = read()
            probabilities = labelled.predictions.probabilities
            classes = labelled.predictions.classes
            metric = self._competition.find_metric(self.metric, classes=classes)
            value = metric.prepare(labelled.targets, probabilities)
            figure = metric_with_interval(value, len(labelled), self._resamples, seed=0)
        except ComptoolError as error:
            return Local(None, 0, str(error))
        local = Local(figure, len(labelled), labelled.note)
        self._new[key] = asdict(local)
        return local

    @cached_property
    def _kept(self) -> dict[str, Any]:
        document = None
        with suppress(InputError):
            document = read_json(KEPT)
        return document if isinstance(document, dict) else {}

    def _key(self, of: Any, files: Collection[Path]) -> str:
        """A digest of everything that a score depends on."""
        train = self._competition.train
        read = {*files, FOLDS, *self._metric_files(), *([] if train is None else [train])}
        read |= {Path(name) for path in files for name in _inputs(path)}
        parts = [
            __version__, self.metric, self._resamples, asdict(self._competition), of,
            {str(path): self._digest(path) for path in sorted(read)},
        ]  # fmt: skip
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _metric_files(self) -> list[Path]:
        """The file of a user's metric, and the tables of its options."""
        options = self._competition.metric_options.values()
        tables = [Path(value) for value in options if is_table(value)]
        own = [Path(self.metric.rpartition(":")[0])] if is_user_object(self.metric) else []
        return [*own, *tables]

    def _digest(self, path: Path) -> str | None:
        if path not in self._digests:
            self._digests[path] = provenance.sha256(path) if path.is_file() else None
        return self._digests[path]


def _paths(facts: Any) -> list[str]:
    """Files that a record names anywhere, including out-of-fold files of views and members."""
    if isinstance(facts, Mapping):
        return [path for value in facts.values() for path in _paths(value)]
    if isinstance(facts, list):
        return [path for value in facts for path in _paths(value)]
    return [facts] if isinstance(facts, str) and facts.endswith(SUFFIXES) else []


def _inputs(path: Path) -> list[str]:
    """The inputs of an out-of-fold file, if its record can be read."""
    with suppress(InputError):
        return list((provenance.recall(path) or provenance.Provenance()).inputs)
    return []


def record_score(
    submission: Path,
    source: str,
    *,
    public: float | None,
    private: float | None,
    metric: str | None = None,
    competition: Path | None = None,
) -> Record:
    """Add the score of a submission (as graded or uploaded) to the table of scores.

    ``source`` is `ANSWERS` or `LEADERBOARD`; one of the scores may be None. Metric and competition
    default to those of the working directory; without a competition there is no local score.
    """
    _check_scores(submission, public, private)
    digest = of_file(submission)
    facts = competition_here(competition)
    name = metric or (facts.metric if facts else None)
    if name is None:
        raise UsageError("the metric is unknown without a competition: add --competition FILE")
    made = origin(submission)
    local = _local(made, facts, name)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(time, str(submission), digest, source, name, public, private, local, str(made))
    return add_record(record)


def _check_scores(submission: Path, *scores: float | None) -> None:
    given = [score for score in scores if score is not None]
    if not given:
        raise UsageError(f"no score of {submission} is given: --public, --private or both")
    if not all(map(math.isfinite, given)):
        raise UsageError("a score is a finite number")


def _local(made: Origin, competition: Competition | None, metric: str) -> float | None:
    """The metric on the corresponding out-of-fold rows."""
    if competition is None:
        return None
    scores = LocalScores(competition, metric=metric, resamples=0)
    found = scores.of_predictions(made.facts).figure
    return found.value if found else None


def record_grade(submission: Path, grade: Grade) -> Record:
    """Record the grade of a submission; UsageError if neither part has a score."""
    return record_score(
        submission, ANSWERS, public=grade.public, private=grade.private, metric=grade.metric
    )


def described(record: Record) -> str:
    """A record as a sentence."""
    parts = {"public": record.public, "private": record.private, "local": record.local}
    scores = ", ".join(
        f"{name} {figure(value)}" for name, value in parts.items() if value is not None
    )
    return f"recorded for {record.file} ({record.made_from}): {record.metric} {scores}"


def competition_here(path: Path | None) -> Competition | None:
    """The competition; None without a ``comptool.toml`` where none is detected."""
    if path is not None or FILE.exists():
        return load(path)
    try:
        return load()
    except InputError:
        return None
