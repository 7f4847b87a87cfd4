"""Multi-label grades against scikit-learn, whatever the form of the answers and the submission."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

from comptool.errors import InputError, UsageError
from comptool.metrics import METRICS
from comptool.reports.score import grade

CLASSES = ["sea", "golf course", "roof, tiled", "quay/pier", "Österreich"]
IDS = [f"{number:03}" for number in range(80)]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cells() -> np.ndarray:
    """Truth of 80 images, of which the last class has no present cell."""
    return (np.random.default_rng(0).random((80, 5)) < [0.5, 0.3, 0.1, 0.2, 0]).astype(int)


@pytest.fixture
def p() -> np.ndarray:
    return np.random.default_rng(1).random((80, 5)).round(2)


def write(name: str, header: list[str], rows) -> Path:
    with Path(name).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return Path(name)


def table(name: str, values, classes=CLASSES, **columns) -> Path:
    """Ids and one column per class."""
    more = list(zip(*columns.values(), strict=True)) or [()] * len(IDS)
    rows = [[i, *row, *m] for i, row, m in zip(IDS, values.tolist(), more, strict=True)]
    return write(name, ["id", *classes, *columns], rows)


TWINS = {
    "map": lambda y, p: sk.average_precision_score(y, p, average="macro"),
    "micro-map": lambda y, p: sk.average_precision_score(y, p, average="micro"),
    "auc": lambda y, p: sk.roc_auc_score(y, p, average="macro"),
    "macro-f1": lambda y, p: sk.f1_score(y, p > 0.5, average="macro"),
    "micro-f1": lambda y, p: sk.f1_score(y, p > 0.5, average="micro"),
    "f-beta": lambda y, p: sk.fbeta_score(y, p > 0.5, beta=2, average="samples", zero_division=0),
}


@pytest.mark.parametrize("metric", TWINS)
def test_every_metric_is_that_of_its_twin_on_both_parts(cells, p, metric):
    answers = table("answers.csv", cells[:, :4], CLASSES[:4])
    submission = table("s.csv", p[:, :4], CLASSES[:4])
    found = grade(submission, answers, metric=metric, public=0.5)
    shown = np.isin(IDS, [i for i in IDS if grade_of_one(i)])
    for value, rows in ((found.public, shown), (found.private, ~shown)):
        assert value == pytest.approx(TWINS[metric](cells[rows, :4], p[rows, :4]), rel=1e-9)
    assert found.metrics()[metric] == pytest.approx(TWINS[metric](cells[:, :4], p[:, :4]))
    assert set(found.metrics()) == {e.name for e in METRICS["multilabel"] if not e.takes}


def grade_of_one(identity: str) -> bool:
    """Whether an id is in the public half, by grading it alone."""
    answers = write("one.csv", ["id", "a", "b"], [[identity, 1, 0]])
    submission = write("one_s.csv", ["id", "a", "b"], [[identity, 1, 0]])
    return grade(submission, answers, public=0.5).num_public == 1


def test_unknown_cells_and_classes_without_a_positive_count_nowhere(cells, p):
    cells[::3, 0] = -1
    blank = cells.astype(object)
    blank[1::3, 1] = ""
    cells[1::3, 1] = -1
    found = grade(table("s.csv", p), table("answers.csv", blank), public=0)
    wanted = [
        sk.average_precision_score(cells[known, k], p[known, k])
        for k, known in enumerate((cells != -1).T)
        if k < 4
    ]
    assert found.private == pytest.approx(np.mean(wanted))
    assert found.left_out == {"private": ["Österreich"]}
    assert found.notes()[1] == (
        "without a present cell, so left out of map and auc: private 'Österreich'"
    )


def test_the_order_of_rows_and_of_class_columns_changes_nothing(cells, p):
    answers = table("answers.csv", cells)
    first = grade(table("s.csv", p), answers)
    turned = table("t.csv", p[:, ::-1], CLASSES[::-1])
    header, *lines = turned.read_text().splitlines()
    turned.write_text("\n".join([header, *reversed(lines)]) + "\n")
    assert (grade(turned, answers).public, grade(turned, answers).private) == (
        first.public,
        first.private,
    )


@pytest.mark.parametrize("joined", [True, False])
def test_lists_of_classes_are_graded_by_metrics_of_answers(cells, p, joined):
    names = ["sea", "pier", "roof"]

    def lists(name: str, chosen) -> Path:
        rows = [[i, " ".join(np.array(names)[row])] for i, row in zip(IDS, chosen, strict=True)]
        return write(name, ["id", "labels"], rows)

    truth, chosen = cells[:, :3] == 1, p[:, :3] > 0.4
    answers = lists("a.csv", truth) if joined else table("a.csv", truth.astype(int), names)
    if joined:
        Path("comptool.toml").write_text(
            'task = "multilabel"\nmetric = "micro-f1"\n[data]\ntrain = "a.csv"\nid = "id"\n'
            'label = "labels"\n[modalities]\nimage = "{id}.png"\n'
        )
    submission = lists("s.csv", chosen)
    found = grade(submission, answers, metric="micro-f1", public=0)
    assert found.private == pytest.approx(sk.f1_score(truth, chosen, average="micro"))
    assert set(found.metrics()) == {"macro-f1", "micro-f1", "f-beta"}
    with pytest.raises(UsageError) as error:
        grade(submission, answers, metric="map")
    assert str(error.value) == "map needs probabilities, and s.csv holds lists of classes"


def test_answers_of_ones_and_zeros_are_graded_as_they_are(cells, p):
    chosen = (p > 0.6).astype(int)
    found = grade(table("s.csv", chosen), table("a.csv", cells), metric="macro-f1", public=0)
    assert not cells[:, 4].any()
    # The class without a present cell counts 0.
    assert found.private == pytest.approx(
        sk.f1_score(cells, chosen, average="macro", zero_division=0)
    )


def test_an_out_of_fold_file_is_graded_on_the_rows_that_it_has(cells, p):
    train = table("folds.csv", cells, img_path=[f"{i}.png" for i in IDS], fold=[0] * len(IDS))
    rows = [[IDS[row], 0, *p[row]] for row in range(10, 50)]
    found = grade(write("oof.csv", ["id", "fold", *CLASSES], rows), train)
    wanted = sk.average_precision_score(cells[10:50, :4], p[10:50, :4])
    assert found.private == pytest.approx(wanted)
    assert str(found) == f"map  {wanted:.5f} (40 out-of-fold rows)"


def test_a_column_of_the_answers_says_which_part_a_row_is_in(cells, p):
    usage = ["Public", "Private"] * 40
    found = grade(table("s.csv", p), table("a.csv", cells, Usage=usage))
    assert (found.num_public, found.num_private) == (40, 40)
    assert found.public == pytest.approx(sk.average_precision_score(cells[::2, :4], p[::2, :4]))


def test_classes_and_metric_are_those_of_the_record(cells, p):
    Path("cup").mkdir()
    answers = table("cup/answers.csv", cells, other=[1] * len(IDS))
    Path("cup.meta.json").write_text(
        json.dumps({"facts": {"task": "multilabel", "metric": "auc", "classes": CLASSES}})
    )
    found = grade(table("s.csv", p), answers)
    assert (found.metric, found.classes) == ("auc", tuple(CLASSES))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.replace("golf course", "golf"), "s.csv: its class columns are not those of "
         "the answers: golf, quay/pier, roof, tiled, sea, Österreich against golf course, "
         "quay/pier, roof, tiled, sea, Österreich. Its layout is that of the sample submission: "
         "comptool submit"),
        (lambda s: s.replace("\n001,", "\nx,"), "s.csv: its ids are not those of a.csv: 1 ids are "
         "missing: '001'; 1 ids are not asked for: 'x'"),
        (lambda s: s.replace("\n001,", "\n001,1"), "s.csv, row 2, column 'sea': is not a "
         "probability between 0 and 1 (found '10.42'). Logits or scores have to be turned into "
         "probabilities (softmax) first"),
    ],
)  # fmt: skip
def test_a_submission_that_cannot_be_graded_is_told_why(cells, p, change, message):
    p[1, 0] = 0.42
    submission = table("s.csv", p)
    submission.write_text(change(submission.read_text()))
    with pytest.raises(InputError) as error:
        grade(submission, table("a.csv", cells))
    assert str(error.value) == message


def test_a_cell_of_the_answers_that_is_no_label_is_named(cells, p):
    answers = cells.astype(object)
    answers[3, 1] = "2"
    Path("cup").mkdir()
    Path("cup.meta.json").write_text(
        json.dumps({"facts": {"task": "multilabel", "classes": CLASSES}})
    )
    with pytest.raises(InputError) as error:
        grade(table("s.csv", p), table("cup/a.csv", answers))
    assert str(error.value) == (
        "cup/a.csv, row 4, column 'golf course': a label is 1 (present), 0 (absent), -1 or blank "
        "(not annotated) (found '2')"
    )


def test_a_metric_that_there_is_not_is_told(cells, p):
    with pytest.raises(UsageError, match="did you mean 'map'"):
        grade(table("s.csv", p), table("a.csv", cells), metric="mapp")
