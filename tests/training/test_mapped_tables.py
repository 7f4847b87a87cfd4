"""Training on tables whose 0 is taken for "not annotated", and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from comptool import losses
from comptool.competition.config import load
from comptool.io.tables import read_table
from comptool.training.config import TrainSettings
from comptool.training.criterion import make_loss
from comptool.training.data import read_rows

CLASSES = ("sea", "golf course", "road", "ship")
MULTILABEL = [e.name for e in losses.LOSSES if "multilabel" in e.tasks]


def training_cells() -> np.ndarray:
    """What ``folds.csv`` has in the rows that are trained on."""
    frame = read_table(Path("folds.csv"))
    return frame.loc[frame["fold"] != "0", list(CLASSES)].astype(int).to_numpy()


def map_zeros() -> None:
    """What ``split --map-zero-to-unknown`` makes of ``folds.csv``."""
    frame = read_table(Path("folds.csv"))
    frame.assign(zero_is_unknown="1").to_csv("folds.csv", index=False)


def test_zeros_that_a_split_took_for_unknown_are_so_in_training_alone(scenes, learn):
    scenes()
    map_zeros()
    rows = read_rows(load(), TrainSettings(), Path("folds.csv"), None)
    if not rows.samples.zero_is_unknown:
        pytest.fail("the column of the split was not read")
    assert set(np.unique(rows.labels)) == {-1, 0, 1}
    assert set(np.unique(rows.targets)) == {-1, 1}
    assert ((rows.targets == 1) == (rows.labels == 1)).all()


def test_the_balanced_loss_is_finite_where_only_positives_are_known(scenes, plan_scenes):
    scenes()
    map_zeros()
    plan = plan_scenes(loss="distribution-balanced")
    assert torch.isfinite(make_loss(plan, plan.members[0]).bias).all()


def test_what_a_mapped_table_leaves_to_each_loss_is_told(scenes, plan_scenes, write_prior):
    scenes()
    map_zeros()
    cells = training_cells()
    mapped = int((cells == 0).any(axis=1).sum())

    def warnings(loss: str, *options: str, **more) -> list[str]:
        notes = plan_scenes(loss=loss, loss_option=options, **more).notes
        assert (
            f"weights/run: 0 is taken for not annotated in {mapped} of the 24 rows to train on"
        ) in notes
        return [note for note in notes if note.startswith("WARNING: no cell of the 24 rows")]

    known_only = [loss for loss in MULTILABEL if loss != "partial-asl"]
    for loss in known_only:
        assert f"the loss '{loss}' is of annotated cells alone: IT LEARNS" in warnings(loss)[0]
    for mode in ("ignore", "ignore-normalize"):
        assert f"in mode '{mode}' is of" in warnings("partial-asl", f"mode={mode}")[0]
    assert not warnings("partial-asl", "mode=negative")
    assert not warnings("partial-asl")
    write_prior(*zip(CLASSES, [0.9] * 4, strict=True))
    told = warnings("partial-asl", prior=Path("prior.csv"))
    assert "every class of prior.csv is above 0.05 and so left out" in told[0]
    write_prior(*zip(CLASSES, [0.9, 0.9, 0.9, 0.01], strict=True))
    assert not warnings("partial-asl", prior=Path("prior.csv"))


def test_a_mapped_row_without_a_positive_has_no_annotated_cell(scenes, plan_scenes):
    scenes(lambda number, cells: [0] * 4 if number in (1, 2, 4) else cells)
    map_zeros()
    cells = training_cells()
    blank = int((cells != 1).all(axis=1).sum())
    told = f"weights/run: {blank} of the 24 rows to train on have no annotated cell"
    assert blank >= 2
    assert told in plan_scenes().notes


def test_a_table_without_unknown_cells_has_no_use_for_a_prior_and_says_so(scenes, plan_scenes):
    scenes(lambda number, cells: [max(cell, 0) for cell in cells])
    note = (
        "no cell of the 24 rows to train on is unannotated: --prior, mode, gamma_unann and "
        "likelihood_topk of 'partial-asl' do nothing (comptool split --map-zero-to-unknown takes "
        "0 for not annotated)"
    )
    assert note in plan_scenes(loss="partial-asl").notes
    assert note not in plan_scenes(loss="asl").notes
    scenes()
    assert note not in plan_scenes(loss="partial-asl").notes
