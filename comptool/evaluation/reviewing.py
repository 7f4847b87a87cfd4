"""A review from an out-of-fold file to ``review.csv`` and its page, and how right it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from comptool import provenance
from comptool.classes import against
from comptool.competition import Competition
from comptool.errors import InputError, UsageError
from comptool.evaluation.held_out import FOLDS, OutOfFold, labelled_rows, no_table
from comptool.evaluation.label_gallery import Gallery, write_gallery
from comptool.evaluation.label_review import KINDS, precision_and_recall, review
from comptool.evaluation.ranking import Floats
from comptool.label_matrix import ABSENT, PRESENT, UNKNOWN, Matrix, matrix_of_columns
from comptool.outputs import together
from comptool.predictions import Predictions, read_predictions
from comptool.samples import Samples
from comptool.tables import check_ids, read_table, write_table

AT = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
SHOWN_CLASSES = 10


@dataclass(frozen=True)
class Reviewed:
    """A review that has been written.

    Parameters
    ----------
    table
        From `comptool.evaluation.label_review.review`.
    gallery
        What its page shows.
    num_rows, num_classes
        N and K.
    source
        The table whose labels were reviewed.
    measured
        Precision and recall by kind, where the truth is known.
    """

    table: pd.DataFrame
    gallery: Gallery
    num_rows: int
    num_classes: int
    source: Path
    measured: Mapping[str, list[dict[str, float]]] = field(default_factory=dict)

    def text(self) -> str:
        """What was found, by kind and by class, and how right it is."""
        missing = self.table["suggested"] == PRESENT
        lines = [
            f"{self.num_rows} images by {self.num_classes} classes of {self.source}: "
            f"{int(missing.sum())} cells marked absent that are probably present, "
            f"{int((~missing).sum())} marked present that are probably absent"
        ]
        counts = self.table["class"].value_counts()
        if len(counts):
            most = [f"{name} {count}" for name, count in counts.head(SHOWN_CLASSES).items()]
            lines.append("most in: " + "; ".join(most))
        if self.gallery.without_image:
            lines.append(f"warning: no image of {len(self.gallery.without_image)} ids on the page")
        for kind, found in self.measured.items():
            table = pd.DataFrame(found).astype({"k": int})
            lines.append(f"{kind} labels against the truth")
            lines.append(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
        return "\n".join(lines)


def review_file(
    found: OutOfFold,
    competition: Competition,
    output: Path,
    page: Path,
    *,
    labels: Path | None = None,
    truth: Path | None = None,
    kinds: Collection[str] = KINDS,
    limit: int = 500,
    force: bool = False,
) -> Reviewed:
    """Rank the cells whose label the out-of-fold predictions doubt, and write them with a page.

    Parameters
    ----------
    found
        Out-of-fold predictions.
    competition
        Says what the columns are called.
    output
        Where the ranked cells go.
    page
        Where the page goes.
    labels
        The label table; by default the one that the run was trained with.
    truth
        A table with the true labels, to measure the ranking by, or None.
    kinds
        See `comptool.evaluation.label_review.review`.
    limit
        Cells on the page.
    force
        Whether outputs that exist are replaced.

    Raises
    ------
    UsageError
        If the competition has one class per image.
    InputError
        If the predictions are no evidence, no table has their rows, or the classes differ.
    """
    _check_task(competition)
    if found.leak:
        raise InputError(f"is no evidence: {found.leak}", file=found.path)
    predictions = read_predictions(found.path, task=competition.task)
    samples = _samples(found, predictions, competition, labels)
    cells, ids = samples.label_matrix(), samples.frame[samples.id].tolist()
    classes, p = predictions.classes, predictions.probabilities
    table = review(ids, classes, cells, p, kinds=kinds)
    measured = {}
    if truth is not None:
        measured = _measured(truth, ids, classes, cells, p, kinds)
    read = provenance.hashes(path for path in (found.path, samples.source, truth) if path)
    arguments = {"labels": labels, "truth": truth, "kinds": sorted(kinds), "limit": limit}
    with together():
        write_table(output, table, force=force)
        title = f"Label review: {competition.name}"
        gallery = write_gallery(
            page, in_turn(table), _images(samples), title=title, limit=limit, force=force
        )
        for path in (output, page):
            provenance.record(path, command="review", arguments=arguments, inputs=read)
    return Reviewed(table, gallery, len(ids), len(classes), samples.source, measured)


def in_turn(table: pd.DataFrame) -> pd.DataFrame:
    """The cells of a review, those of the two kinds in turn, each kind the most doubtful first.

    Scores of the two kinds cannot be compared: a model that finds a class hard to see doubts most
    of its present cells.
    """
    place = table.groupby("suggested").cumcount()
    order = np.lexsort((-table["suggested"].to_numpy(), place.to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _check_task(competition: Competition) -> None:
    if competition.task != "multilabel":
        raise UsageError(
            f"review looks at classes that are present or absent, and '{competition.name}' has one "
            "class per image (if that is wrong, correct 'task' in comptool.toml)"
        )


def _samples(
    found: OutOfFold, predictions: Predictions, competition: Competition, labels: Path | None
) -> Samples:
    """The labelled rows of the predictions."""
    others = [FOLDS, *([competition.train] if competition.train else [])]
    tables = [*found.tables, *others] if labels is None else [labels]
    samples = labelled_rows(predictions.ids.tolist(), tables, competition)
    if samples is None:
        raise no_table(predictions.ids.tolist(), found.path, tables)
    if samples.labels != predictions.classes:
        raise InputError(
            "its classes are not those of the predictions: "
            f"{against(samples.labels, predictions.classes)}",
            file=samples.source,
            mend="Give the label table that the run was trained with: --labels FILE",
        )
    return samples


def _images(samples: Samples) -> dict[str, list[Path]]:
    columns = [samples.frame[column] for column in samples.paths.values()]
    return {
        name: [samples.folder / path for path in paths if path]
        for name, *paths in zip(samples.frame[samples.id], *columns, strict=True)
    }


def _measured(
    truth: Path,
    ids: Sequence[str],
    classes: Sequence[str],
    cells: Matrix,
    probabilities: Floats,
    kinds: Collection[str],
) -> dict[str, list[dict[str, float]]]:
    """Precision and recall of each kind of cells at several lengths of the list.

    ``chance`` is the precision of a list in no order: the share of all cells with that label that
    are wrong.
    """
    known = _truth(truth, ids, classes)
    # What nobody knows the truth of is not listed.
    cells = np.where(known == UNKNOWN, UNKNOWN, cells).astype(np.int8)
    found = {}
    for kind, marked in (("missing", ABSENT), ("extra", PRESENT)):
        looked_at = cells == marked
        wrong = looked_at & (known != marked)
        if kind not in kinds or not wrong.any():
            continue
        table = review(ids, classes, cells, probabilities, kinds=[kind])
        at = [k for k in AT if k < len(table)] + [len(table)]
        places = {(ids[row], classes[column]) for row, column in np.argwhere(wrong).tolist()}
        chance = float(wrong.sum() / looked_at.sum())
        measured = precision_and_recall(table, places, at)
        found[kind] = [{**one, "chance": chance} for one in measured]
    return found


def _truth(path: Path, ids: Sequence[str], classes: Sequence[str]) -> Matrix:
    frame = read_table(path)
    column = str(frame.columns[0])
    check_ids(path, column, frame[column].to_numpy(dtype=object))
    rows = pd.Index(frame[column]).get_indexer(pd.Index(ids))
    missing = [name for name, row in zip(ids, rows, strict=True) if row < 0]
    if missing:
        raise InputError(f"lacks {len(missing)} of the ids", file=path, values=missing)
    matrix: Matrix = matrix_of_columns(path, frame, classes)[rows]
    return matrix
