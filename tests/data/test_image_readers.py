"""The table of image readers, and what becomes of what a reader returns."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.data.image_io import read_by_opencv, read_pixels, source_of
from comptool.errors import InputError, UsageError, UserFunctionError
from comptool.io import image_readers
from comptool.io.image_readers import (
    IMAGE_SUFFIXES,
    READERS,
    RECORD_SUFFIXES,
    as_image,
    parts_of,
    reader_of,
    suffixes_of,
    users_reader,
)
from comptool.label_review.gallery import data_uri

HALF = """
import numpy as np

def half(content, path):
    assert content != b"bad", "nothing in it"
    return np.full((4, 6, 2), len(content), np.uint8)

def words(content, path):
    return "an image"

half.suffixes = (".half",)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("reader.py").write_text(HALF)
    return tmp_path


def read(name: str, reader: str = ""):
    return read_pixels(source_of(Path(), name, reader))


def test_every_suffix_has_one_reader():
    suffixes = [suffix for reader in READERS for suffix in (*reader.suffixes, *reader.records)]
    assert len(suffixes) == len(set(suffixes))
    assert set(suffixes) == IMAGE_SUFFIXES | RECORD_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in suffixes)


def test_a_suffix_that_says_nothing_is_left_to_the_content():
    assert reader_of(".PNG").load() is read_by_opencv
    assert reader_of(".dat").name == reader_of("").name == "opencv"
    assert reader_of("", bytes(128) + b"DICM").name == "dicom"
    assert reader_of(".img", b"\x93NUMPY\1\0").name == "numpy"


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ((20, 24), (20, 24, 1)),
        ((20, 24, 3), (20, 24, 3)),
        ((20, 24, 13), (20, 24, 13)),
        ((1, 20, 24), (20, 24, 1)),
        ((20, 24, 1), (20, 24, 1)),
        ((6, 273, 256), (273, 256, 6)),
        ((3, 20, 24), (20, 24, 3)),
        # The other two are equal: 100 channels of a small chip, in either place.
        ((16, 16, 100), (16, 16, 100)),
        ((100, 16, 16), (16, 16, 100)),
        ((1, 20, 24, 5), (20, 24, 5)),
    ],
)
def test_the_channels_of_an_array_are_its_last_or_its_first_axis(shape, read):
    assert as_image(np.zeros(shape, np.uint8), Path("a.npy"), "numpy").shape == read


@pytest.mark.parametrize(
    ("given", "read", "value"),
    [
        (np.uint8, np.uint8, 7),
        (">u2", np.uint16, 7),
        (np.bool_, np.uint8, 255),
        (np.int16, np.float32, 7),
        (np.int64, np.float32, 7),
        (np.uint32, np.float32, 7),
        (np.float16, np.float32, 7),
        (np.float64, np.float32, 7),
    ],
)
def test_an_array_of_any_numbers_is_of_one_of_three_types(given, read, value):
    pixels = as_image(np.full((4, 5), 7).astype(given), Path("a.npy"), "numpy")
    assert pixels.dtype == read
    assert (pixels == value).all()
    assert pixels.dtype.isnative


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ([1, 2], "the reader 'mine' returns a list for this image, and no array"),
        (
            np.zeros((2, 2), complex),
            "the reader 'mine' finds no numbers in this image, but complex",
        ),
        (np.zeros(9), "the reader 'mine' finds an array of shape (9,) in this image; two axes are"),
        (np.zeros((2, 3, 4, 5)), "an array of shape (2, 3, 4, 5) in this image"),
        (np.zeros((0, 4)), "an array of shape (0, 4) in this image"),
    ],
)
def test_what_is_no_image_is_refused_by_file_and_reader(found, what):
    with pytest.raises(InputError) as error:
        as_image(found, Path("a.npy"), "mine")
    assert str(error.value).startswith("a.npy: ")
    assert what in str(error.value)


def test_a_reader_of_the_user_reads_the_suffixes_that_it_names(here):
    spec = "reader.py:half"
    Path("a.half").write_bytes(b"12345")
    cv2.imwrite("b.png", np.full((2, 3), 9, np.uint8))
    assert read("a.half", spec).tolist() == np.full((4, 6, 2), 5).tolist()
    assert read("b.png", spec).shape == (2, 3, 1)
    assert suffixes_of(spec) == IMAGE_SUFFIXES | {".half"}
    assert suffixes_of("") == IMAGE_SUFFIXES


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 9, 7), (8, 8, 3), (16, 20, 20)])
def test_the_last_axis_of_a_reader_of_the_user_is_the_channels(here, shape):
    Path("own.py").write_text(
        "import numpy\ndef read(content, path):\n    return numpy.load(path)\n"
    )
    np.save("a.npy", np.zeros(shape, np.uint8))
    assert read("a.npy", "own.py:read").shape == shape
    assert read("a.npy", "numpy").shape == read("a.npy").shape


def test_a_reader_of_the_user_without_suffixes_reads_every_image(here):
    cv2.imwrite("b.png", np.full((2, 3), 9, np.uint8))
    with pytest.raises(InputError) as error:
        read("b.png", "reader.py:words")
    assert str(error.value) == (
        "b.png: the reader 'reader.py:words' returns a str for this image, and no array"
    )


def test_a_reader_that_fails_on_an_image_is_named_with_the_file(here):
    Path("bad.half").write_bytes(b"bad")
    with pytest.raises(InputError) as error:
        read("bad.half", "reader.py:half")
    assert str(error.value).startswith(
        "bad.half: the reader 'reader.py:half' fails on this image (AssertionError: nothing in it"
    )


def test_a_reader_that_exits_is_named_and_its_prints_are_not_on_stdout(here, capsys):
    Path("exits.py").write_text(
        "def read(content, path):\n    print(path)\n    raise SystemExit(0)"
    )
    cv2.imwrite("b.png", np.full((2, 3), 9, np.uint8))
    with pytest.raises(UserFunctionError, match=r"^exits.py:read called sys.exit$"):
        read("b.png", "exits.py:read")
    assert capsys.readouterr() == ("", "b.png\n")


def test_a_reader_of_the_table_can_be_asked_for(here):
    np.save("a.npy", np.ones((2, 3), np.uint8))
    Path("a.npy").rename("a.png")
    assert read("a.png", "numpy").shape == (2, 3, 1)


def test_a_reader_that_does_not_exist_is_refused(here):
    with pytest.raises(UsageError, match=r"no image reader is called 'dcm'; did you mean 'dicom'"):
        users_reader("dcm")
    with pytest.raises(UsageError, match=r"did you mean 'half'"):
        users_reader("reader.py:hlaf")
    with pytest.raises(InputError, match=r"gone.py: this file of a reader does not exist"):
        users_reader("gone.py:half")


def test_a_cell_names_a_file_several_files_or_a_record():
    assert parts_of("a/b.png") == [("a/b.png", "")]
    assert parts_of("a/#1.png") == [("a/#1.png", "")]
    assert parts_of("r.png|g.png") == [("r.png", ""), ("g.png", "")]
    assert parts_of("t.json#0+9/a|t.json#0+9/b") == [("t.json", "0+9/a"), ("t.json", "0+9/b")]


def test_several_files_are_the_channels_of_one_image(here):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    cv2.imwrite("red.png", grey)
    cv2.imwrite("green.png", grey + 100)
    cv2.imwrite("blue.png", np.dstack([grey + 50, 0 * grey, 0 * grey]))
    pixels = read("red.png|green.png|blue.png")
    # Colour in blue alone.
    np.testing.assert_array_equal(pixels, np.dstack([grey, grey + 100, grey + 50]))
    cv2.imwrite("deep.png", grey.astype(np.uint16) * 1000)
    assert read("red.png|deep.png").dtype == np.float32


@pytest.mark.parametrize("kept", [(0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_channel_file_of_one_shade_is_one_channel(here, kept, suffix):
    across = np.linspace(0, 6, 64)
    grey = (100 + 100 * np.outer(np.sin(across), np.cos(across))).astype(np.uint8)
    shade = np.zeros((64, 64, 3), np.uint8)
    shade[..., kept] = grey[..., None]
    cv2.imwrite(f"shade.{suffix}", shade)
    cv2.imwrite("plain.png", grey)
    pixels = read(f"shade.{suffix}|plain.png")
    assert pixels.shape == (64, 64, 2)
    assert np.abs(pixels[..., 0] - grey.astype(float)).mean() < 4


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_channel_file_in_true_colour_is_refused_by_name(here, suffix):
    colour = np.full((10, 10, 3), 255, np.uint8)
    colour[:2] = (40, 80, 120)
    cv2.imwrite(f"photo.{suffix}", colour)
    cv2.imwrite("plain.png", colour[..., 0])
    with pytest.raises(InputError) as error:
        read(f"plain.png|photo.{suffix}")
    assert str(error.value).startswith(f"photo.{suffix}: is in colour (on average red 22")
    assert str(error.value).endswith(
        "and of several files of one image each has to be one channel. Make it a modality of its "
        "own, or pick its channel by --reader FILE.py:function"
    )
    assert read(f"photo.{suffix}").shape == (10, 10, 3)


def test_a_coarser_channel_is_resized_to_the_finest(here):
    cv2.imwrite("fine.png", np.zeros((12, 20), np.uint8))
    cv2.imwrite("coarse.png", np.full((6, 10), 70, np.uint8))
    pixels = read("coarse.png|fine.png")
    assert pixels.shape == (12, 20, 2)
    assert (np.unique(pixels[..., 0]), np.unique(pixels[..., 1])) == ([70], [0])


def test_the_channels_of_one_image_have_one_proportion(here):
    cv2.imwrite("red.png", np.zeros((30, 40), np.uint8))
    cv2.imwrite("green.png", np.zeros((40, 30), np.uint8))
    with pytest.raises(InputError) as error:
        read("red.png|green.png")
    assert str(error.value) == (
        "green.png: has 30x40 pixels and red.png 40x30; channels of one image have the same "
        "proportions"
    )


def test_arrays_of_other_channels_are_shown(here):
    pixels = np.zeros((16, 16, 5), np.float32)
    pixels[..., 0] = 0.8
    np.save("bands.npy", pixels)
    uri = data_uri(Path("bands.npy"), 6)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), 1)
    assert np.abs(shown[..., ::-1].astype(int) - [255, 0, 0]).max() < 8
    Path("bad.npy").write_bytes(b"nothing")
    assert data_uri(Path("bad.npy"), 6) is None


def test_a_plugin_package_that_is_missing_is_named_with_its_command(here, monkeypatch):
    Path("scan.dcm").write_bytes(bytes(128) + b"DICM")
    monkeypatch.setitem(
        image_readers.__dict__["READERS"].load("dicom").__globals__, "import_module", _gone
    )
    with pytest.raises(InputError) as error:
        read("scan.dcm")
    assert str(error.value) == (
        "scan.dcm: reading this file needs the package 'pydicom'. "
        "Install it: pip install 'comptool[dicom]'"
    )


def _gone(name: str):
    raise ModuleNotFoundError(name)
