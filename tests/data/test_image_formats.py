"""Readers of numpy's arrays, TIFF and DICOM."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.data.image_io import read_pixels
from comptool.errors import InputError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_numpy_arrays_are_read():
    np.save("a.npy", np.arange(24, dtype=np.float16).reshape(2, 3, 4))
    assert read_pixels(Path("a.npy")).shape == (3, 4, 2)
    np.savez_compressed("b.npz", image=np.eye(4, dtype=np.uint8), label=np.int64(3))
    np.testing.assert_array_equal(read_pixels(Path("b.npz"))[..., 0], np.eye(4))


def test_an_archive_of_several_arrays_is_refused_with_their_names():
    np.savez("b.npz", x=np.eye(4), y=np.eye(3))
    with pytest.raises(InputError) as error:
        read_pixels(Path("b.npz"))
    assert str(error.value) == (
        "b.npz: 2 of its 2 arrays may be the image (found 'x (4, 4)', 'y (3, 3)'). "
        "Choose one with a reader of your own: --reader FILE.py:function"
    )


def test_arrays_of_objects_and_damaged_ones_are_refused():
    np.save("objects.npy", np.array([{}, 1], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"objects.npy: this array holds Python objects, which"):
        read_pixels(Path("objects.npy"))
    np.save("cut.npy", np.zeros((40, 40)))
    Path("cut.npy").write_bytes(Path("cut.npy").read_bytes()[:900])
    with pytest.raises(InputError, match=r"cut.npy: this array is damaged \(.*Download it again"):
        read_pixels(Path("cut.npy"))
    Path("text.npy").write_text("1 2 3")
    with pytest.raises(InputError, match=r"text.npy: this is not a numpy array"):
        read_pixels(Path("text.npy"))


def random(*shape: int, dtype=np.uint16):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def test_a_grey_or_colour_tiff_needs_no_tifffile(monkeypatch):
    monkeypatch.setattr("comptool.io.image_formats.import_module", None)
    grey, colour = random(5, 6), random(5, 6, 3, dtype=np.uint8)
    cv2.imwrite("grey.tif", grey)
    cv2.imwrite("colour.tif", colour[..., ::-1])
    np.testing.assert_array_equal(read_pixels(Path("grey.tif"))[..., 0], grey)
    np.testing.assert_array_equal(read_pixels(Path("colour.tif")), colour)


def test_a_tiff_has_any_number_of_bands():
    tifffile = pytest.importorskip("tifffile")
    bands = random(5, 6, 13)
    tifffile.imwrite("together.tif", bands, planarconfig="contig", photometric="minisblack")
    tifffile.imwrite(
        "apart.tif", bands.transpose(2, 0, 1), planarconfig="separate", photometric="minisblack"
    )
    tifffile.imwrite(
        "big.tif", bands, photometric="minisblack", bigtiff=True, planarconfig="contig"
    )
    for name in ("together.tif", "apart.tif", "big.tif"):
        np.testing.assert_array_equal(read_pixels(Path(name)), bands)


def test_the_pages_of_a_tiff_are_its_bands():
    tifffile = pytest.importorskip("tifffile")
    pages = random(4, 5, 6, dtype=np.float32)
    tifffile.imwrite("pages.tif", pages, photometric="minisblack")
    np.testing.assert_array_equal(read_pixels(Path("pages.tif")), pages.transpose(1, 2, 0))


def test_a_thumbnail_is_no_band_of_a_tiff():
    tifffile = pytest.importorskip("tifffile")
    whole = random(8, 10)
    with tifffile.TiffWriter("two.tif") as writer:
        writer.write(whole, photometric="minisblack")
        writer.write(whole[::2, ::2], photometric="minisblack", subfiletype=1)
    np.testing.assert_array_equal(read_pixels(Path("two.tif"))[..., 0], whole)


def test_a_fourth_channel_of_a_tiff_is_a_band_unless_it_is_alpha():
    tifffile = pytest.importorskip("tifffile")
    pixels = random(5, 6, 4, dtype=np.uint8)
    tifffile.imwrite("alpha.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite("infrared.tif", pixels, photometric="rgb", extrasamples=["unspecified"])
    assert read_pixels(Path("alpha.tif")).shape == (5, 6, 3)
    np.testing.assert_array_equal(read_pixels(Path("infrared.tif")), pixels)


def test_floating_point_and_signed_tiffs_are_read():
    tifffile = pytest.importorskip("tifffile")
    for dtype in (np.float32, np.int16):
        pixels = random(5, 6, dtype=dtype) - 90
        tifffile.imwrite("one.tif", pixels)
        np.testing.assert_array_equal(read_pixels(Path("one.tif"))[..., 0], pixels)


def test_a_truncated_tiff_is_refused():
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite("cut.tif", random(50, 60, 13), photometric="minisblack", planarconfig="contig")
    Path("cut.tif").write_bytes(Path("cut.tif").read_bytes()[:900])
    with pytest.raises(InputError, match=r"cut.tif: this TIFF is damaged, or no TIFF \("):
        read_pixels(Path("cut.tif"))


def dicom(pixels, **elements) -> bytes:
    """A DICOM file of grey pixels, (H, W) or (frames, H, W)."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import Dataset, FileMetaDataset

    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.3"
    header.Rows, header.Columns = pixels.shape[-2:]
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 8 * pixels.dtype.itemsize
    header.HighBit = header.BitsStored - 1
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        header.NumberOfFrames = len(pixels)
    header.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(header, name, value)
    if "BitsStored" in elements:
        header.HighBit = elements["BitsStored"] - 1
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def scan(pixels, **elements):
    Path("scan.dcm").write_bytes(dicom(pixels, **elements))
    return read_pixels(Path("scan.dcm"))[..., 0]


ROW = np.array([[0, 100, 200, 255]], np.uint8)


def test_dicom_bytes_stay_as_they_are_and_are_inverted_where_0_is_white():
    np.testing.assert_array_equal(scan(ROW), ROW)
    inverted = scan(ROW, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(inverted, 255 - ROW)


def test_dicom_of_12_bits_is_stretched_to_16():
    stored = np.array([[0, 2048, 4095]], np.uint16)
    found = scan(stored, BitsStored=12)
    assert (found.dtype, found.tolist()) == (np.uint16, [[0, 32775, 65535]])
    inverted = scan(stored, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    assert inverted.tolist() == [[65535, 32759, 0]]


def test_dicom_is_shown_through_its_window():
    stored = np.array([[0, 60, 100, 140, 4000]], np.uint16)
    found = scan(stored, WindowCenter=[100, 40], WindowWidth=[80, 400])
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), clipped to 0 and 1.
    shares = np.clip((stored - 99.5) / 79 + 0.5, 0, 1)
    np.testing.assert_array_equal(found, np.rint(shares * 65535))
    inverted = scan(
        stored, WindowCenter=100, WindowWidth=80, PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_array_equal(inverted, np.rint((1 - shares) * 65535))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom(function):
    pixels = pytest.importorskip("pydicom.pixels")
    import pydicom

    stored = np.arange(0, 4096, 7, dtype=np.uint16)[None]
    content = dicom(
        stored,
        BitsStored=12,
        WindowCenter=1500,
        WindowWidth=900,
        RescaleSlope=1,
        RescaleIntercept=0,
        VOILUTFunction=function,
    )
    theirs = pixels.apply_windowing(stored, pydicom.dcmread(io.BytesIO(content))) / 4095
    Path("scan.dcm").write_bytes(content)
    np.testing.assert_allclose(read_pixels(Path("scan.dcm"))[..., 0] / 65535, theirs, atol=1e-5)


def test_dicom_is_rescaled_to_floating_point_without_a_window():
    stored = np.array([[0, 1000, 2000]], np.uint16)
    found = scan(stored, RescaleSlope=2, RescaleIntercept=-1024)
    assert (found.dtype, found.tolist()) == (np.float32, [[-1024, 976, 2976]])
    signed = scan(np.array([[-5, 0, 5]], np.int16))
    assert (signed.dtype, signed.tolist()) == (np.float32, [[-5, 0, 5]])
    inverted = scan(np.array([[-5, 0, 5]], np.int16), PhotometricInterpretation="MONOCHROME1")
    assert inverted.tolist() == [[4, -1, -6]]


def test_dicom_of_several_frames_is_its_middle_frame():
    frames = np.stack([np.full((2, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)])
    assert np.unique(scan(frames)) == [30]
    assert np.unique(scan(frames[:2])) == [20]


def test_dicom_in_colour_is_rgb():
    colours = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
    content = dicom(
        colours[..., 0],
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
        PixelData=colours.tobytes(),
    )
    Path("scan.dcm").write_bytes(content)
    np.testing.assert_array_equal(read_pixels(Path("scan.dcm")), colours)


def test_dicom_without_pixels_and_what_is_no_dicom_are_refused():
    pytest.importorskip("pydicom")
    Path("scan.dcm").write_bytes(b"no scan")
    with pytest.raises(InputError, match=r"scan.dcm: holds no DICOM pixels"):
        read_pixels(Path("scan.dcm"))
    Path("cut.dcm").write_bytes(dicom(random(40, 40))[:-500])
    with pytest.raises(InputError, match=r"cut.dcm: the reader 'dicom' fails on this image \("):
        read_pixels(Path("cut.dcm"))
