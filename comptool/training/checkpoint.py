"""Checkpoints: best weights, out-of-fold predictions, ``metrics.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from comptool.io import provenance
from comptool.io.atomic import as_written, atomic_output, remove_empty, together
from comptool.io.predictions import Predictions, write_predictions
from comptool.io.provenance import PredictionFacts
from comptool.io.records import RunHeader
from comptool.io.runs import (
    BEST,
    GRADIENTS,
    GRAPHS,
    LAST,
    METRICS,
    OOF,
    OOF_IMAGES,
    RUN_JSON,
    RunRecord,
    fold_folders,
)
from comptool.io.verification import is_consistent, run_digests
from comptool.models.backbones.eurosat import fusion_weights
from comptool.models.checkpoint_file import save_checkpoint
from comptool.options import running
from comptool.reports.plots import draw_curves, save_picture
from comptool.tasks.pooling import NO_POOL
from comptool.training.class_subset import kept_score
from comptool.training.data import Indices, TrainMember, TrainPlan, Validated
from comptool.training.gradient_balancing import gradient_curves
from comptool.training.resume import recorded_options, recorded_samples, write_record
from comptool.training.setup import TrainSession
from comptool.training.training_state import Progress, write_state

COLUMNS = ("epoch", "lr", "train_loss", "val_loss", "val_{metric}", "seconds", "images_per_second")


def columns(metric: str) -> list[str]:
    """Columns of every ``metrics.csv``."""
    return [name.format(metric=metric) for name in COLUMNS]


def fusion_columns(model: nn.Module) -> dict[str, float]:
    """Fusion weights per block and ``alpha_mean``; empty without fusion weights."""
    alphas = fusion_weights(model)
    return {**alphas, "alpha_mean": fmean(alphas.values())} if alphas else {}


def write_history(
    path: Path, rows: Sequence[Mapping[str, float | int | None]], metric: str
) -> None:
    """Write ``metrics.csv``; optional columns follow, also those that only some rows have."""
    header = list(dict.fromkeys([*columns(metric), *chain.from_iterable(rows)]))
    with atomic_output(path, force=True) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, header, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def asked_of(plan: TrainPlan) -> RunRecord:
    """``run.json`` of a run before it starts."""
    arguments, files = plan.settings.document(), plan.files.document()
    return RunRecord(
        arguments=arguments,
        files=files,
        metric=plan.metric.name,
        # A resumed run has learnt from what it was begun with as well.
        samples=recorded_samples(plan.run) if plan.resume else plan.samples,
        options=_options(plan),
    )


def _options(plan: TrainPlan) -> dict[str, Any] | None:
    """The command line of a run; a resumed one has those of its beginning, and changes."""
    now = running()
    if now is None or now.command != "train":
        return None
    begun = recorded_options(plan.run) if plan.resume else {}
    if begun is None:
        return None
    return {name: value for name, value in (begun | now.options).items() if name != "--resume"}


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the files of a run that exist, or do at the end of a `together`."""
    written = {name: as_written(folder / name) for name in names}
    return {name: provenance.sha256(path) for name, path in written.items() if path.is_file()}


class Checkpointer:
    """Writes the files of a member's run folder."""

    def __init__(
        self,
        plan: TrainPlan,
        member: TrainMember,
        header: RunHeader,
        identity: Mapping[str, Any],
        writes: bool,
    ) -> None:
        self.plan = plan
        self.folder = member.folder
        self.metric = plan.metric.name
        self.greater_is_better = plan.metric.greater_is_better
        self.go_on = f"comptool train --run-name {plan.run.name} --resume"
        self.member = member
        self._header = header
        self._identity = identity
        self._writes = writes
        self._record = asked_of(plan)

    def score(self, found: Validated) -> float:
        """The metric on the validation rows without dropped classes."""
        rows, judged = self.plan.judged(self.member.valid, found)
        labels = self.plan.rows.labels[rows]
        return kept_score(self.plan.metric, labels, judged, self.plan.dropped)

    def begin(self, progress: Progress) -> None:
        """Take the files of the run as they are if they belong together, otherwise of last.pt."""
        if (known := run_digests(self.folder)) and is_consistent(self.folder):
            progress.digests = known
        if self._writes and (self.folder / BEST).exists():
            drop_replaced(self.plan.run)  # killed before it was

    def record(self, record: RunRecord, progress: Progress) -> None:
        """Write ``run.json``."""
        if self._writes:
            self._record = replace(
                record, images_at_once=progress.at_once, digests=progress.digests or None
            )
            write_record(self.folder, self._record)

    def save(self, progress: Progress, session: TrainSession) -> None:
        """Write ``last.pt``."""
        if self._writes:
            write_state(
                self.folder / LAST,
                progress,
                weights=session.model.state_dict(),
                optimisation=session.optimisation.state_dict(),
                header=self._header,
                identity=self._identity,
                gauges=session.gauges(),
            )

    def publish(
        self,
        progress: Progress,
        best: nn.Module | None,
        found: Validated | None,
    ) -> None:
        """Write the files of an epoch, and ``run.json`` with their digests.

        They are ``metrics.csv`` and, if ``best`` is a new best model, its checkpoint and, if there
        is a validation, its out-of-fold rows.
        """
        if not self._writes:
            return
        with together():
            if best is not None:
                self._keep_best(progress, best, found)
            self._write_history(progress)
            changed = (METRICS,) if best is None else (METRICS, BEST, OOF, OOF_IMAGES)
            digests = progress.digests | digests_of(self.folder, changed)
            self._record = replace(self._record, digests=digests)
            write_record(self.folder, self._record)
        progress.digests = digests
        if best is not None:
            drop_replaced(self.plan.run)

    def _keep_best(
        self,
        progress: Progress,
        model: nn.Module,
        found: Validated | None,
    ) -> None:
        best = replace(
            self._header,
            score=progress.best_score,
            epoch=progress.best_epoch,
            fusion_weights=fusion_columns(model),
        )
        if found is not None:
            rows = self.member.valid
            judged = self.plan.judged(rows, found)
            images = rows, found.probabilities
            write_oof(self.folder, self.plan, judged, images, self._header.leak)
        save_checkpoint(self.folder / BEST, model, best, force=True)

    def _write_history(self, progress: Progress) -> None:
        write_history(self.folder / METRICS, progress.history, self.metric)
        if curves := gradient_curves(progress.history):
            save_picture(self.folder / GRADIENTS, draw_curves(curves), force=True)


def write_oof(
    folder: Path,
    plan: TrainPlan,
    judged: tuple[Indices, npt.NDArray[np.float32]],
    images: tuple[Indices, npt.NDArray[np.float32]],
    leak: str | None,
) -> None:
    """Write ``oof.csv``, with bags also ``oof_images.csv``, and their records.

    Of each the row numbers and the probabilities; without bags they are the same.
    """
    samples = plan.rows.samples
    if samples.bag is None:
        _write_oof(folder / OOF, plan, *images, samples.id, leak)
        return
    with together():
        _write_oof(folder / OOF, plan, *judged, samples.bag, leak, images=len(images[0]))
        _write_oof(folder / OOF_IMAGES, plan, *images, samples.id, leak)


def _write_oof(
    path: Path,
    plan: TrainPlan,
    rows: Indices,
    probabilities: npt.NDArray[np.float32],
    id_column: str,
    leak: str | None,
    images: int | None = None,
) -> None:
    ids = plan.rows.samples.frame[id_column].iloc[rows].astype(str).to_numpy(dtype=object)
    predictions = Predictions(
        ids, plan.rows.classes, probabilities, fold=plan.rows.fold[rows], id_column=id_column
    )
    facts = PredictionFacts(
        task=plan.competition.task,
        classes=list(plan.rows.classes),
        metric=plan.metric.name,
        class_counts=plan.rows.class_counts,
        runs=[str(path.parent)],
        pool=plan.pool if plan.pool is None or images is not None else NO_POOL,
        images=images,
        leak=leak,
    )
    with together():
        write_predictions(path, predictions, force=True)
        provenance.record(
            path,
            command="train",
            arguments=plan.settings.document(),
            inputs=plan.inputs,
            facts=facts,
        )


REPLACED = "replaced"  # folder in that of a run
MOVING = ".moving"  # file in it while only some files of a run are there


def set_aside(run: Path) -> None:
    """Move the files of an earlier run, and no others, into its folder ``replaced``.

    There they stay until the new run has a checkpoint. Those of a run without one are removed. A
    move that was killed in the middle is gone on with.
    """
    kept = run / REPLACED
    if (kept / MOVING).exists():
        _move(run, kept)
    elif _has_checkpoint(run):
        drop_replaced(run)
        _move(run, kept)
    else:
        _remove(run)


def drop_replaced(run: Path) -> None:
    """Remove the run that was replaced, once there is a new checkpoint."""
    _remove(run / REPLACED)
    remove_empty([run / REPLACED])


def bring_back(run: Path) -> bool:
    """Bring back the run that was to be replaced, if the new one has no checkpoint; whether so."""
    kept = run / REPLACED
    if not (kept / MOVING).exists():
        if not kept.is_dir() or _has_checkpoint(run):
            return False
        _remove(run)
    _move(kept, run)
    remove_empty([kept])
    return True


def _has_checkpoint(run: Path) -> bool:
    return any((folder / BEST).exists() for folder in (run, *fold_folders(run)))


def _files(run: Path) -> list[Path]:
    found = []
    for folder in [*fold_folders(run), run]:
        graphs = [path.name for path in folder.glob(GRAPHS)]
        for name in (BEST, LAST, METRICS, GRADIENTS, RUN_JSON, OOF, OOF_IMAGES, *graphs):
            found += [folder / name, provenance.meta_path(folder / name)]
    return [path for path in found if path.exists()]


def _move(run: Path, place: Path) -> None:
    """Move the files of a run; a file `MOVING` in the folder ``replaced`` says meanwhile so."""
    marker = next(one for one in (run, place) if one.name == REPLACED) / MOVING
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    for path in _files(run):
        moved = place / path.relative_to(run)
        moved.parent.mkdir(parents=True, exist_ok=True)
        path.replace(moved)
    _remove_empty_folds(run)
    marker.unlink()


def _remove(run: Path) -> None:
    for path in _files(run):
        path.unlink(missing_ok=True)
    _remove_empty_folds(run)


def _remove_empty_folds(run: Path) -> None:
    for folder in fold_folders(run):
        remove_empty([folder])
