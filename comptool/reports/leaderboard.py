"""The two parts of a leaderboard, which row is in which, and the grade on each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.config import FILE, load
from comptool.errors import InputError, counted, quoted
from comptool.io.provenance import PracticeFacts

Rows = npt.NDArray[np.bool_]

HASH_BYTES = 8
PUBLIC_SHARE = 0.3
# Names of the part column in organisers' answers.
PART_COLUMNS = frozenset({"usage", "part", "split"})
PUBLIC, PRIVATE, IGNORED = "public", "private", "ignored"


@dataclass(frozen=True)
class Grade:
    """Public and private score; None for a part without rows or an undefined metric."""

    metric: str
    public: float | None
    private: float | None
    num_public: int
    num_private: int

    def __str__(self) -> str:
        told = [
            f"{part} {figure(value)} ({counted(rows, 'row')})"
            for part, value, rows in self._graded()
        ]
        return "  ".join([self.metric, *(told or ["no row is graded"])])

    def summary(self) -> dict[str, object]:
        """The grade as one JSON object; a part without rows is left out."""
        parts = self._graded()
        values = {part: value for part, value, _ in parts}
        return {"metric": self.metric, **values, **{f"num_{part}": n for part, _, n in parts}}

    def _graded(self) -> list[tuple[str, float | None, int]]:
        parts = (
            (PUBLIC, self.public, self.num_public),
            (PRIVATE, self.private, self.num_private),
        )
        return [part for part in parts if part[-1]]


def figure(value: float | None) -> str:
    """A metric's value to be read.

    Examples
    --------
    >>> figure(0.5), figure(None)
    ('0.50000', 'undefined')
    """
    return "undefined" if value is None else f"{value:.5f}"


@dataclass(frozen=True)
class Parts:
    """Masks of the public and the private rows, shape (N,)."""

    public: Rows
    private: Rows

    def grade(self, metric: str, value: Callable[[Rows], float]) -> Grade:
        """The grade, where ``value`` computes the metric of some rows.

        It is None where ``value`` raises an `InputError`: a part may be empty or of a single class.
        """
        public, private = (_or_none(value, part) for part in (self.public, self.private))
        return Grade(metric, public, private, int(self.public.sum()), int(self.private.sum()))


def _or_none(value: Callable[[Rows], float], part: Rows) -> float | None:
    try:
        return value(part)
    except InputError:
        return None


def parts_of(truth: pd.DataFrame, public: float | None) -> Parts:
    """The parts by a column of the answers, else by the ids."""
    column = part_column(truth)
    if public is None and column is not None:
        named = truth[column].str.strip().str.lower().to_numpy()
        return Parts(named == PUBLIC, named == PRIVATE)
    share = PUBLIC_SHARE if public is None else public
    shown = np.array([_draw(name) < share for name in truth.iloc[:, 0]], dtype=np.bool_)
    return Parts(shown, ~shown)


def part_column(truth: pd.DataFrame) -> str | None:
    """The column that says which part a row is in, or None."""
    for name in map(str, truth.columns[1:]):
        if name.lower() in PART_COLUMNS:
            values = set(truth[name].str.strip().str.lower())
            if values <= {PUBLIC, PRIVATE, IGNORED}:
                return name
    return None


def _draw(identity: str) -> float:
    """Pseudo-random number in [0, 1) by id."""
    digest = hashlib.sha256(identity.encode()).digest()[:HASH_BYTES]
    return float(int.from_bytes(digest, "big") / 256**HASH_BYTES)


def aligned(
    submission: Path, ids: Sequence[str], answers: Path, wanted: Sequence[str]
) -> npt.NDArray[np.intp]:
    """Row of the submission for each answer."""
    places = {name: row for row, name in enumerate(ids)}
    missing = [name for name in wanted if name not in places]
    known = set(wanted)
    extra = [name for name in ids if name not in known]
    if missing or extra:
        sides = [
            f"{len(some)} ids {what}: {quoted(some)}"
            for some, what in ((missing, "are missing"), (extra, "are not asked for"))
            if some
        ]
        raise InputError(f"its ids are not those of {answers}: {'; '.join(sides)}", file=submission)
    return np.array([places[name] for name in wanted], np.intp)


def usual_metric(recorded: PracticeFacts) -> str | None:
    """The metric recorded with the answers, or the competition's."""
    if recorded.metric is not None:
        return recorded.metric
    return load().metric if FILE.exists() else None
