"""Channels of one image in several files, and images inside tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comptool.competition.config import dump, load
from comptool.competition.samples import test_samples as samples_to_predict
from comptool.competition.samples import training_samples


@pytest.mark.parametrize(
    ("channels", "order"),
    [
        (["yellow", "blue", "green", "red"], ["red", "green", "blue", "yellow"]),
        (
            ["B10", "B02", "B8A", "B01", "B11", "B12"],
            ["B01", "B02", "B8A", "B10", "B11", "B12"],
        ),
    ],
)
def test_files_called_as_colours_or_bands_are_channels(
    tmp_path, write, rows, detect, channels, order
):
    images = [f"train/c{n}_{one}.png" for n in range(9) for one in channels]
    images += [f"test/d{n}_{one}.png" for n in range(4) for one in channels]
    folder = write(
        tmp_path,
        *images,
        train=rows("id,kind", "c{n},k{even}", range(9)),
        sample=rows("id,kind", "d{n},k0", range(4)),
    )
    found = detect(folder)
    assert found.modalities == {"image": "|".join(f"{{id}}_{one}.png" for one in order)}
    cells = training_samples(found).frame["image_path"].tolist()
    assert cells[0] == "|".join(f"train/c0_{one}.png" for one in order)
    assert len(samples_to_predict(found)) == 4


def test_channels_are_a_list_in_the_file_and_stay_what_they_were(
    tmp_path, write, rows, detect, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    images = [f"c{n}_{one}.png" for n in range(6) for one in ("red", "green")]
    write(tmp_path / "data", *images, train=rows("id,kind", "c{n},k{even}", range(6)))
    found = detect(Path("data"))
    dump(found, Path("comptool.toml"))
    assert 'image = ["{id}_red.png", "{id}_green.png"]' in Path("comptool.toml").read_text()
    assert load().modalities == found.modalities


def test_class_folders_with_channels_apart(tmp_path, write, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path / "data",
        *(f"train/{k}/{k}{n}_{one}.png" for k in "ab" for n in range(4) for one in ("red", "nir")),
    )
    Path("data/train/b/b3_nir.png").unlink()
    Path("comptool.toml").write_text(
        'task = "multiclass"\nmetric = "accuracy"\n[data]\nfolder = "data"\ntrain = "train"\n'
        'id = "id"\nlabel = "kind"\n[modalities]\ncell = ["{id}_red.png", "{id}_nir.png"]\n'
    )
    frame = training_samples(load()).frame
    assert frame["kind"].tolist() == ["a"] * 4 + ["b"] * 4
    assert frame["cell_path"][0] == "train/a/a0_red.png|train/a/a0_nir.png"
    # A file that is not there keeps its name, for the message.
    assert frame["cell_path"][7] == "train/b/b3_red.png|b3_nir.png"


def test_sensors_are_modalities_and_no_channels(tmp_path, write, rows, detect):
    images = [f"c{n}_{one}.png" for n in range(6) for one in ("sar", "eo")]
    folder = write(tmp_path, *images, train=rows("id,kind", "c{n},k{even}", range(6)))
    assert detect(folder).modalities == {"sar": "{id}_sar.png", "eo": "{id}_eo.png"}


def test_arrays_in_the_records_of_a_json_table_are_found(tmp_path, detect):
    for name, count in (("train", 8), ("test", 3)):
        records = [
            {
                "id": f"{name}{n}",
                "band_1": np.full(25, n).tolist(),
                "band_2": np.full(25, -n).tolist(),
                **({"is_iceberg": n % 2} if name == "train" else {}),
            }
            for n in range(count)
        ]
        (tmp_path / f"{name}.json").write_text(json.dumps(records))
    found = detect(tmp_path)
    assert found.modalities == {"image": "band_1|band_2"}
    assert (found.id, found.label) == ("id", "is_iceberg")
    first = training_samples(found).frame["image_path"][0].split("|")
    assert [one.partition("/")[2] for one in first] == ["band_1", "band_2"]
    assert len(samples_to_predict(found)) == 3


def test_images_in_a_bson_table_are_found(tmp_path, detect):
    bson = pytest.importorskip("bson")
    for name, count in (("train", 8), ("test", 3)):
        content = b""
        for n in range(count):
            record = {"_id": n, "imgs": [{"picture": b"\x89PNG"}] * (1 + n % 2)}
            content += bson.encode(record | ({"kind": n % 2 + 10} if name == "train" else {}))
        (tmp_path / f"{name}.bson").write_bytes(content)
    (tmp_path / "sample_submission.csv").write_text("_id,kind\n0,10\n1,10\n2,10\n")
    found = detect(tmp_path)
    assert found.modalities == {"image": "imgs"}
    assert (found.id, found.label, found.task) == ("_id", "kind", "multiclass")
    assert found.bag == "_id"
    samples = training_samples(found)
    assert (len(samples), samples.frame["bag"].nunique(), samples.notes) == (12, 8, ())
    assert samples.frame["_id"].tolist()[:3] == ["0/0", "1/0", "1/1"]
    assert samples.frame["imgs"][2] == samples.frame["imgs"][1][:-1] + "1"
    assert samples_to_predict(found).frame["bag"].tolist() == ["0", "1", "1", "2"]
    assert training_samples(replace(found, bag=None)).notes == (
        f"4 records of {tmp_path / 'train.bson'} have several images in 'imgs': the first of each "
        "is taken",
    )


def test_images_that_a_reader_of_the_user_knows_are_found(tmp_path, detect, rows, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("def read(content, path): ...\nread.suffixes = ('.raw',)\n")
    Path("data").mkdir()
    for n in range(6):
        Path(f"data/c{n}.raw").write_bytes(b"12")
    Path("data/train.csv").write_text(rows("id,kind", "c{n},k{even}", range(6)))
    found = detect(Path("data"), reader="own.py:read")
    assert found.modalities == {"image": "{id}.raw"}
    assert training_samples(found).reader == "own.py:read"
