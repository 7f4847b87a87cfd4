"""The table of image readers."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.competition.filename_patterns import IMAGE_SUFFIXES
from comptool.data.image_io import read_by_opencv, read_pixels
from comptool.errors import InputError
from comptool.io import image_readers
from comptool.io.image_readers import READERS, Reader, load_reader, reader_of
from comptool.label_review.gallery import data_uri
from comptool.registry import Registry

USERS = """
import io
import numpy as np
from comptool.errors import InputError

def read(content, path):
    try:
        return np.load(io.BytesIO(content))
    except ValueError as error:
        raise InputError("is damaged", file=path) from error
"""


@pytest.fixture
def arrays(monkeypatch, tmp_path):
    """The usual readers and one of .npy files."""
    (tmp_path / "reader.py").write_text(USERS)
    target = f"{tmp_path / 'reader.py'}:read"
    own = Reader("npy", target, "Arrays.", "numpy.load", suffixes=(".npy",))
    monkeypatch.setattr(image_readers, "READERS", Registry("image reader", *READERS, own))
    load_reader.cache_clear()
    yield
    load_reader.cache_clear()


def test_every_suffix_has_one_reader():
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert set(suffixes) == IMAGE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in suffixes)


def test_a_suffix_that_says_nothing_is_left_to_the_content():
    assert load_reader(".PNG") is read_by_opencv
    assert reader_of(".dat").name == reader_of("").name == "opencv"


def test_a_format_of_its_own_is_read_and_shown(arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[..., 0] = 200
    np.save("red.npy", pixels)
    np.testing.assert_array_equal(read_pixels(Path("red.npy")), pixels)
    uri = data_uri(Path("red.npy"), 6)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), 1)
    np.testing.assert_allclose(shown[..., ::-1], pixels, atol=6)


def test_a_damaged_file_of_such_a_format_is_named(arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"bad.npy: is damaged"):
        read_pixels(Path("bad.npy"))
    assert data_uri(Path("bad.npy"), 6) is None
