"""The metric that a text beside the data names, and the task that it and the labels stand for."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from comptool.competition.label_columns import is_joined
from comptool.competition.organiser_text import named_metric
from comptool.io.tables import read_table
from comptool.submission.form_choice import read_layout


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("## Evaluation\n\nThe quadratic weighted kappa decides.", ("quadratic-kappa",)),
        ("Submissions are evaluated on the area under the ROC curve.", ("auc",)),
        ("### **Evaluation**\nWe use mean columnwise [ROC AUC](http://x.y).", ("auc",)),
        ("# Metric\nMulti-class log loss", ("logloss",)),
        ("Entries are scored by their micro averaged\xa0[F1 score](x).", ("micro-f1", "accuracy")),
        ("# Evaluation\nmacro-averaged F1", ("macro-f1",)),
        ("# Evaluation\nMean Average Precision @ 5 (MAP@5)", ("map@5",)),
        ("# Evaluation\nTop-3 accuracy counts.", ("accuracy@3",)),
        ("# Evaluation\nRoot mean squared error (RMSE)", ("rmse",)),
        ("# Evaluation\nmean absolute error", ("mae",)),
        ("# Evaluation\nSpearman's rank correlation", ("spearman",)),
        ("# Evaluation\nweighted multi-label logarithmic loss", ("weighted-logloss",)),
        ("# Evaluation\nprobabilistic F1 score (pF1)", ("pf1",)),
        # A metric of another field is not mistaken for the word that follows.
        ("# Evaluation\nThe Dice coefficient, which is an F1 score of pixels", ()),
        ("# Evaluation\nLaplace log likelihood, for accuracy and confidence", ()),
        ("# Evaluation\nroot mean squared logarithmic error", ()),
        # What stands before the heading, or under the next one, is not the metric.
        ("AUC was used last year.\n# Evaluation\nCategorization accuracy.", ("accuracy",)),
        ("# Evaluation\nSee below.\n# Submission File\nwith accuracy of five digits", None),
        ("Predict which plants are ill, with the best accuracy.", None),
        # Words and names that hold the letters of a metric.
        ("# Evaluation\nRow indices are ids.", None),
        ("# Evaluation\nEach map tile is an image.", None),
        ("# Evaluation\nThe R2 bucket holds the files.", None),
        ("# Evaluation\nThe R2 bucket holds the files. R2 decides.", ("r2",)),
        ("# Evaluation\nThe mAP decides.", ("map",)),
        ("# Evaluation\nmean average precision at several IoU thresholds", ()),
        ("# Evaluation\nquadratic kappa", ("quadratic-kappa",)),
        ("# Evaluation\nmean squared error, then RMSE", ()),
        ("# Evaluation\nRMSE, that is the root of the mean squared error", ("rmse",)),
        ("Entries are evaluated by Brier score, then log loss.", ()),
        ("The Brier score was used last year.\nEntries are ranked by log loss.", ("logloss",)),
        ("# Evaluation\nweighted kappa with quadratic weights", ("quadratic-kappa",)),
        ("# Evaluation\nCohen's kappa, weighted quadratically", ("quadratic-kappa",)),
        ("# Evaluation\nCohen's kappa with linear weights", ("linear-kappa",)),
        ("# Evaluation\nweighted kappa", ()),
        ("# Evaluation\nweighted F1", ()),
        ("# Evaluation\nF1 score (weighted)", ()),
        # What a text denies, and what it mentions before it says what counts.
        ("Submissions are not evaluated on accuracy but on log loss.", ("logloss",)),
        ("Submissions are ranked by AUC rather than macro F1.", ("auc",)),
        ("# Metric\nNot macro F1, but QWK", ("quadratic-kappa",)),
        ("# Metric\nThe AUC was used last year. Entries are ranked by log loss.", ("logloss",)),
    ],
)
def test_a_text_names_the_metric(text, names):
    found = named_metric(text)
    assert (None if found is None else found[1]) == names


@pytest.fixture
def made(tmp_path, write, rows):
    """A download with a label template, a sample answer, and a description."""

    def make(label: str, answer: str = "0", text: str = ""):
        names = [f"{n}.png" for n in range(40)]
        folder = write(
            tmp_path,
            *names,
            train=rows("id,y", "{n}," + label, range(30)),
            sample=rows("id,y", "{n}," + answer, range(30, 40)),
        )
        if text:
            (folder / "description.md").write_text(f"## Evaluation\n{text}\n")
        return folder

    return make


@pytest.mark.parametrize(
    ("label", "answer", "text", "task", "metric"),
    [
        ("{third}", "0", "quadratic weighted kappa", "ordinal", "quadratic-kappa"),
        ("{third}", "0", "root mean squared error", "regression", "rmse"),
        ("{n}.5", "0", "", "regression", None),
        ("a{third};b{even}", "a0", "mean F1-score", "multilabel", "samples-f-beta@1"),
        ("{n}", "17.25", "", "regression", None),
        ("{even}", "0.5", "", "multiclass", "auc"),
        ("{even}", "0.5", "log loss", "multiclass", "logloss"),
        ("{even}", "1", "", "multiclass", "accuracy"),
        ("c{third}", "c0;c1;c2", "", "multiclass", "map@3"),
        ("c{third}", "c0", "quadratic weighted kappa", "multiclass", None),
        ("c{third}", "c0 c1 c2", "", "multiclass", "map@3"),
        ("c{third}", "c0", "mean F1-score", "multiclass", "accuracy"),
        ("c{third} c{even}", "c0", "micro F1", "multiclass", "micro-f1"),
        ("c{third}|d{even}", "c0", "macro F1", "multilabel", "macro-f1"),
        ("\"['c{third}', 'd{even}']\"", "c0", "macro F1", "multilabel", "macro-f1"),
    ],
)
def test_labels_and_metric_tell_the_task(made, detect, label, answer, text, task, metric):
    found = detect(made(label, answer, text))
    assert found.task == task
    assert metric is None or found.metric == metric
    if text and found.metric == metric:
        assert any(one.startswith(f"metric: {metric} (description.md: ") for one in found.findings)


@pytest.mark.parametrize(
    ("cells", "joined"),
    [
        (["bear, black", "bear, brown", "fox"], False),
        (["bear, black", "bear, brown", "bear"], False),
        (["bear, black", "bear", "black"], True),
        (["bear, fox", "bear, owl", "fox, owl"], True),
        (["bear; fox", "bear"], True),
    ],
)
def test_commas_join_labels_that_recur(cells, joined):
    train = pd.DataFrame({"id": ["1", "2", "3"][: len(cells)], "y": cells}, dtype=object)
    assert is_joined(train, pd.DataFrame(), "y") == joined


@pytest.mark.parametrize(("more", "task"), [([], "multiclass"), ([(0, 1)], "multilabel")])
def test_names_of_coco_have_commas_in_them(tmp_path, write, detect, more, task):
    write(tmp_path, *(f"{n}.png" for n in range(9)))
    names = ["bear, black", "bear, brown", "bear", "black"]
    (tmp_path / "train.json").write_text(
        json.dumps(
            {
                "images": [{"id": n, "file_name": f"{n}.png"} for n in range(9)],
                "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
                "annotations": [
                    {"image_id": image, "category_id": kind}
                    for image, kind in [*((n, n % 4) for n in range(9)), *more]
                ],
            }
        )
    )
    for label in ({}, {"label": "category_name"}):
        assert detect(tmp_path, **label).task == task


def test_a_metric_that_comptool_lacks_is_told(made, detect):
    found = detect(made("c{third}", "c0", "the Dice coefficient"))
    assert (
        "description.md names 'Dice', which comptool does not have for this task"
    ) in found.findings
    assert found.metric == "accuracy"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mean average precision", "names 'mean average precision', which comptool does not have"),
        ("weighted log loss", "names 'weighted log loss': weighted-logloss needs 'class-weights'"),
    ],
)
def test_a_metric_that_the_task_cannot_have_is_told_and_init_goes_on(comptool, made, text, said):
    made("c{third}", "c0", text)
    told = comptool("init").stderr
    assert f"description.md {said}" in told
    assert "assumed: the metric is accuracy" in told


def test_init_asks_for_the_metric_in_its_last_line(comptool, made):
    asked = "Which metric does the organiser rank by? Name it with --metric\n"
    made("{third}")
    assert comptool("init").stderr.endswith(asked)
    assert asked not in comptool("init", "--force", "--metric", "accuracy").stderr
    made("{third}", text="categorization accuracy")
    assert asked not in comptool("init", "--force").stderr


def test_a_metric_that_is_given_tells_the_task_as_well(made, detect):
    folder = made("{third}", text="categorization accuracy")
    assert detect(folder, metric="quadratic-kappa").task == "ordinal"
    assert detect(folder, metric="rmse").task == "regression"
    assert detect(folder, metric="rmse", task="ordinal").task == "ordinal"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Entries are ranked by log loss. Ties are broken by accuracy.",
         "metric: logloss (description.md: 'log loss'); assumed: logloss, not 'by accuracy'; to "
         "take that, --metric accuracy"),
        # One metric by two words; one that the task does not have; one that is denied.
        ("Entries are ranked by AUC, the area under the ROC curve.", "metric: auc (description.md: "
         "'AUC')"),
        ("Entries are ranked by AUC. The RMSE is shown, too.",
         "metric: auc (description.md: 'AUC')"),
        ("Entries are ranked by AUC, not by accuracy.", "metric: auc (description.md: 'AUC')"),
        ("Entries are evaluated by Brier score, then log loss.",
         "description.md names 'Brier score', which comptool does not have for this task; it names "
         "'log loss' after that; to take that, --metric logloss"),
    ],
)  # fmt: skip
def test_a_second_metric_of_a_text_is_named_with_its_option(made, detect, text, said):
    assert said in detect(made("{even}", "0.5", text)).findings


def test_one_decimal_among_whole_numbers_is_a_probability(tmp_path, write, rows, detect):
    """For the metric that is assumed, and for the form of the answers."""
    answers = ["0.5", "0", "1"]
    sample = "id,y\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(answers, 30))
    names = [f"{n}.png" for n in range(33)]
    found = detect(
        write(tmp_path, *names, train=rows("id,y", "{n},{even}", range(30)), sample=sample)
    )
    assert found.metric == "auc"
    table = read_table(found.sample_submission)
    assert read_layout(table, ["0", "1"], "multiclass").form.name == "probability"
