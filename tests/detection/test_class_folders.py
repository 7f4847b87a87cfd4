"""Downloads whose folders are the classes, with and without a validation folder."""

from __future__ import annotations

import pandas as pd
import pytest

from comptool.competition.config import Competition, dump, load
from comptool.competition.samples import test_samples as samples_to_predict
from comptool.competition.samples import training_samples
from comptool.errors import InputError


def test_class_folders_that_repeat_file_names(tmp_path, write, detect):
    found = detect(write(tmp_path, "cats/1.png", "cats/2.png", "dogs/1.png", "dogs/2.png"))
    assert training_samples(found).frame.to_dict("list") == {
        "id": ["cats/1", "cats/2", "dogs/1", "dogs/2"],
        "image_path": ["cats/1.png", "cats/2.png", "dogs/1.png", "dogs/2.png"],
        "label": ["cats", "cats", "dogs", "dogs"],
    }


def parts(found: Competition) -> dict[str, tuple[str, str]]:
    """Label and given split by id."""
    frame = training_samples(found).frame
    values = zip(frame["label"], frame["split"], strict=True)
    return dict(zip(frame["id"], values, strict=True))


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_a_validation_folder_beside_the_training_folder_is_a_given_split(
    tmp_path, name, write, detect
):
    images = [f"train/{kind}/{kind}{n}.png" for kind in ("cat", "dog") for n in range(2)]
    images += [f"{name}/cat/cat7.png", f"{name}/dog/dog7.png", "test/1.png"]
    found = detect(write(tmp_path, *images))
    assert (found.train, found.val) == (tmp_path / "train", tmp_path / name)
    assert (
        f"validation folder: {name}, 2 images; use it with: comptool split --from-column split"
    ) in found.findings
    assert parts(found) == {
        "cat0": ("cat", "train"), "cat1": ("cat", "train"), "cat7": ("cat", "val"),
        "dog0": ("dog", "train"), "dog1": ("dog", "train"), "dog7": ("dog", "val"),
    }  # fmt: skip
    assert training_samples(found).frame["image_path"][2] == f"{name}/cat/cat7.png"
    assert samples_to_predict(found).frame["id"].tolist() == ["1"]
    dump(found, tmp_path / "comptool.toml")
    assert parts(load(tmp_path / "comptool.toml")) == parts(found)


def test_file_names_that_train_and_val_share_get_the_folder_before_them(tmp_path, write, detect):
    images = [f"{part}/{kind}/{kind}.png" for part in ("train", "val") for kind in ("cat", "dog")]
    assert parts(detect(write(tmp_path, *images))) == {
        "train/cat": ("cat", "train"), "val/cat": ("cat", "val"),
        "train/dog": ("dog", "train"), "val/dog": ("dog", "val"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("val/1.png", "has other classes"),
        ("val/emu/1.png", "has other classes"),
    ],
)
def test_a_validation_folder_that_does_not_fit_is_told(tmp_path, image, why, write, detect):
    found = detect(write(tmp_path, "train/cat/1.png", "train/dog/2.png", image))
    assert found.val is None
    assert f"not used: the folder val, which {why}" in found.findings
    assert len(training_samples(found)) == 2


def test_a_validation_table_is_a_given_split(download, rows, detect):
    folder = download(
        8,
        train=rows("id,label", "{n},{even}", range(6)),
        val=rows("id,label", "{n},{even}", range(6, 8)),
    )
    found = detect(folder)
    assert "val.csv is a given split: comptool split --from-column split" in found.findings
    frame = training_samples(found).frame
    assert frame["split"].tolist() == ["train"] * 6 + ["val"] * 2
    (folder / "val.csv").write_text(rows("id,kind", "{n},{even}", range(6, 8)))
    assert detect(folder).val is None
    with pytest.raises(InputError, match=r"val.csv: no column is called 'label'"):
        training_samples(detect(folder, val="val.csv"))


def test_a_validation_folder_beside_a_table_is_refused(tmp_path, write, rows, detect):
    folder = write(
        tmp_path, "0.png", "1.png", "val/a/2.png", train=rows("id,label", "{n},{even}", range(2))
    )
    with pytest.raises(InputError) as error:
        training_samples(detect(folder, val="val"))
    assert str(error.value) == (
        f"{folder / 'val'}: a validation folder needs a training folder; 'train' is "
        f"{folder / 'train.csv'}. Put the split of a table into a column: comptool split "
        "--from-column NAME"
    )


def test_folders_of_images_beside_a_test_folder_are_classes(tmp_path, write, detect):
    images = [
        f"{kind}/{kind}_{n}.jpg" for kind in ("AnnualCrop", "Forest", "contest") for n in (1, 2)
    ]
    folder = write(tmp_path, *images, "test/7.jpg", "images/Forest_1.jpg", "val/Forest/9.jpg")
    found = detect(folder)
    assert "class folders in .: 3 classes ('AnnualCrop', 'Forest', 'contest'), 6 images" in (
        found.findings
    )
    assert (
        "assumed: the folders of images here are the classes, except 'images', 'test', 'val'"
    ) in found.findings
    frame = training_samples(found).frame
    assert frame["label"].tolist() == ["AnnualCrop"] * 2 + ["Forest"] * 2 + ["contest"] * 2
    assert sorted(frame["image_path"]) == sorted(images)
    assert found.test == folder / "test"
    assert samples_to_predict(found).frame["image_path"].tolist() == ["test/7.jpg"]
    dump(found, folder / "comptool.toml")
    assert training_samples(load(folder / "comptool.toml")).frame.equals(frame)


def test_class_folders_beside_a_test_folder_and_a_sample_submission(tmp_path, write, detect):
    images = [f"{kind}/{kind}_{n}.png" for kind in "abc" for n in range(2)]
    folder = write(tmp_path, *images, "test/7.png", sample="id,label\n7,a\n")
    found = detect(folder)
    assert len(training_samples(found)) == 6
    assert samples_to_predict(found).frame.to_dict("list") == {
        "id": ["7"], "image_path": ["test/7.png"],
    }  # fmt: skip


def test_one_folder_of_images_is_no_set_of_classes(tmp_path, write, detect):
    with pytest.raises(InputError, match="no competition found"):
        detect(write(tmp_path, "a/1.png", "a/2.png", "images/3.png"))


def test_a_test_folder_of_any_name_is_no_class(tmp_path, write, detect):
    folder = write(tmp_path, "a/1.png", "b/2.png", "holdout/3.png")
    found = detect(folder, test="holdout")
    assert training_samples(found).frame["label"].tolist() == ["a", "b"]


def test_class_names_in_file_names_are_no_sensors(tmp_path, write, detect):
    images = [f"train/{kind}/{kind}_{n}.jpg" for kind in ("cat", "dog") for n in range(4)]
    found = detect(write(tmp_path, *images))
    assert found.modalities == {"image": "{id}.jpg"}
    assert training_samples(found).frame["id"].tolist()[:2] == ["cat_0", "cat_1"]


ALASKA = [f"{kind}/{n:04}.png" for kind in ("Cover", "JMiPOD", "UERD") for n in range(12)]


def test_names_that_all_classes_share_are_groups_that_folds_keep_whole(comptool, tmp_path, write):
    write(tmp_path, *ALASKA)
    result = comptool("init", ".", "--classes", "cover=Cover,stego=*")
    assert result.exit_code == 0, result.stderr
    assert (
        "assumed: the 3 class folders share 12 names of images, so images of one name are a group; "
        "--group '' for none\n"
    ) in result.stderr
    assert comptool("split", "--folds", "3").exit_code == 0
    table = pd.read_csv("folds.csv", dtype=str)
    assert set(table.groupby("file_name").size()) == {3}
    assert set(table.groupby("file_name")["fold"].nunique()) == {1}
    assert comptool("init", ".", "--group", "", "--force").exit_code == 0
    assert comptool("split", "--folds", "3", "--force").exit_code == 0
    assert "file_name" not in pd.read_csv("folds.csv")


def test_names_that_some_classes_have_are_numbers_and_no_groups(tmp_path, write, detect):
    names = [f"{kind}/{n}.png" for kind, count in (("cat", 9), ("dog", 7)) for n in range(count)]
    assert detect(write(tmp_path, *names)).group is None
