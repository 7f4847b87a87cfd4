"""Grades against plain twins, and the two parts of a leaderboard."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from comptool.errors import InputError, UsageError
from comptool.reports.score import Grade, grade

CLASSES = ("a", "b", "c")
IDS = [f"{number:03}" for number in range(60)]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name: str, header: str, rows: list[tuple[object, ...]]) -> Path:
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    Path(name).write_text("\n".join(lines) + "\n")
    return Path(name)


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, len(IDS))


@pytest.fixture
def answers(truth) -> Path:
    return write("answers.csv", "id,y", [(i, CLASSES[t]) for i, t in zip(IDS, truth, strict=True)])


def labels(pred: np.ndarray, ids: list[str] = IDS, name: str = "labels.csv") -> Path:
    return write(name, "id,y", [(i, CLASSES[p]) for i, p in zip(ids, pred, strict=True)])


def probabilities(p: np.ndarray, classes: tuple[str, ...] = CLASSES, **columns: list) -> Path:
    header = ",".join(["id", *classes, *columns])
    rows = [
        (i, *row, *more) for i, row, *more in zip(IDS, p.tolist(), *columns.values(), strict=True)
    ]
    return write("probabilities.csv", header, rows)


def public_part(share: float) -> np.ndarray:
    """The rule, said again: the first 64 bits of the id's SHA-256 lie below the share."""
    first = [int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) for name in IDS]
    return np.array(first) / 2**64 < share


def test_accuracy_of_classes_is_that_of_numpy_on_both_parts(answers, truth):
    pred = np.random.default_rng(1).integers(0, 3, len(IDS))
    found = grade(labels(pred), answers)
    shown = public_part(0.3)
    right = pred == truth
    assert found == Grade(
        "accuracy", right[shown].mean(), right[~shown].mean(), shown.sum(), (~shown).sum()
    )


@pytest.mark.parametrize(
    ("metric", "twin"),
    [
        ("accuracy", lambda y, p: np.mean(p.argmax(axis=1) == y)),
        ("balanced-accuracy", lambda y, p: sk.balanced_accuracy_score(y, p.argmax(axis=1))),
        ("macro-f1", lambda y, p: sk.f1_score(y, p.argmax(axis=1), average="macro")),
        ("kappa", lambda y, p: sk.cohen_kappa_score(y, p.argmax(axis=1))),
        ("logloss", lambda y, p: sk.log_loss(y, p)),
        ("auc", lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr")),
    ],
)
def test_every_metric_is_that_of_its_twin_on_both_parts(answers, truth, metric, twin):
    p = np.random.default_rng(2).dirichlet(np.ones(3), len(IDS))
    found = grade(probabilities(p), answers, metric=metric, public=0.5)
    shown = public_part(0.5)
    assert found.public == pytest.approx(twin(truth[shown], p[shown]), rel=1e-9)
    assert found.private == pytest.approx(twin(truth[~shown], p[~shown]), rel=1e-9)


def test_the_parts_are_disjoint_and_complete(answers, truth):
    """One wrong answer at a time costs exactly one of the two parts."""
    right = grade(labels(truth), answers)
    assert (right.public, right.private) == (1, 1)
    assert right.num_public + right.num_private == len(IDS)
    hurt = []
    for row in range(len(IDS)):
        pred = truth.copy()
        pred[row] = (pred[row] + 1) % 3
        found = grade(labels(pred), answers)
        hurt.append((found.public < 1, found.private < 1))
    assert sum(public for public, _ in hurt) == right.num_public
    assert all(public != private for public, private in hurt)


def test_a_column_of_the_answers_says_which_part_a_row_is_in(truth):
    usage = ["Public", "Private", "private", "Ignored"] * 15
    rows = [(i, CLASSES[t], u) for i, t, u in zip(IDS, truth, usage, strict=True)]
    answers = write("answers.csv", "id,y,Usage", rows)
    pred = np.where(np.arange(60) % 4 == 0, (truth + 1) % 3, truth)
    found = grade(labels(pred), answers)
    assert found == Grade("accuracy", 0, 1, 15, 30)
    # What is asked for by hand goes before the column.
    assert grade(labels(pred), answers, public=0.3).num_public == public_part(0.3).sum()


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("Usage", ("foo", "Ignored", "bar"), "row 1, column 'Usage': {} (found 'foo', 'bar'). {}"),
        ("usage", ("1", "2", "2"), "row 1, column 'usage': {} (found '1', '2'). {}"),
        ("split", ("public", "private", ""), "row 3, column 'split': {} (found ''). {}"),
    ],
)
def test_an_unknown_part_is_named(column, cells, message):
    rows = [(i, c, cell) for i, c, cell in zip(IDS[:3], CLASSES, cells, strict=True)]
    answers = write("answers.csv", f"id,y,{column}", rows)
    with pytest.raises(InputError) as error:
        grade(labels(np.arange(3), IDS[:3]), answers)
    told = "no such part; they are Public, Private and Ignored"
    mend = "Correct it, or rename the column if it does not tell the parts"
    assert str(error.value) == f"answers.csv, {message.format(told, mend)}"


@pytest.mark.parametrize("header", ["id,y,split", "id,usage"])
def test_a_column_that_tells_no_parts_may_be_called_like_one(header):
    more = ["test"] * header.count("split")
    answers = write("answers.csv", header, [(i, "a", *more) for i in IDS[:3]])
    submission = labels(np.zeros(3, int), IDS[:3])
    submission.write_text(submission.read_text().replace("id,y", header.removesuffix(",split")))
    assert grade(submission, answers, public=0).private == 1


def test_a_class_may_be_called_like_a_column_of_parts():
    rows = [(IDS[0], 1, 0), (IDS[1], 0, 1)]
    answers = write("answers.csv", "id,usage,form", rows)
    assert grade(write("s.csv", "id,usage,form", rows), answers, public=0).private == 1


def test_a_row_stays_in_its_part_whatever_else_is_graded(truth):
    """Of a third of the rows, those are public that were public among all."""
    some = list(range(0, len(IDS), 3))
    few = write("few.csv", "id,y", [(IDS[row], CLASSES[truth[row]]) for row in some])
    found = grade(labels(truth[some], [IDS[row] for row in some]), few)
    assert found.num_public == public_part(0.3)[some].sum()


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_public_part_holds_the_smaller(first, second):
    low, high = sorted((first, second))
    assert not (public_part(low) & ~public_part(high)).any()
    assert not public_part(0).any()
    assert public_part(1).all()


def test_the_order_of_rows_changes_nothing(answers, truth):
    p = np.random.default_rng(3).dirichlet(np.ones(3), len(IDS))
    path = probabilities(p, pred=[CLASSES[k] for k in np.roll(truth, 1)])
    first = grade(path, answers, metric="kappa")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert grade(path, answers, metric="kappa") == first


def test_the_order_of_class_columns_changes_nothing(answers):
    p = np.random.default_rng(3).dirichlet(np.ones(3), len(IDS))
    first = grade(probabilities(p), answers, metric="logloss")
    turned = grade(probabilities(p[:, [2, 0, 1]], ("c", "a", "b")), answers, metric="logloss")
    assert turned.private == pytest.approx(first.private, rel=1e-12)


def test_pred_wins_over_the_most_probable_class_where_the_answer_counts(answers, truth):
    p = np.random.default_rng(4).dirichlet(np.ones(3), len(IDS))
    decided = probabilities(p, pred=[CLASSES[k] for k in truth])
    assert grade(decided, answers).private == 1
    # A metric of probabilities looks at those.
    plain = grade(decided, answers, metric="logloss").private
    assert plain == grade(probabilities(p), answers, metric="logloss").private


def test_a_class_that_no_answer_has_may_have_a_column(answers, truth):
    p = np.eye(4)[truth]
    assert grade(probabilities(p, ("a", "b", "c", "d")), answers).private == 1


def test_the_metric_is_that_of_the_record_then_of_the_competition_then_accuracy(truth):
    Path("cup").mkdir()
    answers = write(
        "cup/answers.csv", "id,y", [(i, CLASSES[t]) for i, t in zip(IDS, truth, strict=True)]
    )
    submission = labels(truth)
    assert grade(submission, answers).metric == "accuracy"
    Path("comptool.toml").write_text(
        'task = "multiclass"\nmetric = "macro-f1"\n[data]\nsample-submission = "labels.csv"\n'
        'id = "id"\nlabel = "y"\n[modalities]\nimage = "{id}.png"\n'
    )
    assert grade(submission, answers).metric == "macro-f1"
    Path("cup.meta.json").write_text(json.dumps({"facts": {"metric": "kappa"}}))
    assert grade(submission, answers).metric == "kappa"
    assert grade(submission, answers, metric="balanced-accuracy").metric == "balanced-accuracy"


def test_the_record_is_found_from_within_the_folder(truth, monkeypatch, tmp_path):
    Path("cup").mkdir()
    Path("cup.meta.json").write_text(json.dumps({"facts": {"metric": "kappa"}}))
    monkeypatch.chdir(tmp_path / "cup")
    rows = [(i, CLASSES[t]) for i, t in zip(IDS, truth, strict=True)]
    assert grade(labels(truth), write("answers.csv", "id,y", rows)).metric == "kappa"


def test_a_part_without_rows_is_left_out_and_one_of_one_class_is_undefined():
    answers = write("answers.csv", "id,y", [(1, "a"), (2, "b"), (3, "b"), (4, "a"), (5, "a")])
    submission = write("s.csv", "id,a,b", [(i, 0.5, 0.5) for i in range(1, 6)])
    whole = grade(submission, answers, public=1)
    assert (whole.num_public, whole.num_private) == (5, 0)
    assert (whole.public, whole.private) == (0.6, None)
    assert str(whole) == "accuracy  public 0.60000 (5 rows)"
    assert whole.summary() == {"metric": "accuracy", "public": 0.6, "num_public": 5}
    # Which of the two parts is of one class is the ids' luck; with one public row it is public.
    one = next(
        share for share in np.linspace(0.01, 1, 100)
        if grade(submission, answers, public=share).num_public == 1
    )  # fmt: skip
    found = grade(submission, answers, public=one, metric="auc")
    assert found.private == 0.5
    assert str(found) == "auc  public undefined (1 row)  private 0.50000 (4 rows)"
    assert found.summary()["public"] is None


def test_answers_that_are_all_ignored_grade_no_row():
    answers = write("answers.csv", "id,y,usage", [(1, "a", "Ignored"), (2, "b", "Ignored")])
    found = grade(write("s.csv", "id,y", [(1, "a"), (2, "b")]), answers)
    assert str(found) == "accuracy  no row is graded"
    assert found.summary() == {"metric": "accuracy"}


KNOWN = json.dumps({"facts": {"classes": ["a", "b", "c"]}})


@pytest.mark.parametrize(
    ("submission", "message"),
    [
        ("id,y\n1,a\n", "s.csv: its ids are not those of cup/answers.csv: 2 ids are missing: "
         "'2', '3'"),
        ("id,y\n1,a\n2,b\n3,a\n4,a\n", "s.csv: its ids are not those of cup/answers.csv: 1 ids "
         "are not asked for: '4'"),
        ("id,y\n1,a\n2,b\n03,a\n", "s.csv: its ids are not those of cup/answers.csv: 1 ids are "
         "missing: '3'; 1 ids are not asked for: '03'"),
        ("id,y\n1,a\n2,b\n2,a\n", "s.csv, row 3, column 'id': duplicate id (found '2')"),
        ("id,y\n1,a\n2,b\n,a\n", "s.csv, row 3, column 'id': the id is blank"),
        ("id,y\n1,a\n2,\n3,a\n", "s.csv, row 2, column 'y': the answer is blank"),
        ("id,y\n1,a\n2,z\n3,z\n", "s.csv, row 2, column 'y': no such class; the classes are 'a', "
         "'b', 'c' (found 'z')"),
        ("id,label\n1,a\n2,b\n3,a\n", "s.csv: has neither a column 'y' nor one per class (found "
         "'id', 'label'). Its layout is that of the sample submission: comptool submit"),
        ("id,a\n1,1\n2,1\n3,1\n", "cup/answers.csv, row 2, column 'y': is a class that the "
         "submission s.csv has no column for (found 'b')"),
        ("id,a,b,pred\n1,1,0,a\n2,0,1,z\n3,1,0,a\n", "s.csv, row 2, column 'pred': no such class; "
         "the classes are 'a', 'b' (found 'z')"),
        ("id,a,b\n1,1,0\n2,nan,1\n3,1,0\n", "s.csv, row 2, column 'a': is not a number (NaN or "
         "blank) (found 'nan'). Make the predictions again"),
        ("id,a,b\n1,3.5,-2\n2,0,1\n3,1,0\n", "s.csv, row 1, column 'a': is not a probability "
         "between 0 and 1 (found '3.5', '-2.0'). Logits or scores have to be turned into "
         "probabilities (softmax) first"),
        ("id,y\n", "s.csv: has a header and no rows"),
        ("", "s.csv: is empty (0 bytes)"),
    ],
)  # fmt: skip
def test_a_submission_that_cannot_be_graded_is_told_why(submission, message):
    Path("cup").mkdir()
    Path("cup.meta.json").write_text(KNOWN)
    answers = write("cup/answers.csv", "id,y", [(1, "a"), (2, "b"), (3, "a")])
    Path("s.csv").write_text(submission)
    with pytest.raises(InputError) as error:
        grade(Path("s.csv"), answers)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("id\n1\n", "answers.csv: has no column with answers (found 'id')"),
        ("id,y\n1,a\n1,b\n", "answers.csv, row 2, column 'id': duplicate id (found '1')"),
        ("id,y\n1,a\n2,\n", "answers.csv, row 2, column 'y': the answer is blank"),
        ("", "answers.csv: is empty (0 bytes)"),
    ],
)
def test_answers_that_are_none_are_told(answers, message):
    Path("answers.csv").write_text(answers)
    with pytest.raises(InputError) as error:
        grade(write("s.csv", "id,y", [(1, "a"), (2, "b")]), Path("answers.csv"))
    assert str(error.value) == message


def test_what_cannot_be_asked_for_is_a_usage_error(answers, truth):
    submission = labels(truth)
    with pytest.raises(UsageError) as error:
        grade(submission, answers, metric="acuracy")
    assert str(error.value).startswith("no metric is called 'acuracy'; did you mean 'accuracy'")
    with pytest.raises(UsageError) as error:
        grade(submission, answers, metric="logloss")
    assert str(error.value) == "logloss needs probabilities, and labels.csv holds one class a row"


def test_without_a_list_of_classes_an_unheard_class_is_a_wrong_answer(answers, truth):
    path = labels(truth)
    path.write_text(path.read_text().replace("007,c", "007,z"))
    path.write_text(path.read_text().replace("007,a", "007,z").replace("007,b", "007,z"))
    found = grade(path, answers)
    right = found.public * found.num_public + found.private * found.num_private
    assert round(right) == len(IDS) - 1
