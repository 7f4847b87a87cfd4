"""What a download is taken for, layout by layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool import facts
from comptool.competition import Competition, detected, dump, load
from comptool.errors import InputError
from comptool.samples import test_samples as samples_to_predict
from comptool.samples import training_samples

CHIP = cv2.imencode(".png", np.full((4, 4), 7, np.uint8))[1].tobytes()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in facts.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, *names: str, **tables: str) -> Path:
    """Images by name and tables by text, where ``sample`` is the sample submission."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CHIP)
    for stem, text in tables.items():
        folder.mkdir(exist_ok=True)
        name = "sample_submission" if stem == "sample" else stem
        (folder / f"{name}.csv").write_text(text)
    return folder


def rows(header: str, template: str, numbers: range) -> str:
    lines = [template.format(n=n, even=n % 2, third=n % 3) for n in numbers]
    return "\n".join([header, *lines, ""])


def detect(folder: Path, **given: object) -> Competition:
    return detected([folder], given)


def pairs(template: str, numbers: range, sensors=("SAR", "EO")) -> list[str]:
    return [template.format(n=n, third=n % 3, sensor=sensor) for n in numbers for sensor in sensors]


def test_path_columns_are_known_by_their_values(tmp_path):
    images = pairs("{sensor}/{n}.png", range(12))
    header = "chip,radar_file,optics_file,kind"
    folder = write(
        tmp_path,
        *images,
        train=rows(header, "c{n},SAR/{n}.png,EO/{n}.png,k{third}", range(9)),
        test=rows("chip,radar_file,optics_file", "c{n},SAR/{n}.png,EO/{n}.png", range(9, 12)),
    )
    found = detect(folder)
    assert found.modalities == {"radar": "radar_file", "optics": "optics_file"}
    assert (found.id, found.label, found.task, found.metric) == (
        "chip",
        "kind",
        "multiclass",
        "accuracy",
    )
    assert "assumed: the label column is kind, the only one left" in found.findings
    assert "assumed: the metric is accuracy" in found.findings
    assert list(training_samples(found).frame["radar_file"]) == [f"SAR/{n}.png" for n in range(9)]
    assert len(samples_to_predict(found)) == 3


def test_ids_that_name_images_in_folders_become_a_pattern(tmp_path):
    images = [f"train_images/{n:03}.jpg" for n in range(30)]
    # The test set counts from zero again.
    images += [f"test_images/{n:03}.jpg" for n in range(4)]
    folder = write(
        tmp_path,
        *images,
        train=rows("id,species", "{n:03},s{even}", range(30)),
        sample=rows("id,s0,s1", "{n:03},0.5,0.5", range(4)),
    )
    found = detect(folder)
    assert found.modalities == {"image": "{id}.jpg"}
    assert found.train_images == folder / "train_images"
    assert found.test_images == folder / "test_images"
    assert found.test is None
    assert training_samples(found).frame.to_dict("list") == {
        "id": [f"{n:03}" for n in range(30)],
        "species": [f"s{n % 2}" for n in range(30)],
        "image_path": [f"train_images/{n:03}.jpg" for n in range(30)],
    }
    assert list(samples_to_predict(found).frame["image_path"]) == images[30:]


def test_bare_file_names_are_found_in_their_folders(tmp_path):
    images = [f"train/x{n}.jpg" for n in range(6)] + [f"test/y{n}.jpg" for n in range(2)]
    folder = write(
        tmp_path,
        *images,
        train=rows("file,label", "x{n}.jpg,{even}", range(6)),
        test=rows("file", "y{n}.jpg", range(2)),
    )
    found = detect(folder)
    assert found.modalities == {"image": "{file}"}
    assert list(samples_to_predict(found).frame["image_path"]) == ["test/y0.jpg", "test/y1.jpg"]


def test_sensors_in_folders_of_their_own_are_modalities(tmp_path):
    images = pairs("train/{sensor}/{n}.png", range(20)) + pairs("test/{sensor}/{n}.png", range(5))
    folder = write(
        tmp_path,
        *images,
        train=rows("id,label", "{n},{third}", range(20)),
        test=rows("id", "{n}", range(5)),
    )
    found = detect(folder)
    assert found.modalities == {"sar": "SAR/{id}.png", "eo": "EO/{id}.png"}
    assert samples_to_predict(found).frame["eo_path"][4] == "test/EO/4.png"


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/{third}/{sensor}_{n}.png", "test/{sensor}_{n}.png"),
        ("train/{third}/{sensor}_{n}.png", "test/{sensor}/{sensor}_{n}.png"),
        ("train/{sensor}_Train/{third}/{sensor}_{n}.png", "test/{sensor}_{n}.png"),
    ],
)
def test_the_layouts_of_mavoc(tmp_path, train, test):
    images = pairs(train, range(12)) + pairs(test, range(12, 15))
    folder = write(tmp_path, *images, sample=rows("image_id,class_id", "{n},0", range(12, 15)))
    found = detect(folder)
    assert found.modalities == {"sar": "SAR_{id}.png", "eo": "EO_{id}.png"}
    assert found.id == "image_id"
    samples = training_samples(found)
    assert dict(zip(samples.frame["image_id"], samples.frame[samples.label], strict=True)) == {
        str(n): str(n % 3) for n in range(12)
    }
    for name, sensor in (("sar", "SAR"), ("eo", "EO")):
        ids = samples.frame["image_id"]
        ends = [
            path.endswith(f"/{sensor}_{one}.png")
            for one, path in zip(ids, samples.frame[f"{name}_path"], strict=True)
        ]
        assert all(ends)
    assert samples_to_predict(found).frame["sar_path"].tolist() == [
        test.format(n=n, sensor="SAR") for n in range(12, 15)
    ]


def test_without_a_sample_submission_the_test_folder_gives_the_ids(tmp_path):
    images = pairs("train/{third}/{sensor}_{n}.png", range(6))
    images += pairs("test/{sensor}_{n}.png", range(9, 11))
    found = detect(write(tmp_path, *images))
    assert found.test == tmp_path / "test"
    assert samples_to_predict(found).frame["id"].tolist() == ["9", "10"]


def test_an_id_without_one_of_its_images_is_told(tmp_path):
    images = pairs("train/{third}/{sensor}_{n}.png", range(9))
    images.remove("train/1/EO_4.png")
    found = detect(write(tmp_path, *images))
    assert "1 ids lack the image of a modality" in found.findings
    samples = training_samples(found)
    assert samples.frame.set_index("id")["eo_path"]["4"] == ""


def test_class_folders_that_repeat_file_names(tmp_path):
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
def test_a_validation_folder_beside_the_training_folder_is_a_given_split(tmp_path, name):
    images = [f"train/{kind}/{kind}{n}.png" for kind in ("cat", "dog") for n in range(2)]
    images += [f"{name}/cat/cat7.png", f"{name}/dog/dog7.png", "test/1.png"]
    found = detect(write(tmp_path, *images))
    assert (found.train, found.val) == (tmp_path / "train", tmp_path / name)
    assert (
        f"validation folder: {name}, 2 images; take it as it is with: comptool split "
        "--from-column split"
    ) in found.findings
    assert parts(found) == {
        "cat0": ("cat", "train"), "cat1": ("cat", "train"), "cat7": ("cat", "val"),
        "dog0": ("dog", "train"), "dog1": ("dog", "train"), "dog7": ("dog", "val"),
    }  # fmt: skip
    assert training_samples(found).frame["image_path"][2] == f"{name}/cat/cat7.png"
    assert samples_to_predict(found).frame["id"].tolist() == ["1"]
    dump(found, tmp_path / "comptool.toml")
    assert parts(load(tmp_path / "comptool.toml")) == parts(found)


def test_file_names_that_train_and_val_share_get_the_folder_before_them(tmp_path):
    images = [f"{part}/{kind}/{kind}.png" for part in ("train", "val") for kind in ("cat", "dog")]
    assert parts(detect(write(tmp_path, *images))) == {
        "train/cat": ("cat", "train"), "val/cat": ("cat", "val"),
        "train/dog": ("dog", "train"), "val/dog": ("dog", "val"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("val/1.png", "has not the same classes"),
        ("val/emu/1.png", "has not the same classes"),
    ],
)
def test_a_validation_folder_that_does_not_fit_is_told(tmp_path, image, why):
    found = detect(write(tmp_path, "train/cat/1.png", "train/dog/2.png", image))
    assert found.val is None
    assert f"not used: the folder val, which {why}" in found.findings
    assert len(training_samples(found)) == 2


def test_a_validation_table_is_told_not_to_be_used(tmp_path):
    folder = write(
        tmp_path,
        *[f"{n}.png" for n in range(8)],
        train=rows("id,label", "{n},{even}", range(6)),
        val=rows("id,label", "{n},{even}", range(6, 8)),
    )
    assert (
        "not used: 'val.csv'; its rows can be put into train.csv, with a column 'split' of train "
        "and val that split --from-column split takes"
    ) in detect(folder).findings


def test_a_validation_folder_beside_a_table_is_refused(tmp_path):
    folder = write(
        tmp_path, "0.png", "1.png", "val/a/2.png", train=rows("id,label", "{n},{even}", range(2))
    )
    with pytest.raises(InputError) as error:
        training_samples(detect(folder, val="val"))
    assert str(error.value) == (
        f"{folder / 'val'}: a validation folder goes with a training folder; here 'train' is "
        f"{folder / 'train.csv'}. A table can give its split by a column: comptool split "
        "--from-column NAME"
    )


def test_folders_of_images_beside_a_test_folder_are_classes(tmp_path):
    images = [
        f"{kind}/{kind}_{n}.jpg" for kind in ("AnnualCrop", "Forest", "contest") for n in (1, 2)
    ]
    folder = write(tmp_path, *images, "test/7.jpg", "images/Forest_1.jpg", "val/Forest/9.jpg")
    found = detect(folder)
    assert "class folders in .: 3 classes ('AnnualCrop', 'Forest', 'contest'), 6 images" in (
        found.findings
    )
    assert (
        "assumed: the folders of images here are the classes, but not 'images', 'test', 'val'"
    ) in found.findings
    frame = training_samples(found).frame
    assert frame["label"].tolist() == ["AnnualCrop"] * 2 + ["Forest"] * 2 + ["contest"] * 2
    assert sorted(frame["image_path"]) == sorted(images)
    assert found.test == folder / "test"
    assert samples_to_predict(found).frame["image_path"].tolist() == ["test/7.jpg"]
    dump(found, folder / "comptool.toml")
    assert training_samples(load(folder / "comptool.toml")).frame.equals(frame)


def test_class_folders_beside_a_test_folder_and_a_sample_submission(tmp_path):
    images = [f"{kind}/{kind}_{n}.png" for kind in "abc" for n in range(2)]
    folder = write(tmp_path, *images, "test/7.png", sample="id,label\n7,a\n")
    found = detect(folder)
    assert len(training_samples(found)) == 6
    assert samples_to_predict(found).frame.to_dict("list") == {
        "id": ["7"], "image_path": ["test/7.png"],
    }  # fmt: skip


def test_one_folder_of_images_is_no_set_of_classes(tmp_path):
    with pytest.raises(InputError, match="no competition found"):
        detect(write(tmp_path, "a/1.png", "a/2.png", "images/3.png"))


def test_a_test_folder_of_any_name_is_no_class(tmp_path):
    folder = write(tmp_path, "a/1.png", "b/2.png", "holdout/3.png")
    found = detect(folder, test="holdout")
    assert training_samples(found).frame["label"].tolist() == ["a", "b"]


def test_a_test_folder_by_itself_needs_a_pattern(tmp_path):
    with pytest.raises(InputError, match="no images: no column holds paths of image files"):
        detect(write(tmp_path, "holdout/3.png"), test="holdout")


def test_class_names_in_file_names_are_no_sensors(tmp_path):
    images = [f"train/{kind}/{kind}_{n}.jpg" for kind in ("cat", "dog") for n in range(4)]
    found = detect(write(tmp_path, *images))
    assert found.modalities == {"image": "{id}.jpg"}
    assert training_samples(found).frame["id"].tolist()[:2] == ["cat_0", "cat_1"]


def test_a_path_column_gives_way_to_a_pattern_where_only_a_sample_submission_names_test_ids(
    tmp_path,
):
    images = [f"train/t{n}.png" for n in range(8)] + [f"test/t{n}.png" for n in range(8, 10)]
    folder = write(
        tmp_path,
        *images,
        train=rows("id,path,label", "t{n},train/t{n}.png,{even}", range(8)),
        sample=rows("id,label", "t{n},0", range(8, 10)),
    )
    found = detect(folder)
    assert found.modalities == {"image": "{id}.png"}
    assert samples_to_predict(found).frame["image_path"].tolist() == ["test/t8.png", "test/t9.png"]


def test_a_group_column_is_known_by_its_name(tmp_path):
    folder = write(
        tmp_path,
        *[f"{n}.png" for n in range(6)],
        train=rows("id,label,scene", "{n},{even},s{third}", range(6)),
    )
    found = detect(folder)
    assert found.group == "scene"
    assert "assumed: scene is a group column (3 groups)" in found.findings


def test_one_column_of_decimals_asks_for_a_probability(tmp_path):
    folder = write(
        tmp_path,
        *[f"{n}.png" for n in range(6)],
        train=rows("id,target", "{n},{even}", range(4)),
        sample=rows("id,target", "{n},0.5", range(4, 6)),
    )
    assert detect(folder).metric == "auc"


def test_a_repeated_id_does_not_make_another_column_the_id(tmp_path):
    text = rows("image_id,path,label", "{n},{n}.png,{even}", range(20)) + "3,3.png,1\n"
    folder = write(tmp_path, *[f"{n}.png" for n in range(20)], train=text)
    found = detect(folder)
    assert found.id == "image_id"
    with pytest.raises(InputError, match=r"train.csv, row 21, column 'image_id': the id is there"):
        training_samples(found)


def test_answers_are_never_taken_for_a_table(tmp_path):
    folder = write(
        tmp_path,
        *[f"{n}.png" for n in range(8)],
        train=rows("id,label", "{n},{even}", range(6)),
        answers=rows("id,label", "{n},{even}", range(6, 8)),
    )
    found = detect(folder)
    assert (found.train, found.test) == (folder / "train.csv", None)


def test_what_is_given_is_kept(tmp_path):
    folder = write(
        tmp_path,
        *[f"{n}.png" for n in range(6)],
        train=rows("id,label,kind", "{n},{even},{third}", range(6)),
    )
    found = detect(folder, label="kind", metric="kappa", modalities={"rgb": "{id}.png"})
    assert (found.label, found.metric, found.modalities) == ("kind", "kappa", {"rgb": "{id}.png"})
    assert not [told for told in found.findings if "label column" in told or "metric" in told]


def test_no_image_for_any_id_is_told_with_the_ids(tmp_path):
    folder = write(tmp_path, "a/other.png", train=rows("id,label", "n{n},{even}", range(6)))
    with pytest.raises(InputError) as error:
        detect(folder)
    assert str(error.value) == (
        f"{folder / 'train.csv'}, column 'id': no images: no column holds paths of image files, "
        "and no image is called after an id (found 'n0', 'n1', 'n2'). "
        "Give --modality NAME=COLUMN, or NAME=PATTERN such as 'image={id}.png'"
    )


def test_paths_that_lead_nowhere_are_told(tmp_path):
    folder = write(tmp_path, train=rows("id,path,label", "{n},img/{n}.png,{even}", range(6)))
    with pytest.raises(InputError) as error:
        detect(folder)
    assert str(error.value).startswith(
        f"{folder / 'train.csv'}, column 'path': none of these images is below {folder} (found "
        "'img/0.png', 'img/1.png', 'img/2.png')"
    )


def test_one_missing_image_is_not_a_reason_to_find_none(tmp_path):
    folder = write(
        tmp_path, "0.png", "1.png", train=rows("id,path,label", "{n},{n}.png,{even}", range(3))
    )
    assert detect(folder).modalities == {"image": "path"}
    (folder / "train.csv").write_text(rows("id,label", "{n},{even}", range(3)))
    found = detect(folder)
    assert "1 of 3 train ids lack an image" in found.findings
    with pytest.raises(InputError, match=r"row 3, column 'id': no image \{id\}.png below"):
        training_samples(found)


def test_a_label_that_cannot_be_told_is_asked_for(tmp_path):
    folder = write(
        tmp_path,
        *[f"{n}.png" for n in range(6)],
        train=rows("id,sort,colour", "{n},a{even},b{third}", range(6)),
    )
    with pytest.raises(InputError, match="no column is called like a label; which one is it"):
        detect(folder)


def test_a_folder_without_a_competition_says_what_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "notes.png")
    with pytest.raises(InputError) as error:
        load()
    assert str(error.value) == (
        "no competition found in '.' or 'data'; looked for a table with 'train' or 'test' in its "
        "name, a sample submission, and class folders such as train/<class>/*.png. Go to the "
        "folder of the download, or run 'comptool init FOLDER'"
    )


def test_the_data_folder_is_looked_at_after_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "docs/a/1.png", "docs/b/2.png", "data/train/cat/1.png", "data/train/dog/2.png")
    found = load()
    assert (found.folder, found.train) == (Path("data"), Path("data/train"))
    assert found.name == "".join(c if c.isalnum() else "-" for c in tmp_path.name.lower())


def test_own_outputs_are_no_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "submissions/train/1.png", "weights/train/2.png", ".cache/train/a/1.png")
    (tmp_path / "folds.csv").write_text("id,label,fold\n1,a,0\n")
    with pytest.raises(InputError, match="no competition found"):
        load()


@pytest.mark.parametrize(
    ("name", "task", "modalities", "train", "test"),
    [
        ("eurosat", "multiclass", {"image": "image_path"}, 8000, 0),
        ("mstar", "multiclass", {"image": "image_path"}, 1200, 0),
        ("ucmerced", "multilabel", {"image": "img_path"}, 674, 0),
        ("unicorn", "multiclass", {"sar": "sar_path", "eo": "eo_path"}, 0, 826),
    ],
)
def test_real_downloads(real_data, name, task, modalities, train, test):
    found = detect(real_data / name)
    assert (found.task, found.modalities) == (task, modalities)
    assert not train or len(training_samples(found)) == train
    assert not test or len(samples_to_predict(found)) == test
