"""Images that would unfold to more pixels than are allowed, and damaged ones."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from comptool.data.image_io import read_pixels
from comptool.errors import InputError
from comptool.limits import limit_pixels

LIMIT = 50_000
SOUND = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    limit_pixels(None)


@pytest.fixture
def few_pixels(monkeypatch) -> None:
    monkeypatch.setenv("COMPTOOL_MAX_PIXELS", str(LIMIT))


def encoded(suffix: str, pixels: np.ndarray = SOUND) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def png_of(width: int, height: int) -> bytes:
    """A black PNG of one bit per pixel, of which the first rows are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * 8))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    )


def jpeg_of(width: int, height: int) -> bytes:
    content = bytearray(encoded(".jpg"))
    place = content.find(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def tiff(tags: dict[int, int]) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def array(shape: str) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", content)
    return file.getvalue()


def dicom(rows: int, columns: int, *, deflated: int = 0) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    one = pydicom.Dataset()
    one.Rows, one.Columns, one.SamplesPerPixel = rows, columns, 1
    one.BitsAllocated = one.BitsStored = 8
    one.HighBit, one.PixelRepresentation, one.PhotometricInterpretation = 7, 0, "MONOCHROME2"
    one.PixelData = bytes(deflated or 100)
    one.file_meta = pydicom.dataset.FileMetaDataset()
    uid = pydicom.uid
    one.file_meta.TransferSyntaxUID = (
        uid.DeflatedExplicitVRLittleEndian if deflated else uid.ExplicitVRLittleEndian
    )
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.3"
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = "1.2.3.4"
    file = io.BytesIO()
    one.save_as(file, enforce_file_format=True)
    return file.getvalue()


def gif(width: int, height: int) -> bytes:
    content = bytearray(encoded(".gif"))
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def big(suffix: str) -> bytes:
    return encoded(suffix, np.zeros((300, 400, 3), np.uint8))


@pytest.mark.parametrize(
    ("name", "make", "size"),
    [
        ("a.png", lambda: png_of(400, 300), "400x300 pixels"),
        ("a.jpg", lambda: jpeg_of(400, 300), "400x300 pixels"),
        ("a.gif", lambda: gif(400, 300), "400x300 pixels"),
        ("a.bmp", lambda: big(".bmp"), "400x300 pixels"),
        ("a.webp", lambda: big(".webp"), "400x300 pixels"),
        ("a.tif", lambda: big(".tif"), "400x300 pixels"),
        ("b.tif", lambda: tiff({256: 400, 257: 300, 258: 32, 277: 1, 339: 3}), "400x300 pixels"),
        ("c.tif", lambda: tiff({256: 40, 257: 30, 258: 8, 277: 999}),
         "40x30 pixels of 999 channels"),
        ("a.npy", lambda: array("(300, 400)"), "400x300 pixels"),
        ("b.npy", lambda: array("(3, 300, 400)"), "400x300 pixels"),
        ("c.npy", lambda: array("(999, 1000, 1001)"), "1001x1000 pixels of 999 channels"),
        ("a.npz", lambda: zipped(array("(300, 400)") + bytes(120_000)), "400x300 pixels"),
        ("a.dcm", lambda: dicom(300, 400), "400x300 pixels"),
        ("a.jp2", lambda: big(".jp2"), "400x300 pixels"),
    ],
)  # fmt: skip
def test_an_image_of_too_many_pixels_is_refused_by_its_header(few_pixels, name, make, size):
    Path(name).write_bytes(make())
    with pytest.raises(InputError) as error:
        read_pixels(Path(name))
    told = str(error.value)
    assert told.startswith(f"{name}: this image has {size}; 50,000 are allowed. If it is sound, ")
    assert " allow it with --max-pixels " in told


def test_the_option_comes_before_the_variable(few_pixels):
    Path("a.png").write_bytes(encoded(".png", np.zeros((300, 400), np.uint8)))
    limit_pixels(120_000)
    assert read_pixels(Path("a.png")).shape == (300, 400, 1)
    limit_pixels(119_999)
    with pytest.raises(InputError, match=r"119,999 are allowed\. .*--max-pixels 120000 or "):
        read_pixels(Path("a.png"))


def test_no_warning_of_pillow_and_no_limit_of_its_own(recwarn):
    # 200 megapixels, of which Pillow's own limit is 179; the rows are not there.
    Path("a.png").write_bytes(png_of(20_000, 10_000).replace(b"IEND\xaeB`\x82", b""))
    with pytest.raises(InputError, match="this image is "):
        read_pixels(Path("a.png"))
    assert not recwarn.list


def test_a_bomb_of_400_megapixels_is_refused_by_default():
    Path("a.png").write_bytes(png_of(40_000, 20_000))
    with pytest.raises(InputError, match="this image has 40000x20000 pixels; 536,870,912 are all"):
        read_pixels(Path("a.png"))
    limit_pixels(1 << 34)
    Path("a.png").write_bytes(png_of(80_000, 20_000))
    with pytest.raises(InputError, match=r"80000x20000 pixels, and OpenCV decodes 1,073,741,824"):
        read_pixels(Path("a.png"))


def test_a_deflated_dicom_file_is_no_bomb(monkeypatch):
    Path("a.dcm").write_bytes(dicom(10, 10, deflated=3_000_000))
    monkeypatch.setattr("comptool.limits.ALWAYS", 10**6)
    monkeypatch.setattr("comptool.io.image_formats.AT_ONCE", 10**5)
    with pytest.raises(InputError, match=r"holds more than 0\.0 GB in 0\.0 MB"):
        read_pixels(Path("a.dcm"))


def animated(suffix: str) -> bytes:
    frames = [Image.new("RGB", (30, 40), shade) for shade in ("red", "lime", "blue")]
    file = io.BytesIO()
    kind = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}[suffix]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_the_first_frame_of_an_animation_counts(suffix):
    Path(f"a{suffix}").write_bytes(animated(suffix))
    pixels = read_pixels(Path(f"a{suffix}"))
    assert pixels.shape == (40, 30, 3)
    assert pixels[5, 5].tolist() == [255, 0, 0]


SOUND_FILES = {
    **{suffix: lambda suffix=suffix: encoded(suffix) for suffix in
       (".png", ".jpg", ".bmp", ".webp", ".gif", ".tif")},
    "deep.png": lambda: encoded(".png", SOUND.astype(np.uint16) * 257),
    "moving.gif": lambda: animated(".gif"),
    "moving.webp": lambda: animated(".webp"),
    "moving.png": lambda: animated(".png"),
    ".npy": lambda: array("(40, 30)") + bytes(1200),
    ".npz": lambda: zipped(array("(40, 30)") + bytes(1200)),
    ".dcm": lambda: dicom(10, 10),
    "deflated.dcm": lambda: dicom(10, 10, deflated=100),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND_FILES)
def test_damaged_images_are_one_sentence(mutants, name, recwarn):
    path = Path(name if not name.startswith(".") else f"a{name}")
    whole = SOUND_FILES[name]()
    path.write_bytes(whole)
    read_pixels(path)
    # A damaged size is refused at a million pixels, which keeps the test fast.
    limit_pixels(10**6)
    for mutant in mutants(whole, 120):
        path.write_bytes(mutant)
        try:
            assert read_pixels(path).ndim == 3
        except InputError as error:
            assert "\n" not in str(error), mutant
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_damaged_tiffs_of_bands_are_one_sentence(mutants, kind, recwarn):
    tifffile = pytest.importorskip("tifffile")
    bands = np.arange(5 * 12 * 9).reshape(5, 12, 9).astype(kind)
    tifffile.imwrite("a.tif", bands, photometric="minisblack", compression="zlib")
    limit_pixels(10**6)
    for mutant in mutants(Path("a.tif").read_bytes(), 200):
        Path("a.tif").write_bytes(mutant)
        try:
            assert read_pixels(Path("a.tif")).ndim == 3
        except InputError as error:
            assert "\n" not in str(error), mutant
    assert not recwarn.list
