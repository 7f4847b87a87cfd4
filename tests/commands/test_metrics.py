"""``comptool metrics``, and a metric with options or of a user's tables in all that score rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from comptool import metrics, tasks
from comptool.competition.config import load
from comptool.errors import UsageError
from comptool.io.predictions import read_predictions
from comptool.io.tables import read_table

# Named in another order than the classes.
COST = "true,c,a,b\nc,0,1,5\na,2,0,3\nb,9,4,0\n"
IN_ORDER = np.array([[0, 3, 2], [4, 0, 9], [1, 5, 0]])
KAGGLE = '''
def score(solution, submission, row_id_column_name, wrong: float = 1.0):
    """Mean cost of a wrong class; the columns are those of the sample submission."""
    assert list(solution.columns) == list(submission.columns) == [row_id_column_name, "y"]
    return wrong * (solution["y"] != submission["y"]).mean()

score.greater_is_better = False
score.reads = "classes"
'''


def test_each_metric_is_one_line_with_its_tasks_and_direction(comptool):
    result = comptool("metrics")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == [row.name for row in metrics.listing()]
    for task in tasks.names():
        assert tasks.find(task).default_metric in metrics.METRICS[task].names
    by_name = {line[0]: line for line in lines}
    summary = (
        "Mean cost of the answers by a matrix. [Elkan 2001, The Foundations of Cost-Sensitive "
    )
    expected = f"multiclass, ordinal lower {summary}Learning]"
    assert by_name["expected-cost"][1:] == expected.split()
    assert by_name["spearman"][1:3] == ["regression", "higher"]


def test_the_metrics_of_a_task_as_json(comptool):
    listed = json.loads(comptool("metrics", "--task", "multilabel", "--json").stdout)["metrics"]
    assert [row["name"] for row in listed] == [r.name for r in metrics.listing("multilabel")]
    (found,) = (row for row in listed if row["name"] == "map@k")
    assert found == {
        "name": "map@k",
        "summary": "Mean over images of the average precision of the k most probable classes.",
        "source": "Kaggle's MAP@k",
        "tasks": ["multilabel"],
        "better": "higher",
        "reads": "ranking",
        "takes": ["k"],
    }


def test_a_metric_by_name_lists_its_options(comptool, put):
    result = comptool("metrics", "samples-f-beta")
    assert result.stdout == (
        "samples-f-beta (multilabel; higher is better, reads classes): Mean over images of the F1 "
        "score at 0.5, or of another 'beta'. [van Rijsbergen 1979]\n"
        "beta: a number above 0 (default: 1)\n"
    )
    # One line for each of its functions, also without options.
    several = "(multilabel; higher is better, reads classes): Mean over classes of the F1 score at "
    assert comptool("metrics", "macro-f1").stdout == (
        "macro-f1 (multiclass, ordinal; higher is better, reads classes): Mean over classes of the "
        f"F1 score. [van Rijsbergen 1979]\nmacro-f1 {several}0.5. [van Rijsbergen 1979]\n"
    )
    assert comptool("metrics", "map@5").stdout.startswith("map@k (multiclass, multilabel, ordinal")
    put("score.py", KAGGLE)
    found = json.loads(comptool("metrics", "score.py:score", "--json").stdout)
    assert found == {"wrong": "may be given"}
    wrong = comptool("metrics", "sample-f-beta")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("comptool metrics: no metric is called 'sample-f-beta'; did ")
    wrong = comptool("metrics", "--task", "multi")
    assert (wrong.exit_code, wrong.stderr[:38]) == (2, "comptool metrics: no task is called 'm")


def test_init_writes_the_options_of_the_metric_and_they_are_read_again(comptool, put, rows):
    put("cost.csv", COST)
    result = comptool(
        "init", "--metric", "expected-cost", "--metric-option", "cost=cost.csv", "--force"
    )
    assert result.exit_code == 0, result.stderr
    text = Path("comptool.toml").read_text()
    assert text.endswith(
        "\n# 'comptool metrics NAME' lists the options of a metric.\n"
        '[metric-options]\ncost = "cost.csv"\n'
    )
    assert load().metric_options == {"cost": "cost.csv"}
    options = ("--metric-option", "class-weights=1,2,0.5", "--force")
    assert comptool("init", "--metric", "weighted-auc", *options).exit_code == 0
    assert load().metric_options == {"class-weights": [1, 2, 0.5]}
    assert load().find_metric().given == {"class_weights": [1, 2, 0.5]}
    # Other metrics have options of their own.
    assert load().find_metric("auc").given == {}


def test_the_environment_overrides_the_options(comptool, put, rows, monkeypatch):
    assert comptool("init", "--metric", "pauc@0.9", "--force").exit_code == 0
    monkeypatch.setenv("COMPTOOL_METRIC", "weighted-logloss")
    monkeypatch.setenv("COMPTOOL_METRIC_OPTIONS", "class-weights=1,2,3")
    assert load().find_metric().record == {"class-weights": [1, 2, 3]}
    monkeypatch.setenv("COMPTOOL_METRIC_OPTIONS", "class-weights")
    with pytest.raises(
        UsageError, match="COMPTOOL_METRIC_OPTIONS gives 'class-weights' as ''; a number"
    ):
        load()


def ranked_by(metric: str, options: str) -> None:
    toml = Path("comptool.toml").read_text().replace('"accuracy"', f'"{metric}"')
    Path("comptool.toml").write_text(f"{toml}\n[metric-options]\n{options}\n")


def mean_cost(costs) -> dict[str, float]:
    """Of the out-of-fold rows of each run, by hand."""
    labels = read_table(Path("folds.csv")).set_index("id")["y"]
    found = {}
    for run in ("run0", "run1"):
        held = read_predictions(Path(f"weights/{run}/oof.csv"))
        true = ["abc".index(labels[name]) for name in held.ids]
        found[run] = costs[true, held.probabilities.argmax(axis=1)].mean()
    return found


@pytest.mark.parametrize("kind", ["matrix", "tables"])
def test_options_reach_all_that_scores_out_of_fold_rows(runs, listing, put, kind):
    comptool = runs.run
    files = runs(skills=(2.0, 0.5))
    put("cost.csv", COST)
    put("score.py", KAGGLE)
    if kind == "matrix":
        name, costs = "expected-cost", IN_ORDER
        ranked_by(name, 'cost = "cost.csv"')
    else:
        name, costs = "score.py:score", 2.5 * (1 - np.eye(3))
        ranked_by(name, "wrong = 2.5")
    expected = mean_cost(costs)
    assert expected["run0"] < expected["run1"]

    found = listing("--sort", "score")
    assert {run: one["local"]["value"] for run, one in found["runs"].items()} == pytest.approx(
        expected
    )
    assert list(found["runs"]) == ["run0", "run1"]  # the lower cost is the better one

    evaluated = json.loads(comptool("evaluate", "run0", "--json").stdout)
    assert evaluated["metric"] == name
    assert evaluated["figures"][name]["value"] == pytest.approx(expected["run0"])
    assert evaluated["figures"][name]["low"] < expected["run0"] < evaluated["figures"][name]["high"]

    searched = comptool("ensemble", *files, "--search", "greedy", "--json")
    assert searched.exit_code == 0, searched.stderr
    document = json.loads(searched.stdout)
    assert (document["metric"], document["alone"]) == (name, pytest.approx([*expected.values()]))
    assert document["in_sample"] <= expected["run0"]

    compared = comptool("recalibrate", files[1], "--compare", "--method", "logit-adjust", "--json")
    assert compared.exit_code == 0, compared.stderr
    (comparison, *_) = json.loads(compared.stdout)["comparisons"]
    assert comparison["metric"] == name


def test_a_submission_of_classes_is_graded_by_the_cost_of_the_competition(runs, put):
    comptool = runs.run
    runs(skills=(2.0,))
    put("cost.csv", COST)
    ranked_by("expected-cost", 'cost = "cost.csv"')
    put("answers.csv", "id,y\n1,a\n2,b\n3,c\n4,b\n")
    put("mine.csv", "id,y\n1,b\n2,c\n3,c\n4,a\n")
    result = comptool("score", "mine.csv", "--answers", "answers.csv", "--public", "0")
    assert result.stdout == f"expected-cost  private {(3 + 9 + 0 + 4) / 4:.5f} (4 rows)\n"
    put("score.py", KAGGLE)
    arguments = ("--answers", "answers.csv", "--public", "0", "--metric", "score.py:score")
    result = comptool("score", "mine.csv", *arguments)
    assert result.stdout == "score.py:score  private 0.75000 (4 rows)\n"
