"""Downloads that init cannot make a competition of, each with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from comptool.competition.config import load
from comptool.competition.samples import training_samples

ROWS = "id,label\n1,a\n2,b\n3,a\n4,b\n"
SAMPLE = "id,label\n1,a\n"


def put(files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def images(*names: str) -> dict[str, str | bytes]:
    return dict.fromkeys(names, b"x")


FOUR = images("1.png", "2.png", "3.png", "4.png")
FOLDERS = images("train/a/x/1.png", "train/a/y/2.png", "train/b/x/3.png", "train/b/y/4.png")


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        (
            {"train.csv": ROWS, "train.zip": "no zip"},
            [],
            "train.zip: cannot be unpacked (File is not a zip file)",
        ),
        (
            {"train.csv": ROWS, "images.tar.gz": "no tar"},
            [],
            "images.tar.gz: cannot be unpacked (truncated header)",
        ),
        (
            {"train.csv": ROWS, "train.7z": "x"},
            [],
            "train.7z: is a 7z archive, which needs py7zr. Install it (pip install "
            "'comptool[7z]'), or unpack it: 7z x train.7z",
        ),
        (
            {"images.json": '{"a": [1]}', **FOUR},
            ["--train", "images.json"],
            "images.json: holds no table (found 'a'). A list of records, {id: label}, or 'images' "
            "and 'annotations' as in COCO are read",
        ),
        (
            {"sample_submission.csv": SAMPLE, **FOUR},
            [],
            ".: no training data was found, neither a table with 'train' or 'labels' in its name "
            "nor class folders. Name it with --train",
        ),
        (
            {"train.csv": "id,label\n1,a\n2,a\n3,a\n4,a\n", **FOUR},
            [],
            "train.csv, column 'label': every training row has the same label (found 'a'). Name "
            "another label column with --label",
        ),
        (
            {"train.csv": ROWS, **images("1.png", "2.png", "4.png")},
            [],
            "train.csv, row 3, column 'id': no image {id}.png below . (found '3'). Leave such rows "
            'out with missing-images = "drop" in comptool.toml, or correct [modalities] or '
            "'train-images' and 'test-images' in comptool.toml",
        ),
        (
            {"train.csv": "id,path,label\n1,1.png,a\n2,2.png,b\n3,3.png,a\n", **images("1.png")},
            [],
            "train.csv, row 2: 2 of 3 training rows name an image that is not there (found "
            "'2.png'). Leave such rows out with init --missing-images drop, or complete the images",
        ),
        (
            FOLDERS,
            ["--label-pattern", "{label}.*"],
            "a/x/1.png: the path does not fit the label pattern '{label}.*'. Correct "
            "'label-pattern' in comptool.toml (init --label-pattern)",
        ),
        (
            images("train/a/1.png", "train/b/2.png", "train/c/3.png"),
            ["--classes", "0=a,1=d"],
            "train: there is no such class folder (found 'd'). The folders are 'a', 'b', 'c'",
        ),
        (
            images("train/a/1.png", "train/b/2.png", "train/c/3.png"),
            ["--classes", "0=a,1=b"],
            "train: these class folders belong to no class (found 'c'). Name them, or give the "
            "rest to a class: --classes 'cover=Cover,stego=*'",
        ),
    ],
)
def test_a_download_that_cannot_be_trained_on(comptool, monkeypatch, files, arguments, message):
    monkeypatch.setattr("comptool.competition.archives.find_spec", lambda _: None)
    put(files)
    result = comptool("init", ".", *arguments)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.splitlines()[-1] == f"comptool init: {message}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label-pattern", "*/x"], "--label-pattern is '*/x'; a pattern with {label} is needed"),
        (["--missing-images", "skip"], "--missing-images is 'skip'; it can be error or drop"),
        (["--classes", "a=x,b=x"], "--class-folders has the folder 'x' twice"),
        (["--classes", "a="], "--classes is ['a']; a list of at least two different texts is need"),
    ],
)
def test_an_option_of_no_meaning(comptool, arguments, message):
    put({"train.csv": ROWS, **FOUR})
    result = comptool("init", ".", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"comptool init: {message}")
    assert not Path("comptool.toml").exists()


def test_the_remedies_work(comptool):
    put({"train.csv": ROWS, **images("1.png", "2.png", "4.png")})
    result = comptool("init", "--missing-images", "drop")
    assert result.exit_code == 0, result.stderr
    assert "train.csv: 1 row of 4 left out without images ('3')\n" in result.stderr
    assert 'missing-images = "drop"' in Path("comptool.toml").read_text()
    assert len(training_samples(load())) == 3
    assert "train.csv: 1 row of 4 left out without images ('3')\n" in comptool("split").stderr

    put({"train.csv": "id,label,patient\n1,a,p\n2,b,p\n3,a,q\n4,b,r\n", **FOUR})
    assert comptool("init", "--force").exit_code == 0
    assert load().group == "patient"
    assert comptool("init", "--force", "--group", "").exit_code == 0
    assert load().group is None


def test_folders_that_form_a_class_by_an_option(comptool):
    put(images("train/Cover/1.png", "train/A/1.png", "train/B/1.png"))
    result = comptool("init", ".", "--classes", "cover=Cover,stego=A+B")
    assert result.exit_code == 0, result.stderr
    assert "classes of several folders: cover = 'Cover'; stego = 'A', 'B'\n" in result.stderr
    assert training_samples(load()).frame["label"].tolist() == ["cover", "stego", "stego"]
