"""A practice AICOSS: its files, and what was deleted from the truth of its labels."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.competition.config import load
from comptool.competition.samples import test_samples as read_test_samples
from comptool.competition.samples import training_samples
from comptool.practice.aerial_scenes import CLASSES, KINDS, SMALL_CLASSES, ClassRule
from comptool.practice.aicoss import edition_of, labels_kept, simulate

TINY = 0.001  # 120 training and 80 test pictures


def make(folder, seed=0, deleted=0.2, processes=1):
    folder.mkdir()
    said = []
    facts = simulate(
        folder, scale=TINY, seed=seed, deleted=deleted, processes=processes, say=said.append
    )
    return folder, facts, said


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    return make(tmp_path_factory.mktemp("aicoss") / "data")


def table(folder, name):
    return pd.read_csv(folder / f"{name}.csv", dtype=str)


def cells(folder, name):
    return table(folder, name)[list(SMALL_CLASSES)].to_numpy().astype(int)


def digests(folder, *, without=()):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in without
    }


def test_the_tables_have_the_columns_of_the_real_competition(practice):
    folder = practice[0]
    assert list(table(folder, "train")) == ["img_id", "img_path", *SMALL_CLASSES]
    assert list(table(folder, "test")) == ["img_id", "img_path"]
    for name in ("sample_submission", "answers", "complete_labels"):
        assert list(table(folder, name)) == ["img_id", *SMALL_CLASSES]
    assert table(folder, "train").iloc[7, :2].tolist() == ["TRAIN_00007", "train/TRAIN_00007.jpg"]
    assert list(table(folder, "answers")["img_id"]) == list(table(folder, "test")["img_id"])
    assert list(table(folder, "sample_submission")["img_id"]) == list(
        table(folder, "test")["img_id"]
    )
    assert (len(table(folder, "train")), len(table(folder, "test"))) == (120, 80)


def test_every_picture_of_the_tables_is_there_and_no_other(practice):
    folder = practice[0]
    listed = {*table(folder, "train")["img_path"], *table(folder, "test")["img_path"]}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")}
    assert listed == found
    for name in sorted(found)[::40]:
        assert cv2.imread(str(folder / name)).shape == (96, 96, 3)


def test_the_download_is_detected_as_it_stands(practice, monkeypatch):
    monkeypatch.chdir(practice[0])
    competition = load()
    assert (competition.task, competition.metric) == ("multilabel", "map")
    assert competition.labels == SMALL_CLASSES
    assert competition.train.name == "train.csv"
    assert len(training_samples(competition).frame) == 120
    assert len(read_test_samples(competition).frame) == 80


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_processes(practice, tmp_path):
    again = make(tmp_path / "again", processes=2)[0]
    assert digests(again) == digests(practice[0])


def test_another_seed_gives_other_pictures(practice, tmp_path):
    other = digests(make(tmp_path / "other", seed=1)[0])
    same = [name for name, digest in digests(practice[0]).items() if other[name] == digest]
    assert same == ["README.txt", "sample_submission.csv", "test.csv"]


def test_deletion_changes_the_training_labels_alone(practice, tmp_path):
    whole, facts, _ = make(tmp_path / "whole", deleted=0)
    unlike = ("train.csv", "README.txt")
    assert digests(whole, without=unlike) == digests(practice[0], without=unlike)
    assert (cells(whole, "train") == cells(whole, "complete_labels")).all()
    assert set(facts["deleted"].values()) == {0.0}


def test_the_share_asked_for_is_deleted_and_recorded(practice):
    folder, facts, said = practice
    given, complete = cells(folder, "train"), cells(folder, "complete_labels")
    assert (given <= complete).all()
    assert (complete - given).sum() == round(0.2 * complete.sum())
    assert list(facts["class_counts"].values()) == given.sum(axis=0).tolist()
    lost = 1 - given.sum(axis=0) / complete.sum(axis=0)
    assert list(facts["deleted"].values()) == pytest.approx(lost, abs=1e-4)
    assert (facts["task"], facts["metric"]) == ("multilabel", "map")
    labels = f"{complete.sum(axis=1).mean():.1f}"
    gone = f"{(complete - given).sum() / complete.sum():.1%}"
    assert said == [
        f"120 training and 80 test pictures of 96 px, 20 classes, {labels} labels a picture, "
        f"{gone} of the training labels deleted"
    ]


def test_classes_that_are_easily_missed_lose_more():
    rules = (ClassRule("often", 0.1, 2.0), ClassRule("seldom", 0.1, 0.5))
    filled = np.full((4000, 2), 0.4)
    kept = labels_kept(filled, 0.2, np.random.default_rng(0), rules)
    lost = 1 - kept.mean(axis=0)
    # Waiting times of rates 2 and 1/2 until a share 0.2 of all is gone: 1 - r^2 and 1 - r^(1/2).
    assert lost == pytest.approx([0.3307, 0.0955], abs=0.03)
    assert (~kept).sum() == 1600


def test_what_is_small_is_missed_more_often_than_what_is_large():
    rules = (ClassRule("one", 0.01, 1.0),)
    filled = np.repeat([[0.012], [0.5]], 2000, axis=0)
    kept = labels_kept(filled, 0.3, np.random.default_rng(0), rules)
    assert kept[:2000].mean() < kept[2000:].mean() - 0.2


def test_a_class_keeps_at_least_one_positive():
    rules = (ClassRule("rare", 0.1, 50.0), ClassRule("usual", 0.1, 0.1))
    filled = np.ones((50, 2))
    filled[3:, 0] = 0
    kept = labels_kept(filled, 0.9, np.random.default_rng(0), rules)
    assert kept.sum(axis=0).tolist() == [1, 53 - round(0.9 * 53) - 1]


def test_a_few_scenes_are_shown_twice(practice):
    thumbnails = []
    for path in sorted((practice[0] / "train").iterdir()):
        grey = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY)
        thumbnails.append(cv2.resize(grey, (12, 12), interpolation=cv2.INTER_AREA).ravel())
    alike = np.corrcoef(thumbnails)
    pairs = int((np.triu(alike, 1) > 0.97).sum())
    assert 0 < pairs < 8


def test_the_small_edition_leaves_out_kinds_and_classes():
    small, full = edition_of(0.01), edition_of(1)
    assert (small.side, len(small.classes)) == (96, 20)
    assert (full.side, full.classes) == (188, CLASSES)
    assert len(CLASSES) == len(set(CLASSES)) == 60
    assert set(SMALL_CLASSES) < set(CLASSES)
    assert 0 < sum(weight > 0 for weight in small.weights) < len(KINDS)
    assert min(full.weights) > 0
    assert max(full.weights) >= 8 * min(full.weights)


def test_a_number_out_of_range_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"scale is 0\.1, deleted is 1; one is out of range"):
        simulate(tmp_path, scale=0.1, seed=0, deleted=1, say=print)


def test_the_command_makes_the_competition_and_records_how(comptool, tmp_path):
    result = comptool("simulate", "aicoss", "-o", "data", "--scale", TINY, "--deleted", 0.3,
                      "-j", 1, "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["folder"] == "data"
    assert answer["classes"] == list(SMALL_CLASSES)
    given, complete = (cells(tmp_path / "data", name) for name in ("train", "complete_labels"))
    assert given.sum() == complete.sum() - round(0.3 * complete.sum())
    record = json.loads((tmp_path / "data.meta.json").read_text())
    assert record["arguments"] == {"name": "aicoss", "scale": TINY, "seed": 0, "deleted": 0.3}
    assert record["facts"]["class_counts"] == answer["class_counts"]


def test_options_of_another_simulation_are_refused(comptool, tmp_path):
    result = comptool("simulate", "mavoc", "--deleted", 0.2)
    assert result.exit_code == 2
    assert "the practice competition 'mavoc' takes no 'deleted'; it takes 'looks'" in result.stderr
    result = comptool("simulate", "aicoss", "--deleted", 0.95)
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []
