"""Pseudo-labelled rows, and runs that start from the weights of another."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from comptool.competition.config import load
from comptool.errors import InputError, UsageError
from comptool.io.provenance import recall
from comptool.io.runs import read_header
from comptool.training.config import TrainSettings
from comptool.training.data import divide, read_rows

RUN = Path("weights/run")


def rows_with(extra: Path, **settings):
    return read_rows(load(), TrainSettings(**settings), Path("folds.csv"), extra)


def test_extra_rows_are_trained_on_and_never_validated(folds, fit, pseudo):
    pseudo([["t1", "a", -1], ["t2", "b", -1]], ("fold",))
    fit(extra=Path("pseudo.csv"), epochs=1)
    header = read_header(RUN)
    assert header.trained_counts == {"a": 6, "b": 6, "c": 5}
    assert header.class_counts == {"a": 8, "b": 8, "c": 8}
    assert set(header.inputs) == {"folds.csv", "pseudo.csv"}
    ids = {row["image_id"] for row in csv.DictReader((RUN / "oof.csv").open())}
    assert not ids & {"t1", "t2"}


def test_extra_rows_of_another_folder_are_found(folds, pseudo, tmp_path):
    pseudo([["t1", "a"]])
    Path("elsewhere").mkdir()
    Path("images").rename("elsewhere/images")
    Path("elsewhere/images/sar_00.png").parent.joinpath("../../images").mkdir()
    for index in range(24):
        for name in ("sar", "eo"):
            Path(f"elsewhere/images/{name}_{index:02}.png").rename(f"images/{name}_{index:02}.png")
    Path("pseudo.csv.meta.json").write_text(json.dumps({"facts": {"folder": "elsewhere"}}))
    rows = rows_with(Path("pseudo.csv"))
    assert rows.samples.frame["sar_path"].iloc[-1] == "elsewhere/images/sar_t1.png"
    assert (rows.samples.folder / rows.samples.frame["eo_path"].iloc[-1]).exists()


def test_soft_labels_are_trained_on_as_they_are(folds, fit, pseudo):
    columns = ("confidence", "round", "fold", "soft:a", "soft:b", "soft:c")
    pseudo([["t1", "a", 0.7, 1, -1, 0.7, 0.2, 0.1]], columns)
    rows = rows_with(Path("pseudo.csv"))
    np.testing.assert_allclose(rows.targets[-1], [0.7, 0.2, 0.1])
    np.testing.assert_array_equal(rows.targets[:3], np.eye(3))
    assert rows.labels[-1] == 0
    fit(extra=Path("pseudo.csv"), epochs=1, mixup=0.2, loss="focal")
    assert RUN.exists()


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (
            {"soft:a": 0.7, "soft:b": 0.7, "soft:c": 0.1},
            "pseudo.csv, row 1: the soft labels of this row are not probabilities that sum to one "
            "(found '0.7', '0.7', '0.1')",
        ),
        (
            {"soft:a": 0.7, "soft:x": 0.3},
            "pseudo.csv: the soft labels are of other classes than are trained (found 'b', 'c', "
            "'x')",
        ),
    ],
)
def test_soft_labels_that_are_none_are_refused(shares, message, folds, pseudo):
    pseudo([["t1", "a", *shares.values()]], tuple(shares))
    with pytest.raises(InputError) as refusal:
        rows_with(Path("pseudo.csv"))
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["a", 0.9, 0.9, 0.9], "pseudo.csv, row 3: the soft labels of this row are not"),
        (["d", 0.2, 0.3, 0.5], "pseudo.csv, row 3, column 'class_id': this label is not one of"),
    ],
)
def test_rows_are_counted_as_the_table_does_although_some_are_left_out(
    cells, message, folds, pseudo
):
    good = [0.2, 0.3, 0.5]
    pseudo([["t1", "a", *good], ["t2", "b", *good], ["t3", *cells]], ("soft:a", "soft:b", "soft:c"))
    Path("images/eo_t1.png").unlink()
    with pytest.raises(InputError) as refusal:
        rows_with(Path("pseudo.csv"), missing_modality="drop")
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (
            [["t1", "a"], ["s03", "b"]],
            (),
            "column 'image_id': these extra ids are labelled rows of folds.csv already "
            "(found 's03')",
        ),
        (
            [["t1", "a", -1], ["t2", "b", 0]],
            ("fold",),
            "column 'image_id': these extra rows would be validated; their fold has to be -1 "
            "(found 't2')",
        ),
        (
            [["t1", "a"], ["t2", "tank"]],
            (),
            "row 2, column 'class_id': this label is not one of the 3 classes that are trained "
            "(found 'tank')",
        ),
    ],
    ids=["labelled already", "validated", "of another class"],
)
def test_extra_rows_that_cannot_be_trained_on_are_refused(folds, pseudo, rows, columns, message):
    pseudo(rows, columns)
    with pytest.raises(InputError) as refusal:
        rows_with(Path("pseudo.csv"))
    assert str(refusal.value) == f"pseudo.csv, {message}"


def test_a_table_of_no_extra_rows_is_said_and_accepted(folds, pseudo):
    pseudo([])
    rows = rows_with(Path("pseudo.csv"))
    assert rows.notes == ("taking the folds of folds.csv", "adding 0 rows of pseudo.csv")
    train, valid = divide(rows, TrainSettings(), 0)
    assert (len(train), len(valid)) == (15, 9)


def test_a_run_starts_from_its_parent_and_its_optimizer_moves_those_weights(folds, fit):
    fit("parent", epochs=1)
    fit("still", init_from=Path("parent"), epochs=1, lr=1e-30, optimizer="sgd", weight_decay=0.0)
    fit("moved", init_from=Path("weights/parent"), epochs=1)
    parent, still, moved = (
        load_file(f"weights/{name}/best.safetensors") for name in ("parent", "still", "moved")
    )
    learnt = [name for name in parent if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(parent[name], still[name]) for name in learnt)
    assert all(not torch.equal(parent[name], moved[name]) for name in learnt)
    header = read_header(Path("weights/moved"))
    assert header.init_from == header.pretrained == "weights/parent"
    assert "weights/parent/best.safetensors" in header.inputs


def test_the_optimizer_of_a_child_owns_exactly_its_weights(folds, fit):
    from comptool.training.config import Files
    from comptool.training.data import make_plan
    from comptool.training.optim import MixedPrecision, Optimisation
    from comptool.training.setup import new_model

    fit("parent", epochs=1)
    settings = TrainSettings(
        model="test_efficientnet-dual", init_from=Path("parent"), img_size=("32",), device="cpu"
    )
    plan = make_plan(settings, Files(folds=Path("folds.csv")), Path("weights/child"))
    model, _ = new_model(plan, plan.members[0], lambda text: None)
    optimisation = Optimisation(model, settings, 0.1, 4, MixedPrecision("off", torch.device("cpu")))
    owned = [id(p) for group in optimisation.optimizer.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(parameter) for parameter in model.parameters())


def test_a_run_does_not_start_from_another_model_or_other_classes(folds, fit):
    fit("parent", epochs=1)
    with pytest.raises(InputError) as refusal:
        fit(init_from=Path("parent"), model="resnet10t-dual")
    assert str(refusal.value) == (
        "weights/parent: its model is 'test_efficientnet-dual' and this run's is 'resnet10t-dual'. "
        "Use --model test_efficientnet-dual"
    )
    rows = list(csv.reader(folds.open()))
    with folds.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [[*row[:3], row[3].replace("c", "d"), row[4]] if number else row
             for number, row in enumerate(rows)]
        )  # fmt: skip
    with pytest.raises(InputError) as refusal:
        fit(init_from=Path("parent"))
    assert str(refusal.value) == (
        "weights/parent: its classes are others: it has c and it lacks d. A run starts only from "
        "one with the same classes and modalities"
    )


def test_modalities_in_another_order_are_refused(folds, fit):
    fit("parent", epochs=1)
    with pytest.raises(InputError, match="its modalities are in another order"):
        fit(init_from=Path("parent"), modality=("eo", "sar"))


def test_a_child_of_the_same_fold_has_clean_evidence(folds, fit, pseudo):
    fit("parent", epochs=1)
    pseudo([["t1", "a"]])
    fit(init_from=Path("parent"), extra=Path("pseudo.csv"), epochs=1)
    assert read_header(RUN).leak is None


@pytest.mark.parametrize("parent", [{"fold": "none"}, {"fold": "1"}])
def test_a_parent_that_trained_on_the_validated_rows_is_a_leak(parent, folds, fit):
    fit("parent", epochs=1, **parent)
    said = []
    fit(init_from=Path("parent"), epochs=1, say=said.append)
    leak = "9 of the 9 validated rows were not held out by weights/parent, which it starts from"
    assert read_header(RUN).leak == leak
    assert recall(RUN / "oof.csv").facts["leak"] == leak
    fit("grandchild", init_from=RUN, epochs=1)
    assert "has no clean validation" in read_header(Path("weights/grandchild")).leak


def test_a_leak_is_warned_of(folds, fit):
    from comptool.training.config import Files
    from comptool.training.data import make_plan

    fit("parent", epochs=1, fold="none")
    settings = TrainSettings(model="test_efficientnet-dual", init_from=Path("parent"))
    plan = make_plan(settings, Files(folds=Path("folds.csv")), RUN)
    assert plan.notes[-1] == (
        "WARNING: the score of weights/run and its oof.csv are no evidence: 9 of the 9 validated "
        "rows were not held out by weights/parent, which it starts from"
    )


def test_each_fold_starts_from_the_parents_member_of_that_fold(folds, fit):
    fit("parent", epochs=1, fold="all")
    fit(init_from=Path("parent"), epochs=1, fold="all")
    for fold in range(3):
        header = read_header(RUN / f"fold-{fold}")
        assert (header.init_from, header.leak) == (f"weights/parent/fold-{fold}", None)
    with pytest.raises(UsageError) as refusal:
        fit("whole", init_from=Path("parent"), epochs=1, fold="none")
    assert str(refusal.value) == (
        "weights/parent has 3 members; name the one to start from, such as --init-from "
        "weights/parent/fold-0"
    )


def test_a_child_resumes_without_its_parent(folds, fit, kept, same, at_forward):
    class Crash(BaseException):
        pass

    def crash():
        raise Crash

    fit("parent", epochs=1)
    fit("whole", init_from=Path("parent"))
    with pytest.raises(Crash), at_forward(8, crash):
        fit("broken", init_from=Path("parent"))
    Path("weights/parent").rename("gone")
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))
    assert read_header(Path("weights/broken")).init_from == "weights/parent"
