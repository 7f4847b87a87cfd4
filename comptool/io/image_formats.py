"""Readers of formats beyond OpenCV's: arrays of numpy, TIFF and DICOM; packages imported late."""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zipfile
import zlib
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.io.image_readers import READERS, USUAL
from comptool.io.npy import npy_header, read_npy
from comptool.io.packed import UNREADABLE, reason
from comptool.limits import check_pixels, check_unpacked

Array = npt.NDArray[Any]
DAMAGED = "Download it again"
NUMPY = (b"\x93NUMPY", b"PK")


def package(name: str, extra: str, path: Path) -> Any:
    """An optional package, imported; an InputError names the command that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"reading this file needs the package '{name.partition('.')[0]}'",
            file=path,
            mend=f"Install it: pip install 'comptool[{extra}]'",
        ) from error


def read_numpy(content: bytes, path: Path) -> Array:
    """The array of a .npy file, or of a .npz file with one image."""
    if not content.startswith(NUMPY):
        raise InputError("this is not a numpy array", file=path, mend=DAMAGED)
    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            return _array(io.BytesIO(content), len(content), path)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            shapes: dict[str, tuple[int, ...]] = {}
            for name in archive.namelist():
                with archive.open(name) as stream:
                    shapes[name] = npy_header(stream)[0]
            images = [name for name, shape in shapes.items() if len(shape) in (2, 3)]
            if len(images) == 1:
                with archive.open(images[0]) as stream:
                    return _array(stream, archive.getinfo(images[0]).file_size, path)
    except (*UNREADABLE, MemoryError) as error:
        if "allow_pickle" in str(error):
            what = "this array holds Python objects, which are not loaded"
            raise InputError(what, file=path) from error
        raise InputError(
            f"this array is damaged ({reason(error)})", file=path, mend=DAMAGED
        ) from error
    raise InputError(
        f"{len(images)} of its {len(shapes)} arrays may be the image",
        file=path,
        values=[f"{name.removesuffix('.npy')} {shape}" for name, shape in shapes.items()],
        mend="Choose one with a reader of your own: --reader FILE.py:function",
    )


def _array(stream: IO[bytes], size: int, path: Path) -> Array:
    shape, _ = npy_header(stream)
    # Which axis the channels are on does not matter here: they are few.
    short, middle, long = sorted((1, 1, *shape))[-3:]
    check_pixels(path, middle, long, short)
    stream.seek(0)
    return read_npy(stream, size)


TIFF = (b"II*\0", b"MM\0*")
# Tags of a TIFF directory.
WIDTH, HEIGHT, BITS, SAMPLES, EXTRA, FORMAT = 256, 257, 258, 277, 338, 339
FIELD_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4}
WORDS = {1: "B", 3: "H", 4: "I"}
OPENCV_BITS = (1, 4, 8, 16)


def read_tiff(content: bytes, path: Path) -> Array:
    """A TIFF: by OpenCV if it has one page that is grey or RGB, otherwise by tifffile.

    Grey pages of one shape are the bands of one image; of other pages the first counts.
    """
    if _suits_opencv(content):
        usual: Array = READERS.load(USUAL)(content, path)
        return usual
    tifffile = package("tifffile", "tiff", path)
    # It logs, tag by tag, what the error says.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            first = file.pages[0]
            check_pixels(path, first.imagelength, first.imagewidth, first.samplesperpixel)
            alike = [
                page
                for page in file.pages
                if page.axes == "YX" and page.shape == first.shape and page.dtype == first.dtype
            ]
            if len(alike) > 1:
                check_pixels(path, first.imagelength, first.imagewidth, len(alike))
                return np.stack([page.asarray() for page in alike], axis=-1)
            pixels: Array = first.asarray()
            return np.moveaxis(pixels, 0, -1) if first.axes == "SYX" else pixels
    except (tifffile.TiffFileError, ValueError, IndexError, OSError, struct.error) as error:
        reason = " ".join(str(error).split())[:200]
        if "imagecodecs" in reason:
            raise InputError(
                f"reading this compression needs another package ({reason})",
                file=path,
                mend="Install it: pip install imagecodecs",
            ) from error
        raise InputError(
            f"this TIFF is damaged, or no TIFF ({reason})", file=path, mend=DAMAGED
        ) from error


def tiff_size(content: bytes) -> tuple[int, int]:
    """Height and width of the first page; zeros if there is none."""
    tags, _ = _first_directory(content)
    return tags.get(HEIGHT, 0), tags.get(WIDTH, 0)


def _suits_opencv(content: bytes) -> bool:
    """Whether OpenCV reads all of it: one page, grey or RGB, with an alpha channel at most."""
    tags, more = _first_directory(content)
    if not tags:
        return True  # no TIFF: OpenCV goes by the content
    samples, extra = tags.get(SAMPLES, 1), EXTRA in tags
    colour = samples == 3 or (samples in (2, 4) and extra and tags[EXTRA] in (1, 2))
    return (
        (samples == 1 or colour)
        and (samples != 1 or not more)
        and tags.get(BITS, 1) in OPENCV_BITS
        and tags.get(FORMAT, 1) == 1
    )


def _first_directory(content: bytes) -> tuple[dict[int, int], bool]:
    """First value of each tag of the first page, and whether there is a further page.

    Empty for a file that is no classic TIFF. By hand: images that OpenCV reads need no tifffile.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return ({}, False) if content[:4] not in (b"II+\0", b"MM\0+") else ({SAMPLES: 0}, True)
    tags: dict[int, int] = {}
    try:
        (start,) = struct.unpack_from(order + "I", content, 4)
        (count,) = struct.unpack_from(order + "H", content, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack_from(order + "HHI", content, place)
            if kind not in WORDS:
                continue
            at = place + 8
            if FIELD_SIZES[kind] * length > 4:
                (at,) = struct.unpack_from(order + "I", content, at)
            (tags[tag],) = struct.unpack_from(order + WORDS[kind], content, at)
        (following,) = struct.unpack_from(order + "I", content, start + 2 + 12 * count)
    except struct.error:
        return {}, False
    return tags, following != 0


FULL = 65535  # white of a windowed image
INVERTED = "MONOCHROME1"
LEAST_WINDOW = 1.0


def read_dicom(content: bytes, path: Path) -> Array:
    """The pixels of a DICOM file as they are meant to be shown; of several frames the middle one.

    Colour is 8-bit RGB. Of grey images:

    - with a window (or a lookup table of values), uint16 from 0, its lower end, to 65535;
    - without one, unsigned pixels without rescaling stay as stored, 16-bit ones stretched by the
      number of stored bits;
    - otherwise rescaled values (Hounsfield units, for example) as float32.

    MONOCHROME1, in which 0 is white, is inverted.
    """
    pydicom = package("pydicom", "dicom", path)
    pixel_data = package("pydicom.pixels", "dicom", path)
    _quiet(pydicom)
    if DEFLATED in content[:HEAD]:
        _try_to_inflate(content, path)
    try:
        header = pydicom.dcmread(io.BytesIO(content), force=True)
        if "PixelData" not in header:
            raise InputError("holds no DICOM pixels", file=path, mend=DAMAGED)
        if "TransferSyntaxUID" not in header.file_meta:
            header.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        frames = int(header.get("NumberOfFrames") or 1)
        # Of several frames one is decoded.
        names = ("Rows", "Columns", "SamplesPerPixel")
        rows, columns, samples = (int(header.get(name) or 0) for name in names)
        check_pixels(path, rows, columns, samples)
        stored: Array = pixel_data.pixel_array(header, index=frames // 2)
    except RuntimeError as error:
        # pydicom's word for a compression without decoder.
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"this DICOM image cannot be decompressed ({reason})",
            file=path,
            mend="Install decoders: pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg",
        ) from error
    if header.PhotometricInterpretation == "PALETTE COLOR":
        return _bytes_of_palette(pixel_data.apply_color_lut(stored, header))
    if stored.ndim == 3:
        return stored
    values = np.asarray(pixel_data.apply_modality_lut(stored, header))
    inverted = header.PhotometricInterpretation == INVERTED
    shown = _windowed(values, header, pixel_data)
    if shown is not None:
        return np.asarray(np.rint((1 - shown if inverted else shown) * FULL), np.uint16)
    bits, signed = int(header.BitsStored), bool(header.PixelRepresentation)
    if inverted:
        stored = (-1 if signed else 2**bits - 1) - stored.astype(np.int64)
        values = np.asarray(pixel_data.apply_modality_lut(stored, header))
    if signed or not np.array_equal(values, stored):
        return values.astype(np.float32)
    if bits <= 8:
        return stored.astype(np.uint8)
    return np.asarray(stored.astype(np.uint64) * FULL // (2**bits - 1), np.uint16)


# The transfer syntax whose data set is packed as a whole, the bytes in which it is named, the
# place of the length of the header, and the end of that number.
DEFLATED, HEAD, LENGTH, START = b"1.2.840.10008.1.2.1.99", 1024, 140, 144
AT_ONCE = 1 << 26


def _try_to_inflate(content: bytes, path: Path) -> None:
    """Raise an InputError if the data set unfolds to too much; pydicom sets no limit."""
    try:
        packed = content[START + int.from_bytes(content[LENGTH:START], "little") :]
        unpacker, found = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while packed:
            found += len(unpacker.decompress(packed, AT_ONCE))
            packed = unpacker.unconsumed_tail
            check_unpacked(path, found, len(content))
    except zlib.error as error:
        raise InputError(f"this image is damaged ({error})", file=path, mend=DAMAGED) from error


def _quiet(pydicom: Any) -> None:
    """No warnings of values against the standard: old files are full of them."""
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pydicom")


def _bytes_of_palette(colours: Array) -> Array:
    return colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)


def _windowed(values: Array, header: Any, pixel_data: Any) -> npt.NDArray[np.float64] | None:
    """Values as the window shows them, 0 to 1; None without a window (PS3.3 C.11.2)."""
    if header.get("VOILUTSequence"):
        bits = int(header.VOILUTSequence[0].LUTDescriptor[2])
        return np.asarray(pixel_data.apply_voi(values, header) / (2**bits - 1), np.float64)
    centre, width = (_first(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width < LEAST_WINDOW:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    offset = values.astype(np.float64) - centre
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * offset / width)), np.float64)
    if function == "LINEAR_EXACT":
        return np.clip(offset / width + 0.5, 0, 1)
    return np.clip((offset + 0.5) / max(width - 1, 1e-9) + 0.5, 0, 1)


def _first(value: Any) -> float | None:
    """A number of a DICOM element, the first of several."""
    if value is None or value == "":
        return None
    several = value if isinstance(value, list | tuple) or hasattr(value, "__iter__") else [value]
    return next((float(one) for one in several), None)
