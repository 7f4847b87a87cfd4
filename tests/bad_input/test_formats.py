"""Images that a reader cannot read, and modalities of other channels than are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

TOML = """\
name = "cup"
task = "multiclass"
metric = "accuracy"
[data]
folder = "data"
train = "train.csv"
test = "test.csv"
id = "id"
label = "y"
[modalities]
sar = "{id}.npy"
"""
TINY = ("--model", "test_efficientnet", "--pretrained", "no", "--img-size", "32", "-j", "0")
TRAIN = ("train", *TINY, "--epochs", "1", "--run-name", "new")
INFER = ("infer", "array", "-j", "0", "-o", "new.csv")
READER = """\
import numpy as np
def read(content, path):
    if path.name == "{name}":
        {failure}
    return np.load(path).transpose(1, 2, 0)
"""


def write(name: str, channels: int = 6, kind: type = np.uint8) -> None:
    np.save(
        f"data/{name}.npy",
        np.random.default_rng(0).integers(0, 200, (channels, 40, 36)).astype(kind),
    )


@pytest.fixture
def arrays(chain, invoked) -> Path:
    """The same competition with arrays of six channels, and a run ``array`` of them."""
    for path in Path().glob("folds.csv*"):
        path.unlink()
    ids = [f"s{number:02}" for number in range(24)], [f"t{number}" for number in range(6)]
    for name in (*ids[0], *ids[1]):
        write(name)
    rows = "".join(f"{name},{'abc'[number % 3]}\n" for number, name in enumerate(ids[0]))
    Path("data/train.csv").write_text("id,y\n" + rows)
    Path("data/test.csv").write_text("id\n" + "\n".join(ids[1]) + "\n")
    Path("comptool.toml").write_text(TOML)
    for arguments in ((*TRAIN[:-1], "array"), ("infer", "array", "-j", "0", "--force")):
        result = invoked(*arguments, "-q")
        assert result.exit_code == 0, result.stderr
    return chain


@pytest.mark.parametrize("command", [TRAIN, INFER], ids=["train", "infer"])
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            "raise KeyError('no such band')",
            "data/{}.npy: the reader 'reader.py:read' fails on this image (KeyError: 'no such "
            "band')",
        ),
        (
            "return 'an image'",
            "data/{}.npy: the reader 'reader.py:read' returns a str for this image, and no array",
        ),
        (
            "return np.zeros(12)",
            "data/{}.npy: the reader 'reader.py:read' finds an array of shape (12,) in this image; "
            "two axes are needed, or three with the channels",
        ),
    ],
)
def test_a_reader_that_fails_on_one_image(arrays, refused, command, failure, message):
    name = "s00" if command is TRAIN else "t3"
    Path("reader.py").write_text(READER.format(name=f"{name}.npy", failure=failure))
    refused((*command, "--reader", "reader.py:read"), 3, message.replace("{}", name))


def test_a_reader_that_is_none(arrays, refused):
    Path("reader.py").write_text("def read(content, path): ...\n")
    needed = "--reader is 'read'; FILE.py:function is needed"
    refused((*TRAIN, "--reader", "read"), 2, needed)
    refused((*TRAIN, "--reader", "reader.py:raed"), 2,
            "reader.py: no reader is called 'raed'; did you mean 'read'?")  # fmt: skip
    refused((*TRAIN, "--reader", "gone.py:read"), 3,
            "gone.py: this file of a reader does not exist. Give FILE.py:name")  # fmt: skip
    Path("comptool.toml").write_text(TOML.replace("[data]", '[data]\nreader = "read"'))
    refused(TRAIN, 3, "comptool.toml: 'reader' is 'read'; FILE.py:function is needed")


def test_a_damaged_array(arrays, refused):
    path = Path("data/t2.npy")
    path.write_bytes(path.read_bytes()[:500])
    refused(INFER, 3, "data/t2.npy: this array is damaged ({}). Download it again")
    path.write_bytes(b"<html>404 Not Found</html>")
    refused(INFER, 3, "data/t2.npy: this is not a numpy array. Download it again")


def test_images_of_other_channels_than_the_rest(arrays, refused):
    write("t2", 5)
    refused(INFER, 3, "data/t2.npy: this image has 5 channels, and the network takes 6")
    write("s00", 5)
    refused(
        TRAIN,
        3,
        "data/s00.npy: has 5 channels, and other sar images have 6. Bring them to one with a "
        "reader of your own: --reader FILE.py:function",
    )


def test_channels_that_are_asked_for_and_not_there(arrays, refused):
    refused(
        (*TRAIN, "--channels", "3"),
        2,
        "--channels is 3, and the sar images have 6; leave it out",
    )


def test_numbers_where_the_run_saw_bytes(arrays, refused):
    write("t2", kind=np.float32)
    refused(
        INFER,
        3,
        "data/t2.npy: this image has floating-point pixels, for which the run has no range: the "
        "images that it looked at have 8 or 16 bits",
    )


def test_a_channel_of_an_image_that_is_not_there(arrays, refused):
    patterns = 'sar = ["{id}.npy", "{id}_more.npy"]'
    Path("comptool.toml").write_text(TOML.replace('sar = "{id}.npy"', patterns))
    for number in range(24):
        if number != 7:
            write(f"s{number:02}_more", 1)
    refused(
        TRAIN,
        3,
        "data/train.csv, column 'sar_path': sample 's07' has no sar image; there is no "
        "data/s07_more.npy. Leave such rows out with --missing-modality drop",
    )


@pytest.mark.parametrize("value", ["[]", '["{id}.npy", 3]', '["{id}.npy", ""]'])
def test_channels_that_are_no_list_of_patterns(arrays, refused, value):
    Path("comptool.toml").write_text(TOML.replace('sar = "{id}.npy"', f"sar = {value}"))
    shown = value.replace('"', "'")
    refused(
        TRAIN,
        3,
        f"comptool.toml: 'modalities' gives 'sar' as {shown}; a column or a pattern with "
        "{id} is needed, or a list of them for the channels of one image",
    )


def test_a_model_of_two_streams_for_one_modality(arrays, refused):
    refused(
        ("train", "--model", "test_efficientnet-dual"),
        2,
        "the model 'test_efficientnet-dual' takes 2 or more images per sample and the competition "
        "has 1: sar; try 'test_efficientnet'",
    )


def test_a_table_of_records_that_has_changed(arrays, refused):
    Path("data/train.json").write_text('[{"id": "a", "y": "x", "sar": [[1, 2], [3, 4]]}, {"id": ')
    Path("comptool.toml").write_text(
        TOML.replace("train.csv", "train.json").replace("{id}.npy", "sar")
    )
    refused(TRAIN, 3, "data/train.json: is not readable as JSON ({})")
