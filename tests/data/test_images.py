"""What image files become, and which damage is noticed."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comptool.data.image_io import (
    BIT_DEPTHS,
    ChipForm,
    depth_of,
    is_blank,
    is_grey,
    read_pixels,
    resize,
    to_bytes,
    to_channels,
    to_chip,
)
from comptool.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def decode(path, bits=16):
    return to_bytes(read_pixels(path), bits)


def saved(tmp_path, content: bytes, name="image"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_colour_comes_back_in_the_order_red_green_blue(tmp_path, kind):
    path = saved(tmp_path, encoded(Image.fromarray(RGB), kind))
    np.testing.assert_array_equal(decode(path), RGB)


def test_grey_stays_one_channel(tmp_path):
    for kind in ("PNG", "TIFF"):
        path = saved(tmp_path, encoded(Image.fromarray(GREY), kind))
        np.testing.assert_array_equal(decode(path), GREY[:, :, None])
    jpeg = decode(saved(tmp_path, encoded(Image.fromarray(GREY), "JPEG")))
    assert jpeg.shape == (20, 30, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_divided_by_257_where_all_are_used(tmp_path, channels):
    deep = np.zeros((4, 5, channels), np.uint16)
    deep[0, 0], deep[1, 1], deep[2, 2] = 65535, 256, 257
    path = saved(tmp_path, cv2.imencode(".png", deep)[1].tobytes())
    wanted = np.zeros((4, 5, channels), np.uint8)
    wanted[0, 0], wanted[2, 2] = 255, 1
    np.testing.assert_array_equal(decode(path), wanted)


def test_twelve_bits_in_sixteen_keep_every_grey_level_that_a_byte_has(tmp_path):
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    path = saved(tmp_path, cv2.imencode(".png", deep)[1].tobytes())
    assert len(np.unique(decode(path))) == 16
    scaled = decode(path, 12)[:, :, 0]
    assert np.unique(scaled).tolist() == list(range(256))
    np.testing.assert_array_equal(scaled, deep.astype(int) * 255 // 4095)
    np.testing.assert_array_equal(decode(path, 8)[:, :, 0], np.minimum(deep, 255))
    np.testing.assert_array_equal(read_pixels(path)[:, :, 0], deep)


@given(values=st.lists(st.integers(0, 65535), min_size=1), bits=st.sampled_from(BIT_DEPTHS))
def test_scaling_keeps_the_order_and_fills_the_range(values, bits):
    deep = np.array(sorted(values), np.uint16)
    scaled = to_bytes(deep, bits)
    assert scaled.dtype == np.uint8
    assert (np.diff(scaled.astype(int)) >= 0).all()
    assert (scaled[deep >= 2**bits - 1] == 255).all()
    assert (scaled[deep < 2**bits - 1] < 255).all()


def test_bytes_are_not_scaled():
    np.testing.assert_array_equal(to_bytes(RGB, 12), RGB)


@pytest.mark.parametrize(
    ("brightest", "bits"),
    [(0, 8), (255, 8), (256, 10), (1023, 10), (1024, 11), (2048, 12), (4095, 12), (4096, 14),
     (10_000, 14), (16_384, 16), (65_535, 16)],
)  # fmt: skip
def test_a_depth_holds_the_brightest_value(brightest, bits):
    assert depth_of(brightest) == bits


def test_a_palette_is_expanded(tmp_path):
    image = Image.fromarray(RGB).quantize(16)
    path = saved(tmp_path, encoded(image, "PNG"))
    np.testing.assert_array_equal(decode(path), np.asarray(image.convert("RGB")))


def test_one_bit_becomes_black_and_white(tmp_path):
    bits = GREY > 127
    path = saved(tmp_path, encoded(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(decode(path)[:, :, 0], bits * np.uint8(255))


def test_alpha_is_dropped_and_the_colour_below_it_stays(tmp_path):
    clear = np.dstack([RGB, np.zeros((20, 30), np.uint8)])
    path = saved(tmp_path, encoded(Image.fromarray(clear), "PNG"))
    np.testing.assert_array_equal(decode(path), RGB)


def test_grey_with_alpha_is_three_equal_channels(tmp_path):
    image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(GREY)])
    path = saved(tmp_path, encoded(image, "PNG"))
    np.testing.assert_array_equal(decode(path), np.dstack([GREY] * 3))


def test_cmyk_becomes_the_colours_that_pillow_shows(tmp_path):
    smooth = cv2.resize(RGB[:2, :3], (30, 20), interpolation=cv2.INTER_LINEAR)
    content = encoded(Image.fromarray(smooth).convert("CMYK"), "JPEG", quality=95)
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    difference = decode(saved(tmp_path, content)).astype(int) - shown
    assert np.abs(difference).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    image = Image.fromarray(np.kron(GREY[:3, :4], np.ones((8, 8), np.uint8)))
    exif = image.getexif()
    exif[0x0112] = orientation
    content = encoded(image, "JPEG", exif=exif, quality=95)
    turned = Image.open(io.BytesIO(content))
    seen = np.asarray(turned.transpose(TURNS[orientation]) if orientation > 1 else turned)
    difference = decode(saved(tmp_path, content))[:, :, 0].astype(int) - seen
    assert np.abs(difference).max() <= 3


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def test_floating_point_is_read_and_refused_by_a_run_without_a_range(tmp_path):
    path = saved(tmp_path, encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"))
    pixels = read_pixels(path)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels[:, :, 0], GREY)
    height, width = GREY.shape
    form = ChipForm(height, width, 1, ranges=((0.0, 255.0),))
    np.testing.assert_array_equal(to_chip(pixels, form, path)[:, :, 0], GREY)
    with pytest.raises(InputError) as error:
        to_chip(pixels, form._replace(ranges=None), path)
    assert str(error.value) == (
        f"{path}: this image has floating-point pixels, for which the run has no range: the images "
        "that it looked at have 8 or 16 bits"
    )


def test_an_image_of_other_channels_than_the_network_takes_is_refused(tmp_path):
    pixels = np.zeros((4, 5, 6), np.uint8)
    assert to_chip(pixels, ChipForm(2, 3, 6), "a.npy").shape == (2, 3, 6)
    assert to_chip(pixels[..., :1], ChipForm(2, 3, 6), "a.npy").shape == (2, 3, 6)
    for channels, form in ((6, ChipForm(4, 5, 3)), (3, ChipForm(4, 5, 6)), (2, ChipForm(4, 5, 1))):
        with pytest.raises(InputError) as error:
            to_chip(pixels[..., :channels], form, "a.npy")
        assert str(error.value) == (
            f"a.npy: this image has {channels} channels, and the network takes {form.channels}"
        )


@pytest.mark.parametrize("channels", [2, 4, 5, 6, 13])
@pytest.mark.parametrize("size", [(9, 7), (64, 50)])
def test_each_of_many_channels_is_resized_as_alone(channels, size):
    image = np.random.default_rng(0).integers(0, 256, (20, 16, channels), dtype=np.uint8)
    alone = [resize(np.ascontiguousarray(image[..., [one]]), size) for one in range(channels)]
    np.testing.assert_array_equal(resize(image, size), np.concatenate(alone, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_image_is_refused(tmp_path, kind, share):
    whole = encoded(Image.fromarray(RGB), kind)
    path = saved(tmp_path, whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"truncated|damaged"):
        decode(path)


def test_a_jpeg_without_its_last_bytes_is_refused(tmp_path):
    whole = encoded(Image.fromarray(RGB), "JPEG", quality=95)
    path = saved(tmp_path, whole[:-40])
    with pytest.raises(InputError) as error:
        decode(path)
    assert str(error.value) == f"{path}: this image is truncated. Download it again"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_a_camera_puts_behind_the_image_does_no_harm(tmp_path, kind):
    whole = encoded(Image.fromarray(RGB), kind)
    plain = decode(saved(tmp_path, whole))
    np.testing.assert_array_equal(decode(saved(tmp_path, whole + b"\x01" * 1000)), plain)


def test_a_flipped_byte_in_a_png_is_noticed(tmp_path):
    content = bytearray(encoded(Image.fromarray(RGB), "PNG"))
    content[len(content) // 2] ^= 255
    path = saved(tmp_path, bytes(content))
    with pytest.raises(InputError) as error:
        decode(path)
    assert str(error.value) == f"{path}: this image is damaged, or no image. Download it again"


def test_what_is_no_image_is_named(tmp_path):
    with pytest.raises(InputError, match="no image"):
        decode(saved(tmp_path, b"hello"))
    path = saved(tmp_path, b"")
    with pytest.raises(InputError) as error:
        decode(path)
    assert str(error.value) == f"{path}: this image is empty (0 bytes). Download it again"
    with pytest.raises(InputError) as error:
        decode(tmp_path / "none.png")
    assert str(error.value) == f"{tmp_path / 'none.png'}: there is no such image"
    with pytest.raises(InputError, match="is a folder; an image is needed"):
        decode(tmp_path)


def test_grey_is_what_has_equal_channels_however_it_was_stored():
    chip = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert is_grey(chip)
    assert is_grey(np.repeat(chip, 3, axis=2))
    coloured = np.repeat(chip, 3, axis=2)
    coloured[2, 3, 1] += 1
    assert not is_grey(coloured)


def test_only_an_all_zero_image_is_blank():
    image = np.zeros((3, 4, 1), np.uint8)
    assert is_blank(image)
    image[2, 3] = 1
    assert not is_blank(image)


@given(
    before=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    after=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    channels=st.sampled_from([1, 3]),
    value=st.integers(0, 255),
)
def test_resizing_gives_the_size_and_keeps_a_constant(before, after, channels, value):
    resized = resize(np.full((*before, channels), value, np.uint8), after)
    assert resized.shape == (*after, channels)
    assert (resized == value).all()


def test_shrinking_takes_the_mean_of_what_is_covered():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1) * 10
    wanted = image.reshape(2, 2, 2, 2).mean(axis=(1, 3)).round().astype(np.uint8)
    np.testing.assert_array_equal(resize(image, (2, 2))[:, :, 0], wanted)


def test_grey_is_repeated_and_colour_weighed():
    grey = GREY[:, :, None]
    np.testing.assert_array_equal(to_channels(grey, 3), np.dstack([GREY] * 3))
    luminance = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_channels(RGB, 1)[:, :, 0] - luminance).max() <= 1
    assert to_channels(grey, 1) is grey
    with pytest.raises(ValueError, match="of 3 channels cannot have 2"):
        to_channels(RGB, 2)
