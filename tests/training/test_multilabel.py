"""Training where an image may have several classes, and cells may have no label."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score

from comptool import losses
from comptool.competition import load
from comptool.data.batches import normalise
from comptool.data.images import decode, resize, to_channels
from comptool.errors import InputError, UsageError
from comptool.models.checkpoints import load_checkpoint
from comptool.predictions import read_predictions
from comptool.provenance import facts
from comptool.runs import read_header
from comptool.tables import read_table
from comptool.training.building import new_model
from comptool.training.criterion import make_loss
from comptool.training.plan import make_plan
from comptool.training.record import Files
from comptool.training.rows import divide, read_rows
from comptool.training.settings import TrainSettings

RUN = Path("weights/run")
CLASSES = ("sea", "golf course", "road", "ship")
MULTILABEL = [name for name in losses.names() if name not in losses.SINGLE_LABEL]


def history(run: Path = RUN) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics.csv").open()))


def plan_of(**settings):
    settings = {"model": "test_efficientnet", "img_size": ("32",), "device": "cpu"} | settings
    return make_plan(TrainSettings(**settings), Files(folds=Path("folds.csv")), RUN)


def loss_of(**settings) -> torch.nn.Module:
    plan = plan_of(**settings)
    return make_loss(plan, plan.members[0])


def validated() -> np.ndarray:
    frame = read_table(Path("folds.csv"))
    return frame.loc[frame["fold"] == "0", list(CLASSES)].astype(int).to_numpy()


def logits_of(run: Path, ids: list[str]) -> torch.Tensor:
    model, header = load_checkpoint(run)
    frame = read_table(Path("folds.csv")).set_index("id")
    side = header["img_size"]["image"]
    chips = [to_channels(resize(decode(Path(frame.loc[i, "path"])), side), 3) for i in ids]
    images = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2)
    with torch.no_grad():
        return model(normalise(images, header["mean"]["image"], header["std"]["image"]))


def test_oof_holds_sigmoids_and_the_score_is_scikit_learns_on_the_known_cells(scenes, learn):
    scenes(lambda number, cells: [-1, *cells[1:]] if number in (4, 12) else cells)
    outcome = learn(epochs=3)
    oof = read_predictions(RUN / "oof.csv", task="multilabel")
    assert oof.classes == CLASSES
    expected = torch.sigmoid(logits_of(RUN, oof.ids.tolist())).numpy()
    np.testing.assert_allclose(oof.probabilities, expected, atol=1e-6)
    cells = validated()
    assert (cells == -1).sum() == 2
    precisions = [
        average_precision_score(column[column >= 0], shares[column >= 0])
        for column, shares in zip(cells.T, oof.probabilities.T, strict=True)
    ]
    assert outcome.score == pytest.approx(np.mean(precisions))
    best = max(history(), key=lambda row: float(row["val_map"]))
    assert (outcome.metric, outcome.epoch) == ("map", int(best["epoch"]))
    assert facts(RUN / "oof.csv")["task"] == "multilabel"


def test_the_header_counts_positives(learn):
    learn(epochs=1)
    header = read_header(RUN)
    frame = read_table(Path("folds.csv"))
    positives = {name: int((frame[name] == "1").sum()) for name in CLASSES}
    trained = frame[frame["fold"] != "0"]
    assert (header["task"], tuple(header["classes"])) == ("multilabel", CLASSES)
    assert header["class_counts"] == positives
    assert header["trained_counts"] == {name: int((trained[name] == "1").sum()) for name in CLASSES}
    assert header["arguments"]["loss"] == "bce"


@pytest.mark.parametrize("loss", MULTILABEL)
def test_every_loss_lowers_itself_and_ranks_an_easy_set(loss, learn):
    outcome = learn(loss=loss, epochs=10, augment="none", lr=3e-3, seed=1)
    trained = [float(row["train_loss"]) for row in history()]
    assert trained[-1] < 0.8 * trained[0]
    assert outcome.score > 0.85


def test_a_cell_that_is_not_annotated_teaches_nothing(scenes, learn):
    def forget(number, cells):
        return [*cells[:3], -1] if number % 4 else cells

    scenes(forget)
    plan = plan_of(loss="bce")
    begun, _ = new_model(plan, plan.members[0], lambda text: None)
    learn(epochs=1, loss="bce", lr=0.1, optimizer="sgd", weight_decay=0.0, augment="none")
    weights = load_file(RUN / "best.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        moved = begun.state_dict()[name].ne(weights[name]).view(4, -1).any(dim=1)
        assert moved.tolist() == [True, True, True, False]


RICH = {
    "loss": "partial-asl",
    "loss_option": ("gamma_unann=3", "likelihood_topk=1"),
    "prior": Path("prior.csv"),
    "mixup": 0.3,
    "cutmix": 1.0,
    "balance": "class-aware",
    "layer_decay": 0.8,
    "augment": "weak",
    "cutout": 0.3,
    "model": "test_efficientnet+ml-decoder",
    "model_option": ("dropout=0.3", "num_queries=2"),
    "ema": 0.9,
}


def write_prior(*rows: tuple[str, object]) -> None:
    lines = ["class,prior", *(f"{name},{value}" for name, value in rows)]
    Path("prior.csv").write_text("\n".join(lines) + "\n")


def test_a_stopped_run_goes_on_to_the_same_bits(scenes, learn, kept, same, at_forward):
    class Crash(BaseException):
        pass

    def crash():
        raise Crash

    scenes()
    write_prior(*zip(CLASSES, [0.5, 0.01, 0.02, 0.5], strict=True))
    learn("whole", **RICH)
    with pytest.raises(Crash), at_forward(6, crash):
        learn("broken", **RICH)
    learn("broken", resume=True)
    same(kept("broken"), kept("whole"))


def test_a_resumed_run_keeps_its_prior(scenes, learn):
    scenes()
    write_prior(*zip(CLASSES, [0.5, 0.01, 0.02, 0.5], strict=True))
    learn(loss="partial-asl", prior=Path("prior.csv"), epochs=1)
    write_prior(*zip(CLASSES, [0.1, 0.01, 0.02, 0.5], strict=True))
    with pytest.raises(InputError, match="the prior is not the one that this run was begun with"):
        learn(resume=True)


def test_the_options_of_a_loss_reach_it(scenes):
    scenes()
    write_prior(*zip(reversed(CLASSES), [0.4, 0.3, 0.2, 0.1], strict=True))
    loss = loss_of(loss="asl", loss_option=("gamma_neg=2.5", "clip=0", "reduction=mean"))
    assert (loss.gamma_neg, loss.clip, loss.reduction) == (2.5, 0.0, "mean")
    assert loss_of(loss="sigmoid-focal", loss_option=("alpha=none",), gamma=1.5).alpha is None
    assert loss_of(loss="sigmoid-focal", gamma=1.5).gamma == 1.5
    assert loss_of(loss="bce", loss_option=("pos_weight=1,2,3,4",)).pos_weight.tolist() == [
        1, 2, 3, 4
    ]  # fmt: skip
    assert loss_of(loss="poly", loss_option=("epsilon=-1",), label_smoothing=0.1).smoothing == 0.1
    partial = loss_of(loss="partial-asl", prior=Path("prior.csv"))
    assert partial.prior.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert loss_of(loss="partial-asl", loss_option=("mode=ignore",)).mode == "ignore"


def test_the_balanced_loss_gets_the_positives_and_the_known_cells_of_the_training_rows(scenes):
    scenes()
    loss = loss_of(loss="distribution-balanced")
    frame = read_table(Path("folds.csv"))
    cells = frame.loc[frame["fold"] != "0", list(CLASSES)].astype(int).to_numpy()
    positives, known = (cells == 1).sum(axis=0), (cells != -1).sum(axis=0)
    assert (known < len(cells)).all()
    assert (1 / loss.freq_inv).tolist() == pytest.approx(positives.tolist())
    shift = -0.05 / 2 * np.log(known / positives - 1)
    assert loss.bias.tolist() == pytest.approx(shift.tolist())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "ce"}, "the loss 'ce' is for one label per image and the task is multilabel"),
        (
            {"balance": "under"},
            "--balance under needs one class per image, and the task is multilabel; take --balance "
            "class-aware (an image of each class in turn) or --loss distribution-balanced",
        ),
        ({"balance": "over"}, "--balance over needs one class per image"),
        ({"balance": "weights"}, "--balance weights needs one class per image"),
        (
            {"loss": "two-way", "mixup": 0.2},
            "the loss 'two-way' needs targets of 0 and 1, and --mixup mixes them; leave it out",
        ),
        ({"loss": "two-way", "cutmix": 1.0}, "the loss 'two-way' needs targets of 0 and 1"),
        (
            {"prior": Path("prior.csv")},
            "--prior is for the loss 'partial-asl', and the loss is 'bce'",
        ),
        (
            {"loss": "asl", "loss_option": ("gama_neg=2",)},
            "no option of the loss 'asl' is called 'gama_neg'; did you mean 'gamma_neg'",
        ),
        ({"loss": "asl", "loss_option": ("clip",)}, "--loss-option is 'clip'; it is name=value"),
        (
            {"loss": "asl", "loss_option": ("clip=x",)},
            "--loss-option clip is 'x'; it has to be a number",
        ),
        ({"loss": "asl", "loss_option": ("clip=2",)}, "clip is 2.0; it has to be in [0, 1)"),
        (
            {"loss": "asl", "gamma": 2.0},
            "the loss 'asl' has no use for --gamma; of such options it takes --label-smoothing",
        ),
        (
            {"loss": "poly", "gamma": 2.0, "loss_option": ("gamma=1",)},
            "--gamma and --loss-option gamma are one; give one of them",
        ),
        (
            {"loss": "bce", "loss_option": ("pos_weight=1,2",)},
            "the options of the loss 'bce' do not fit 4 classes",
        ),
        (
            {"loss": "partial-asl", "loss_option": ("mode=ignored",)},
            "--loss-option mode is 'ignored'; it has to be 'negative', 'ignore', "
            "'ignore-normalize' or 'selective'",
        ),
        ({"metric": "accuracy"}, "no multi-label metric is called 'accuracy'"),
        ({"augment": "strong", "magnitude": 5}, "the augmentation 'strong' has no use for "
         "--magnitude; of such options it takes --cutout"),
        ({"cutout": 0.2}, "the augmentation 'flips' has no use for --cutout; of such options it "
         "takes none"),
    ],
)  # fmt: skip
def test_an_option_without_meaning_is_refused(settings, message, scenes):
    scenes()
    write_prior(*zip(CLASSES, [0.4, 0.3, 0.2, 0.1], strict=True))
    with pytest.raises(UsageError) as refusal:
        loss_of(**settings)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("sea", 0.1), ("road", 0.1), ("ship", 0.1), ("lake", 0.1)],
            "prior.csv, column 'class': the prior is not of the 4 classes that are trained, one "
            "row each (found 'golf course', 'lake'). Estimate one from a run of this competition: "
            "comptool prior RUN",
        ),
        ([*[(name, 0.1) for name in CLASSES], ("sea", 0.2)], "prior.csv, column 'class': the "
         "prior is not of the 4 classes that are trained, one row each (found 'sea')"),
        ([*[(name, 0.1) for name in CLASSES[:3]], ("ship", 1.5)], "prior.csv, row 4, column "
         "'prior': a prior is a number from 0 to 1 (found '1.5')"),
        ([*[(name, 0.1) for name in CLASSES[:3]], ("ship", "")], "prior.csv, row 4, column "
         "'prior': a prior is a number from 0 to 1 (found '')"),
    ],
)  # fmt: skip
def test_a_prior_of_something_else_is_refused(rows, message, scenes):
    scenes()
    write_prior(*rows)
    with pytest.raises(InputError) as refusal:
        loss_of(loss="partial-asl", prior=Path("prior.csv"))
    assert str(refusal.value).startswith(message)


def test_a_class_without_a_positive_is_said_and_left_out_of_the_metric(scenes, learn):
    def change(number, cells):
        without = [min(cells[0], 0), *cells[1:]] if number % 4 == 0 else cells
        return [*without[:3], min(without[3], 0)] if number % 4 else without

    scenes(change)
    assert plan_of().notes[1:] == (
        "weights/run: no positive row to train on: it cannot be learnt: class 'ship'",
        "weights/run: no positive row to validate: the metric leaves it out: class 'sea'",
    )
    outcome = learn(epochs=1)
    oof = read_predictions(RUN / "oof.csv", task="multilabel")
    cells = validated()
    measured = [average_precision_score(cells[:, k], oof.probabilities[:, k]) for k in (1, 2, 3)]
    assert outcome.score == pytest.approx(np.mean(measured))


def test_rows_without_an_annotated_cell_are_said(scenes, learn):
    scenes(lambda number, cells: [-1] * 4 if number in (1, 2, 4) else cells)
    assert plan_of().notes[-1] == (
        "weights/run: 2 of the 24 rows to train on have no annotated cell"
    )
    learn(epochs=1)
    assert RUN.exists()


def test_nothing_to_learn_or_nothing_to_measure_is_told_before_training(scenes):
    scenes(lambda number, cells: [-1] * 4 if number % 4 else cells)
    with pytest.raises(InputError) as refusal:
        plan_of()
    assert str(refusal.value) == "folds.csv: none of the 24 rows to train on has a class"
    scenes(lambda number, cells: cells if number % 4 else [min(cell, 0) for cell in cells])
    with pytest.raises(InputError) as refusal:
        plan_of()
    assert str(refusal.value).startswith("folds.csv: fold 0 cannot be validated: ")


def test_a_wrong_cell_is_counted_as_the_table_counts_it(scenes, folder):
    scenes(lambda number, cells: ["2", *cells[1:]] if number == 9 else cells)
    (folder / "images/scene3.png").unlink()
    settings = TrainSettings(missing_modality="drop")
    with pytest.raises(InputError) as refusal:
        read_rows(load(), settings, Path("folds.csv"), None)
    assert str(refusal.value).startswith("folds.csv, row 10, column 'sea': a label is 1 (present)")


def test_extra_rows_bring_their_unknown_cells(scenes):
    scenes()
    Path("pseudo.csv").write_text(
        "id,path,sea,golf course,road,ship,fold\n"
        "x1,images/scene0.png,1,-1,0,,-1\nx2,images/scene1.png,0,1,-1,1,-1\n"
    )
    rows = read_rows(load(), TrainSettings(), Path("folds.csv"), Path("pseudo.csv"))
    assert rows.targets[-2:].tolist() == [[1, -1, 0, -1], [0, 1, -1, 1]]
    train, valid = divide(rows, TrainSettings(), 0)
    assert (len(train), len(valid)) == (26, 8)


def test_all_folds_join_to_one_score(scenes, learn):
    scenes()
    rows = list(csv.reader(Path("folds.csv").open()))
    with Path("folds.csv").open("w", newline="") as stream:
        changed = [[*row[:-1], number % 2] for number, row in enumerate(rows[1:])]
        csv.writer(stream).writerows([rows[0], *changed])
    outcome = learn(fold="all", epochs=1)
    oof = read_predictions(RUN / "oof.csv", task="multilabel")
    assert oof.ids.tolist() == [row[0] for row in rows[1:]]
    cells = np.array([[int(cell) for cell in row[2:6]] for row in rows[1:]])
    measured = [
        average_precision_score(cells[known, k], oof.probabilities[known, k])
        for k in range(4)
        for known in [cells[:, k] >= 0]
    ]
    assert outcome.score == pytest.approx(np.mean(measured))


def test_options_of_a_model_are_built_and_recorded(learn):
    given = ("dropout=0.25", "num_queries=2", "learnable_queries=yes")
    learn(epochs=1, model="test_efficientnet+ml-decoder", model_option=given)
    model, header = load_checkpoint(RUN)
    assert header["model"]["options"] == {
        "img_size": [[32, 32]], "dropout": 0.25, "num_queries": 2, "learnable_queries": True,
    }  # fmt: skip
    assert model.decoder.queries.shape == (2, 768)
    assert model.decoder.queries.requires_grad
    assert model.decoder.dropout.p == 0.25
    with pytest.raises(UsageError) as refusal:
        learn("other", model="test_efficientnet+q2l", model_option=("num_querys=2",))
    assert str(refusal.value).startswith(
        "no option of the model 'test_efficientnet+q2l' is called 'num_querys'; did you mean "
        "'dropout', "
    )


def test_members_of_other_sizes_and_statistics_train_side_by_side(learn):
    imagenet, half = [0.485, 0.456, 0.406], [0.5, 0.5, 0.5]
    for model, side, mean in (("test_efficientnet", 48, imagenet), ("test_vit", 32, half)):
        learn(model, model=model, img_size=(str(side),), epochs=1)
        header = read_header(Path("weights") / model)
        assert header["img_size"] == {"image": [side, side]}
        assert header["mean"] == {"image": mean}


def test_deeper_layers_learn_more_slowly(scenes, learn):
    scenes()
    plan = plan_of()
    begun = new_model(plan, plan.members[0], lambda text: None)[0].state_dict()
    shared = {"epochs": 1, "optimizer": "sgd", "weight_decay": 0.0, "fold": "none", "lr": 1e-2}
    moves = {}
    for name, decay in (("even", None), ("layered", 0.01)):
        learn(name, layer_decay=decay, **shared)
        kept = load_file(f"weights/{name}/best.safetensors")
        moves[name] = {
            layer: (kept[layer] - begun[layer]).abs().max().item()
            for layer in ("encoders.0.conv_stem.weight", "classifier.weight")
        }
    stem, head = moves["even"]
    assert moves["layered"][stem] < 1e-4 * moves["even"][stem]
    assert moves["layered"][head] > 0.1 * moves["even"][head]
    rates = [history(Path("weights") / name)[0]["lr"] for name in moves]
    assert rates[0] == rates[1]
