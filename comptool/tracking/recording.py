"""The score of a submission is written down with what it was made from."""

from __future__ import annotations

import math
from pathlib import Path

from comptool.competition import FILE, Competition, load
from comptool.errors import InputError, UsageError
from comptool.evaluation import metrics
from comptool.evaluation.grades import Grade, figure
from comptool.tracking.local_scores import LocalScores
from comptool.tracking.origins import Origin, origin
from comptool.tracking.records import ANSWERS, Record, add_record, now, of_file


def record_score(
    submission: Path,
    source: str,
    *,
    public: float | None,
    private: float | None,
    metric: str | None = None,
    competition: Path | None = None,
) -> Record:
    """Add the score of a submission to the table of scores.

    Parameters
    ----------
    submission
        The file as it was graded or uploaded.
    source
        `comptool.tracking.records.ANSWERS` or ``LEADERBOARD``.
    public, private
        The scores; one of them may be None.
    metric
        Its name; None for the competition's.
    competition
        A ``comptool.toml``; None: the one here, else detected. Where there is none, there is no
        local score either.

    Raises
    ------
    UsageError
        If there is no score, one is no finite number, or nobody knows the metric.
    InputError
        If there is no such file, or the table cannot be used.
    """
    _check_scores(submission, public, private)
    digest = of_file(submission)
    facts = competition_here(competition)
    name = metric or (facts.metric if facts else None)
    if name is None:
        raise UsageError("no competition says which metric it is: --competition FILE")
    made = origin(submission)
    local = _local(made, facts, name)
    record = Record(now(), str(submission), digest, source, name, public, private, local, str(made))
    add_record(record)
    return record


def _check_scores(submission: Path, *scores: float | None) -> None:
    given = [score for score in scores if score is not None]
    if not given:
        raise UsageError(f"no score of {submission} is given: --public, --private or both")
    if not all(map(math.isfinite, given)):
        raise UsageError("a score is a finite number")


def _local(made: Origin, competition: Competition | None, metric: str) -> float | None:
    """The metric on the out-of-fold rows of what made a file."""
    if competition is None or metric not in metrics.table(competition.task).names:
        return None
    scores = LocalScores(competition, metric=metric, resamples=0)
    found = scores.of_predictions(made.facts).figure
    return found.value if found else None


def record_grade(submission: Path, grade: Grade) -> Record:
    """`record_score` of what a submission was graded; both parts may be undefined.

    Raises
    ------
    UsageError
        If neither part has a score.
    """
    return record_score(
        submission, ANSWERS, public=grade.public, private=grade.private, metric=grade.metric
    )


def told(record: Record) -> str:
    """What was written down, as a sentence."""
    parts = {"public": record.public, "private": record.private, "local": record.local}
    scores = ", ".join(
        f"{name} {figure(value)}" for name, value in parts.items() if value is not None
    )
    return f"recorded of {record.file} ({record.made_from}): {record.metric} {scores}"


def competition_here(path: Path | None) -> Competition | None:
    """The competition; None where there is no ``comptool.toml`` and none is detected.

    Raises
    ------
    InputError
        If the ``comptool.toml`` cannot be used.
    """
    if path is not None or FILE.exists():
        return load(path)
    try:
        return load()
    except InputError:
        return None
