"""What the tables of a download are taken for, and where a download is looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from comptool.competition.config import load
from comptool.competition.detect import choose_group
from comptool.competition.samples import test_samples as samples_to_predict
from comptool.competition.samples import training_samples
from comptool.errors import InputError


def test_a_group_column_is_known_by_its_name(download, rows, detect):
    folder = download(6, train=rows("id,label,scene", "{n},{even},s{third}", range(6)))
    found = detect(folder)
    assert found.group == "scene"
    assert "assumed: scene is a group column (3 groups); --group '' for none" in found.findings


def test_one_column_of_decimals_asks_for_a_probability(download, rows, detect):
    folder = download(
        6,
        train=rows("id,target", "{n},{even}", range(4)),
        sample=rows("id,target", "{n},0.5", range(4, 6)),
    )
    assert detect(folder).metric == "auc"


def test_a_repeated_id_does_not_make_another_column_the_id(download, rows, detect):
    text = rows("image_id,path,label", "{n},{n}.png,{even}", range(20)) + "3,3.png,0\n"
    folder = download(20, train=text)
    found = detect(folder)
    assert found.id == "image_id"
    with pytest.raises(InputError, match=r"train.csv, row 21, column 'image_id': duplicate id"):
        training_samples(found)


def test_answers_are_never_taken_for_a_table(download, rows, detect):
    folder = download(
        8,
        train=rows("id,label", "{n},{even}", range(6)),
        answers=rows("id,label", "{n},{even}", range(6, 8)),
    )
    found = detect(folder)
    assert (found.train, found.test) == (folder / "train.csv", None)


@pytest.mark.parametrize(
    ("name", "has_record"), [("findings", False), ("findings", True), ("test", True)]
)
def test_what_a_command_wrote_is_no_table_of_the_download(download, rows, detect, name, has_record):
    """A table of any name with the ids of the sample would be the test table."""
    folder = download(
        8,
        train=rows("id,label", "{n},{even}", range(6)),
        sample=rows("id,label", "{n},0", range(6, 8)),
        **{name: rows("kind,id", "unreadable,{n}", range(8))},
    )
    if has_record:
        (folder / f"{name}.csv.meta.json").write_text("{}")
    found = detect(folder)
    assert (found.train, found.test) == (folder / "train.csv", None)


def test_a_header_that_names_an_image_is_refused(tmp_path, write, detect):
    write(tmp_path, "rex.png", "bello.png", "tom.png", train="rex,dog\nbello,wolf\ntom,cat\n")
    with pytest.raises(InputError) as error:
        detect(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'train.csv'}: has no header: its first row names an image "
        "(found 'rex', 'dog'). Write the names of the columns above it"
    )


def test_what_is_given_is_kept(download, rows, detect):
    folder = download(6, train=rows("id,label,kind", "{n},{even},{third}", range(6)))
    found = detect(folder, label="kind", metric="kappa", modalities={"rgb": "{id}.png"})
    assert (found.label, found.metric, found.modalities) == ("kind", "kappa", {"rgb": "{id}.png"})
    assert not [told for told in found.findings if "label column" in told or "metric" in told]


def test_a_label_that_cannot_be_told_is_asked_for(download, rows, detect):
    folder = download(6, train=rows("id,sort,colour", "{n},a{even},b{third}", range(6)))
    with pytest.raises(InputError, match="no column has the name of a label; which one is it"):
        detect(folder)


def test_a_folder_without_a_competition_says_what_was_looked_for(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "notes.png")
    with pytest.raises(InputError) as error:
        load()
    assert str(error.value) == (
        "no competition found in '.' or 'data'; looked for a table with 'train' or 'test' in its "
        "name, a sample submission, and class folders such as train/<class>/*.png. Go to the "
        "folder of the download, or run 'comptool init FOLDER'"
    )


def test_the_data_folder_is_looked_at_after_the_working_directory(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "docs/a/1.png", "docs/b/2.png", "data/train/cat/1.png", "data/train/dog/2.png")
    found = load()
    assert (found.folder, found.train) == (Path("data"), Path("data/train"))
    assert found.name == "".join(c if c.isalnum() else "-" for c in tmp_path.name.lower())


def test_own_outputs_are_no_download(tmp_path, monkeypatch, write):
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
def test_real_downloads(real_data, name, task, modalities, train, test, detect):
    found = detect(real_data / name)
    assert (found.task, found.modalities) == (task, modalities)
    assert not train or len(training_samples(found)) == train
    assert not test or len(samples_to_predict(found)) == test


@pytest.mark.parametrize(
    ("columns", "group"),
    [
        ({"site_id": 2, "patient_id": 20, "image_id": 40}, "patient_id"),
        ({"anatom_site_general": 6, "lesion_id": 15}, "lesion_id"),
        ({"age_group": 8, "camera_model": 9}, "camera_model"),
        ({"site_id": 2}, None),
        ({"patient_id": 40}, None),
        ({"location": 8, "seq_id": 10}, "seq_id"),
    ],
)
def test_a_group_is_what_an_image_is_of_before_where_it_was_taken(columns, group):
    rows = np.arange(40)
    table = pd.DataFrame({name: [f"v{n}" for n in rows % count] for name, count in columns.items()})
    assert choose_group(table, set())[0] == group
