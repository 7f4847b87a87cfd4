"""comptool init, from a folder to comptool.toml."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comptool.competition.config import load


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [f"{n},{n}.png,{'ab'[n % 2]},{n % 3}" for n in range(6)]
    (folder / "train.csv").write_text("\n".join(["id,path,label,kind", *lines, ""]))
    for n in range(6):
        (folder / f"{n}.png").touch()
    return folder


def test_init_writes_what_it_found_and_says_so(comptool, data):
    result = comptool("init", "data")
    assert (result.exit_code, result.stdout) == (0, "comptool.toml\n")
    assert Path("comptool.toml").read_text() == (
        "# Facts of the competition; the settings of a run stand in its shell script.\n"
        f'name = "{load().name}"'.ljust(40)
        + "  # what submission files are called\n"
        'task = "multiclass"                       '
        "# multiclass or multilabel or ordinal or regression\n"
        'metric = "accuracy"                       # what the organiser ranks by\n'
        "\n"
        "[data]\n"
        'folder = "data"                           # the download; what follows is relative to it\n'
        'train = "train.csv"                       # a table, or a folder of class folders\n'
        'id = "id"                                 # column\n'
        'label = "label"                           # column; multilabel, regression: also a list '
        "of columns\n"
        "\n"
        "# In the order in which a model takes them: a column with the images' paths, or\n"
        '# a file-name pattern such as "SAR_{id}.png"; a list for the channels of one image.\n'
        "[modalities]\n"
        'image = "path"\n'
    )
    assert "training table: train.csv (6 rows)\n" in result.stderr
    assert "assumed: the metric is accuracy\n" in result.stderr
    assert "6 training samples of 2 classes, 3 of each\n" in result.stderr


def test_every_fact_can_be_given(comptool, data):
    (data / "other.csv").write_text("key,sar,eo,y,site\n1,0.png,1.png,a,p\n2,2.png,3.png,b,p\n")
    (data / "t.csv").write_text("key,sar,eo\n3,4.png,5.png\n")
    (data / "s.csv").write_text("key,y\n3,a\n")
    result = comptool(
        "init", "data", "--name", "cup", "--task", "multiclass", "--metric", "kappa",
        "--train", "other.csv", "--test", "data/t.csv", "--sample-submission", "s.csv",
        "--id", "key", "--label", "y", "--group", "site", "--classes", "a,b,c",
        "--modality", "eo=eo", "--modality", "sar=sar",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = load()
    assert (found.name, found.metric, found.id, found.label) == ("cup", "kappa", "key", "y")
    assert (found.train, found.test) == (Path("data/other.csv"), Path("data/t.csv"))
    assert (found.group, found.classes) == ("site", ("a", "b", "c"))
    assert list(found.modalities.items()) == [("eo", "eo"), ("sar", "sar")]
    assert found.findings == ()


def test_form_and_positive_class_are_written_and_reach_the_metric(comptool, data):
    options = ("--form", "probability", "--positive-class", "a", "--metric", "pauc@0.8")
    assert comptool("init", "data", *options).exit_code == 0
    found = load()
    assert (found.form, found.positive_class, found.metric_options) == ("probability", "a", {})
    assert found.find_metric(classes=["a", "b"]).given["positive_class"] == "a"
    # A fact of the competition, not of its metric alone.
    assert found.find_metric("pf1", classes=["a", "b"]).given == {"positive_class": "a"}
    assert found.find_metric("auc", classes=["a", "b"]).given == {}
    wrong = comptool("init", "data", "--force", "--positive-class", "c")
    assert wrong.exit_code == 3
    assert "'positive-class' is 'c', which no training row has (found 'a', 'b')" in wrong.stderr
    wrong = comptool("init", "data", "--force", "--form", "probabilites")
    assert wrong.exit_code == 2
    assert "no answer form is called 'probabilites'; did you mean 'probabilities'" in wrong.stderr


def test_a_flag_wins_over_a_variable(comptool, data, monkeypatch):
    monkeypatch.setenv("COMPTOOL_METRIC", "kappa")
    monkeypatch.setenv("COMPTOOL_LABEL", "kind")
    assert comptool("init", "--metric", "auc").exit_code == 0
    monkeypatch.delenv("COMPTOOL_METRIC")
    monkeypatch.delenv("COMPTOOL_LABEL")
    assert (load().metric, load().label) == ("auc", "kind")


def test_init_replaces_nothing_unasked(comptool, data):
    Path("comptool.toml").write_text("mine")
    result = comptool("init")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "comptool init: comptool.toml: exists already. Replace it with --force\n"
    )
    assert Path("comptool.toml").read_text() == "mine"
    assert comptool("init", "--force", "--quiet").stderr == ""
    assert load().label == "label"


def test_init_tells_what_is_wrong_with_the_samples_and_still_writes(comptool, data):
    with (data / "train.csv").open("a") as stream:
        stream.write("6,../6.png,a,0\n")
    result = comptool("init")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.endswith(
        "comptool.toml is written, and training cannot work: correct it there, or with init "
        "--force\ncomptool init: data/train.csv, row 7, column 'path': this path leaves the data "
        "folder; paths are relative to it (found '../6.png')\n"
    )
    assert load().label == "label"


def test_dry_run_writes_nothing(comptool, data):
    result = comptool("init", "--dry-run")
    assert result.exit_code == 0
    assert result.stderr.endswith("would write comptool.toml\n")
    assert not Path("comptool.toml").exists()


def test_json_on_stdout(comptool, data):
    found = json.loads(comptool("init", "--json", "-o", "x.toml").stdout)
    assert found["output"] == "x.toml"
    assert "label column: label" in found["findings"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone"], 3, "gone: there is no such folder"),
        (["empty"], 3, "no competition found in 'empty'; looked for a table with 'train' or "),
        (["--task", "x"], 2, "--task is 'x'; it can be multiclass, multilabel"),
        (["--modality", "sar"], 2, "--modality gives 'sar' as ''; a column or a pattern with {id}"),
        (
            ["--train", "gone.csv"],
            3,
            "gone.csv: there is no such file or folder. Correct 'tr",
        ),
    ],
)
def test_a_mistake_is_one_line(comptool, data, arguments, code, message):
    Path("empty").mkdir()
    result = comptool("init", *arguments)
    assert result.exit_code == code
    assert result.stderr.startswith(f"comptool init: {message}")
    assert result.stderr.count("\n") == 1
    assert not Path("comptool.toml").exists()


def several_labels(folder: Path, header: str, cells: str, sample: str) -> None:
    """A download of six images with one column per class."""
    lines = [f"{n},{n}.png,{cells}" for n in range(6)]
    (folder / "train.csv").write_text("\n".join([f"id,path,{header}", *lines, ""]))
    asked = ",".join("0.5" for _ in sample.split(","))
    (folder / "sample_submission.csv").write_text(f"id,{sample}\n5,{asked}\n")


def test_init_takes_the_classes_of_a_sample_submission_in_its_order(comptool, data):
    several_labels(data, "Ärger/roof,bare soil,sea", "1,,0", "sea,Ärger/roof,bare soil")
    result = comptool("init", "data")
    assert result.exit_code == 0, result.stderr
    assert load().labels == ("sea", "Ärger/roof", "bare soil")
    assert "; in the order of the sample submission\n" in result.stderr
    assert (
        "6 training samples of 3 labels, positives from 0 (sea) to 6 (Ärger/roof), 1.00 per "
        "sample, 33.3% of the cells not annotated\n"
    ) in result.stderr


@pytest.mark.parametrize(
    ("header", "sample", "message"),
    [
        ("sea,sand,sea", "sea,sand", "data/train.csv: the header repeats a column (found 'sea')"),
        ("sea,sand,tree", "sea,tree,tree", "data/sample_submission.csv: the header repeats a col"),
        ("sea,sand,tree", "sea,sand,trees", "data/train.csv: the sample submission has clas"),
    ],
)
def test_init_refuses_classes_that_two_tables_do_not_share(comptool, data, header, sample, message):
    several_labels(data, header, "1,0,1", sample)
    result = comptool("init", "data")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"comptool init: {message}")
    assert not Path("comptool.toml").exists()


def test_init_tells_a_wrong_label_and_leaves_the_mending_to_the_user(comptool, data):
    several_labels(data, "sea,sand,tree", "1,0,2", "sea,sand,tree")
    result = comptool("init", "data")
    assert result.exit_code == 3
    assert result.stderr.endswith(
        "comptool init: data/train.csv, row 1, column 'tree': a label is 1 (present), 0 (absent), "
        "-1 or blank (not annotated) (found '2')\n"
    )
    split = comptool("split")
    assert split.exit_code == 3
    assert split.stderr.splitlines()[-1].startswith("comptool split: data/train.csv, row 1, colu")


def test_spellings_of_one_class_are_named_and_stay_apart(comptool, data):
    names = ["Cat"] * 3 + ["cat "] * 2 + ["CAT", "dog", "dog"]
    for n in range(len(names)):
        (data / f"{n}.png").touch()
    lines = [f"{n},{n}.png,{name}" for n, name in enumerate(names)]
    (data / "train.csv").write_text("\n".join(["id,path,label", *lines, ""]))
    hint = (
        "problem: classes that differ by case and blanks alone: 'CAT' (1), 'Cat' (3), 'cat ' (2); "
        "they stay apart. If they are one class, write it one way in column 'label' of "
        "data/train.csv\n"
    )
    result = comptool("init", "data")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("problem: ") == 1
    assert hint in result.stderr
    assert "8 training samples of 4 classes" in result.stderr
    inspected = comptool("inspect")
    assert hint in inspected.stdout + inspected.stderr
