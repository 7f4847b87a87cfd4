"""Training data: rows, labels and the plan of a run; no torch.

Rows of ``folds.csv`` in the validation fold are validated, all others are trained on. Rows of
``--extra`` are only trained on.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import models
from comptool.competition.bags import no_bags, pooled_by_bag
from comptool.competition.config import Competition, load
from comptool.competition.samples import Samples, read_samples, training_samples
from comptool.data.augment.named_policies import POLICIES, POLICY_FILES, check_options
from comptool.data.image_io import ImageFiles, drop_missing, spread
from comptool.data.sample_digest import sample_digest
from comptool.errors import InputError, UsageError, quoted, unknown_name
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.image_readers import CHANNELS
from comptool.io.provenance import PriorFacts, TableFacts, facts
from comptool.io.runs import find_run, read_header
from comptool.io.tables import read_table, refuse_rows, write_table
from comptool.losses import LOSSES
from comptool.losses.class_weights import read_class_weights
from comptool.metrics import Metric
from comptool.models.weights_places import PACKAGE, package_file
from comptool.models.weights_places import POLICIES as WEIGHT_POLICIES
from comptool.options import kebab
from comptool.tasks import Task
from comptool.tasks.labels import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    class_counts,
    positive_counts,
)
from comptool.tasks.pooling import ATTENTION, MEAN
from comptool.training.class_subset import (
    check_shares,
    dropped_classes,
    kept_score,
    select,
    stage_notes,
)
from comptool.training.config import Files, TrainSettings, for_task
from comptool.training.resume import (
    check_folder,
    check_parent,
    find_leak,
    has_begun,
    parent_member,
    stop_if_trained,
)

FOLD = "fold"

Indices = npt.NDArray[np.int64]
Cells = npt.NDArray[np.int8]
Labels = npt.NDArray[Any]


def labelled_rows(
    competition: Competition, settings: TrainSettings, folds: Path | None
) -> tuple[Samples, list[str]]:
    """The labelled samples with a column ``fold``, and notes on them."""
    if folds is None:
        samples, dropped = with_images(training_samples(competition), settings)
        from comptool.splits.config import SplitOptions

        # Late: imports scikit-learn.
        from comptool.splits.splitting import split_samples

        made = split_samples(samples, SplitOptions(seed=settings.seed))
        note = f"no folds.csv here: {made.strategy} of {samples.source}, seed {settings.seed}"
        samples = replace(samples, frame=made.frame)
        note = f"{note} ('comptool split' makes others)"
        return samples, [note, *samples.notes, *made.warnings, *dropped]
    samples = read_samples(folds, competition, labelled=True)
    if FOLD not in samples.frame.columns:
        raise InputError(
            "no column is called 'fold'",
            file=folds,
            values=list(samples.frame.columns),
            mend="Make the folds: comptool split",
        )
    samples, dropped = with_images(samples, settings)
    return samples, [f"taking the folds of {folds}", *dropped]


def with_images(samples: Samples, settings: TrainSettings) -> tuple[Samples, list[str]]:
    """The samples with the chosen modalities, and a note on rows without an image."""
    names = settings.modality or tuple(samples.paths)
    samples = replace(samples, paths={name: samples.paths[name] for name in names})
    if settings.missing_modality == "drop":
        if samples.labels:
            samples.label_matrix()  # before dropping rows: errors name the table's row
        whole, dropped = drop_missing(samples)
        note = (
            f"leaving out {dropped} of {len(samples)} rows of {samples.source}: an image is missing"
        )
        return whole, [note] if dropped else []
    ImageFiles(samples, settings.missing, may_drop=True)
    return samples, []


def published_counts(samples: Samples) -> dict[str, int]:
    """Rows, or positives, per class before balancing: recorded by a split, or counted."""
    if samples.numbers:
        return dict.fromkeys(samples.numbers, len(samples))
    recorded = facts(samples.source, TableFacts).class_counts
    if recorded:
        return recorded
    samples = samples.by_bag()
    if samples.labels:
        return positive_counts(samples.label_matrix(), samples.labels)
    return class_counts(labels_of(samples))


def labels_of(samples: Samples) -> list[str]:
    """The label of each row."""
    return [str(label) for label in samples.frame[str(samples.label)]]


def label_indices(samples: Samples, classes: Sequence[str]) -> Indices:
    """Index of each row's label in ``classes``, shape (N,).

    Raises an InputError if a label is not among them; it names the row and up to three such labels.
    """
    index = {name: number for number, name in enumerate(classes)}
    labels = labels_of(samples)
    unknown = [row for row, label in enumerate(labels) if label not in index]
    if unknown:
        raise InputError(
            f"this label is not one of the {len(classes)} classes that are trained",
            file=samples.source,
            row=unknown[0] + 1,
            column=samples.label,
            values=list(dict.fromkeys(labels[row] for row in unknown)),
        )
    return np.array([index[label] for label in labels], np.int64)


def true_labels(samples: Samples, classes: Sequence[str]) -> Labels:
    """The labels of N rows: class indices (N,), cells (N, K), or numbers (N, T)."""
    if samples.labels:
        return samples.label_matrix()
    return samples.number_matrix() if samples.numbers else label_indices(samples, classes)


SOFT = "soft:"
SUM_TOLERANCE = 1e-3


def extra_rows(
    competition: Competition,
    settings: TrainSettings,
    extra: Path,
    labelled: Samples,
    classes: Sequence[str],
) -> Samples | None:
    """The rows of ``--extra``, with paths relative to the labelled rows' folder; None if empty."""
    if read_table(extra, allow_empty=True).empty:
        return None
    samples = read_samples(extra, competition, labelled=True)
    ids = samples.frame[samples.id]
    if FOLD in samples.frame.columns:
        validated = samples.frame[FOLD] >= 0
        _refuse_rows(
            samples, validated, "these extra rows would be validated; their fold has to be -1"
        )
    twice = ids.isin(labelled.frame[labelled.id])
    _refuse_rows(samples, twice, f"these extra ids are labelled rows of {labelled.source} already")
    if samples.bag is not None:
        validated_bags = labelled.frame.loc[labelled.frame[FOLD] >= 0, labelled.bag]
        _refuse_rows(
            samples,
            samples.frame[samples.bag].isin(validated_bags),
            f"these extra rows are images of bags of {labelled.source}, which are validated",
        )
    # Before dropping rows: errors name the table's row.
    if samples.labels:
        samples = replace(samples, labels=tuple(classes))
    true_labels(samples, classes)
    soft_targets(samples, classes)
    samples, _ = with_images(samples, settings)
    prefix = os.path.relpath(samples.folder, labelled.folder)
    frame = samples.frame.assign(**{FOLD: -1})
    for column in samples.paths.values():
        frame[column] = [path and _seen_from(prefix, path) for path in frame[column]]
    return replace(samples, frame=frame, folder=labelled.folder)


def _seen_from(prefix: str, cell: str) -> str:
    files = cell.split(CHANNELS)
    return CHANNELS.join(os.path.normpath(os.path.join(prefix, file)) for file in files)


def soft_targets(samples: Samples, classes: Sequence[str]) -> npt.NDArray[np.float32] | None:
    """The ``soft:<class>`` columns of ``--extra``, shape (N, K); None without them."""
    found = [str(name) for name in samples.frame.columns if str(name).startswith(SOFT)]
    wanted = [SOFT + name for name in classes]
    if not found:
        return None
    if samples.labels or samples.numbers:
        has = "a number" if samples.numbers else "may have several"
        raise InputError(
            f"soft labels are for one class per image, and here it {has}",
            file=samples.source,
            values=found,
        )
    if sorted(found) != sorted(wanted):
        strange = sorted(set(found) ^ set(wanted))
        raise InputError(
            "the soft labels are of other classes than are trained",
            file=samples.source,
            values=[name.removeprefix(SOFT) for name in strange],
        )
    columns = [pd.to_numeric(samples.frame[name], errors="coerce") for name in wanted]
    shares = np.stack([column.to_numpy(np.float64) for column in columns], axis=1)
    sums = shares.sum(axis=1, keepdims=True)
    wrong = ~((shares >= 0).all(axis=1) & (np.abs(sums[:, 0] - 1) < SUM_TOLERANCE))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            "the soft labels of this row are not probabilities that sum to one",
            file=samples.source,
            row=row + 1,
            values=samples.frame[wanted].iloc[row].tolist(),
        )
    return np.asarray(shares / sums, np.float32)


def _refuse_rows(samples: Samples, wrong: pd.Series[bool], why: str) -> None:
    if wrong.any():
        ids = samples.frame.loc[wrong, samples.id].tolist()
        raise InputError(why, file=samples.source, column=samples.id, values=ids)


@dataclass(frozen=True)
class Rows:
    """All N rows of a run: the labelled ones, then those of ``--extra``."""

    samples: Samples  # with an integer column ``fold``
    classes: tuple[str, ...]
    class_counts: dict[str, int]  # rows, or positives, per class before balancing
    # training targets: class indices (N,), soft labels (N, K), multi-label cells (N, K) or numbers
    # (N, T)
    targets: Indices | Cells | npt.NDArray[np.float32]
    # true labels: class indices (N,), numbers (N, T), or cells (N, K): 1 present, 0 absent, -1 not
    # annotated; keeps the 0 that ``--map-zero-to-unknown`` replaces in the targets
    labels: Labels
    inputs: tuple[Path, ...]  # files read
    notes: tuple[str, ...]  # messages for the user
    task: Task

    @property
    def fold(self) -> Indices:
        """Fold of each row, shape (N,)."""
        return self.samples.frame[FOLD].to_numpy(np.int64)

    @property
    def folds(self) -> list[int]:
        """The validation folds."""
        return sorted({int(fold) for fold in self.fold if fold >= 0})

    def ids(self, rows: Indices) -> list[str]:
        """Ids of some rows."""
        column = self.samples.frame[self.samples.id]
        return [str(value) for value in column.iloc[rows]]

    def answered(self, rows: Indices) -> Indices:
        """The first of some rows of each bag; all of them without bags."""
        return rows if self.samples.bag is None else rows[self.take(rows).bags().first]

    def images_of(self, drawn: Indices, among: Indices) -> tuple[Indices, Indices]:
        """The rows of the bags that some rows stand for, bag after bag, and the bag of each row.

        Bags are numbered 0 to B - 1 in the order of the B rows ``drawn``, where one may be twice.
        """
        of_row = self.take(among).bags().of_row
        order, sizes = np.argsort(of_row, kind="stable"), np.bincount(of_row)
        starts = np.cumsum(sizes) - sizes
        wanted = of_row[np.searchsorted(among, drawn)]
        places = [order[starts[bag] : starts[bag] + sizes[bag]] for bag in wanted]
        return among[np.concatenate(places)], np.repeat(np.arange(len(drawn)), sizes[wanted])

    def take(self, rows: Indices) -> Samples:
        """Some rows as samples."""
        frame = self.samples.frame.iloc[rows].reset_index(drop=True)
        return replace(self.samples, frame=frame)

    def counts(self, rows: Indices) -> dict[str, int]:
        """Rows, or positives, per class among some rows."""
        found = self.task.counts(self.labels[rows], len(self.classes))
        return dict(zip(self.classes, map(int, found), strict=True))

    def known(self, rows: Indices) -> list[int]:
        """Annotated cells per class in the training targets of some rows."""
        found = self.task.annotated(self.targets[rows], len(self.classes))
        return [int(number) for number in found]

    def scale(self, rows: Indices) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of the T numbers of some rows."""
        numbers = self.labels[rows]
        return numbers.mean(axis=0).tolist(), numbers.std(axis=0).tolist()

    def digest(self) -> str:
        """SHA-256 of ids, paths, folds and targets, which a resumed run must find unchanged."""
        frame = self.samples.frame
        columns = [self.samples.id, *self.samples.paths.values()]
        columns += [] if self.samples.bag is None else [self.samples.bag]
        text = "\n".join("\t".join(row) for row in frame[columns].itertuples(index=False))
        content = hashlib.sha256(text.encode())
        for array in (self.fold, self.targets):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()


def read_rows(
    competition: Competition, settings: TrainSettings, folds: Path | None, extra: Path | None
) -> Rows:
    """The rows of a run, checked."""
    labelled, notes = labelled_rows(competition, settings, folds)
    counts = published_counts(labelled)
    classes = _classes(competition, labelled, counts)
    inputs, parts, soft = [labelled.source], [labelled], None
    if extra is not None:
        more = extra_rows(competition, settings, extra, labelled, classes)
        inputs.append(extra)
        if more is not None:
            parts.append(more)
            soft = soft_targets(more, classes)
        kind = "" if soft is None else " with soft labels"
        notes.append(f"adding {0 if more is None else len(more)} rows{kind} of {extra}")
    columns = [labelled.id, *labelled.paths.values(), FOLD]
    columns += [] if labelled.bag is None else [labelled.bag]
    frame = pd.concat([part.frame[columns] for part in parts], ignore_index=True)
    labels = [true_labels(part, classes) for part in parts]
    return Rows(
        replace(labelled, frame=frame),
        classes,
        counts,
        _targets(parts, labels, soft),
        np.concatenate(labels),
        tuple(inputs),
        tuple(notes),
        competition.kind,
    )


def _classes(
    competition: Competition, labelled: Samples, counts: dict[str, int]
) -> tuple[str, ...]:
    if labelled.labels or labelled.numbers:
        return labelled.labels or labelled.numbers
    # Of a class that was balanced away, or that only this table has.
    known = pd.DataFrame({competition.label: [*counts, *labels_of(labelled)]})
    classes = competition.classes or competition.kind.classes_of(
        competition, labelled.source, known
    )
    if len(classes) < 2:
        raise InputError("there is only one class", file=labelled.source, values=classes)
    return classes


def _targets(
    parts: Sequence[Samples],
    labels: Sequence[Labels],
    soft: npt.NDArray[np.float32] | None,
) -> Indices | Cells | npt.NDArray[np.float32]:
    pairs = zip(parts, labels, strict=True)
    targets: npt.NDArray[Any] = np.concatenate(
        [part.training_matrix() if part.zero_is_unknown else own for part, own in pairs]
    )
    if parts[0].numbers:
        return targets.astype(np.float32)
    if soft is None:
        return targets
    shares: npt.NDArray[np.float32] = np.eye(soft.shape[1], dtype=np.float32)[targets]
    shares[-len(soft) :] = soft
    return shares


def divide(rows: Rows, settings: TrainSettings, fold: int | None) -> tuple[Indices, Indices]:
    """Row numbers of training, after sampling, and of validation; with bags one row of each.

    Only training is by bags, with ``--bag-size``; validation has the rows of all images.
    """
    if fold is not None and fold not in rows.folds:
        known = ", ".join(map(str, rows.folds)) or "none"
        raise UsageError(f"there is no fold {fold} in {rows.samples.source}; its folds are {known}")
    validated = np.zeros(len(rows.fold), bool) if fold is None else rows.fold == fold
    valid, train = np.flatnonzero(validated), np.flatnonzero(~validated)
    if settings.bag_size is not None:
        train = rows.answered(train)
    if rows.task.cells:
        _check_cells(rows, train)
        return train, valid
    if rows.task.numbers:
        _check_numbers(rows, train)
        return train, valid
    unseen = sorted(set(rows.labels[valid].tolist()) - set(rows.labels[train].tolist()))
    if unseen:
        raise InputError(
            f"fold {fold} validates classes that no training row has",
            file=rows.samples.source,
            values=[rows.classes[index] for index in unseen],
            mend="Give such a row the fold -1, or split again with fewer folds",
        )
    if settings.balance == "under":
        names = np.array(rows.classes, dtype=object)[rows.labels[train]]
        from comptool.splits.stratified import under_sample

        train = train[under_sample(names, seed=settings.seed)]
    dropped = dropped_classes(settings, rows.classes)
    train = select(rows.labels, train, settings, dropped)
    found = sorted(set(rows.labels[train].tolist()))
    if len(found) < 2:
        raise InputError(
            f"the {len(train)} rows to train on are all of one class; there is nothing to tell "
            "apart"
            if found
            else "no row is left to train on",
            file=rows.samples.source,
            values=[rows.classes[index] for index in found],
        )
    return train, valid


def _check_cells(rows: Rows, train: Indices) -> None:
    if not (rows.labels[train] == PRESENT).any():
        raise InputError(
            f"none of the {len(train)} rows to train on has a class"
            if len(train)
            else "no row is left to train on",
            file=rows.samples.source,
        )


def _check_numbers(rows: Rows, train: Indices) -> None:
    _, std = rows.scale(train) if len(train) else ([], [0.0])
    constant = [name for name, one in zip(rows.classes, std, strict=False) if not one > 0]
    if constant:
        raise InputError(
            f"the {len(train)} rows to train on all have one number; there is nothing to learn"
            if len(train)
            else "no row is left to train on",
            file=rows.samples.source,
            values=constant,
        )


def gaps(rows: Rows, train: Indices, valid: Indices) -> list[str]:
    """Classes without training or validation rows, and rows without annotated training cells."""
    if rows.task.numbers:
        return []
    if not rows.task.cells:
        absent = _absent(rows, np.arange(len(rows.labels)))
        return [f"no row is of the {_class_list(absent)}: it cannot be learnt"] if absent else []
    notes = []
    parts = {
        "to train on: it cannot be learnt": train,
        "to validate: the metric leaves it out": valid,
    }
    for what, part in parts.items():
        lacking = _absent(rows, part)
        if lacking and len(part):
            notes.append(f"no positive row {what}: {_class_list(lacking)}")
    trained = rows.targets[train] == UNKNOWN
    mapped = np.count_nonzero((trained & (rows.labels[train] == ABSENT)).any(axis=1))
    if mapped:
        notes.append(
            f"0 is taken for not annotated in {mapped} of the {len(train)} rows to train on"
        )
    blank = np.count_nonzero(trained.all(axis=1))
    if blank:
        notes.append(f"{blank} of the {len(train)} rows to train on have no annotated cell")
    return notes


def _absent(rows: Rows, part: Indices) -> list[str]:
    counts = rows.task.counts(rows.labels[part], len(rows.classes))
    return [rows.classes[index] for index in np.flatnonzero(counts == 0)]


def check_measurable(
    metric: Metric, rows: Rows, valid: Indices, fold: int | None, dropped: Sequence[int] = ()
) -> None:
    """Raise an InputError, before training, if the metric is undefined on the validation rows."""
    if not len(valid):
        return
    num_classes, labels = len(rows.classes), rows.labels[rows.answered(valid)]
    equal = np.full((len(labels), num_classes), 1 / num_classes)
    try:
        # Numbers are their own predictions: of equal ones there is no correlation.
        kept_score(metric, labels, labels if rows.task.numbers else equal, dropped)
    except InputError as error:
        raise InputError(
            f"fold {fold} cannot be validated: {error}",
            file=rows.samples.source,
            mend="Split again, or give another --metric",
        ) from error


def _class_list(names: list[str]) -> str:
    return f"{'class' if len(names) == 1 else 'classes'} {quoted(names)}"


CLASS, PRIOR = "class", "prior"


def read_prior(path: Path, classes: Sequence[str]) -> tuple[float, ...]:
    """The class priors in [0, 1], in the order of ``classes``."""
    provenance.recall(path)
    frame = read_table(path, required=(CLASS, PRIOR))
    names = frame[CLASS].tolist()
    strange = sorted(set(names) ^ set(classes)) or sorted({n for n in names if names.count(n) > 1})
    if strange:
        raise InputError(
            f"the prior is not of the {len(classes)} classes that are trained, one row each",
            file=path,
            column=CLASS,
            values=strange,
            mend="Estimate one from a run of this competition: comptool prior RUN",
        )
    values = pd.to_numeric(frame[PRIOR], errors="coerce").to_numpy(np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    refuse_rows(path, frame[PRIOR], wrong, "a prior is a number from 0 to 1")
    found = dict(zip(names, values.tolist(), strict=True))
    return tuple(found[name] for name in classes)


def write_prior(
    path: Path,
    classes: Sequence[str],
    prior: npt.NDArray[np.float64],
    *,
    arguments: Mapping[str, object],
    inputs: Sequence[Path],
    facts: PriorFacts,
    force: bool = False,
) -> None:
    """Write the class prior (K,) and its record.

    Raises an OutputExistsError if ``path`` exists and ``force`` is off.
    """
    # repr: the numbers read back exactly.
    frame = pd.DataFrame({CLASS: list(classes), PRIOR: [repr(value) for value in prior.tolist()]})
    with together():
        write_table(path, frame, force=force)
        provenance.record(path, command="prior", arguments=arguments, inputs=inputs, facts=facts)


DEFAULT_THRESHOLD = 0.05


def loss_notes(settings: TrainSettings, rows: Rows, train: Indices) -> list[str]:
    """Warnings about labels that the loss cannot learn from, one sentence each."""
    if not rows.task.cells:
        return []
    notes = []
    cells = rows.targets[train]
    if mode_of(settings) is not None and not (cells == UNKNOWN).any():
        notes.append(
            f"no cell of the {len(train)} rows to train on is unannotated: --prior, mode, "
            f"gamma_unann and likelihood_topk of '{settings.loss}' do nothing (comptool split "
            "--map-zero-to-unknown takes 0 for not annotated)"
        )
    why = _left_out(settings, rows)
    if why and (cells == PRESENT).any() and not (cells == ABSENT).any():
        advised = next(entry.name for entry in LOSSES if entry.absent_modes)
        notes.append(
            f"WARNING: no cell of the {len(train)} rows to train on is annotated as absent, and "
            f"{why}: IT LEARNS THAT EVERYTHING IS PRESENT. Take --loss {advised} with "
            "--loss-option mode=negative or, without --prior, mode=selective, which take most "
            "cells without a label for absent; or split without --map-zero-to-unknown"
        )
    return notes


def mode_of(settings: TrainSettings) -> str | None:
    """The loss's handling of unannotated cells (option ``mode``); None if it has no such option."""
    default = None if settings.loss is None else LOSSES.find(settings.loss).default_mode
    return None if default is None else _given(settings).get("mode", default)


def taught_absent(settings: TrainSettings) -> bool:
    """Whether the loss treats most unannotated cells as absent."""
    mode = mode_of(settings)
    return settings.loss is not None and mode in LOSSES.find(settings.loss).absent_modes


def _given(settings: TrainSettings) -> dict[str, str]:
    pairs = [text.partition("=") for text in settings.loss_option]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _left_out(settings: TrainSettings, rows: Rows) -> str:
    """Why the loss ignores all unannotated cells; empty if it does not."""
    mode = mode_of(settings)
    if mode is None:
        return f"the loss '{settings.loss}' is of annotated cells alone"
    if not taught_absent(settings):
        return f"the loss '{settings.loss}' in mode '{mode}' is of annotated cells alone"
    if mode == "selective" and settings.prior is not None:
        try:
            threshold = float(_given(settings).get("prior_threshold", DEFAULT_THRESHOLD))
        except ValueError:
            threshold = DEFAULT_THRESHOLD  # checked with the options of the loss
        if min(read_prior(settings.prior, rows.classes)) > threshold:
            return f"every class of {settings.prior} is above {threshold:g} and so left out"
    return ""


LOOKED_AT = 16  # images per modality
STEP = 32  # the stride of usual backbones
LEAST, MOST = 64, 224  # pixels; a smaller image has one feature, larger ones are the user's choice

Size = tuple[int, int]
_SIZE = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<height>\d+)(?:x(?P<width>\d+))?")


def parse_sizes(texts: Sequence[str], modalities: Sequence[str]) -> dict[str, Size]:
    """Height and width of each modality named in ``--img-size``.

    Examples
    --------
    >>> parse_sizes(["64", "eo=32x48"], ["sar", "eo"])
    {'sar': (64, 64), 'eo': (32, 48)}
    """
    found: dict[str, Size] = {}
    for text in texts:
        match = _SIZE.fullmatch(text)
        if match is None or not int(match["height"]) or match["width"] == "0":
            raise UsageError(f"--img-size is '{text}'; it is 64, 64x48 (height, width) or sar=64")
        if match["name"] is not None and match["name"] not in modalities:
            raise unknown_name("modality", match["name"], modalities)
        size = int(match["height"]), int(match["width"] or match["height"])
        found |= dict.fromkeys([match["name"]] if match["name"] else modalities, size)
    return found


def native_sizes(samples: Samples, missing: str) -> dict[str, Size]:
    """Square size per modality: the median image's, rounded up to 32, from 64 to 224."""
    files = ImageFiles(samples, missing)
    looked_at = spread(len(samples), LOOKED_AT)
    sizes = {}
    for place, name in enumerate(samples.paths):
        images = [files.read(int(row), place) for row in looked_at]
        sides = [max(image.shape[:2]) for image in images if image is not None] or [LEAST]
        side = min(max(-(-int(median(sides)) // STEP) * STEP, LEAST), MOST)
        sizes[name] = (side, side)
    return sizes


def document(sizes: Mapping[str, Size]) -> dict[str, list[int]]:
    """The sizes as JSON values."""
    return {name: list(size) for name, size in sizes.items()}


COSINE = "cosine"  # head with scaled logits


@dataclass(frozen=True)
class TrainMember:
    """One model to train: the whole run, or one fold of ``--fold all``."""

    folder: Path
    fold: int | None  # validation fold
    train: Indices
    valid: Indices
    parent: Path | None = None  # run folder with the initial weights
    leak: str | None = None  # why its validation score is biased
    bags: Indices | None = None  # bag of each row to train on, 0 and up, in order; None: images

    @property
    def drawn(self) -> Indices:
        """A row for each sample that is drawn: of an image, or the first of a bag."""
        return self.train if self.bags is None else self.train[np.unique(self.bags, True)[1]]

    @property
    def training(self) -> str:
        """What there is to train on, in words."""
        if self.bags is None:
            return f"{len(self.train)} rows"
        return f"{len(self.train)} rows in {len(self.drawn)} bags"


class Validated(NamedTuple):
    """What a network predicts for its validation rows."""

    probabilities: npt.NDArray[np.float32]  # of the n rows, (n, K)
    loss: float
    # of their B bags, (B, K), by a network that was trained on bags; None otherwise
    pooled: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TrainPlan:
    """A checked training run."""

    settings: TrainSettings
    files: Files
    competition: Competition
    rows: Rows
    metric: Metric  # for validation
    run: Path  # folder
    members: tuple[TrainMember, ...]  # models to train, in order
    resume: bool  # from the folders' checkpoints
    prior: tuple[float, ...] | None = None  # class prior of the K classes
    class_weights: tuple[float, ...] | None = None  # of the K classes, from a file
    dropped: tuple[int, ...] = ()  # indices of the classes left out of training and score
    notes: tuple[str, ...] = ()  # messages for the user, one sentence each

    @property
    def loss(self) -> str:
        """Name of the loss."""
        assert self.settings.loss is not None  # set by for_task
        return self.settings.loss

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in the model's order."""
        return tuple(self.rows.samples.paths)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All input files: tables, prior, class weights, augmentation and loss."""
        others = (
            self.settings.prior, self.settings.class_weights, self.policy_file, self.loss_file,
        )  # fmt: skip
        return (*self.rows.inputs, *(path for path in others if path is not None))

    @property
    def loss_file(self) -> Path | None:
        """The user's Python file of the loss; None for a built-in loss."""
        spec = self.loss
        return Path(spec.rpartition(":")[0]) if LOSSES.find(spec).is_users else None

    @property
    def policy_file(self) -> Path | None:
        """The user's augmentation file; None for a named policy."""
        path = Path(self.settings.augment)
        return path if path.suffix in POLICY_FILES else None

    @property
    def pool(self) -> str | None:
        """How predictions of images become those of bags; None without bags."""
        return None if self.rows.samples.bag is None else self.settings.pool or MEAN

    def judged(self, rows: Indices, found: Validated) -> tuple[Indices, npt.NDArray[np.float32]]:
        """Predictions of some rows as the metric takes them: those of bags, if there are any.

        With them the row of each, which has its label.
        """
        if self.pool is None:
            return rows, found.probabilities
        bags = self.rows.take(rows).bags()
        if found.pooled is not None:
            return rows[bags.first], found.pooled
        pooled = pooled_by_bag(self.rows.task, bags, found.probabilities, self.pool)
        return rows[bags.first], pooled.astype(np.float32)

    @cached_property
    def samples(self) -> str:
        """Digest of the rows, with their images as they are when it is first asked for."""
        text = self.rows.digest() + sample_digest(self.rows.samples)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folded(self) -> bool:
        """Whether the run has a folder for each fold."""
        return self.settings.held_out_fold == "all"

    def text(self) -> str:
        """The output of a dry run."""
        lines = []
        for member in self.members:
            validated = "nothing" if member.fold is None else f"{len(member.valid)} rows"
            if self.pool is not None and member.fold is not None:
                bags = len(self.rows.answered(member.valid))
                validated += f" as {bags} bags ({self.pool})"
            lines.append(
                f"would train {self.settings.model} on {member.training}, validate "
                f"{validated} by {self.metric.name}, and write {member.folder}"
            )
        read = ", ".join(str(path) for path in self.inputs)
        return "\n".join([*lines, f"would read {read} and the images they name"])


def make_plan(
    settings: TrainSettings, files: Files, run: Path, *, force: bool = False, resume: bool = False
) -> TrainPlan:
    """Check the settings and tables of a training in the folder ``run``, and plan it.

    ``force`` replaces an existing run, ``resume`` continues it.

    Raises
    ------
    UsageError
        If a name is unknown, options conflict, or the model takes another number of modalities.
    InputError
        If a table, an image or a checkpoint cannot be used.
    OutputExistsError
        If the folder holds a run, and neither ``force`` nor ``resume`` is given.
    AlreadyDoneError
        If it holds a finished run of the same command line and tables.
    """
    is_trained = check_folder(run, force=force, resume=resume)
    _check_names(settings)
    competition = load(files.competition, reader=settings.reader)
    settings = for_task(settings, competition.task)
    competition.find_metric(settings.metric)
    for name in settings.modality:
        if name not in competition.modalities:
            raise unknown_name("modality", name, competition.modalities)
    modalities = settings.modality or tuple(competition.modalities)
    models.check_modalities(settings.model, modalities)
    models.check_head(settings.model, competition.task)
    parse_sizes(settings.img_size, modalities)
    rows = read_rows(competition, settings, files.folds, files.extra)
    _check_pool(settings, rows)
    members = tuple(
        _with_parent(settings, competition.task, rows, member)
        # A resumed member already has its parent's weights.
        if settings.init_from is not None and not (resume and has_begun(member.folder))
        else member
        for member in _members(settings, rows, run)
    )
    metric = competition.find_metric(settings.metric, classes=rows.classes)
    dropped = dropped_classes(settings, rows.classes)
    check_shares(rows.labels, rows.targets, settings)
    for member in members:
        check_measurable(metric, rows, member.valid, member.fold, dropped)
    weights = settings.class_weights
    plan = TrainPlan(
        settings,
        files,
        competition,
        rows,
        metric,
        run,
        members,
        resume,
        prior=None if settings.prior is None else read_prior(settings.prior, rows.classes),
        class_weights=None if weights is None else tuple(read_class_weights(weights, rows.classes)),
        dropped=dropped,
        notes=_notes(settings, rows, members, dropped),
    )
    if is_trained:
        folders = [member.folder for member in members]
        stop_if_trained(
            run, folders, plan.inputs, samples=plan.samples, metric=metric.name,
            metric_options=metric.record,
        )  # fmt: skip
    return plan


def _check_pool(settings: TrainSettings, rows: Rows) -> None:
    if rows.samples.bag is None:
        for name in ("bag_size", "pool"):
            if getattr(settings, name) is not None:
                raise UsageError(no_bags(kebab(name)))
        return
    if settings.bag_size is not None:
        rows.task.step("pool-logits")
    if settings.pool not in (None, ATTENTION):
        rows.task.pool(np.ones((1, len(rows.classes))), np.zeros(1, np.int64), str(settings.pool))


def _check_names(settings: TrainSettings) -> None:
    models.parse_name(settings.model)
    if settings.loss is not None and LOSSES.find(settings.loss).is_users:
        LOSSES.load(settings.loss)
    if Path(settings.augment).suffix in POLICY_FILES:
        if not Path(settings.augment).is_file():
            raise InputError("there is no such augmentation file", file=settings.augment)
    elif settings.augment not in POLICIES:
        raise unknown_name("augmentation", settings.augment, POLICIES.names)
    check_options(settings.augment, settings.augment_options)
    if settings.pretrained.startswith(PACKAGE):
        package_file(settings.pretrained)
    elif settings.pretrained not in WEIGHT_POLICIES and not Path(settings.pretrained).is_file():
        raise UsageError(
            f"--pretrained is '{settings.pretrained}'; it is auto, yes, no, a file of weights or "
            f"{PACKAGE}NAME"
        )


def _members(settings: TrainSettings, rows: Rows, run: Path) -> list[TrainMember]:
    wanted = settings.held_out_fold
    places: list[tuple[Path, int | None]] = [(run, None)]
    if wanted == "all":
        if not rows.folds:
            raise InputError("no row has a fold to validate on", file=rows.samples.source)
        places = [(run / f"fold-{fold}", fold) for fold in rows.folds]
    elif wanted != "none":
        places = [(run, wanted)]
    return [_member(settings, rows, folder, fold) for folder, fold in places]


def _member(settings: TrainSettings, rows: Rows, folder: Path, fold: int | None) -> TrainMember:
    train, valid, bags = *divide(rows, settings, fold), None
    if settings.bag_size is not None:
        train, bags = whole_bags(rows, train, valid)
    return TrainMember(folder, fold, train, valid, bags=bags)


def whole_bags(rows: Rows, drawn: Indices, valid: Indices) -> tuple[Indices, Indices]:
    """`Rows.images_of` the rows of `divide`, among all rows that are not validated."""
    return rows.images_of(drawn, np.setdiff1d(np.arange(len(rows.labels)), valid))


def _with_parent(
    settings: TrainSettings, task: str, rows: Rows, member: TrainMember
) -> TrainMember:
    parent = parent_member(find_run(settings.init_from), member.fold)
    wanted = {
        "task": task,
        "model": settings.model,
        "modalities": list(rows.samples.paths),
        "classes": list(rows.classes),
    }
    check_parent(parent, wanted)
    learns = settings.pool == ATTENTION and ATTENTION not in read_header(parent).model.options
    if learns and settings.freeze == "head":
        raise UsageError(
            f"--freeze head would keep a random {ATTENTION}, which {parent} has not learnt; leave "
            "it out"
        )
    return replace(member, parent=parent, leak=find_leak(parent, rows.ids(member.valid)))


def _notes(
    settings: TrainSettings, rows: Rows, members: tuple[TrainMember, ...], dropped: tuple[int, ...]
) -> tuple[str, ...]:
    notes = [*rows.notes, *_scale_notes(settings)]
    for member in members:
        notes += stage_notes(settings, rows.classes, dropped, rows.labels, member.drawn)
        notes += [f"{member.folder}: {gap}" for gap in gaps(rows, member.drawn, member.valid)]
        notes += loss_notes(settings, rows, member.drawn)
        if member.leak is not None:
            notes.append(
                f"WARNING: the score of {member.folder} and its oof.csv are no evidence: "
                f"{member.leak}"
            )
    return tuple(notes)


def _scale_notes(settings: TrainSettings) -> list[str]:
    """A warning if a margin loss gets logits of another scale."""
    name = models.parse_name(settings.model)
    scaled = any(text.partition("=")[0].strip() == "scale" for text in settings.loss_option)
    if settings.loss is None or not LOSSES.find(settings.loss).of_cosines:
        return []
    if name.head == COSINE or scaled:
        return []
    return [
        f"WARNING: the margins of the loss '{settings.loss}' are for cosines times 30, which "
        f"'{name}' does not give; take '{replace(name, head=COSINE)}', or --loss-option scale=3"
    ]
