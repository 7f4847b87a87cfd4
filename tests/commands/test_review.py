"""``comptool review`` from a run or an out-of-fold file to the ranked cells and their page."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.io import provenance
from comptool.label_review.corrections import apply_corrections, read_corrections
from comptool.label_review.issues import doubt

CLASSES = ("sea", "golf course", "roof, tiled")
IDS = [f"{number:03}" for number in range(40)]


def write(path: str, header, rows) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


@pytest.fixture
def truth() -> np.ndarray:
    return (np.random.default_rng(0).random((len(IDS), 3)) < 0.5).astype(int)


@pytest.fixture
def cells(truth) -> np.ndarray:
    """Labels of which four are missing, one is too many and one is not annotated."""
    found = truth.copy()
    present, absent = np.argwhere(truth == 1), np.argwhere(truth == 0)
    for row, column in present[[3, 11, 20, 31]]:
        found[row, column] = 0
    found[tuple(absent[7])] = 1
    found[tuple(absent[30])] = -1
    return found


@pytest.fixture
def cup(comptool, truth, cells):
    """A multi-label competition with a finished run that knows better than its labels."""
    header = ["img_id", *CLASSES]
    rows = [[name, f"{name}.png", *row] for name, row in zip(IDS, cells.tolist(), strict=True)]
    write("data/train.csv", ["img_id", "img_path", *CLASSES], rows)
    write(
        "data/complete_labels.csv",
        header,
        [[name, *row] for name, row in zip(IDS, truth.tolist(), strict=True)],
    )
    for name in IDS[1:]:
        cv2.imwrite(f"data/{name}.png", np.full((8, 8, 3), 90, np.uint8))
    Path("comptool.toml").write_text(
        'name = "cup"\ntask = "multilabel"\nmetric = "map"\n[data]\nfolder = "data"\n'
        f'train = "train.csv"\nid = "img_id"\nlabel = {json.dumps(CLASSES)}\n'
        '[modalities]\nimage = "img_path"\n'
    )
    noise = np.random.default_rng(1).normal(0, 0.8, truth.shape)
    p = 1 / (1 + np.exp(-(4 * truth - 2 + noise)))
    rows = [[name, 0, *row] for name, row in zip(IDS, p.tolist(), strict=True)]
    write("oof.csv", ["img_id", "fold", *CLASSES], rows)
    return comptool


@pytest.fixture
def scene_run():
    """A checkpoint of a run, its header at least."""
    from safetensors.numpy import save_file

    def make(name: str, **changes) -> None:
        header = {
            "format": 1, "model": {"name": "x", "options": {}}, "task": "multilabel",
            "classes": list(CLASSES), "class_counts": {}, "modalities": ["image"],
            "img_size": {"image": [8, 8]}, "channels": {"image": 1}, "mean": {"image": [0.5]},
            "std": {"image": [0.5]},
            "inputs": {"data/train.csv": None}, "leak": None,
        }  # fmt: skip
        Path("weights", name).mkdir(parents=True)
        text = json.dumps(header | changes)
        path = Path("weights", name, "best.safetensors")
        save_file({"w": np.zeros(1, np.float32)}, path, metadata={"comptool": text})

    return make


def listed(path: str = "review.csv") -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_doubted_cells_are_listed_and_shown(cup, cells):
    result = cup("review", "oof.csv")
    assert (result.exit_code, result.stdout) == (0, "review.csv\n"), result.stderr
    rows = listed()
    assert list(rows[0]) == ["id", "class", "label", "suggested", "probability", "score"]
    _, *table = csv.reader(Path("oof.csv").open())
    p = np.array([row[2:] for row in table], float)
    scores = doubt(cells, p)
    assert len(rows) == (scores > 0.5).sum()
    assert [float(row["score"]) for row in rows] == pytest.approx(
        np.sort(scores[scores > 0.5])[::-1]
    )
    for row in rows:
        cell = IDS.index(row["id"]), CLASSES.index(row["class"])
        assert int(row["label"]) == cells[cell] == 1 - int(row["suggested"])
        assert float(row["probability"]) == pytest.approx(p[cell])
    page = Path("review.html").read_text(encoding="utf-8")
    assert page.count('<li class="cell"') == len(rows)
    assert "data:image/jpeg" in page
    assert "Label review: cup" in page
    assert provenance.recall(Path("review.html")).command == "review"
    messages = result.stderr.splitlines()
    assert messages[0] == "taking oof.csv"
    assert messages[1].startswith("40 images by 3 classes of data/train.csv: ")


def test_what_was_deleted_is_found_and_measured(cup, truth, cells):
    result = cup("review", "oof.csv", "--truth", "data/complete_labels.csv", "--json")
    found = json.loads(result.stdout)["measured"]
    missing = [row for row in listed() if row["label"] == "0"]
    right = [truth[IDS.index(row["id"]), CLASSES.index(row["class"])] == 1 for row in missing]
    last = found["missing"][-1]
    assert last["k"] == len(missing)
    assert last["precision"] == pytest.approx(np.mean(right))
    assert last["recall"] == pytest.approx(np.sum(right) / 4)
    assert last["chance"] == pytest.approx(4 / (cells == 0).sum())
    assert last["recall"] == 1
    assert "missing labels against the truth" in result.stderr


def test_a_short_page_has_cells_of_both_kinds(cup):
    cup("review", "oof.csv", "--limit", "4")
    page = Path("review.html").read_text(encoding="utf-8")
    assert [page.count(f'data-kind="{kind}"') for kind in ("missing", "extra")] == [2, 2]
    best = {row["label"]: row for row in reversed(listed())}
    first = page.index(f'data-id="{best["0"]["id"]}" data-class="{best["0"]["class"]}"')
    second = page.index(f'data-id="{best["1"]["id"]}" data-class="{best["1"]["class"]}"')
    assert first < second


def test_the_corrections_that_the_list_suggests_mend_the_table(cup, truth, cells):
    """What the page exports for every tick, applied to the labels."""
    cup("review", "oof.csv", "--kind", "missing")
    write("c.csv", ["id", "class", "label"], [
        [row["id"], row["class"], row["suggested"]] for row in listed()
    ])  # fmt: skip
    with Path("data/train.csv").open() as stream:
        frame = pd.read_csv(stream, dtype=str)
    done = apply_corrections(
        frame, read_corrections(Path("c.csv")), id_column="img_id", classes=CLASSES
    )
    wrong = (done.frame[list(CLASSES)].to_numpy(int) != truth) & (truth == 1)
    assert wrong.sum() == 0 < ((cells != truth) & (truth == 1)).sum()


def test_the_latest_run_is_taken_unless_told(cup, scene_run):
    scene_run("one")
    Path("oof.csv").rename("weights/one/oof.csv")
    result = cup("review", "--kind", "extra", "--limit", "1")
    assert result.exit_code == 0, result.stderr
    assert "taking weights/one/oof.csv (the latest run)" in result.stderr
    assert {row["label"] for row in listed()} == {"1"}
    assert Path("review.html").read_text().count('<li class="cell"') == 1
    assert cup("review", "one", "--force").exit_code == 0


def test_a_run_that_has_seen_its_validation_is_no_evidence(cup, scene_run):
    scene_run("one", leak="it was trained on them")
    Path("oof.csv").rename("weights/one/oof.csv")
    result = cup("review", "one", "-q")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool review: weights/one/oof.csv: cannot serve as evidence: it was trained on "
        "them. Leave this "
        "run out, or train it again on these folds\n"
    )
    assert not Path("review.csv").exists()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda: write("oof.csv", ["img_id", "fold", *CLASSES], [["nobody", 0, 1, 1, 1]]), 3,
         "oof.csv: no table here has labels of these 1 rows; searched: 'folds.csv', "
         "'data/train.csv'. Restore the training table; comptool evaluate takes other "
         "labels with --answers"),
        (lambda: write("oof.csv", ["img_id", "fold", *CLASSES[::-1]], [["001", 0, 1, 1, 1]]), 3,
         "oof.csv: its classes are not those of data/train.csv: the same 3 in another order. "
         "Give the label table that the run was trained with: --labels FILE"),
        (lambda: Path("oof.csv").unlink(), 3, "weights: no trained run is called 'oof.csv'. Make "
         "one: comptool train"),
    ],
)  # fmt: skip
def test_what_cannot_be_reviewed_is_told_and_nothing_is_written(cup, change, code, message):
    change()
    result = cup("review", "oof.csv", "-q")
    assert (result.exit_code, result.stderr) == (code, f"comptool review: {message}\n")
    assert not Path("review.csv").exists()


def test_a_truth_that_lacks_ids_is_named(cup):
    write("some.csv", ["img_id", *CLASSES], [["000", 1, 0, 0]])
    result = cup("review", "oof.csv", "--truth", "some.csv", "-q")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool review: some.csv: lacks 39 of the ids (found '001', '002', '003' and 36 more)\n"
    )


def test_labels_that_nobody_doubts_make_an_empty_list(cup, truth):
    rows = [[name, 0, 0.5, 0.5, 0.9 + number / 100] for number, name in enumerate(IDS[:5])]
    write("oof.csv", ["img_id", "fold", *CLASSES], rows)
    table = [[name, f"{name}.png", -1, -1, 1] for name in IDS]
    write("data/train.csv", ["img_id", "img_path", *CLASSES], table)
    result = cup("review", "oof.csv")
    assert result.exit_code == 0, result.stderr
    assert listed() == []
    assert '<li class="cell"' not in Path("review.html").read_text()


def test_outputs_are_replaced_only_by_force_and_a_dry_run_writes_nothing(cup):
    assert cup("review", "oof.csv", "--dry-run").exit_code == 0
    assert not Path("review.csv").exists()
    Path("review.html").write_text("mine")
    result = cup("review", "oof.csv")
    assert result.exit_code == 3
    assert Path("review.html").read_text() == "mine"
    assert not Path("review.csv").exists()
    assert cup("review", "oof.csv", "--force").exit_code == 0
