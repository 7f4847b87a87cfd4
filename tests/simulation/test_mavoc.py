"""A practice MAVOC as a download: what is in the folder, and what its ids and chips give away."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import stats

from comptool.practice.chips import PUBLISHED, num_test_rows, train_counts_mavoc
from comptool.practice.make_practice import make

CLASSES = [str(kind) for kind in range(10)]
# Classes 0 to 3 in proportion to the published counts; 20 of each rare one.
COUNTS = [234, 28, 20, 20, 20, 20, 20, 20, 20, 20]


@pytest.fixture(scope="module")
def practice(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "mavoc"
    said = []
    make("mavoc", folder, scale=0.001, seed=0, options={}, say=said.append, processes=1, quiet=True)
    assert said == [f"422 training pairs ({', '.join(map(str, COUNTS))}), 60 test"]
    return folder


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def chip(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_the_folder_is_a_download(practice):
    assert sorted(path.name for path in practice.iterdir()) == [
        "README.txt", "answers.csv", "sample_submission.csv", "test", "test.csv", "train",
        "train.csv",
    ]  # fmt: skip
    assert sorted(path.name for path in (practice / "train").iterdir()) == CLASSES
    headers = {
        "train.csv": "image_id,sar_path,eo_path,class_id",
        "test.csv": "image_id,sar_path,eo_path",
        "answers.csv": "image_id,class_id",
        "sample_submission.csv": "image_id,class_id",
    }
    for name, header in headers.items():
        assert (practice / name).read_text().splitlines()[0] == header


def test_every_row_has_its_two_chips_and_every_chip_its_row(practice):
    listed = set()
    for table in ("train", "test"):
        for row in rows(practice / f"{table}.csv"):
            place = f"train/{row['class_id']}" if table == "train" else "test"
            assert row["sar_path"] == f"{place}/SAR_{row['image_id']}.png"
            assert row["eo_path"] == f"{place}/EO_{row['image_id']}.png"
            listed |= {row["sar_path"], row["eo_path"]}
    found = {str(path.relative_to(practice)) for path in practice.rglob("*.png")}
    assert found == listed


def test_test_ids_are_the_same_in_every_table_and_only_the_answers_tell_classes(practice):
    ids = [row["image_id"] for row in rows(practice / "test.csv")]
    answers = rows(practice / "answers.csv")
    assert [row["image_id"] for row in answers] == ids
    assert {row["class_id"] for row in answers} <= set(CLASSES)
    sample = rows(practice / "sample_submission.csv")
    assert [row["image_id"] for row in sample] == ids
    assert {row["class_id"] for row in sample} == {"0"}


def test_counts_are_in_proportion_and_no_class_vanishes(practice):
    counts = Counter(row["class_id"] for row in rows(practice / "train.csv"))
    assert [counts[name] for name in CLASSES] == COUNTS
    for scale in (0.001, 0.02, 0.1, 1):
        expected = [max(20, round(count * scale)) for count in PUBLISHED]
        assert train_counts_mavoc(scale) == expected
    assert train_counts_mavoc(1) == list(PUBLISHED)
    assert [num_test_rows(scale) for scale in (0.001, 0.01, 0.02, 1)] == [60, 413, 826, 826]


def test_test_classes_are_nearly_uniform():
    """At full size no class is far from a tenth, where in training one class has four fifths."""
    from comptool.practice import chips

    _, test = chips.plan(train_counts_mavoc(0.02), 826, np.random.default_rng(0))
    counts = np.bincount(test.kinds, minlength=10)
    assert counts.sum() == 826
    assert stats.chisquare(counts).pvalue > 0.001


def test_ids_are_unique_and_say_nothing_of_class_or_part(practice):
    train, test = rows(practice / "train.csv"), rows(practice / "test.csv")
    ids = [int(row["image_id"]) for row in train + test]
    assert len(set(ids)) == len(ids) == 482
    # Rows are in the order of their ids, so the order is as silent as the ids are.
    assert ids[: len(train)] == sorted(ids[: len(train)])
    assert ids[len(train) :] == sorted(ids[len(train) :])
    by_class: dict[str, list[int]] = {}
    for row in train + rows(practice / "answers.csv"):
        by_class.setdefault(row["class_id"], []).append(int(row["image_id"]))
    assert stats.kruskal(*by_class.values()).pvalue > 0.01
    assert stats.ks_2samp(ids[: len(train)], ids[len(train) :]).pvalue > 0.01
    lengths = [[len(str(number)) for number in numbers] for numbers in by_class.values()]
    assert stats.kruskal(*lengths).pvalue > 0.01


def test_neighbouring_ids_are_not_neighbouring_frames(practice):
    """Frames of one class are drawn in a row; sorted by id the classes are shuffled."""
    labels = np.array([row["class_id"] for row in rows(practice / "train.csv")])
    same = (labels[1:] == labels[:-1]).mean()
    by_chance = sum((count / 422) ** 2 for count in COUNTS)
    assert abs(same - by_chance) < 4 * np.sqrt(by_chance * (1 - by_chance) / 421)


def test_chips_are_grey_of_the_documented_sizes_whatever_the_class(practice):
    sides: dict[str, list[int]] = {}
    for path in practice.rglob("EO_*.png"):
        assert (chip(path).shape, chip(path).dtype) == ((32, 32), np.uint8)
    for path in practice.rglob("SAR_*.png"):
        height, width = chip(path).shape
        assert height == width
        sides.setdefault(path.parent.name, []).append(height)
    assert set().union(*sides.values()) == set(range(54, 61))
    assert stats.kruskal(*sides.values()).pvalue > 0.01


def test_the_test_part_has_blank_and_copied_sar_chips_as_the_real_one(practice):
    chips = [chip(practice / row["sar_path"]) for row in rows(practice / "test.csv")]
    blank = [not image.any() for image in chips]
    whole = [image.tobytes() for image in chips if image.any()]
    # 2 and 6 of 826, and at least one of each.
    assert sum(blank) == 1
    assert len(whole) - len(set(whole)) == 1
    photographs = [chip(practice / row["eo_path"]) for row in rows(practice / "test.csv")]
    assert len({image.tobytes() for image in photographs}) == 60
    assert all(image.any() for image in photographs)


def test_at_full_size_two_sar_chips_are_blank_and_six_are_copies():
    from comptool.practice import chips

    for seed in range(5):
        _, test = chips.plan(train_counts_mavoc(0.02), 826, np.random.default_rng(seed))
        assert (test.blank.sum(), test.copies.sum()) == (2, 6)
        assert not (test.blank & test.copies).any()
        copied = np.flatnonzero(test.copies)
        # A copy shows the class of what it copies, and no copy is blank or of a copy.
        assert (test.kinds[copied] == test.kinds[copied - 1]).all()
        assert not (test.copies | test.blank)[copied - 1].any()


def test_some_training_frames_show_a_scene_again_with_noise_of_their_own(practice):
    twins = 0
    for kind in CLASSES:
        chips = [chip(path) for path in sorted((practice / "train" / kind).glob("EO_*.png"))]
        assert len({image.tobytes() for image in chips}) == len(chips)
        pixels = np.stack(chips).reshape(len(chips), -1).astype(float)
        likeness = np.corrcoef(pixels)
        np.fill_diagonal(likeness, 0)
        twins += int((likeness > 0.9).any(axis=1).sum()) // 2
    # 4 % of the frames follow another; shifts leave some of those less alike than 0.9.
    assert 0.01 < twins / 422 < 0.06
