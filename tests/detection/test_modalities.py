"""Which images belong to a row: columns of paths, patterns, sensors."""

from __future__ import annotations

import pytest

from comptool.competition.samples import test_samples as samples_to_predict
from comptool.competition.samples import training_samples
from comptool.errors import InputError


def pairs(template: str, numbers: range, sensors=("SAR", "EO")) -> list[str]:
    return [template.format(n=n, third=n % 3, sensor=sensor) for n in numbers for sensor in sensors]


def test_path_columns_are_known_by_their_values(tmp_path, write, rows, detect):
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


def test_ids_that_name_images_in_folders_become_a_pattern(tmp_path, write, rows, detect):
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


def test_bare_file_names_are_found_in_their_folders(tmp_path, write, rows, detect):
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


def test_sensors_in_folders_of_their_own_are_modalities(tmp_path, write, rows, detect):
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
def test_the_layouts_of_mavoc(tmp_path, train, test, write, rows, detect):
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


def test_without_a_sample_submission_the_test_folder_gives_the_ids(tmp_path, write, detect):
    images = pairs("train/{third}/{sensor}_{n}.png", range(6))
    images += pairs("test/{sensor}_{n}.png", range(9, 11))
    found = detect(write(tmp_path, *images))
    assert found.test == tmp_path / "test"
    assert samples_to_predict(found).frame["id"].tolist() == ["9", "10"]


def test_an_id_without_one_of_its_images_is_told(tmp_path, write, detect):
    images = pairs("train/{third}/{sensor}_{n}.png", range(9))
    images.remove("train/1/EO_4.png")
    found = detect(write(tmp_path, *images))
    assert "1 ids lack the image of a modality" in found.findings
    samples = training_samples(found)
    assert samples.frame.set_index("id")["eo_path"]["4"] == ""


def test_a_test_folder_by_itself_needs_a_pattern(tmp_path, write, detect):
    with pytest.raises(InputError, match="no images: no column holds image paths"):
        detect(write(tmp_path, "holdout/3.png"), test="holdout")


def test_a_path_column_gives_way_to_a_pattern_where_only_a_sample_submission_names_test_ids(
    tmp_path, write, rows, detect
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


def test_no_image_for_any_id_is_told_with_the_ids(tmp_path, write, rows, detect):
    folder = write(tmp_path, "a/other.png", train=rows("id,label", "n{n},{even}", range(6)))
    with pytest.raises(InputError) as error:
        detect(folder)
    assert str(error.value) == (
        f"{folder / 'train.csv'}, column 'id': no images: no column holds image paths, "
        "and no image has the name of an id (found 'n0', 'n1', 'n2'). "
        "Give --modality NAME=COLUMN, or NAME=PATTERN such as 'image={id}.png'"
    )


def test_paths_that_lead_nowhere_are_told(tmp_path, write, rows, detect):
    folder = write(tmp_path, train=rows("id,path,label", "{n},img/{n}.png,{even}", range(6)))
    with pytest.raises(InputError) as error:
        detect(folder)
    assert str(error.value).startswith(
        f"{folder / 'train.csv'}, column 'path': none of these images is below {folder} (found "
        "'img/0.png', 'img/1.png', 'img/2.png')"
    )


def test_one_missing_image_is_not_a_reason_to_find_none(tmp_path, write, rows, detect):
    folder = write(
        tmp_path, "0.png", "1.png", train=rows("id,path,label", "{n},{n}.png,{even}", range(3))
    )
    assert detect(folder).modalities == {"image": "path"}
    (folder / "train.csv").write_text(rows("id,label", "{n},{even}", range(3)))
    found = detect(folder)
    assert "1 of 3 train ids lack an image" in found.findings
    with pytest.raises(InputError, match=r"row 3, column 'id': no image \{id\}.png below"):
        training_samples(found)
