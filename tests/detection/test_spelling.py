"""Images whose names are not quite those of the table."""

from __future__ import annotations

import pytest

from comptool.competition.samples import test_samples as samples_to_predict
from comptool.competition.samples import training_samples
from comptool.data.image_io import drop_missing, find_missing
from comptool.errors import InputError


@pytest.mark.parametrize(
    ("image", "cell", "told"),
    [
        ("{n}a.JPG", "{n}A", "upper and lower case"),
        ("{n}a.jpeg", "{n}a.jpg", "suffixes"),
        ("{n:04}.png", "{n}", "leading zeros"),
        ("{n}a", "{n}a.png", "suffixes"),
    ],
)
def test_an_image_is_found_by_a_name_that_is_spelt_otherwise(
    tmp_path, write, rows, detect, image, cell, told
):
    names = [f"{part}/" + image.format(n=n) for n in range(10) for part in ("train", "test")]
    folder = write(
        tmp_path,
        *names,
        train=rows("id,label", f"{cell},{{even}}", range(10)),
        sample=rows("id,label", f"{cell},0", range(10)),
    )
    found = detect(folder)
    assert f"10 train images are found without regard to {told}" in found.findings
    paths = training_samples(found).frame["image_path"].tolist()
    assert paths == ["train/" + image.format(n=n) for n in range(10)]
    paths = samples_to_predict(found).frame["image_path"].tolist()
    assert paths == ["test/" + image.format(n=n) for n in range(10)]


def test_images_of_mixed_suffixes_are_one_modality(tmp_path, write, rows, detect):
    names = [f"{n}a.{'png' if n % 2 else 'JPG'}" for n in range(8)]
    found = detect(write(tmp_path, *names, train=rows("id,label", "{n}a,{third}", range(8))))
    assert len(found.modalities) == 1
    assert training_samples(found).frame["image_path"].tolist() == names


def test_an_image_of_another_row_is_not_taken(tmp_path, write, rows, detect):
    folder = write(tmp_path, "01.png", "2.png", train="id,label\n01,a\n1,b\n2,a\n")
    with pytest.raises(InputError, match=r"row 2, column 'id': no image \{id\}\.png"):
        training_samples(detect(folder))


def test_backslashes_in_paths(tmp_path, write, rows, detect):
    names = [f"train/{n}.png" for n in range(6)]
    text = rows("id,path,label", "{n},train\\{n}.png,{even}", range(6))
    folder = write(tmp_path, *names, train=text)
    assert training_samples(detect(folder)).frame["image_path"].tolist() == names
    given = detect(folder, modalities={"image": "path"})
    assert training_samples(given).frame["path"].tolist() == names


def test_the_files_of_a_mac_are_no_images(tmp_path, write, rows, detect):
    names = [f"train/{n}.png" for n in range(6)]
    extra = [f"__MACOSX/train/._{n}.png" for n in range(6)] + ["__MACOSX/train/3.png"]
    folder = write(tmp_path, *names, *extra, train=rows("id,label", "{n},{even}", range(6)))
    assert training_samples(detect(folder)).frame["image_path"].tolist() == names


def test_ids_with_a_suffix_beside_class_folders(tmp_path, write, rows, detect):
    images = [f"train/{kind}/{kind}{n}.png" for kind in ("cat", "dog") for n in range(3)]
    folder = write(
        tmp_path, *images, "test/7.png", "test/8.png", sample="file,species\n7.png,cat\n8.png,cat\n"
    )
    assert samples_to_predict(detect(folder)).frame["image_path"].tolist() == [
        "test/7.png", "test/8.png",
    ]  # fmt: skip


def test_of_missing_images_one_is_told_or_left_out(tmp_path, write, rows, detect):
    names = [f"{n}.png" for n in range(9) if n != 4]
    table = rows("id,path,label", "{n},{n}.png,{even}", range(9))
    found = detect(write(tmp_path, *names, train=table), **{"missing-images": "drop"})
    samples = training_samples(found)
    assert samples.frame["id"].tolist() == [str(n) for n in range(9) if n != 4]
    assert samples.notes == (f"{tmp_path / 'train.csv'}: 1 row of 9 left out without images ('4')",)
    pattern = detect(tmp_path, modalities={"image": "{id}.png"}, **{"missing-images": "drop"})
    assert len(training_samples(pattern)) == 8


def test_a_blank_path_of_one_modality_is_no_missing_image_of_the_download(tmp_path, write, detect):
    cells = ["sar/{n}.png,eo/{n}.png", "sar/{n}.png,", "sar/{n}.png,eo/lost.png", ","]
    lines = [f"{n},{cells[max(0, n - 3)].format(n=n)},{n % 2}" for n in range(7)]
    names = [f"{part}/{n}.png" for part in ("sar", "eo") for n in range(6)]
    table = "\n".join(["id,sar_path,eo_path,label", *lines, ""])
    found = detect(write(tmp_path, *names, train=table), **{"missing-images": "drop"})
    samples = training_samples(found)
    assert samples.frame["id"].tolist() == ["0", "1", "2", "3", "4"]
    # Training asks for every modality, and has an option of its own.
    assert find_missing(samples).any(axis=1).tolist() == [False] * 4 + [True]
    assert len(drop_missing(samples)[0]) == 4


def test_rows_that_are_there_twice_count_once(download, rows, detect):
    folder = download(6, train=rows("id,label", "{n},{even}", range(6)) + "3,1\n3,1\n")
    samples = training_samples(detect(folder))
    assert len(samples) == 6
    assert samples.notes == (
        f"{folder / 'train.csv'}: 2 rows repeated in every cell, and taken once",
    )
