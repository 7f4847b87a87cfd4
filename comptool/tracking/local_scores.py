"""What runs and prediction files are worth on out-of-fold rows, with intervals.

Of 65,000 rows and 60 classes, the resamples of an interval take seconds for each run, so scores are
kept in a file beside the runs, under a digest of all that they depend on. The file can be deleted
at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from comptool import __version__, provenance
from comptool.competition import Competition
from comptool.decisions.own_evidence import own_evidence
from comptool.errors import ComptoolError, InputError
from comptool.evaluation import metrics
from comptool.evaluation.bootstrap import Figure, Rows, figure_of_rows
from comptool.evaluation.held_out import FOLDS
from comptool.evaluation.out_of_fold import Labelled, read_labelled
from comptool.outputs import atomic_output
from comptool.predictions import SUFFIXES
from comptool.runs import OOF, WEIGHTS

RESAMPLES = 200
KEPT = WEIGHTS / ".local_scores.json"
RECALIBRATED = "before recalibration"


@dataclass(frozen=True)
class Local:
    """A score on out-of-fold rows.

    Parameters
    ----------
    figure
        The score; None where there is none.
    rows
        How many there are.
    note
        Why there is no score, or of what it is one; otherwise empty.
    """

    figure: Figure | None
    rows: int
    note: str = ""


class LocalScores:
    """Scores of out-of-fold rows by the metric of a competition.

    Parameters
    ----------
    competition
        Says where labels are found.
    metric
        Its name; None for the competition's.
    resamples
        Of the rows, for intervals; 0 for none.
    kept
        Where scores are kept.
    """

    def __init__(
        self,
        competition: Competition,
        *,
        metric: str | None = None,
        resamples: int = RESAMPLES,
        kept: Path = KEPT,
    ) -> None:
        self.metric = metric or competition.metric
        self._competition = competition
        self._resamples = resamples
        self._path = kept
        self._new: dict[str, Any] = {}
        self._digests: dict[Path, str | None] = {}

    def of_run(self, run: Path) -> Local:
        """The score of a run on the rows that it held out."""
        if not (run / OOF).is_file():
            return Local(None, 0, "no out-of-fold rows")
        return self._score(
            str(run), [run / OOF], lambda: read_labelled(str(run), self._competition)
        )

    def of_predictions(self, facts: Mapping[str, Any]) -> Local:
        """The score of the out-of-fold rows that stand for a prediction file.

        Parameters
        ----------
        facts
            What is recorded with the file.
        """
        if not facts.get("runs"):
            return Local(None, 0, "no run is recorded with it")
        # A run without rows of its own may be stood for by another, so all are looked at.
        files = [*WEIGHTS.glob(f"*/{OOF}"), *map(Path, _paths(facts))]
        found = self._score(facts, files, lambda: own_evidence(None, facts, self._competition))
        if found.figure is not None and facts.get("recalibration"):
            return Local(found.figure, found.rows, RECALIBRATED)
        return found

    def keep(self) -> None:
        """Keep new scores for the next time, where the folder can be written."""
        if self._new and self._path.parent.is_dir():
            with suppress(InputError), atomic_output(self._path, force=True) as temporary:
                temporary.write_text(json.dumps(self._kept | self._new), encoding="utf-8")

    def _score(self, of: Any, files: Collection[Path], read: Callable[[], Labelled]) -> Local:
        key = self._key(of, files)
        found = self._kept.get(key)
        if found is not None:
            return Local(Figure(**found["figure"]), found["rows"], found["note"])
        try:
            labelled = read()
            figure = score_with_interval(self.metric, labelled, self._resamples)
        except ComptoolError as error:
            return Local(None, 0, str(error))
        local = Local(figure, len(labelled), labelled.note)
        self._new[key] = asdict(local)
        return local

    @cached_property
    def _kept(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _key(self, of: Any, files: Collection[Path]) -> str:
        """A digest of all that a score depends on."""
        train = self._competition.train
        read = {*files, FOLDS, *([] if train is None else [train])}
        read |= {Path(name) for path in files for name in _inputs(path)}
        parts = [
            __version__, self.metric, self._resamples, asdict(self._competition), of,
            {str(path): self._digest(path) for path in sorted(read)},
        ]  # fmt: skip
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _digest(self, path: Path) -> str | None:
        if path not in self._digests:
            self._digests[path] = provenance.sha256(path) if path.is_file() else None
        return self._digests[path]


def score_with_interval(metric: str, labelled: Labelled, resamples: int) -> Figure:
    """A metric of out-of-fold rows, and its interval over resamples of the rows.

    Raises
    ------
    UsageError
        If there is no such metric.
    InputError
        If it is not defined on these rows.
    """
    targets, probabilities = labelled.targets, labelled.predictions.probabilities

    def measure(rows: Rows) -> float:
        return metrics.score(metric, targets[rows], probabilities[rows])

    return figure_of_rows(measure, len(labelled), resamples, seed=0)


def _paths(facts: Any) -> list[str]:
    """Files that a record names anywhere, out-of-fold rows of views and members among them."""
    if isinstance(facts, Mapping):
        return [path for value in facts.values() for path in _paths(value)]
    if isinstance(facts, list):
        return [path for value in facts for path in _paths(value)]
    return [facts] if isinstance(facts, str) and facts.endswith(SUFFIXES) else []


def _inputs(path: Path) -> list[str]:
    """What an out-of-fold file was made from, as far as its record can be read."""
    with suppress(InputError):
        return list((provenance.recall(path) or {}).get("inputs", {}))
    return []
