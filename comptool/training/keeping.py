"""The files of one member: written by the first process, each of them atomically."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from comptool import provenance
from comptool.evaluation import metrics
from comptool.evaluation.canvas import save_picture
from comptool.evaluation.curves import draw_curves
from comptool.models.checkpoints import save_checkpoint
from comptool.outputs import together
from comptool.predictions import Predictions, write_predictions
from comptool.runs import BEST, GRADIENTS, GRAPHS, LAST, METRICS, OOF, RUN_JSON, fold_folders
from comptool.training.fusion import fusion_columns
from comptool.training.gradient_gauge import gradient_curves
from comptool.training.history import write_history
from comptool.training.plan import Member, Plan
from comptool.training.record import write_record
from comptool.training.session import Session
from comptool.training.stages import kept_score
from comptool.training.state import Progress, write_state


class Keeper:
    """Keeps what a member's training gives.

    Parameters
    ----------
    plan, member
        What is trained.
    header
        Of its checkpoints; score, epoch and the fusion weights that were learnt are added.
    identity
        What a resumed run has to agree with, beside its settings.
    writes
        Whether this process writes.
    """

    def __init__(
        self,
        plan: Plan,
        member: Member,
        header: Mapping[str, Any],
        identity: Mapping[str, Any],
        writes: bool,
    ) -> None:
        self.plan = plan
        self.folder = member.folder
        self.metric = plan.metric
        self.greater_is_better = (
            metrics.table(plan.competition.task).find(plan.metric).greater_is_better
        )
        self.go_on = f"comptool train --run-name {plan.run.name} --resume"
        self._member = member
        self._header = header
        self._identity = identity
        self._writes = writes

    @property
    def trained_ids(self) -> list[str]:
        """Ids of the rows that are trained on, in the order of the training set."""
        return self.plan.rows.ids(self._member.train)

    def score(self, probabilities: npt.NDArray[np.float32]) -> float:
        """The metric of the validated rows, those of dropped classes left out."""
        labels = self.plan.rows.labels[self._member.valid]
        return kept_score(self.metric, labels, probabilities, self.plan.dropped)

    def record(self, state: str, **facts: object) -> None:
        """Write ``run.json``."""
        if self._writes:
            shown = {"metric": self.metric, "fold": self._member.fold, **facts}
            write_record(self.folder, self.plan.settings, self.plan.files, state, shown)

    def save(self, progress: Progress, session: Session) -> None:
        """Write ``last.pt``."""
        if self._writes:
            write_state(
                self.folder / LAST,
                progress,
                weights=session.model.state_dict(),
                optimisation=session.optimisation.state_dict(),
                header=self._header,
                identity=self._identity,
                gauges=session.gauges.state_dict(),
            )

    def keep_best(
        self,
        progress: Progress,
        model: nn.Module,
        probabilities: npt.NDArray[np.float32] | None,
    ) -> None:
        """Write ``oof.csv``, if there is a validation, and ``best.safetensors``."""
        if not self._writes:
            return
        with together():
            self._write_best(progress, model, probabilities)

    def _write_best(
        self,
        progress: Progress,
        model: nn.Module,
        probabilities: npt.NDArray[np.float32] | None,
    ) -> None:
        if probabilities is not None:
            ids = np.array(self.plan.rows.ids(self._member.valid), dtype=object)
            fold = np.full(len(ids), self._member.fold, np.int64)
            write_oof(self.folder, self.plan, ids, fold, probabilities, self._header)
        best = {
            "score": progress.best_score,
            "epoch": progress.best_epoch,
            "fusion_weights": fusion_columns(model),
        }
        save_checkpoint(self.folder / BEST, model, {**self._header, **best}, force=True)

    def write_history(self, progress: Progress) -> None:
        """Write ``metrics.csv`` and, where gradients are calibrated, a picture of them."""
        if not self._writes:
            return
        write_history(self.folder / METRICS, progress.history, self.metric)
        if curves := gradient_curves(progress.history):
            save_picture(self.folder / GRADIENTS, draw_curves(curves), force=True)


def write_oof(
    folder: Path,
    plan: Plan,
    ids: npt.NDArray[np.object_],
    fold: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    header: Mapping[str, Any],
) -> None:
    """Write ``oof.csv`` and its record.

    Parameters
    ----------
    folder
        Of the run.
    plan
        What was trained.
    ids, fold
        Of the N validated rows, shape (N,).
    probabilities
        float32 of shape (N, K).
    header
        Of a checkpoint; says whether the rows are evidence.
    """
    predictions = Predictions(
        ids,
        plan.rows.classes,
        probabilities,
        fold=fold,
        id_column=plan.rows.samples.id,
    )
    facts = {
        "task": plan.competition.task,
        "classes": list(plan.rows.classes),
        "metric": plan.metric,
        "class_counts": plan.rows.class_counts,
        "runs": [str(folder)],
        "leak": header["leak"],
    }
    with together():
        write_predictions(folder / OOF, predictions, force=True)
        provenance.record(
            folder / OOF,
            command="train",
            arguments=plan.settings.document(),
            inputs=plan.inputs,
            facts=facts,
        )


def clear(run: Path) -> None:
    """Remove what an earlier run left in the folder, and nothing else."""
    for folder in [*fold_folders(run), run]:
        graphs = [path.name for path in folder.glob(GRAPHS)]
        for name in (BEST, LAST, METRICS, GRADIENTS, RUN_JSON, OOF, *graphs):
            (folder / name).unlink(missing_ok=True)
            provenance.meta_path(folder / name).unlink(missing_ok=True)
        if folder != run and not any(folder.iterdir()):
            folder.rmdir()
