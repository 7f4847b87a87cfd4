"""A metric with options selects the checkpoint, and the run keeps what it was selected by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from comptool.io.predictions import read_predictions
from comptool.io.runs import read_header
from comptool.io.tables import read_table

COSTS = np.array([[0, 3, 2], [4, 0, 9], [1, 5, 0]])


def write_costs(costs) -> None:
    lines = [["true", *"abc"], *([name, *row] for name, row in zip("abc", costs, strict=True))]
    Path("data/cost.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in lines))


def mean_cost(costs) -> float:
    held = read_predictions(Path("weights/run/oof.csv"))
    labels = read_table(Path("folds.csv")).set_index("id")["y"]
    true = ["abc".index(labels[name]) for name in held.ids]
    return float(np.mean(costs[true, held.probabilities.argmax(axis=1)]))


def test_a_run_is_selected_resumed_and_augmented_by_the_options_of_its_metric(chain, invoked):
    write_costs(COSTS)
    toml = Path("comptool.toml").read_text().replace('"accuracy"', '"expected-cost"')
    Path("comptool.toml").write_text(f'{toml}[metric-options]\ncost = "cost.csv"\n')
    tiny = ("--model", "test_efficientnet-dual", "--pretrained", "no", "--img-size", "32")
    train = ("train", *tiny, "-j", "0", "-b", "8", "--fold", "0")
    growing = ("--epochs", "2", "--schedule", "constant", "--warmup-epochs", "0")
    done = invoked(*train, "--run-name", "run", *growing, "--json", "-q")
    assert done.exit_code == 0, done.output
    header = read_header(Path("weights/run"))
    assert header.metric == "expected-cost"
    assert header.metric_options == {"cost": COSTS.astype(float).tolist()}
    assert json.loads(done.stdout)["score"] == pytest.approx(mean_cost(COSTS))

    # Later costs are of the competition, not of the run.
    write_costs(COSTS * 10)
    resumed = invoked("train", "--run-name", "run", "--resume", "--epochs", "3", "-q")
    assert resumed.exit_code == 2
    assert resumed.stderr == (
        "comptool train: a resumed run keeps its settings; weights/run was begun with other "
        "[metric-options] in comptool.toml\n"
    )
    views = invoked("tta", "run", "--transforms", "flips", "-j", "0", "-o", "new.csv", "-q")
    assert views.exit_code == 0, views.output
    record = json.loads(Path("new.csv.meta.json").read_text())["facts"]
    assert record["evidence"]["metric"] == "expected-cost"
    assert record["evidence"]["plain"] == pytest.approx(mean_cost(COSTS))
