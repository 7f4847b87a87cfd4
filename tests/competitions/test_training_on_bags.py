"""Training on bags (``--bag-size``), through every command that a run goes through."""

from __future__ import annotations

import json
import signal
import sys
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from comptool.competition.config import load
from comptool.io import provenance
from comptool.io.provenance import PredictionFacts
from comptool.io.runs import read_header
from comptool.models.checkpoint_file import load_checkpoint
from comptool.postprocess.oof import own_evidence
from comptool.training.train_step import TrainStep

sys.path.insert(0, str(Path(__file__).parent))
from layouts import paired_views

TINY = ("--model", "test_efficientnet", "--pretrained", "no", "--img-size", "32", "--epochs", "1",
        "--batch-size", "8", "--workers", "0", "--quiet")  # fmt: skip


def invoke(*arguments: object):
    app = import_module("comptool.commands.app").app
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run(*arguments: object):
    done = invoke(*arguments)
    assert done.exit_code == 0, (arguments, done.stderr, done.exception)
    return done


def refused(code: int, *arguments: object) -> str:
    done = invoke(*arguments)
    assert done.exit_code == code, (arguments, done.stderr, done.exception)
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Pairs of views with folds, and a run over two folds that has learnt attention."""
    folder = tmp_path_factory.mktemp("bags")
    paired_views(folder / "data").to_csv(folder / "answers.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("init", "data", "--name", "mine")
        run("split", "--folds", "2")
        run("train", *TINY, "--fold", "all", "--bag-size", "2", "--pool", "attention",
            "--run-name", "net")  # fmt: skip
    return folder


@pytest.fixture
def chain(place, tmp_path, monkeypatch) -> Path:
    """It as the working directory; runs and outputs of a test have names of their own."""
    monkeypatch.chdir(place)
    return tmp_path


def read(path: str | Path) -> pd.DataFrame:
    table = pd.read_csv(path)
    return table.set_index(table.columns[0])


def attended_by_hand(folder: str, ids: list[str], table: str) -> pd.Series:
    """Class '1' of bags, by a network of the checkpoint on one image after the other."""
    import torch

    from comptool.competition.samples import read_samples
    from comptool.data.dataset import SampleDataset
    from comptool.training.validate import InputTransform

    model, header = load_checkpoint(Path(folder))
    samples = read_samples(Path(table), load(), labelled=False)
    data = SampleDataset(
        samples, None, sizes=header.img_size, channels=header.channels, bits=header.bits
    )
    see = InputTransform.of(header, torch.device("cpu"), channels_last=False).see
    with torch.no_grad():
        outputs = [model(*see(data.collate([data[row]]).images))[0] for row in range(len(data))]
    bags, found = samples.frame[samples.bag].tolist(), {}
    for bag in ids:
        own = torch.stack([one for one, name in zip(outputs, bags, strict=True) if name == bag])
        logits = own[:, 2].softmax(dim=0) @ own[:, :2]
        found[bag] = float(logits.softmax(dim=0)[1])
    return pd.Series(found)


def test_predictions_by_attention_are_those_of_the_network_by_hand(chain):
    run("infer", "net", "-j", "0", "-o", chain / "bags.csv")
    found = read(chain / "bags.csv")
    assert found.index.tolist() == pd.read_csv("data/sample_submission.csv").iloc[:, 0].tolist()
    parts = [
        attended_by_hand(f"weights/net/fold-{fold}", found.index.tolist(), "data/test.csv")
        for fold in (0, 1)
    ]
    np.testing.assert_allclose(found["1"], (parts[0] + parts[1]) / 2, atol=1e-5)
    recorded = provenance.facts(chain / "bags.csv", PredictionFacts)
    assert (recorded.pool, recorded.images) == ("attention", 40)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_parts_of_a_bag_give_what_the_whole_gives(chain, backend, monkeypatch):
    run("infer", "net", "-j", "0", "--backend", backend, "-o", chain / "whole.csv")
    monkeypatch.setattr("comptool.inference.infer.ROWS_WRITTEN", 3)
    run("infer", "net", "-j", "0", "--backend", backend, "-b", "1", "-o", chain / "parts.csv")
    pd.testing.assert_frame_equal(read(chain / "whole.csv"), read(chain / "parts.csv"), atol=1e-5)


def test_out_of_fold_rows_are_bags_by_attention_and_those_of_images_stand_beside_them(chain):
    bags, images = read("weights/net/oof.csv"), pd.read_csv("weights/net/oof_images.csv")
    assert (len(bags), len(images)) == (40, 80)
    for fold in (0, 1):
        held = bags[bags["fold"] == fold]
        expected = attended_by_hand(f"weights/net/fold-{fold}", held.index.tolist(), "folds.csv")
        np.testing.assert_allclose(held["1"], expected, atol=1e-5)
    recorded = provenance.facts(Path("weights/net/oof.csv"), PredictionFacts)
    assert (recorded.pool, recorded.images) == ("attention", 80)
    figures = json.loads(run("evaluate", "net", "--json", "--bootstrap", "0").stdout)
    record = json.loads(Path("weights/net/run.json").read_text())
    assert figures["rows"] == 40
    assert figures["figures"]["auc"]["value"] == pytest.approx(record["score"])


def test_the_checkpoint_says_how_it_was_trained(chain):
    header = read_header(Path("weights/net/fold-0"))
    assert (header.arguments["bag_size"], header.arguments["pool"]) == (2, "attention")
    assert header.model.options["attention"] is True
    assert sum(header.trained_counts.values()) == 20  # bags


def test_the_chain_from_prediction_to_the_score(chain):
    run("infer", "net", "-j", "0")
    run("tta", "net", "-j", "0")
    evidence = pd.read_csv("submissions/oof_preds_tta.csv")
    assert len(evidence) == 40
    assert len(own_evidence(None, provenance.facts(Path("submissions/preds.csv"), PredictionFacts),
                            load())) == 40  # fmt: skip
    run("ensemble", "submissions/preds.csv", "submissions/preds_tta.csv")
    run("recalibrate", "submissions/ensemble.csv", "--method", "temperature")
    run("pseudolabel", "submissions/preds.csv", "--threshold", "0.4")
    assert len(pd.read_csv("pseudo.csv")) % 2 == 0
    run("train", *TINY, "--bag-size", "2", "--extra", "pseudo.csv", "--dry-run", "--run-name", "b")
    run("submit")
    scored = run("score", "submissions/mine.csv", "--answers", "answers.csv")
    assert "auc" in scored.stdout + scored.stderr
    run("review", "net")
    run("features", "net")


def test_a_plain_view_alone_gives_what_infer_gives(chain):
    (chain / "views.json").write_text('["identity"]')
    run("infer", "net", "-j", "0", "-o", chain / "one.csv")
    run("tta", "net", "-j", "0", "--transforms", chain / "views.json", "-o", chain / "two.csv")
    pd.testing.assert_frame_equal(read(chain / "one.csv"), read(chain / "two.csv"), atol=1e-6)
    held = read(chain / "oof_two.csv")
    own = read("weights/net/oof.csv").loc[held.index]
    np.testing.assert_allclose(held["1"], own["1"], atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "max", "noisy-or"])
def test_a_run_by_another_pool_is_validated_as_it_predicts(chain, pool):
    run("train", *TINY, "--bag-size", "2", "--pool", pool, "--run-name", pool, "--force")
    run("infer", pool, "-j", "0", "-o", chain / "a.csv", "--test", "folds.csv")
    held = read(f"weights/{pool}/oof.csv")
    np.testing.assert_allclose(held["1"], read(chain / "a.csv").loc[held.index]["1"], atol=1e-5)
    run("infer", pool, "-j", "0", "--pool", "mean", "-o", chain / "mean.csv")
    facts = provenance.facts(chain / "mean.csv", PredictionFacts)
    rows = own_evidence(None, facts, load()).predictions
    images = pd.read_csv(f"weights/{pool}/oof_images.csv", dtype={"image_id": str})
    bag = pd.read_csv("folds.csv", dtype=str).set_index("image_id")["bag"]
    expected = images["1"].groupby(images["image_id"].map(bag)).mean()
    np.testing.assert_allclose(rows.probabilities[:, 1], expected.loc[rows.ids], atol=1e-6)


def test_stages_start_from_a_run_on_images_and_count_bags(chain):
    run("train", *TINY, "--run-name", "images", "--force")
    done = run("train", *TINY[:-1], "--bag-size", "2", "--pool", "attention", "--init-from",
               "images", "--per-class", "15", "--freeze", "backbone", "--balance", "weights",
               "--run-name", "stage", "--force")  # fmt: skip
    assert "15 bags of each of 2 classes" in done.stderr
    assert "60 rows in 30 bags to train on" in done.stderr
    assert read_header(Path("weights/stage")).trained_counts == {"0": 15, "1": 15}
    says = refused(2, "train", *TINY, "--bag-size", "2", "--pool", "attention", "--init-from",
                   "images", "--freeze", "head", "--run-name", "frozen")  # fmt: skip
    assert "--freeze head would keep a random attention" in says


def test_a_stopped_run_goes_on_bit_for_bit(chain, monkeypatch):
    asked = (*TINY, "--bag-size", "1", "--pool", "attention", "--augment", "weak", "--grad-accum",
             "2", "--batch-size", "2")  # fmt: skip
    run("train", *asked, "--run-name", "whole", "--force")
    call, calls = TrainStep.__call__, []

    def stopped(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return call(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainStep, "__call__", stopped)
        assert invoke("train", *asked, "--run-name", "broken", "--force").exit_code == 130
    run("train", "--run-name", "broken", "--resume", "--quiet")
    whole, broken = (
        load_checkpoint(Path(f"weights/{name}"))[0].state_dict() for name in ("whole", "broken")
    )
    assert len(calls) == 3
    assert all(bool((whole[name] == broken[name]).all()) for name in whole)
    assert Path("weights/whole/oof.csv").read_text() == Path("weights/broken/oof.csv").read_text()


REFUSED = {
    ("--bag-size", "0"): "bag-size",
    ("--pool", "attention"): "--pool attention learns to weigh the images of a bag, which needs "
    "training on bags; add --bag-size IMAGES",
    ("--bag-size", "2", "--mixup", "0.2"): "--mixup mixes one image with one other, and with "
    "--bag-size a sample is a bag of several; leave it out",
    ("--bag-size", "2", "--balanced-mixup", "0.2"): "--balanced-mixup mixes one image",
    ("--bag-size", "9"): "--batch-size 8 holds no bag of --bag-size 9 images; take --batch-size 9",
    ("--bag-size", "2", "--pool", "attention", "--model", "test_efficientnet+cosine"): "--pool "
    "attention goes with the head linear, whose logits of a mean are the mean of logits; take "
    "'test_efficientnet'",
}


@pytest.mark.parametrize("options", REFUSED)
def test_what_does_not_fit_together(chain, options):
    done = invoke("train", *TINY, *options, "--run-name", "never")
    assert done.exit_code == 2
    assert REFUSED[options] in " ".join(done.stderr.split())
    assert not Path("weights/never").exists()


def test_a_bag_size_without_bags(chain, monkeypatch):
    monkeypatch.setenv("COMPTOOL_BAG", "")
    assert refused(2, "train", *TINY, "--bag-size", "2", "--run-name", "never") == (
        "comptool train: --bag-size is for several images per answer, and comptool.toml names no "
        "'bag' (init --bag COLUMN)"
    )


def test_attention_is_not_a_way_to_pool_what_has_not_learnt_it(chain):
    run("train", *TINY, "--run-name", "plain", "--force")
    says = refused(2, "infer", "plain", "--pool", "attention", "-o", chain / "x.csv")
    assert "--pool attention is learnt in training, and weights/plain has not" in says
    says = refused(2, "infer", "net", "--pool", "max", "-o", chain / "x.csv")
    assert "weights/net/fold-0 has learnt to pool by attention" in says
    says = refused(2, "tta", "net", "plain", "-o", chain / "x.csv")
    assert "weights/net/fold-0 pools by attention and weights/plain does not" in says
    run("infer", "net", "-j", "0", "--pool", "none", "-o", chain / "images.csv")
    assert len(pd.read_csv(chain / "images.csv")) == 40


def test_a_batch_of_one_image_where_normalisation_needs_two(chain):
    says = refused(2, "train", *TINY, "--bag-size", "1", "--batch-size", "1", "--run-name", "never")
    assert "cannot learn from batches of one image; take a --batch-size of 2 or more" in says


def chips(folder: Path, name: str, count: int, random: np.random.Generator) -> pd.DataFrame:
    """Bags of four chips; in every second bag one chip has a bright square."""
    for number in range(count):
        found = random.integers(4) if number % 2 else -1
        for image in range(4):
            chip = random.integers(0, 90, (32, 32), dtype=np.uint8)
            y, x = random.integers(2, 20, 2)
            height, width = (9, 9) if image == found else (3, 3)
            chip[y : y + height, x : x + width] = 230
            path = folder / f"{name}_images/{name}{number}/{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), chip)
    return pd.DataFrame({"id": [f"{name}{n}" for n in range(count)], "found": np.arange(count) % 2})


@pytest.fixture(scope="module")
def needles(tmp_path_factory) -> Path:
    folder, random = tmp_path_factory.mktemp("needles"), np.random.default_rng(0)
    data = folder / "data"
    chips(data, "train", 96, random).to_csv(data / "train.csv", index=False)
    test = chips(data, "test", 8, random)
    test[["id"]].to_csv(data / "test.csv", index=False)
    test.assign(found=0.5).to_csv(data / "sample_submission.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("init", "data", "--metric", "auc")
        run("split", "--val", "0.33")
    return folder


@pytest.mark.parametrize("pool", ["max", "attention"])
def test_one_image_of_a_bag_is_found(needles, monkeypatch, pool):
    monkeypatch.chdir(needles)
    run("train", *TINY, "--epochs", "8", "--batch-size", "32", "--bag-size", "4", "--pool", pool,
        "--run-name", pool)  # fmt: skip
    assert json.loads(Path(f"weights/{pool}/run.json").read_text())["score"] > 0.9
