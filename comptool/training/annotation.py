"""What a loss makes of cells without a label, as the user should know; no torch."""

from __future__ import annotations

from comptool.label_matrix import ABSENT, PRESENT, UNKNOWN
from comptool.training.config import TrainSettings
from comptool.training.labelled import Indices
from comptool.training.prior import read_prior
from comptool.training.rows import Rows
from comptool.training.task import WITH_PRIOR

# In these modes an unannotated cell is taught to be absent, mostly.
BIASED = ("negative", "selective")
DEFAULT_MODE, DEFAULT_THRESHOLD = "selective", 0.05


def loss_notes(settings: TrainSettings, rows: Rows, train: Indices) -> list[str]:
    """What a loss cannot learn from the cells that it is given, one sentence each.

    Parameters
    ----------
    settings
        With the loss and its options.
    rows
        All rows.
    train
        The row numbers that are trained on, shape (n,).

    Raises
    ------
    InputError
        If the prior cannot be read.
    """
    if not rows.multilabel:
        return []
    told = []
    cells = rows.targets[train]
    if settings.loss == WITH_PRIOR and not (cells == UNKNOWN).any():
        told.append(
            f"no cell of the {len(train)} rows to train on is unannotated: --prior, mode, "
            f"gamma_unann and likelihood_topk of '{WITH_PRIOR}' do nothing (comptool split "
            "--map-zero-to-unknown takes 0 for not annotated)"
        )
    why = _left_out(settings, rows)
    if why and (cells == PRESENT).any() and not (cells == ABSENT).any():
        told.append(
            f"WARNING: no cell of the {len(train)} rows to train on is annotated as absent, and "
            f"{why}: IT LEARNS THAT EVERYTHING IS PRESENT. Take --loss {WITH_PRIOR} with "
            "--loss-option mode=negative or, without --prior, mode=selective, which take most "
            "cells without a label for absent; or split without --map-zero-to-unknown"
        )
    return told


def mode_of(settings: TrainSettings) -> str | None:
    """What the loss makes of -1, a mode of ``partial-asl``; None for every other loss."""
    if settings.loss != WITH_PRIOR:
        return None
    return _given(settings).get("mode", DEFAULT_MODE)


def _given(settings: TrainSettings) -> dict[str, str]:
    pairs = [text.partition("=") for text in settings.loss_option]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _left_out(settings: TrainSettings, rows: Rows) -> str:
    """Why no cell without a label counts in the loss; nothing if some do."""
    mode = mode_of(settings)
    if mode is None:
        return f"the loss '{settings.loss}' is of annotated cells alone"
    if mode not in BIASED:
        return f"the loss '{WITH_PRIOR}' in mode '{mode}' is of annotated cells alone"
    if mode == "selective" and settings.prior is not None:
        threshold = _threshold(settings)
        if min(read_prior(settings.prior, rows.classes)) > threshold:
            return f"every class of {settings.prior} is above {threshold:g} and so left out"
    return ""


def _threshold(settings: TrainSettings) -> float:
    try:
        return float(_given(settings).get("prior_threshold", DEFAULT_THRESHOLD))
    except ValueError:
        return DEFAULT_THRESHOLD  # what was typed is refused with the options of the loss
