"""Checkpoints: best weights, out-of-fold predictions, ``metrics.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from comptool.io import provenance
from comptool.io.atomic import atomic_output, together
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
from comptool.models.backbones.eurosat import fusion_weights
from comptool.models.checkpoint_file import save_checkpoint
from comptool.reports.plots import draw_curves, save_picture
from comptool.tasks.pooling import NO_POOL
from comptool.training.class_subset import kept_score
from comptool.training.data import Indices, TrainMember, TrainPlan, Validated
from comptool.training.gradient_balancing import gradient_curves
from comptool.training.resume import write_record
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
    return RunRecord(arguments=arguments, files=files, metric=plan.metric.name)


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

    def score(self, found: Validated) -> float:
        """The metric on the validation rows without dropped classes."""
        rows, judged = self.plan.judged(self.member.valid, found)
        labels = self.plan.rows.labels[rows]
        return kept_score(self.plan.metric, labels, judged, self.plan.dropped)

    def record(self, record: RunRecord) -> None:
        """Write ``run.json``."""
        if self._writes:
            write_record(self.folder, record)

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

    def keep_best(
        self,
        progress: Progress,
        model: nn.Module,
        found: Validated | None,
    ) -> None:
        """Write ``oof.csv``, if there is a validation, and ``best.safetensors``."""
        if not self._writes:
            return
        best = replace(
            self._header,
            score=progress.best_score,
            epoch=progress.best_epoch,
            fusion_weights=fusion_columns(model),
        )
        with together():
            if found is not None:
                rows = self.member.valid
                judged = self.plan.judged(rows, found)
                images = rows, found.probabilities
                write_oof(self.folder, self.plan, judged, images, self._header.leak)
            save_checkpoint(self.folder / BEST, model, best, force=True)

    def write_history(self, progress: Progress) -> None:
        """Write ``metrics.csv`` and, with gradient balancing, its curves."""
        if not self._writes:
            return
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


def clear(run: Path) -> None:
    """Remove the files of an earlier run, and no others."""
    for folder in [*fold_folders(run), run]:
        graphs = [path.name for path in folder.glob(GRAPHS)]
        for name in (BEST, LAST, METRICS, GRADIENTS, RUN_JSON, OOF, OOF_IMAGES, *graphs):
            (folder / name).unlink(missing_ok=True)
            provenance.meta_path(folder / name).unlink(missing_ok=True)
        if folder != run and not any(folder.iterdir()):
            folder.rmdir()
