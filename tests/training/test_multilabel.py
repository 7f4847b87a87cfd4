"""Training where an image may have several classes, and cells may have no label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score

from comptool.data.dataset import normalise
from comptool.data.image_io import read_pixels, resize, to_channels
from comptool.errors import UsageError
from comptool.io.predictions import read_predictions
from comptool.io.provenance import PredictionFacts, facts
from comptool.io.runs import read_header
from comptool.io.tables import read_table
from comptool.models.checkpoint_file import load_checkpoint
from comptool.training.setup import new_model

RUN = Path("weights/run")
CLASSES = ("sea", "golf course", "road", "ship")


def validated() -> np.ndarray:
    frame = read_table(Path("folds.csv"))
    return frame.loc[frame["fold"] == "0", list(CLASSES)].astype(int).to_numpy()


def logits_of(run: Path, ids: list[str]) -> torch.Tensor:
    model, header = load_checkpoint(run)
    frame = read_table(Path("folds.csv")).set_index("id")
    side = header.img_size["image"]
    chips = [to_channels(resize(read_pixels(Path(frame.loc[i, "path"])), side), 3) for i in ids]
    images = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2)
    with torch.no_grad():
        return model(normalise(images, header.mean["image"], header.std["image"]))


def test_oof_holds_sigmoids_and_the_score_is_scikit_learns_on_the_known_cells(
    scenes, learn, history
):
    scenes(lambda number, cells: [-1, *cells[1:]] if number in (4, 12) else cells)
    outcome = learn(epochs=3)
    oof = read_predictions(RUN / "oof.csv", sums_to_one=False)
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
    assert facts(RUN / "oof.csv", PredictionFacts).task == "multilabel"


def test_the_header_counts_positives(learn):
    learn(epochs=1)
    header = read_header(RUN)
    frame = read_table(Path("folds.csv"))
    positives = {name: int((frame[name] == "1").sum()) for name in CLASSES}
    trained = frame[frame["fold"] != "0"]
    assert (header.task, tuple(header.classes)) == ("multilabel", CLASSES)
    assert header.class_counts == positives
    assert header.trained_counts == {name: int((trained[name] == "1").sum()) for name in CLASSES}
    assert header.arguments["loss"] == "bce"


def test_a_cell_that_is_not_annotated_teaches_nothing(scenes, learn, plan_scenes):
    def forget(number, cells):
        return [*cells[:3], -1] if number % 4 else cells

    scenes(forget)
    plan = plan_scenes(loss="bce")
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


def test_a_stopped_run_goes_on_to_the_same_bits(scenes, learn, kept, same, at_forward, write_prior):
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


def test_options_of_a_model_are_built_and_recorded(learn):
    given = ("dropout=0.25", "num_queries=2", "learnable_queries=yes")
    learn(epochs=1, model="test_efficientnet+ml-decoder", model_option=given)
    model, header = load_checkpoint(RUN)
    assert header.model.options == {
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
        assert header.img_size == {"image": [side, side]}
        assert header.mean == {"image": mean}


def test_deeper_layers_learn_more_slowly(scenes, learn, history, plan_scenes):
    scenes()
    plan = plan_scenes()
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
    rates = [history(name)[0]["lr"] for name in moves]
    assert rates[0] == rates[1]
