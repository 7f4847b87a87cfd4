"""score grades whatever submit writes, as the organiser would: the answers are read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from comptool.errors import InputError, UsageError
from comptool.reports.score import grade
from comptool.submission import delivery

IDS = [f"i{number:02}" for number in range(40)]
WORDS = ("ant", "bee", "cow", "doe", "elk", "fox")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def describe(task: str, metric: str, classes, label: str | list[str] = "y", options: str = ""):
    named = [label] if isinstance(label, str) else label
    Path("comptool.toml").write_text(
        f'name = "cup"\ntask = "{task}"\nmetric = "{metric}"\n{options}\n[data]\n'
        f'sample-submission = "sample.csv"\nid = "id"\n'
        f"label = {named if len(named) > 1 else chr(34) + named[0] + chr(34)}\n"
        + (f"classes = {list(classes)}\n" if isinstance(label, str) and len(classes) > 1 else "")
        + '[modalities]\nimage = "{id}.png"\n'
    )


def table(name: str, **columns) -> Path:
    pd.DataFrame(columns).to_csv(name, index=False)
    return Path(name)


def submitted(p: np.ndarray, classes, form: str | None = None) -> Path:
    """What submit writes of these probabilities or numbers."""
    table("preds.csv", id=IDS, **dict(zip(classes, p.T, strict=True)))
    delivery.submit(Path("preds.csv"), delivery.find_target(form=form), Path("s.csv"), force=True)
    return Path("s.csv")


def value(answers: Path, **more) -> float:
    found = grade(Path("s.csv"), answers, public=0, **more)
    assert found.num_private == len(IDS)
    return found.private


def draw(num_classes: int, several: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Truths, and probabilities that favour them."""
    rng = np.random.default_rng(num_classes)
    if several:
        truth = (rng.random((len(IDS), num_classes)) < 0.3).astype(int)
        truth[:num_classes] |= np.eye(num_classes, dtype=int)
        return truth, np.clip(0.4 * truth + rng.random(truth.shape) * 0.6, 0, 1)
    truth = rng.permutation(np.arange(len(IDS)) % num_classes)
    p = rng.dirichlet(np.ones(num_classes), len(IDS)) + 0.3 * np.eye(num_classes)[truth]
    return truth, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [("0", "1"), ("no", "yes")])
@pytest.mark.parametrize("column", ["target", None])
def test_one_probability(classes, column):
    describe("multiclass", "auc", classes)
    table("sample.csv", **{"id": IDS, column or classes[0]: 0})
    truth, p = draw(2)
    submitted(p, classes)
    answers = table("answers.csv", id=IDS, y=np.array(classes)[truth])
    assert value(answers) == pytest.approx(sk.roc_auc_score(truth, p[:, 1]), rel=1e-12)
    assert value(answers, metric="logloss") == pytest.approx(sk.log_loss(truth, p), rel=1e-9)
    # Above one half is an answer.
    assert value(answers, metric="accuracy") == np.mean((p[:, 1] > 0.5) == truth)


def test_true_class_numbers_stand_for_classes_that_are_words():
    describe("multiclass", "auc", ("cat", "dog"))
    table("sample.csv", id=IDS, label=0.5)
    truth, p = draw(2)
    submitted(p, ("cat", "dog"))
    answers = table("answers.csv", id=IDS, label=truth)
    assert value(answers) == pytest.approx(sk.roc_auc_score(truth, p[:, 1]), rel=1e-12)


@pytest.mark.parametrize("cell", ["ant", "0"], ids=["names", "numbers"])
def test_one_class_by_name_or_by_number(cell):
    describe("multiclass", "macro-f1", WORDS)
    table("sample.csv", id=IDS, y=cell)
    truth, p = draw(6)
    submitted(p, WORDS)
    answers = table("answers.csv", id=IDS, y=np.array(WORDS)[truth])
    twin = sk.f1_score(truth, p.argmax(axis=1), average="macro")
    assert value(answers) == pytest.approx(twin, rel=1e-12)
    with pytest.raises(UsageError, match=r"auc needs probabilities, and s\.csv holds one class a"):
        value(answers, metric="auc")


@pytest.mark.parametrize("one_hot_truth", [False, True])
@pytest.mark.parametrize(("metric", "form"), [("logloss", None), ("accuracy", "indicators")])
def test_a_column_per_class(metric, form, one_hot_truth):
    describe("multiclass", metric, WORDS)
    table("sample.csv", id=IDS, **dict.fromkeys(WORDS[::-1], 0))
    truth, p = draw(6)
    submitted(p, WORDS, form)
    if one_hot_truth:
        ones = np.eye(6, dtype=int)[truth]
        answers = table("answers.csv", id=IDS, **dict(zip(WORDS, ones.T, strict=True)))
    else:
        answers = table("answers.csv", id=IDS, y=np.array(WORDS)[truth])
    assert value(answers, metric="accuracy") == np.mean(p.argmax(axis=1) == truth)
    if form is None:
        assert value(answers) == pytest.approx(sk.log_loss(truth, p), rel=1e-9)


def reciprocal_rank(truth: list[str], lists: list[list[str]], k: int) -> float:
    """Said again: one over the place of the true class among the first k."""
    return float(np.mean([
        1 / (1 + listed[:k].index(true)) if true in listed[:k] else 0
        for true, listed in zip(truth, lists, strict=True)
    ]))  # fmt: skip


@pytest.mark.parametrize("cell", ["ant bee cow", "0", "ant,bee,cow"])
def test_the_k_most_probable_classes(cell):
    describe("multiclass", "map@3", WORDS)
    table("sample.csv", id=IDS, y=cell)
    truth, p = draw(6)
    submitted(p, WORDS)
    named = [WORDS[place] for place in truth]
    answers = table("answers.csv", id=IDS, y=named)
    lists = [[WORDS[place] for place in np.argsort(-row, kind="stable")[:3]] for row in p]
    assert value(answers) == pytest.approx(reciprocal_rank(named, lists, 3), rel=1e-12)
    # What the lists do not name is nowhere, however many are looked at.
    assert value(answers, metric="map@6") == pytest.approx(value(answers), rel=1e-12)
    hit = np.mean([one in listed for one, listed in zip(named, lists, strict=True)])
    assert value(answers, metric="accuracy@3") == hit
    assert value(answers, metric="accuracy") == np.mean(p.argmax(axis=1) == truth)
    with pytest.raises(UsageError, match=r"logloss needs probabilities, and s\.csv holds lists of"):
        value(answers, metric="logloss")


def test_lists_that_are_shorter_than_the_metric_looks():
    describe("multiclass", "map@3", WORDS)
    table("sample.csv", id=IDS, y="ant bee cow")
    lists = [[WORDS[(number + step) % 6] for step in range(1 + number % 3)] for number in range(40)]
    truth = [WORDS[(number + 1) % 6] for number in range(40)]
    table("s.csv", id=IDS, y=[" ".join(one) for one in lists])
    answers = table("answers.csv", id=IDS, y=truth)
    assert value(answers) == pytest.approx(reciprocal_rank(truth, lists, 3), rel=1e-12)


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("metric", ["map@3", "accuracy@3", "recall@3"])
def test_a_single_class_is_a_list_of_one(metric, described):
    if described:
        describe("multiclass", metric, WORDS)
        table("sample.csv", id=IDS, y="ant")
    table("s.csv", id=IDS, y="ant")
    truth = [WORDS[number % 4] for number in range(40)]
    assert value(table("answers.csv", id=IDS, y=truth), metric=metric) == 0.25


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize(("written", "given"), [("{}.0", "{}"), ("{}", "{}.0"), ("{}", "0{}")])
def test_equal_numbers_are_the_same_class(written, given, described):
    classes, own = ([form.format(number) for number in (3, 4, 5)] for form in (written, given))
    truth = [number % 3 for number in range(40)]
    table("sample.csv", id=IDS, y=classes[0])
    if described:
        describe("multiclass", "accuracy", classes)
    table("s.csv", id=IDS, y=[own[number] for number in truth])
    answers = table("answers.csv", id=IDS, y=[classes[number] for number in truth])
    assert value(answers) == 1
    lists = [f"{own[(number + 1) % 3]} {own[number]}" for number in truth]
    table("s.csv", id=IDS, y=lists)
    assert value(answers, metric="map@2") == 0.5
    if described:
        table("s.csv", id=IDS, y=[classes[number] for number in truth])
        assert value(table("answers.csv", id=IDS, y=[own[number] for number in truth])) == 1


def test_class_numbers_of_classes_that_are_decimals_are_told():
    describe("multiclass", "accuracy", ("1.0", "2.0", "3.0"))
    table("sample.csv", id=IDS, y="1")
    table("s.csv", id=IDS, y="1")
    with pytest.raises(InputError, match=r"the classes are .* from 0, write '1\.0' for 0, and so"):
        value(table("answers.csv", id=IDS, y=[number % 3 for number in range(40)]))


def test_equal_numbers_that_are_two_classes_stay_two():
    describe("multiclass", "accuracy", ("1", "01", "2"))
    table("sample.csv", id=IDS, y="1")
    answers = table("answers.csv", id=IDS, y="01")
    table("s.csv", id=IDS, y="1")
    assert value(answers) == 0
    table("s.csv", id=IDS, y="1.0")
    with pytest.raises(InputError, match=r"row 1, column 'y': no such class"):
        value(answers)


def test_equal_numbers_are_the_same_label_of_a_list():
    describe("multilabel", "micro-f1", ("3.0", "4.0", "5.0"))
    table("sample.csv", id=IDS, y="3.0 4.0")
    table("s.csv", id=IDS, y="3;5.0")
    assert value(table("answers.csv", id=IDS, y="5 3")) == 1


@pytest.mark.parametrize("separator", [" ", ",", "; ", "|"])
def test_lists_of_several_labels(separator):
    describe("multilabel", "micro-f1", WORDS)
    table("sample.csv", id=IDS, y=separator.join(WORDS[:2]))
    truth, p = draw(6, several=True)
    submitted(p, WORDS)
    lists = [" ".join(np.array(WORDS)[row == 1]) for row in truth]
    answers = table("answers.csv", id=IDS, y=lists)
    twin = sk.f1_score(truth, p > 0.5, average="micro")
    assert value(answers) == pytest.approx(twin, rel=1e-12)
    assert value(answers, metric="f-beta") == pytest.approx(
        sk.fbeta_score(truth, p > 0.5, beta=2, average="samples", zero_division=0), rel=1e-9
    )


def test_a_ranking_of_several_labels():
    describe("multilabel", "map@3", WORDS)
    table("sample.csv", id=IDS, y="ant bee cow")
    truth, p = draw(6, several=True)
    submitted(p, WORDS)
    lists = [" ".join(np.array(WORDS)[row == 1]) for row in truth]
    answers = table("answers.csv", id=IDS, y=lists)
    assert not truth.any(axis=1).all()
    each = []
    for row, listed in zip(truth, np.argsort(-p, axis=1, kind="stable")[:, :3], strict=True):
        hits = row[listed]
        precision = np.cumsum(hits) / np.arange(1, 4)
        each.append((precision * hits).sum() / max(min(row.sum(), 3), 1))
    assert value(answers) == pytest.approx(np.mean(each), rel=1e-12)


def average_precision_of_list(true: list[str], listed: list[str], k: int) -> float:
    """As Kaggle's graders count: a class found again is no hit, but its place is one."""
    hits = [one in true and one not in listed[:rank] for rank, one in enumerate(listed[:k])]
    sums = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
    return sum(sums) / min(len(true), k) if true else 0.0


@pytest.mark.parametrize("k", [1, 2, 3, 6])
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_class_that_a_list_repeats_takes_a_place_each_time(task, k):
    several = task == "multilabel"
    describe(task, f"map@{k}", WORDS)
    table("sample.csv", id=IDS, y="ant bee cow")
    rng = np.random.default_rng(k)
    lists = [list(rng.choice(WORDS, rng.integers(1, 9))) for _ in IDS]
    lists[0] = ["ant", "ant", "bee"]
    true = [list(rng.permutation(WORDS)[: rng.integers(0, 4) if several else 1]) for _ in IDS]
    true[0] = ["bee"]
    table("s.csv", id=IDS, y=[" ".join(one) for one in lists])
    answers = table("answers.csv", id=IDS, y=[" ".join(one) for one in true])
    each = [average_precision_of_list(*pair, k) for pair in zip(true, lists, strict=True)]
    assert each[0] == (1 / 3 if k >= 3 else 0)
    assert value(answers) == pytest.approx(np.mean(each), rel=1e-12)


def test_lists_of_one_class_each_name_no_other():
    describe("multiclass", "map@3", WORDS)
    table("sample.csv", id=IDS, y="ant bee cow")
    table("s.csv", id=IDS, y=[WORDS[number % 6] for number in range(40)])
    answers = table("answers.csv", id=IDS, y=[WORDS[number % 4] for number in range(40)])
    right = np.mean([number % 6 == number % 4 for number in range(40)])
    assert value(answers) == value(answers, metric="accuracy@3") == right


SPINE = ("overall_any", "C1", "C2")


@pytest.mark.parametrize("by_column", [False, True])
def test_a_row_per_image_and_class(by_column):
    describe("multilabel", "logloss", SPINE, list(SPINE))
    truth, p = draw(3, several=True)
    pairs = [(one, name) for name in SPINE[::-1] for one in IDS]
    cells = {pair: int(truth[IDS.index(pair[0]), SPINE.index(pair[1])]) for pair in pairs}
    if by_column:
        ids = {"id": [one for one, _ in pairs], "part": [name for _, name in pairs]}
    else:
        ids = {"id": ["_".join(pair) for pair in pairs]}
    table("sample.csv", **ids, fractured=0.5)
    submitted(p, SPINE)
    assert len(pd.read_csv("s.csv")) == 3 * len(IDS)
    others = {"study": [one for one, _ in pairs], "kind": [name for _, name in pairs]}
    more = {} if by_column else others
    answers = table("answers.csv", **more, fractured=list(cells.values()), **ids)
    each = -(truth * np.log(p) + (1 - truth) * np.log(1 - p))
    assert value(answers) == pytest.approx(each.mean(), rel=1e-9)
    # Predictions with a column per class are graded on such answers too.
    assert grade(Path("preds.csv"), answers, public=0).private == pytest.approx(each.mean())


def test_a_row_per_image_and_class_by_number():
    birds = [f"bird{number}" for number in range(12)]
    describe("multilabel", "micro-auc", birds, birds)
    ids = [str(number) for number in range(40)]
    rows = [f"{image}{number:02}".lstrip("0") or "0" for image in ids for number in range(12)]
    truth, p = draw(12, several=True)
    table("sample.csv", Id=rows, Probability=0)
    table("preds.csv", id=ids, **dict(zip(birds, p.T, strict=True)))
    delivery.submit(Path("preds.csv"), delivery.find_target(), Path("s.csv"))
    delivery.check_file(Path("s.csv"), delivery.find_target())
    answers = table("answers.csv", Id=rows, Probability=truth.ravel())
    twin = sk.roc_auc_score(truth.ravel(), p.ravel())
    assert value(answers) == pytest.approx(twin, rel=1e-12)


def test_grades_and_the_mean_of_grades():
    grades = ("0", "1", "2", "3")
    describe("ordinal", "quadratic-kappa", grades)
    table("sample.csv", id=IDS, y=0)
    truth, p = draw(4)
    submitted(p, grades)
    answers = table("answers.csv", id=IDS, y=truth)
    given = pd.read_csv("s.csv")["y"].to_numpy()
    twin = sk.cohen_kappa_score(truth, given, weights="quadratic")
    assert value(answers) == pytest.approx(twin, rel=1e-9)


@pytest.mark.parametrize("targets", [["weight"], ["weight", "height"]])
def test_numbers(targets):
    describe("regression", "rmse", targets, targets)
    table("sample.csv", id=IDS, **dict.fromkeys(targets[::-1], 0), Confidence=100)
    rng = np.random.default_rng(0)
    truth = rng.normal(50, 9, (len(IDS), len(targets)))
    p = truth + rng.normal(0, 1, truth.shape)
    submitted(p, targets)
    columns = dict(zip(targets, truth.T, strict=True))
    answers = table("answers.csv", id=IDS, colour="red", **columns)
    twin = np.mean(np.sqrt(((truth - p) ** 2).mean(axis=0)))
    assert value(answers) == pytest.approx(twin, rel=1e-9)


def test_the_label_column_is_that_of_the_description():
    describe("multiclass", "accuracy", WORDS, "species")
    table("sample.csv", id=IDS, Predicted="ant")
    truth, p = draw(6)
    submitted(p, WORDS)
    named = np.array(WORDS)[truth]
    answers = table("answers.csv", note="x", variety=WORDS[0], species=named, id=IDS, age=45)
    assert value(answers) == np.mean(p.argmax(axis=1) == truth)


@pytest.mark.parametrize(
    ("task", "cells", "answers", "message"),
    [
        ("multiclass", "ant,cow gnu", "bee",
         "s.csv, row 1, column 'y': there is no such class; did you mean "),
        ("multilabel", "ant;gnu", "bee",
         "s.csv, row 1, column 'y': there is no such class; did you mean 'ant' or 'fox' or "),
        ("multiclass", "gnu", "bee", "s.csv, row 1, column 'y': no such class; the classes are "),
        ("multiclass", "", "bee", "s.csv, row 1, column 'y': the answer is blank"),
        ("multiclass", "ant", "", "answers.csv, row 1, column 'y': the answer is blank"),
        ("multilabel", "ant", "gnu", "answers.csv, row 1, column 'y': there is no such class"),
    ],
)  # fmt: skip
def test_what_is_no_class_is_named(task, cells, answers, message):
    describe(task, "accuracy" if task == "multiclass" else "micro-f1", WORDS)
    table("sample.csv", id=["a", "b"], y="ant")
    table("s.csv", id=["a", "b"], y=[cells, "ant bee" if " " in cells or ";" in cells else "ant"])
    if ";" in cells:
        table("s.csv", id=["a", "b"], y=[cells, "ant;bee"])
    with pytest.raises(InputError) as error:
        grade(Path("s.csv"), table("answers.csv", id=["a", "b"], y=[answers, "ant"]))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("classes", [("0", "1"), ("cat", "dog")])
@pytest.mark.parametrize("cell", ["-1", "1.5", "inf"])
def test_a_score_that_is_no_probability_is_named(classes, cell):
    describe("multiclass", "auc", classes)
    table("sample.csv", id=["x", "y"], y=0.5)
    submission = table("s.csv", id=["x", "y"], y=["0.5", cell])
    with pytest.raises(InputError) as error:
        grade(submission, table("answers.csv", id=["x", "y"], y=list(classes)))
    assert str(error.value) == (
        "s.csv, row 2, column 'y': is not a probability between 0 and 1 "
        f"(found '{cell}'). Logits or scores have to be turned into probabilities (softmax) first"
    )


TOML = "Correct it, or 'classes' in comptool.toml"
ZERO = "If they are class numbers from 0, write '1' for 0, and so on"


@pytest.mark.parametrize(
    ("task", "classes", "answers", "message"),
    [
        ("multiclass", "123", ["0", "1", "2"], f"row 1, column 'y': {{}} (found '0'). {ZERO}"),
        ("ordinal", "123", ["1", "2", "0"], f"row 3, column 'y': {{}} (found '0'). {ZERO}"),
        ("multiclass", "345", ["0", "1", "2"], "row 1, column 'y': {} (found '0', '1', '2'). "
         + ZERO.replace("'1'", "'3'")),
        ("ordinal", "123", ["1", "9", "2"], f"row 2, column 'y': {{}} (found '9'). {TOML}"),
        ("ordinal", "123", ["1", "2.5", "2"], f"row 2, column 'y': {{}} (found '2.5'). {TOML}"),
        ("multiclass", "abc", ["a", "b", "z"], f"row 3, column 'y': {{}} (found 'z'). {TOML}"),
        ("multiclass", "abc", ["-1", "0", "1"], f"row 1, column 'y': {{}} (found '-1', '0', '1'). "
         f"{TOML}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("columns", [False, True])
def test_answers_that_are_none_of_the_classes_are_named(task, classes, answers, message, columns):
    describe(task, "accuracy", classes)
    ids = ["x", "y", "z"]
    table("sample.csv", id=ids, y=classes[0])
    submission = table("s.csv", id=ids, y=list(classes))
    if columns:
        submission = table("s.csv", id=ids, **dict.fromkeys(classes, 0.25))
    with pytest.raises(InputError) as error:
        grade(submission, table("answers.csv", id=ids, y=answers))
    what = "no such class; the classes are " + ", ".join(f"'{name}'" for name in classes)
    assert str(error.value) == f"answers.csv, {message.format(what)}"


def test_answers_that_are_not_one_hot_are_named():
    describe("multiclass", "logloss", ("a", "b"))
    table("sample.csv", id=["1", "2"], a=0, b=0)
    submission = table("s.csv", id=["1", "2"], a=[0.5, 0.5], b=[0.5, 0.5])
    with pytest.raises(InputError) as error:
        grade(submission, table("answers.csv", id=["1", "2"], a=[1, 1], b=[0, 1]))
    assert str(error.value) == "answers.csv, row 2: not exactly one of the class columns is 1"


def test_a_number_that_is_none_is_named():
    describe("regression", "rmse", ["y"], "y")
    table("sample.csv", id=["1", "2"], y=0)
    submission = table("s.csv", id=["1", "2"], y=[0.5, "high"])
    with pytest.raises(InputError) as error:
        grade(submission, table("answers.csv", id=["1", "2"], y=[1, 2]))
    assert str(error.value) == "s.csv, row 2, column 'y': is not a finite number (found 'high')"
