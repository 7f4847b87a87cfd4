"""``comptool review`` of one class per image, up to the corrected split."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.io import provenance
from comptool.label_review.confident_learning import confident_joint

CLASSES = ("bus", "car", "roof, tiled")
IDS = [f"{number:03}" for number in range(60)]
WRONG = (3, 17, 30, 44, 55)


def write(path: str, header, rows) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def listed(path: str = "review.csv") -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def truth() -> np.ndarray:
    return np.arange(len(IDS)) % 3


@pytest.fixture
def labels(truth) -> np.ndarray:
    """Labels of which five are the next class."""
    found = truth.copy()
    found[list(WRONG)] = (truth[list(WRONG)] + 1) % 3
    return found


@pytest.fixture
def cup(comptool, truth, labels):
    """A competition of one class per image, and predictions that know better than its labels."""
    rows = [[name, f"{name}.png", CLASSES[k]] for name, k in zip(IDS, labels, strict=True)]
    write("data/train.csv", ["img_id", "img_path", "kind"], rows)
    known = [[name, CLASSES[k]] for name, k in zip(IDS[::-1], truth[::-1], strict=True)]
    write("truth.csv", ["img_id", "kind"], [*known, ["another", "bus"]])
    for name in IDS:
        cv2.imwrite(f"data/{name}.png", np.full((8, 8, 3), 90, np.uint8))
    Path("comptool.toml").write_text(
        'name = "cup"\ntask = "multiclass"\nmetric = "accuracy"\n[data]\nfolder = "data"\n'
        'train = "train.csv"\nid = "img_id"\nlabel = "kind"\n[modalities]\nimage = "img_path"\n'
    )
    logits = np.random.default_rng(1).normal(0, 0.7, (len(IDS), 3)) + 3 * np.eye(3)[truth]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    write("oof.csv", ["img_id", "fold", *CLASSES], [
        [name, 0, *row] for name, row in zip(IDS, p.tolist(), strict=True)
    ])  # fmt: skip
    return comptool


def probabilities() -> np.ndarray:
    _, *rows = csv.reader(Path("oof.csv").open())
    return np.array([row[2:] for row in rows], float)


def test_the_doubted_rows_are_listed_shown_and_their_noise_is_estimated(cup, labels):
    result = cup("review", "oof.csv", "--pairs", "pairs.csv", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    rows = listed()
    assert {row["id"] for row in rows} >= {IDS[row] for row in WRONG}
    assert found["doubted"] == len(rows)
    p = probabilities()
    for row in rows:
        place, of = IDS.index(row["id"]), CLASSES.index(row["suggested"])
        assert row["label"] == CLASSES[labels[place]] != row["suggested"]
        assert float(row["self_confidence"]) == pytest.approx(p[place, labels[place]])
        assert float(row["probability"]) == pytest.approx(p[place, of])
    joint = confident_joint(labels, p)
    assert found["confident_joint"] == joint.counts.tolist()
    assert found["estimated_wrong"] == pytest.approx(joint.wrong)
    pairs = listed("pairs.csv")
    assert [list(row) for row in pairs[:1]] == [
        ["label", "suggested", "counted", "estimated", "of_label", "of_class"]
    ]
    assert found["counted"] == sum(int(row["counted"]) for row in pairs)
    first = CLASSES.index(pairs[0]["label"]), CLASSES.index(pairs[0]["suggested"])
    assert float(pairs[0]["of_label"]) == pytest.approx(joint.share_of_label[first])
    assert float(pairs[0]["of_class"]) == pytest.approx(joint.share_of_class[first])
    messages = result.stderr.splitlines()
    assert messages[1].startswith("60 rows of 3 classes of data/train.csv: ")
    assert messages[2].startswith("estimated wrong labels: ")
    for path in ("review.csv", "review.html", "pairs.csv"):
        assert provenance.recall(Path(path)).command == "review"


def test_the_page_shows_each_row_and_exports_corrections_of_rows(cup):
    assert cup("review", "oof.csv", "--limit", "4").exit_code == 0
    page = Path("review.html").read_text(encoding="utf-8")
    assert 'data-header="id,label" data-exported="id suggested"' in page
    best = listed()[:4]
    places = [
        page.index(
            f'data-id="{row["id"]}" data-class="{row["label"]}" data-kind="{row["suggested"]}" '
            f'data-suggested="{row["suggested"]}"'
        )
        for row in best
    ]
    assert places == sorted(places)
    assert page.count('<li class="cell"') == page.count("data:image/jpeg") == 4
    assert "<summary>Confident joint</summary>" in page


def test_the_list_is_measured_against_the_truth(cup, truth, labels):
    result = cup("review", "oof.csv", "--truth", "truth.csv", "--json")
    *_, last = json.loads(result.stdout)["measured"]["wrong"]
    rows = listed()
    right = [CLASSES[truth[IDS.index(row["id"])]] == row["suggested"] for row in rows]
    assert last == {
        "k": len(rows),
        "precision": pytest.approx(len(WRONG) / len(rows)),
        "recall": 1.0,
        "mended": pytest.approx(np.mean(right)),
        "chance": pytest.approx(len(WRONG) / len(IDS)),
    }
    assert "wrong labels against the truth" in result.stderr


def test_rows_whose_truth_is_blank_are_not_measured(cup, truth):
    known = [[name, CLASSES[k]] for name, k in zip(IDS, truth, strict=True)]
    known[WRONG[0]][1] = ""
    write("some.csv", ["img_id", "kind"], known)
    result = cup("review", "oof.csv", "--truth", "some.csv", "--json")
    *_, last = json.loads(result.stdout)["measured"]["wrong"]
    assert last["k"] == len(listed()) - 1
    assert last["chance"] == pytest.approx((len(WRONG) - 1) / (len(IDS) - 1))


def test_a_truth_of_right_labels_measures_nothing(cup):
    result = cup("review", "oof.csv", "--truth", "data/train.csv", "--json")
    assert json.loads(result.stdout)["measured"] == {}


def test_the_suggestions_mend_the_table_that_split_makes(cup, truth):
    """What the page exports for every tick, and a blank label by hand for a row to be left out."""
    cup("review", "oof.csv")
    confident = [row for row in listed() if row["confident"] == "1"]
    said = [[row["id"], row["suggested"]] for row in confident]
    write("c.csv", ["id", "label"], [*said, ["001", ""], ["002", CLASSES[2]]])
    result = cup("split", "--corrections", "c.csv")
    assert result.exit_code == 0, result.stderr
    told = f"c.csv: corrections: {len(said)} rows changed, 1 left out; 1 had the label already"
    assert told in result.stderr
    made = {row["img_id"]: row["kind"] for row in listed("folds.csv")}
    assert set(made) == set(IDS) - {"001"}
    before = {row["img_id"]: row["kind"] for row in listed("data/train.csv")}
    changed = {name for name in made if made[name] != before[name]}
    assert changed == {row["id"] for row in confident}
    assert [made[IDS[row]] for row in WRONG] == [CLASSES[truth[row]] for row in WRONG]
    published = provenance.recall(Path("folds.csv")).facts["class_counts"]
    assert published == {name: list(before.values()).count(name) for name in CLASSES}


def test_a_given_split_keeps_its_folds_when_corrections_leave_rows_out(cup):
    rows = listed("data/train.csv")
    parts = ["val" if number % 4 == 0 else "train" for number in range(len(rows))]
    header = [*rows[0], "split"]
    write("data/train.csv", header, [
        [*row.values(), part] for row, part in zip(rows, parts, strict=True)
    ])  # fmt: skip
    write("c.csv", ["id", "label"], [["001", ""], ["003", "bus"]])
    result = cup("split", "--from-column", "split", "--corrections", "c.csv")
    assert result.exit_code == 0, result.stderr
    made = {row["img_id"]: row for row in listed("folds.csv")}
    assert len(made) == len(rows) - 1
    assert made["003"]["kind"] == "bus"
    assert all((row["fold"] == "0") == (row["split"] == "val") for row in made.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,label\nnobody,car", "c.csv, row 1, column 'id': there is no such id in the table "
         "(found 'nobody')"),
        ("id,label\n001,cars", "c.csv, row 1, column 'label': there is no such class in the table; "
         "did you mean 'car' or 'bus' or 'roof, tiled' (found 'cars')"),
        ("id,label\n001,car\n001,bus", "c.csv, row 2, column 'label': another row says otherwise "
         "of '001' (found 'bus')"),
        ("id,class,label\n001,car,1", "c.csv, column 'class': these corrections are for tables of "
         "several labels per row, and this one has one"),
        ("id\n001", "c.csv: no column is called 'label' (found 'id')"),
        ("id,label\n" + "\n".join(f"{name}," for name in IDS), "c.csv: leave no row of the table"),
    ],
)  # fmt: skip
def test_wrong_corrections_are_refused(cup, text, message):
    Path("c.csv").write_text(text + "\n")
    result = cup("split", "-q", "--corrections", "c.csv")
    assert (result.exit_code, result.stderr) == (3, f"comptool split: {message}\n")
    assert not Path("folds.csv").exists()


@pytest.mark.parametrize(
    ("change", "arguments", "code", "message"),
    [
        (None, ["--kind", "extra"], 2, "--kind is for several labels per image, and 'cup' has one "
         "class (if that is wrong, correct 'task' in comptool.toml)"),
        (("data/train.csv", "bus", "boat"), [], 3, "oof.csv: labels of data/train.csv are not "
         "classes of these predictions (found 'boat'). Give the label table that the run was "
         "trained with: --labels FILE"),
        (("truth.csv", "kind", "sort"), ["--truth", "truth.csv"], 3, "truth.csv: no column is "
         "called 'kind' (found 'img_id', 'sort')"),
    ],
)  # fmt: skip
def test_what_cannot_be_reviewed_is_told_and_nothing_is_written(
    cup, change, arguments, code, message
):
    if change:
        path, old, new = change
        Path(path).write_text(Path(path).read_text().replace(old, new))
    result = cup("review", "oof.csv", "-q", *arguments)
    assert (result.exit_code, result.stderr) == (code, f"comptool review: {message}\n")
    assert not Path("review.csv").exists()


def test_rows_that_a_model_may_have_been_trained_on_are_refused(cup):
    rows = listed("data/train.csv")
    write("folds.csv", [*rows[0], "fold"], [
        [*row.values(), 1 if row["img_id"] == "007" else 0] for row in rows
    ])  # fmt: skip
    result = cup("review", "oof.csv", "-q")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool review: oof.csv: 1 rows were validated in another fold than their fold "
        "in folds.csv, so a model may have been trained on them (found '007'). Train on the "
        "current folds\n"
    )


def test_predictions_that_are_all_the_same_doubt_nothing(cup):
    rows = [[name, 0, 0.5, 0.3, 0.2] for name in IDS]
    write("oof.csv", ["img_id", "fold", *CLASSES], rows)
    result = cup("review", "oof.csv", "-q")
    assert result.exit_code == 3
    assert f"oof.csv: all {len(IDS)} rows have the same probabilities" in result.stderr
    assert not Path("review.csv").exists()
