"""Copies among generated pictures, found by way of their files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from comptool.competition.config import detected
from comptool.competition.samples import test_samples as read_test
from comptool.competition.samples import training_samples
from comptool.inspection.duplicates import identical, nearly_identical
from comptool.inspection.image_scan import look_at_all


def jpeg(image, quality: int) -> bytes:
    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def looked(folder, workers: int = 2):
    competition = detected([folder], {})
    tables = {"train": training_samples(competition)}
    if competition.test is not None:
        tables["test"] = read_test(competition)
    return look_at_all(tables, workers, quiet=True)


def named(images, pairs) -> set[tuple[str, str]]:
    ids = images.frame["id"]
    return {
        (ids[one], ids[other]) for one, other in zip(pairs["image"], pairs["other"], strict=True)
    }


def test_the_same_pixels_in_another_file_are_a_copy(download, picture):
    image, other = picture(1), picture(2)
    uncompressed = cv2.imencode(".png", image[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0])[1]
    turned = np.ascontiguousarray(image.reshape(32, 128, 3))
    folder = download({"a": image, "b": uncompressed.tobytes(), "c": other, "d": turned})
    images = looked(folder)
    assert named(images, identical(images)) == {("b", "a")}
    assert named(images, nearly_identical(images)) == set()


@pytest.mark.parametrize("quality", [90, 75, 50])
def test_recompressed_pictures_are_found_and_distinct_ones_are_not(download, picture, quality):
    pictures = {f"p{n}": picture(n) for n in range(60)}
    copies = {f"q{n}": jpeg(pictures[f"p{n}"], quality) for n in range(0, 60, 6)}
    images = looked(download(pictures | copies))
    assert not len(identical(images))
    pairs = nearly_identical(images)
    assert named(images, pairs) == {(f"q{n}", f"p{n}") for n in range(0, 60, 6)}
    assert pairs["score"].between(0.98, 1).all()


def test_a_smaller_brighter_and_deeper_copy_is_found(download, picture):
    image = picture(8)
    small = cv2.resize(image, (40, 48), interpolation=cv2.INTER_AREA)
    bright = np.clip(image * 0.8 + 40, 0, 255).astype(np.uint8)
    deep = image.astype(np.uint16) * 16
    folder = download({"a": image, "b": small, "c": bright, "d": deep, "e": picture(9)})
    images = looked(folder)
    pairs = nearly_identical(images)
    assert {name for pair in named(images, pairs) for name in pair} == {"a", "b", "c", "d"}
    assert len(pairs) == 3


def test_the_frames_of_a_still_camera_hang_from_the_first(download, picture):
    random = np.random.default_rng(0)
    scene = picture(4).astype(int)
    frames = {
        f"f{n}": np.clip(scene + random.integers(-2, 3, scene.shape), 0, 255).astype(np.uint8)
        for n in range(12)
    }
    images = looked(download(frames | {"z": picture(5)}))
    pairs = named(images, nearly_identical(images))
    assert sorted(image for image, _ in pairs) == sorted(set(frames) - {"f0"})
    above = dict(pairs)
    for name in above:
        while name in above:
            name = above[name]
        assert name == "f0"


def test_constant_pictures_are_no_near_copies_and_the_test_copy_is_named(download, picture):
    zero, one = np.zeros((20, 20), np.uint8), np.ones((20, 20), np.uint8)
    folder = download({"b": zero, "c": picture(1)}, test={"a": picture(1), "d": one})
    images = looked(folder)
    assert named(images, identical(images)) == {("a", "c")}
    assert named(images, nearly_identical(images)) == set()
    assert images.frame.set_index("id")["constant"].to_dict() == {
        "a": "",
        "b": "0",
        "c": "",
        "d": "1",
    }


def test_neither_the_order_of_rows_nor_the_number_of_threads_matters(download, picture):
    pictures = {f"p{n}": picture(n // 2) if n % 5 else jpeg(picture(n // 2), 80) for n in range(20)}
    one = looked(download(pictures))
    other = looked(download(dict(reversed(pictures.items()))), workers=1)
    for find in (identical, nearly_identical):
        assert len(find(one))
        assert find(one).to_dict() == find(other).to_dict()
    # The rows themselves are others; everything else that is known of an image is the same.
    known = [name for name in one.frame if name != "row"]
    assert one.frame[known].equals(other.frame[known])


def test_training_copies_are_joined_without_the_test_picture_between_them(download, picture):
    scene, random = picture(6).astype(int), np.random.default_rng(0)
    noise = random.normal(size=scene.shape) * 9
    # The test picture is the middle of the two, and nearer to each than they are to one another.
    one, middle, other = (np.clip(scene + s * noise, 0, 255).astype(np.uint8) for s in (-1, 0, 1))
    images = looked(download({"a": one, "b": other}, test={"t": middle}))
    assert {("b", "a")} < named(images, nearly_identical(images))
