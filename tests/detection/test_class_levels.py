"""Class folders in several levels, classes in file names, and folders that form one class."""

from __future__ import annotations

import pytest

from comptool.competition.config import dump, load
from comptool.competition.samples import test_samples as samples_to_predict
from comptool.competition.samples import training_samples
from comptool.errors import InputError

LEVELS = [f"train/{kind}/{day}/{kind}{day}{n}.png" for kind in ("cat", "dog") for day in "xy"
          for n in range(2)]  # fmt: skip


def labels(found) -> list[str]:
    return sorted(set(training_samples(found).frame[found.label]))


def test_the_level_that_the_sample_names_is_the_class(tmp_path, write, detect):
    found = detect(write(tmp_path, *LEVELS, "test/1.png", sample="id,label\n1,cat\n"))
    assert labels(found) == ["cat", "dog"]
    assert found.label_pattern == "{label}/*/*"
    dump(found, tmp_path / "comptool.toml")
    assert labels(load(tmp_path / "comptool.toml")) == ["cat", "dog"]


def test_columns_of_the_sample_name_a_level_as_well(tmp_path, write, detect):
    found = detect(write(tmp_path, *LEVELS, "test/1.png", sample="id,x,y\n1,0.5,0.5\n"))
    assert labels(found) == ["x", "y"]


def test_otherwise_the_path_is_the_class_and_that_is_told(tmp_path, write, detect):
    found = detect(write(tmp_path, *LEVELS))
    assert labels(found) == ["cat/x", "cat/y", "dog/x", "dog/y"]
    assert (
        "assumed: the class is the path of its folders ('cat/x'); if it is one of them: "
        "--label-pattern, such as '*/{label}/*'"
    ) in found.findings
    assert labels(detect(tmp_path, **{"label-pattern": "*/{label}/*"})) == ["x", "y"]


def test_a_level_of_one_name_is_no_class(tmp_path, write, detect):
    images = [f"train/images/{kind}/{kind}{n}.png" for kind in ("cat", "dog") for n in range(2)]
    assert labels(detect(write(tmp_path, *images))) == ["cat", "dog"]


def test_images_of_one_class_may_be_deeper_than_others(tmp_path, write, detect):
    images = ["train/cat/a/1.png", "train/cat/2.png", "train/dog/3.png", "test/9.png"]
    found = detect(write(tmp_path, *images, sample="id,label\n9,cat\n"))
    assert (found.label_pattern, labels(found)) == ("{label}/**", ["cat", "dog"])


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("{kind}.{n}.jpg", "{label}.*"),
        ("{kind}_{n}.jpg", "{label}_*"),
        ("{n}_{kind}.jpg", "*_{label}"),
    ],
)
def test_classes_in_file_names(tmp_path, write, detect, name, pattern):
    kinds = ("cat", "big_dog")
    images = ["train/" + name.format(kind=kind, n=n) for kind in kinds for n in range(3)]
    folder = write(tmp_path, *images, "test/1.jpg", "test/2.jpg", sample="id,label\n1,0.5\n2,0.5\n")
    found = detect(folder)
    assert (found.label_pattern, labels(found)) == (pattern, ["big_dog", "cat"])
    assert samples_to_predict(found).frame["image_path"].tolist() == ["test/1.jpg", "test/2.jpg"]


def test_names_that_test_images_have_as_well_are_no_classes(tmp_path, write, detect):
    images = [f"{part}/{kind}_{n}.png" for part in ("train", "test") for kind in ("SAR", "EO")
              for n in range(3)]  # fmt: skip
    found = detect(write(tmp_path, *images, sample="id,label\n1,0\n2,0\n"))
    assert found.train is None


def merged(*names: str) -> list[str]:
    return [f"{name}/{n}.jpg" for name in names for n in range(2)]


def test_folders_form_one_class(tmp_path, write, detect):
    folder = write(
        tmp_path,
        *merged("Cover", "JUNI", "UERD", "Test"),
        sample="Id,Label\n0.jpg,0.0\n1.jpg,0.0\n",
    )
    found = detect(folder, **{"classes": ["0", "1"], "class-folders": {"0": ["Cover"], "1": ["*"]}})
    frame = training_samples(found).frame
    assert frame.groupby("label").size().to_dict() == {"0": 2, "1": 4}
    assert frame["Id"].is_unique
    dump(found, folder / "comptool.toml")
    assert load(folder / "comptool.toml").class_folders == {"0": ["Cover"], "1": ["JUNI", "UERD"]}
    assert training_samples(load(folder / "comptool.toml")).frame.equals(frame)


def test_one_answer_for_several_folders_names_the_option(tmp_path, write, detect):
    folder = write(tmp_path, *merged("Cover", "JUNI", "UERD", "Test"), sample="Id,Label\n0.jpg,0\n")
    assert (
        "the sample submission answers 0 or 1, and not by these classes; if several of them are "
        "one: --classes '0=Cover,1=*'"
    ) in detect(folder).findings


def test_a_validation_folder_of_another_depth_is_told(tmp_path, write, detect):
    images = [f"train/{kind}/images/{kind}{n}.png" for kind in "ab" for n in range(2)]
    found = detect(write(tmp_path, *images, "val/images/1.png"))
    assert "not used: the folder val, which has other classes" in found.findings


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({"a": ["Covr"], "b": ["*"]}, "there is no such class folder (found 'Covr'). The folders"),
        ({"a": ["Cover"], "b": ["JUNI"]}, "these class folders belong to no class (found 'UERD')"),
    ],
)
def test_folders_that_do_not_fit_are_refused(tmp_path, write, detect, folders, message):
    folder = write(tmp_path, *merged("train/Cover", "train/JUNI", "train/UERD"))
    with pytest.raises(InputError) as error:
        detect(folder, **{"classes": list(folders), "class-folders": folders})
    assert message in str(error.value)


def test_a_path_that_does_not_fit_the_pattern_is_named(tmp_path, write, detect):
    folder = write(tmp_path, *LEVELS)
    with pytest.raises(InputError, match=r"does not fit the label pattern '\{label\}_\*'"):
        detect(folder, **{"label-pattern": "{label}_*"})
