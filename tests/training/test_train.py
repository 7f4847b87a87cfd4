"""What a training keeps, and what its options do."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from comptool.data.dataset import normalise
from comptool.data.image_io import read_pixels, resize, to_channels
from comptool.errors import InputError, OutputExistsError, UsageError
from comptool.io.predictions import read_predictions
from comptool.io.provenance import recall
from comptool.io.runs import check_finished, read_header, read_state
from comptool.io.tables import read_table
from comptool.metrics import multiclass
from comptool.models.checkpoint_file import load_checkpoint
from comptool.training.checkpoint import REPLACED, bring_back, set_aside

RUN = Path("weights/run")


def test_a_run_keeps_its_five_files(folds, fit, history):
    outcome = fit()
    assert sorted(path.name for path in RUN.iterdir()) == [
        "best.safetensors", "last.pt", "metrics.csv", "oof.csv", "oof.csv.meta.json", "run.json"
    ]  # fmt: skip
    assert outcome.run == RUN
    assert outcome.metric == "accuracy"
    assert [row["epoch"] for row in history()] == ["1", "2", "3"]
    assert list(history()[0]) == [
        "epoch", "lr", "train_loss", "val_loss", "val_accuracy", "seconds", "images_per_second"
    ]  # fmt: skip
    best = max(history(), key=lambda row: float(row["val_accuracy"]))
    assert (outcome.epoch, outcome.score) == (int(best["epoch"]), float(best["val_accuracy"]))
    assert json.loads((RUN / "run.json").read_text())["state"] == "finished"


def test_oof_holds_what_the_best_weights_say_of_the_validated_rows(folds, fit):
    outcome = fit(epochs=2)
    model, header = load_checkpoint(RUN)
    frame = read_table(folds)
    frame = frame[frame["fold"] == "0"].reset_index(drop=True)
    oof = read_predictions(RUN / "oof.csv")
    assert oof.ids.tolist() == frame["image_id"].tolist()
    assert oof.fold.tolist() == [0] * 9
    for row, identity in enumerate(frame["image_id"]):
        chips = [
            to_channels(resize(read_pixels(Path(frame.loc[row, f"{name}_path"])), (32, 32)), 3)
            for name in ("sar", "eo")
        ]
        images = [
            normalise(torch.from_numpy(chip).permute(2, 0, 1)[None], header.mean[name],
                      header.std[name])
            for name, chip in zip(("sar", "eo"), chips, strict=True)
        ]  # fmt: skip
        with torch.no_grad():
            expected = torch.softmax(model(*images), 1)[0].numpy()
        np.testing.assert_allclose(oof.probabilities[row], expected, atol=1e-6, err_msg=identity)
    targets = np.array(["abc".index(label) for label in frame["class_id"]])
    assert outcome.score == multiclass.accuracy(targets, oof.probabilities)
    facts = recall(RUN / "oof.csv").facts
    assert facts == {
        "task": "multiclass", "classes": ["a", "b", "c"], "metric": "accuracy",
        "class_counts": {"a": 8, "b": 8, "c": 8}, "runs": ["weights/run"], "leak": None,
    }  # fmt: skip


def test_the_header_says_what_the_weights_are(folds, fit):
    outcome = fit()
    header = read_header(RUN)
    assert header.model.name == "test_efficientnet-dual"
    assert header.classes == ["a", "b", "c"]
    assert header.class_counts == {"a": 8, "b": 8, "c": 8}
    assert header.trained_counts == {"a": 5, "b": 5, "c": 5}
    assert header.modalities == ["sar", "eo"]
    assert header.img_size == {"sar": [32, 32], "eo": [32, 32]}
    assert header.channels == {"sar": 3, "eo": 3}
    assert (header.metric, header.score, header.epoch) == (
        "accuracy", outcome.score, outcome.epoch,
    )  # fmt: skip
    assert (header.fold, header.seed, header.pretrained) == (0, 0, "random")
    assert (header.init_from, header.leak) == (None, None)
    assert header.arguments["batch_size"] == 4
    assert set(header.inputs) == {"folds.csv"}


def test_class_counts_are_those_before_balancing(folds, fit):
    record = folds.with_name("folds.csv.meta.json")
    record.write_text(json.dumps({"facts": {"class_counts": {"a": 900, "b": 50, "c": 8}}}))
    fit(epochs=1, balance="under")
    header = read_header(RUN)
    assert header.class_counts == {"a": 900, "b": 50, "c": 8}
    assert header.trained_counts == {"a": 5, "b": 5, "c": 5}


def test_without_folds_a_fifth_is_held_out_as_split_would(folder, fit):
    said = []
    fit(epochs=1, say=said.append)
    oof = read_predictions(RUN / "oof.csv")
    assert len(oof) == 3  # a fifth of eight, rounded down, of each of three classes
    assert said[0] == (
        "weights/run: test_efficientnet-dual from random weights on cpu; 21 rows to train on, 3 "
        "to validate; sar 32x32, eo 32x32 pixels"
    )


def test_training_learns(folds, fit, history):
    fit(epochs=12, lr=3e-3, augment="none", batch_size=8, img_size=("40",), ema=0.0)
    losses = [float(row["train_loss"]) for row in history()]
    assert losses[-1] < 0.5 * losses[0]


def test_early_stopping_counts_epochs_without_a_better_score(folds, fit, history):
    said = []
    still = {"lr": 1e-30, "optimizer": "sgd", "weight_decay": 0.0}
    outcome = fit(epochs=30, patience=3, say=said.append, **still)
    scores = [float(row["val_accuracy"]) for row in history()]
    best = scores.index(max(scores))
    assert len(scores) == best + 1 + 3 < 30
    assert outcome.epoch == best + 1
    assert said[-1] == (
        f"stopped: no better accuracy in 3 epochs; the best checkpoint is that of epoch {best + 1}"
    )


def test_a_lower_loss_is_better_where_the_metric_is_one(folds, fit, history):
    outcome = fit(metric="logloss", epochs=3)
    scores = [float(row["val_logloss"]) for row in history()]
    assert outcome.score == min(scores)
    assert read_header(RUN).metric == "logloss"


def test_fold_none_trains_on_every_row_and_keeps_the_last_weights(folds, fit, history):
    outcome = fit(fold="none", epochs=2)
    header = read_header(RUN)
    assert header.trained_counts == {"a": 8, "b": 8, "c": 8}
    assert (outcome.score, outcome.epoch, header.fold) == (None, 2, None)
    assert not (RUN / "oof.csv").exists()
    assert history()[0]["val_loss"] == ""
    state = torch.load(RUN / "last.pt", weights_only=True)
    best = load_file(RUN / "best.safetensors")
    assert all(torch.equal(best[name], state["weights"][name]) for name in best)


def test_fold_all_trains_a_member_per_fold_and_covers_every_row_once(folds, fit, at_forward):
    class Crash(BaseException):
        pass

    def crash():
        raise Crash

    # Dies in the second member; the first one stays as it is.
    with pytest.raises(Crash), at_forward(14, crash):
        fit(fold="all", epochs=2)
    assert read_state(RUN) == "stopped, 1 of 3 folds finished"
    with pytest.raises(InputError, match=r"1 of 3 folds are finished\. Go on with: comptool train"):
        check_finished(RUN)
    first = (RUN / "fold-0" / "best.safetensors").stat().st_mtime_ns
    outcome = fit(resume=True)
    assert (RUN / "fold-0" / "best.safetensors").stat().st_mtime_ns == first
    oof = read_predictions(RUN / "oof.csv")
    frame = read_table(folds)
    assert oof.ids.tolist() == frame["image_id"].tolist()
    assert oof.fold.tolist() == [int(fold) for fold in frame["fold"]]
    targets = np.array(["abc".index(label) for label in frame["class_id"]])
    assert outcome.score == multiclass.accuracy(targets, oof.probabilities)
    assert len(outcome.epoch) == 3
    assert check_finished(RUN) is None
    for fold in range(3):
        member = read_predictions(RUN / f"fold-{fold}" / "oof.csv")
        rows = oof.fold == fold
        assert member.ids.tolist() == oof.ids[rows].tolist()
        np.testing.assert_array_equal(member.probabilities, oof.probabilities[rows])
    before = {path: path.stat().st_mtime_ns for path in RUN.rglob("*")}
    assert fit(resume=True).score == outcome.score
    assert {path: path.stat().st_mtime_ns for path in RUN.rglob("*")} == before


def test_rows_of_fold_minus_one_are_never_validated(folds, fit):
    rows = list(csv.reader(folds.open()))
    for row in rows[1:7]:
        row[-1] = "-1"
    with folds.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    fit(fold="all", epochs=1)
    assert read_predictions(RUN / "oof.csv").ids.tolist() == [row[0] for row in rows[7:]]


def test_a_batch_larger_than_the_data_is_the_data(folds, fit):
    fit(batch_size=500, epochs=1)
    assert torch.load(RUN / "last.pt", weights_only=True)["progress"]["epoch"] == 1


def test_batches_of_one_are_refused_where_batch_normalisation_cannot_learn(folds, fit):
    with pytest.raises(UsageError) as refusal:
        fit(batch_size=1)
    assert str(refusal.value) == (
        "the batch normalisation of 'test_efficientnet-dual' cannot learn from batches of one "
        "image; take a --batch-size of 2 or more"
    )
    assert not RUN.exists()
    fit(batch_size=1, epochs=1, model="test_vit-dual")
    assert RUN.exists()


def test_an_existing_run_is_refused_and_replaced_only_by_force(folds, fit):
    fit(epochs=1)
    before = (RUN / "best.safetensors").read_bytes()
    (RUN / "best-24x24.onnx").write_text("a graph of these weights")
    with pytest.raises(OutputExistsError) as refusal:
        fit(epochs=1, seed=5)
    assert str(refusal.value) == (
        "weights/run: holds a finished run already. Replace it by --force, or give another "
        "--run-name"
    )
    with pytest.raises(UsageError):
        fit(epochs=1, force=True, gamma=2.0)  # found out late; the old run stays
    assert (RUN / "best.safetensors").read_bytes() == before
    fit(epochs=1, force=True, fold="all")
    assert not (RUN / "best.safetensors").exists() and not list(RUN.glob("*.onnx"))
    fit(epochs=1, force=True, seed=5)
    assert not (RUN / "fold-0").exists()
    assert read_header(RUN).seed == 5


def files_of(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("fold", ["all", None])
def test_a_run_is_replaced_only_when_there_is_a_checkpoint(fold, folds, fit, monkeypatch):
    """A loss that diverges in the first epoch leaves the run that was to be replaced."""
    from comptool.training.trainer import Loop

    chosen = {} if fold is None else {"fold": fold}
    fit(epochs=1, **chosen)
    before, said = files_of(RUN), []
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_validate", lambda self: (_ for _ in ()).throw(self._diverged("x")))
        with pytest.raises(InputError, match="the loss became NaN"):
            fit(epochs=1, force=True, seed=5, say=said.append, **chosen)
    assert files_of(RUN) == before
    assert said[-1] == "weights/run is again the run that was to be replaced"
    fit(epochs=1, force=True, seed=5, **chosen)
    assert files_of(RUN).keys() == before.keys()
    assert files_of(RUN) != before


def test_a_stopped_run_keeps_the_one_before_until_it_has_a_checkpoint(folds, fit, monkeypatch):
    from comptool.training.trainer import Loop

    fit(epochs=1)
    before, said = files_of(RUN), []
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Loop, "_validate", Loop._stop)
        fit(epochs=1, force=True, seed=5, say=said.append)
    assert files_of(RUN / "replaced") == before
    assert said[-1] == "weights/run/replaced keeps the run before until there is a new checkpoint"
    fit(resume=True)
    assert read_header(RUN).seed == 5
    assert not (RUN / "replaced").exists()


def killed_at(count: int, what, *arguments) -> bool:
    """Whether a process was killed when it had moved so many files."""
    pid = os.fork()
    if not pid:
        moved, move = [], Path.replace

        def replace(path, target):
            if len(moved) == count:
                os.kill(os.getpid(), SIGKILL)
            moved.append(move(path, target))

        Path.replace = replace
        what(*arguments)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -SIGKILL


def test_a_kill_while_a_run_is_set_aside_or_brought_back_loses_no_file(folds, fit, tmp_path):
    fit(epochs=1, fold="all")
    before = files_of(RUN)
    wholly = False
    for count in range(len(before) + 1):
        one, other = (
            Path(shutil.copytree(RUN, tmp_path / f"{name}{count}")) for name in ("one", "other")
        )
        if not killed_at(count, set_aside, one):
            wholly = True
            break
        set_aside(one)
        assert files_of(one / REPLACED) == before
        set_aside(other)
        assert killed_at(count, bring_back, other)
        assert bring_back(other)
        assert files_of(other) == before
    assert wholly and count > 6


def test_the_options_of_a_loss_reach_it_or_are_refused(folds, fit, history):
    fit("sharp", loss="focal", gamma=0.0, label_smoothing=0.0, epochs=1)
    fit("plain", loss="ce", label_smoothing=0.0, epochs=1)
    fit("soft", loss="ce", label_smoothing=0.4, epochs=1)
    names = ("sharp", "plain", "soft")
    losses = [float(history(name)[0]["train_loss"]) for name in names]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[2] != pytest.approx(losses[1], rel=1e-3)
    with pytest.raises(UsageError) as refusal:
        fit("wrong", loss="ce", gamma=2.0)
    assert str(refusal.value) == (
        "the loss 'ce' has no use for --gamma; of such options it takes --label-smoothing, "
        "--balance weights"
    )
