"""Out-of-fold predictions with their labels, of a run, its folded sibling or a prediction file.

Every decision after training (ensemble weights, recalibration, pseudo-labels) is scored on rows
that the models were not trained on. Anything that would make a decision look better than it is
raises an error: members trained on their validation rows, missing rows, folds that differ from
the table, predictions that are all equal.

A run on all rows (``train --fold none``) has no out-of-fold rows; those of its folded sibling, the
same training with validation folds, replace them. Predictions of several runs are the mean of their
networks, and so are their rows. Test-time augmentation and weight searches write their rows next to
their output. The rows of other ensembles are combined with the recorded method and weights, ranks
being computed among the out-of-fold rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import models, tasks
from comptool.competition.bags import bag_column, pooled_by_bag
from comptool.competition.classes import check_classes
from comptool.competition.config import Competition
from comptool.competition.samples import Samples, read_samples
from comptool.errors import ComptoolError, InputError, quoted
from comptool.io import provenance
from comptool.io.predictions import Predictions, write_predictions
from comptool.io.provenance import EnsembleFacts, EvidenceTrace, PredictionFacts
from comptool.io.records import RunHeader
from comptool.io.runs import BEST, OOF, OOF_IMAGES, find_run, members, read_header
from comptool.io.tables import read_table
from comptool.postprocess.ensemble.combine import POWER, by_class, combine
from comptool.postprocess.ensemble.stacking import restored
from comptool.postprocess.inputs import in_order, read_recorded
from comptool.tasks.pooling import ATTENTION, NO_POOL

# Settings in which siblings may differ: validation rows, duration and hardware. Without validation
# there is no early stopping, so the number of epochs is set.
MAY_DIFFER = frozenset(
    {"fold", "seed", "epochs", "patience", "device", "workers", "amp", "compile", "pool"}
)
PREFERRED = ("seed", "epochs")
SAME_FIELDS = ("task", "classes", "modalities", "img_size", "init_from", "dropped")


def folded_sibling(run: Path) -> Path | None:
    """The folded run with the same training as a run on all rows; the same seed is preferred."""
    own = _header(run)
    if own is None or own.arguments.get("fold") != "none":
        return None
    headers = {other: _header(other) for other in sorted(run.parent.iterdir()) if other != run}
    siblings = {
        o: header for o, header in headers.items() if header and _same_training(own, header)
    }
    wanted = {name: own.arguments.get(name) for name in PREFERRED}
    preferred = [o for o, header in siblings.items() if wanted.items() <= header.arguments.items()]
    candidates = preferred or list(siblings)
    if len(candidates) > 1:
        raise InputError(
            "held no rows out, and it has several folded siblings",
            file=run,
            values=[str(one) for one in candidates],
            mend="Name a run for each prediction file: --oof RUN",
        )
    return candidates[0] if candidates else None


def _header(run: Path) -> RunHeader | None:
    """The header of the first member of a run; None if it is not a complete run."""
    try:
        return read_header(members(run)[0]) if run.is_dir() else None
    except ComptoolError:
        return None


def _same_training(own: RunHeader, other: RunHeader) -> bool:
    one, two = own.arguments, other.arguments
    # A run trained by bags has learnt by its pool.
    may_differ = MAY_DIFFER - ({"pool"} if one.get("bag_size") else set())
    tables = [
        {name: digest for name, digest in header.inputs.items() if Path(name).name != BEST}
        for header in (own, other)
    ]
    return (
        two.get("fold") == "all"
        and all(one.get(name) == two.get(name) for name in (one.keys() | two.keys()) - may_differ)
        and all(getattr(own, key) == getattr(other, key) for key in SAME_FIELDS)
        and tables[0] == tables[1]
    )


def rows_path(output: Path) -> Path:
    """Path of the out-of-fold rows of predictions: ``oof_preds_tta.csv`` for ``preds_tta.csv``."""
    return output.with_name(f"oof_{output.name}")


def write_rows(
    output: Path,
    rows: Predictions,
    *,
    command: str,
    inputs: Iterable[Path],
    facts: PredictionFacts,
    force: bool = False,
) -> str:
    """Write the out-of-fold rows of the predictions ``output`` with a record; gives the path.

    No model was trained on ``rows``. ``inputs`` are the files read, including the table of the
    labels, ``facts`` those recorded with the predictions.
    """
    path = rows_path(output)
    write_predictions(path, rows, force=force)
    facts = replace(facts, leak=None)
    provenance.record(path, command=command, arguments={}, inputs=inputs, facts=facts)
    return str(path)


FOLDS = Path("folds.csv")
TABLES = (".csv", ".gz", ".parquet")


@dataclass(frozen=True)
class OutOfFold:
    """An out-of-fold file and its origin."""

    path: Path
    tables: tuple[Path, ...]  # recorded training tables of the runs
    leak: str | None  # reason why the models may have been trained on the rows
    pool: str | None  # how rows of images are still to become rows of bags
    reason: str  # sentence on how the file was chosen


def find_out_of_fold(name: str | None, pool: str | None = None) -> OutOfFold:
    """The out-of-fold file of a run (its name or folder; None: the newest), or the file itself.

    ``pool`` is how a run's images become the rows of bags; None: as its own file has them.

    Raises
    ------
    InputError
        If there is no such file or run, the run held no rows out, or two members validated the
        same fold.
    """
    if name is not None and Path(name).is_file() and Path(name).name.endswith(TABLES):
        path = Path(name)
        facts = provenance.facts(path, PredictionFacts)
        recorded = (provenance.recall(path) or provenance.Provenance()).inputs
        tables = tuple(dict.fromkeys(map(Path, recorded)))
        return OutOfFold(path, tables, facts.leak, None, f"taking {path}")
    run = find_run(name)
    headers = [read_header(folder) for folder in members(run)]
    for folder, header in zip(members(run), headers, strict=True):
        models.check_recorded(header, folder / BEST)
    path, still = run / OOF, None
    if not path.exists():
        raise InputError("this run held no rows out", file=run, mend="Train with a validation fold")
    own = provenance.facts(path, PredictionFacts).pool
    if pool is not None and pool != own:
        if ATTENTION in (pool, own) and pool != NO_POOL:
            raise InputError(
                f"its out-of-fold rows are pooled by {own}, and cannot be by {pool}",
                file=path,
                mend="Name the rows or the run of these predictions: --oof RUN",
            )
        path, still = run / OOF_IMAGES, None if pool == NO_POOL else pool
        if not path.exists():
            raise InputError(
                "this run has no out-of-fold rows of images, which are needed to pool them by "
                f"{pool}",
                file=run,
                mend="Train again",
            )
    folds = [header.fold for header in headers]
    repeated = sorted({fold for fold in folds if fold is not None and folds.count(fold) > 1})
    if repeated:  # one member is a copy, or belongs to another run
        raise InputError(
            "two of its members validated the same fold",
            file=run,
            values=[f"fold {fold}" for fold in repeated],
            mend=f"Train it again: comptool train --fold all --run-name {run.name} --force",
        )
    leak = next((header.leak for header in headers if header.leak), None)
    tables = tuple(dict.fromkeys(Path(table) for header in headers for table in header.inputs))
    latest = " (the latest run)" if name is None else ""
    return OutOfFold(path, tables, leak, still, f"taking {path}{latest}")


def networks_of(path: Path) -> dict[Path, RunHeader]:
    """Folders and headers of the networks that made a prediction file, as far as they still exist.

    Its record names the runs; without a record it lies in the folder of a run.
    """
    found: dict[Path, RunHeader] = {}
    for name in provenance.facts(path, PredictionFacts).runs or [str(path.parent)]:
        with suppress(ComptoolError):
            found |= {folder: read_header(folder) for folder in members(find_run(name))}
    return found


def labelled_rows(
    ids: Sequence[str], tables: Iterable[Path], competition: Competition
) -> Samples | None:
    """The labelled samples with these N distinct ids, of images or of bags, in their order.

    The first complete table is taken; missing files, other files and tables without the columns of
    the competition are skipped. None if no table has all ids; an InputError if the chosen one is
    invalid.
    """
    for table in dict.fromkeys(tables):
        if not table.is_file() or table.suffix not in TABLES:
            continue
        frame = read_table(table)
        labels = competition.labels or (competition.label,)
        if not {competition.id, *labels} <= set(frame.columns):
            continue
        place = {identity: row for row, identity in enumerate(frame[competition.id])}
        whole = all(identity in place for identity in ids)
        if not whole and competition.bag is None:
            continue
        samples = read_samples(table, competition, labelled=True)
        for known in (samples, samples.by_bag()) if samples.bag is not None else (samples,):
            place = {identity: row for row, identity in enumerate(known.frame[known.id])}
            if all(identity in place for identity in ids):
                rows = known.frame.iloc[[place[identity] for identity in ids]]
                return replace(known, frame=rows.reset_index(drop=True))
    return None


def no_table(
    ids: Sequence[str], file: Path, tables: Iterable[Path], competition: Competition
) -> InputError:
    """The error for ids without labels; names those that the most complete table lacks."""
    searched = list(dict.fromkeys(tables))
    columns = filter(None, (competition.id, bag_column(competition)))
    lacking = {
        table: rows
        for column in columns
        for table in searched
        if (rows := _lacking(ids, table, column))
    }
    if lacking:
        table, rows = min(lacking.items(), key=lambda pair: len(pair[1]))
        return InputError(
            f"{len(rows)} of the {len(ids)} rows that this run held out are not in {table}",
            file=file,
            values=rows,
            mend="Restore these rows of the training table, or train again",
        )
    return InputError(
        f"no table here has labels of these {len(ids)} rows; searched: {quoted(searched)}",
        file=file,
        mend="Restore the training table; comptool evaluate takes other labels with --answers",
    )


def _lacking(ids: Sequence[str], table: Path, column: str) -> list[str]:
    """The ids that a table with some of them lacks; empty for an unrelated table."""
    if not table.is_file() or table.suffix not in TABLES:
        return []
    frame = read_table(table)
    known = set(frame[column]) if column in frame.columns else set()
    return [] if known.isdisjoint(ids) else [name for name in ids if name not in known]


Integers = npt.NDArray[np.integer]

NESTED_FOLDS = 5


@dataclass(frozen=True)
class Labelled:
    """Out-of-fold predictions of M rows with their labels."""

    predictions: Predictions  # sorted by id, so that the order of the files does not matter
    # class indices of shape (M,), 1, 0 and -1 of shape (M, K), or numbers of shape (M, T)
    targets: npt.NDArray[Any]
    path: Path  # the out-of-fold file
    table: Path  # table of the labels
    # Training rows, or present cells, of each class, shape (K,); None if not recorded.
    trained: npt.NDArray[np.int64] | None = None
    note: str = ""  # a sentence if the rows replace others

    def __len__(self) -> int:
        return len(self.predictions)

    def check_classes(self, classes: Sequence[str], owner: str | Path = "the predictions") -> None:
        """Raise an InputError if the classes differ from those of ``owner``."""
        check_classes(self.path, self.predictions.classes, classes, owner)


def read_labelled(name: str | None, competition: Competition, pool: str | None = None) -> Labelled:
    """The out-of-fold rows of a run (None: the newest) or of an out-of-fold file with their labels.

    ``pool`` as in `find_out_of_fold`.

    Raises
    ------
    InputError
        If there is no such run or file, its models may have been trained on the rows, its ids,
        classes or folds differ from the label table, or no table has its rows.
    """
    return read_evidence(find_out_of_fold(name, pool), competition)[0]


def read_evidence(
    found: OutOfFold,
    competition: Competition,
    *,
    labels: Path | None = None,
    whole: bool = True,
    mend: str | None = None,
) -> tuple[Labelled, Samples]:
    """Out-of-fold rows with their labels, and their samples of the label table.

    ``labels`` is the label table; None for the first with all rows among the training tables,
    folds.csv and the competition's training table. ``whole``: all rows of the folds are required.
    ``mend`` is the remedy if classes differ. Raises an InputError as `read_labelled`.
    """
    if found.leak:
        raise InputError(
            f"cannot serve as evidence: {found.leak}",
            file=found.path,
            mend="Leave this run out, or train it again on these folds",
        )
    facts = provenance.facts(found.path, PredictionFacts)
    predictions = read_recorded(found.path, competition.task, facts)
    predictions = predictions.take(np.argsort(predictions.ids.astype(str), kind="stable"))
    tables = [*found.tables, FOLDS, *filter(None, [competition.train])]
    if labels is not None:
        tables = [labels]
    ids = predictions.ids.tolist()
    samples = labelled_rows(ids, tables, competition)
    if samples is None:
        raise no_table(ids, found.path, tables, competition)
    if found.pool is not None and samples.bag is not None:
        predictions = _by_bag(predictions, samples, competition, found.pool)
        samples = samples.by_bag()
        order = np.argsort(predictions.ids.astype(str), kind="stable")
        predictions = predictions.take(order)
        samples = replace(samples, frame=samples.frame.iloc[order].reset_index(drop=True))
    targets = _targets(found.path, predictions, samples, mend)
    headers = networks_of(found.path).values()
    # Rows without an image were left out of the training, and so of its folds.
    dropped = any(header.arguments.get("missing_modality") == "drop" for header in headers)
    _check(found.path, predictions, samples, whole=whole and not dropped)
    trained = trained_counts(headers, predictions.classes)
    return Labelled(predictions, targets, found.path, samples.source, trained), samples


def _by_bag(
    predictions: Predictions, samples: Samples, competition: Competition, pool: str
) -> Predictions:
    bags, fold = samples.bags(), predictions.fold
    return replace(
        predictions,
        ids=bags.names,
        probabilities=pooled_by_bag(competition.kind, bags, predictions.probabilities, pool),
        fold=None if fold is None else fold[bags.first],
        id_column=str(samples.bag),
    )


def nested_folds(ids: npt.NDArray[np.object_], fold: Integers | None) -> Integers:
    """Folds for a nested score, shape (M,): those of the training, or five by a hash of the id.

    A choice among searches is scored by leaving out two folds at a time, so there are at least
    three. ``fold`` is the validation fold of each of the M rows, if known.
    """
    if fold is not None and len(np.unique(fold)) > 2:
        return fold
    digests = (hashlib.sha256(str(name).encode()).digest() for name in ids)
    return np.array([digest[0] % NESTED_FOLDS for digest in digests])


def _targets(
    path: Path, predictions: Predictions, samples: Samples, mend: str | None
) -> npt.NDArray[Any]:
    """The labels as class indices of the predictions, as multi-label cells, or as numbers."""
    if columns := samples.labels or samples.numbers:
        check_classes(path, predictions.classes, columns, samples.source, mend=mend)
        return samples.label_matrix() if samples.labels else samples.number_matrix()
    places = {name: place for place, name in enumerate(predictions.classes)}
    labels = samples.frame[str(samples.label)].tolist()
    unknown = [label for label in dict.fromkeys(labels) if label not in places]
    if unknown:
        raise InputError(
            f"labels of {samples.source} are not classes of these predictions",
            file=path,
            values=unknown,
            mend=mend,
        )
    return np.array([places[label] for label in labels], np.int64)


def _check(path: Path, predictions: Predictions, samples: Samples, *, whole: bool) -> None:
    """Refuse equal rows, folds other than those of the table and missing rows of the folds."""
    if len(predictions) > 1 and not np.ptp(predictions.probabilities, axis=0).any():
        raise InputError(
            f"all {len(predictions)} rows have the same probabilities: nothing has been learnt",
            file=path,
        )
    if predictions.fold is None or "fold" not in samples.frame.columns:
        return
    own = np.asarray(predictions.fold).astype(str)
    folds = samples.frame["fold"].astype(str).to_numpy()
    other = np.flatnonzero(folds != own)
    if other.size:
        raise InputError(
            f"{other.size} rows were validated in another fold than their fold in "
            f"{samples.source}, so a model may have been trained on them",
            file=path,
            values=predictions.ids[other].tolist(),
            mend="Train on the current folds",
        )
    if not whole:
        return
    table = read_table(samples.source)
    held = table.loc[table["fold"].isin(set(own)), samples.id].drop_duplicates()
    missing = held[~held.isin(set(predictions.ids))]
    if len(missing):
        raise InputError(
            f"lacks {len(missing)} rows of its folds in {samples.source}",
            file=path,
            values=missing.tolist(),
            mend="Let the run finish: comptool train --resume",
        )


def trained_counts(
    headers: Iterable[RunHeader], classes: Sequence[str]
) -> npt.NDArray[np.int64] | None:
    """Training rows of each class over all networks, shape (K,); None if not recorded."""
    totals = np.zeros(len(classes), np.int64)
    for header in headers:
        totals += np.array([header.trained_counts.get(name, 0) for name in classes], np.int64)
    return totals if totals.any() else None


Floats = npt.NDArray[np.floating]


def own_evidence(named: str | None, facts: EvidenceTrace, competition: Competition) -> Labelled:
    """The rows of a named run or out-of-fold file, or of the runs that made the predictions.

    ``facts`` are recorded with the predictions; without a run in them, the newest one is taken.

    Raises
    ------
    InputError
        If there are no such rows, models may have been trained on them, or the rows of several
        members do not match.
    """
    if named is not None or not facts.traced:
        return read_labelled(named, competition, facts.pool)
    if facts.out_of_fold:
        if not Path(facts.out_of_fold).is_file():
            raise InputError(
                "the out-of-fold rows recorded with these predictions no longer exist",
                file=facts.out_of_fold,
                mend="Make the predictions again, or name a run: --oof RUN",
            )
        return read_labelled(str(Path(facts.out_of_fold)), competition)
    ensemble = facts.ensemble
    if ensemble is not None and ensemble.made_of:
        if not all(one.traced for one in ensemble.made_of):
            raise InputError("no run is recorded with a member of this ensemble")
        parts = [own_evidence(None, one, competition) for one in ensemble.made_of]
        mixed = _mixed(parts, lambda tables: _combined(tables, ensemble, competition.task))
        if not ensemble.weights_file:
            return mixed
        note = f"the weights of {ensemble.weights_file} may have been chosen on these rows"
        return replace(mixed, note="; ".join(filter(None, (mixed.note, note))))
    runs = facts.runs or []
    found = [_of_run(run, competition, facts.pool) for run in runs]
    if len(found) == 1:
        return found[0]
    counts = np.array([_num_networks(run) for run in runs])
    return _mixed(found, lambda tables: by_class(tables, counts / counts.sum()))


def side_by_side(found: Sequence[Labelled]) -> list[Predictions]:
    """The members' predictions with their rows in the order of the first."""
    first = found[0]
    return [first.predictions, *(_aligned(first, other) for other in found[1:])]


def _of_run(run: str, competition: Competition, pool: str | None) -> Labelled:
    """The rows of a run, or of the folded sibling of a run on all rows."""
    folder = find_run(run)
    sibling = None if (folder / OOF).exists() else folded_sibling(folder)
    if sibling is None:
        return read_labelled(run, competition, pool)
    note = f"{folder} held no rows out: those of {sibling}, the same training in folds, are used"
    return replace(read_labelled(str(sibling), competition, pool), note=note)


def _num_networks(run: str) -> int:
    try:
        return len(members(find_run(run)))
    except ComptoolError:  # the rows exist, the checkpoints do not
        return 1


def _mixed(found: Sequence[Labelled], mix: Callable[[list[Floats]], Floats]) -> Labelled:
    rows = side_by_side(found)
    trained = [one.trained for one in found if one.trained is not None]
    return replace(
        found[0],
        predictions=replace(rows[0], probabilities=mix([one.probabilities for one in rows])),
        trained=sum(trained[1:], trained[0]) if trained else None,
        note="; ".join(dict.fromkeys(one.note for one in found if one.note)),
    )


def _combined(tables: list[Floats], ensemble: EnsembleFacts, task: str) -> Floats:
    """Members combined with the recorded method and weights."""
    if ensemble.combination is not None:
        shape = (len(tables), tables[0].shape[1])
        try:
            return restored(ensemble.combination, *shape, tasks.find(task))(tables)
        except ValueError as error:
            raise InputError(f"the record of this ensemble is damaged: {error}") from error
    if ensemble.class_weights:
        return by_class(tables, np.array(ensemble.class_weights, dtype=np.float64))
    power = POWER if ensemble.power is None else ensemble.power
    return combine(tables, ensemble.method, ensemble.weights, task, power=power)


def _aligned(first: Labelled, other: Labelled) -> Predictions:
    one, two = first.predictions, other.predictions
    other.check_classes(one.classes, first.path)
    ids, others = (set(one.predictions.ids) for one in (first, other))
    for more, here, there in ((others - ids, other, first), (ids - others, first, other)):
        if more:
            raise InputError(
                f"{len(more)} of its validation rows are not in {there.path}, whose run may have "
                "been trained on them",
                file=here.path,
                values=sorted(more),
                mend="Leave one out, or train both on the same folds",
            )
    rows = in_order(pd.Index(one.ids), two, first.path, other.path)
    if one.fold is not None and rows.fold is not None:
        differ = np.flatnonzero(one.fold != rows.fold)
        if differ.size:
            raise InputError(
                f"{differ.size} rows are in another fold than in {first.path}: each member would "
                "have been trained on validation rows of the other",
                file=other.path,
                values=one.ids[differ].tolist(),
                mend="Leave one out, or train both on the same folds",
            )
    return rows
