"""Policies from files: what albumentations saved, and what it cannot have saved."""

from __future__ import annotations

import albumentations as A
import numpy as np
import pytest

from comptool.data.augment.albumentations_policies import Paired, read_policy
from comptool.data.augment.named_policies import create
from comptool.data.image_io import resize
from comptool.errors import InputError


def noise(channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (24, 24, channels), dtype=np.uint8)


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".json", "json"), (".yaml", "yaml"), (".yml", "yaml")]
)
def test_a_saved_pipeline_does_what_the_pipeline_does(tmp_path, suffix, kind):
    pipeline = A.Compose([A.D4(p=1), A.RandomBrightnessContrast(p=0.5), A.CoarseDropout(p=0.5)])
    path = tmp_path / f"policy{suffix}"
    A.save(pipeline, path, data_format=kind)
    images = [noise(seed=1), noise(channels=1, seed=2)]
    for seed in range(10):
        loaded, built = create(str(path))(images, seed), Paired(pipeline)(images, seed)
        for one, other in zip(loaded, built, strict=True):
            np.testing.assert_array_equal(one, other)


BROKEN = {
    "policy.json": ("{", "describes no albumentations pipeline"),
    "list.json": ("[1]", "describes no albumentations pipeline"),
    "empty.yaml": ("", "describes no albumentations pipeline"),
    "unknown.json": (
        '{"transform": {"__class_fullname__": "Horizontal", "p": 1}}',
        "albumentations has no such transform (found 'Horizontal')",
    ),
    "argument.json": (
        '{"transform": {"__class_fullname__": "HorizontalFlip", "p": 1, "pp": 2}}',
        "describes no albumentations pipeline (Argument(s) 'pp' are not valid",
    ),
    "range.yaml": (
        "transform: {__class_fullname__: HorizontalFlip, p: 2}",
        "describes no albumentations pipeline (1 validation error",
    ),
    "code.yaml": (
        "transform: !!python/object/apply:os.system ['touch ran']",
        "describes no albumentations pipeline (could not determine a constructor",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_describes_no_pipeline_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    content, message = BROKEN[name]
    path.write_text(content)
    with pytest.raises(InputError) as error:
        create(str(path))
    assert str(error.value).startswith(f"{path}: {message}")
    assert not (tmp_path / "ran").exists()


def test_a_missing_policy_file_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        read_policy(tmp_path / "none.yaml")
    assert str(error.value) == f"{tmp_path / 'none.yaml'}: there is no such augmentation file"


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (A.Normalize(p=1), "gives no uint8 image of 3 channels back (found 'float32"),
        (A.RandomCrop(64, 64, p=1), "fails on an image of shape (24, 24, 3): "),
    ],
)
def test_a_pipeline_that_does_not_fit_the_images_is_named(tmp_path, transform, message):
    path = tmp_path / "policy.json"
    A.save(transform, path)
    with pytest.raises(InputError) as error:
        create(str(path))([noise()], 0)
    assert str(error.value).startswith(f"{path}: this policy {message}")


def sensors(small=(24, 24), factor=2):
    """One smooth scene as two sensors of different resolution see it."""
    height, width = small[0] * factor, small[1] * factor
    y, x = np.mgrid[:height, :width]
    large = 128 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)
    shrunk = large.reshape(small[0], factor, small[1], factor).mean(axis=(1, 3))
    return [np.dstack([one]).round().astype(np.uint8) for one in (large, shrunk)]


IN_PIXELS = {
    "crop": lambda: A.RandomCrop(24, 24, p=1),
    "translate": lambda: A.Affine(translate_px={"x": (-12, 12), "y": (-12, 12)}, p=1),
    "pad": lambda: A.Pad(padding=(3, 10, 14, 6), p=1),
    "grid-dropout": lambda: A.GridDropout(unit_size_range=(6, 9), random_offset=True, p=1),
    "shift-then-turn": lambda: A.Compose(
        [A.Affine(translate_px=(-9, 9), rotate=(-30, 30), p=1), A.D4(p=1)]
    ),
}


@pytest.mark.parametrize("name", IN_PIXELS)
def test_numbers_of_pixels_leave_a_pair_of_different_sizes_one_picture(tmp_path, name):
    """Pixel by pixel: the large image, changed and then shrunk, is the small one, changed."""
    path = tmp_path / "policy.json"
    A.save(IN_PIXELS[name](), path)
    policy = create(str(path))
    large, small = sensors()
    moved = 0
    for seed in range(30):
        changed, twin = policy([large, small], seed)
        assert (changed.shape, twin.shape) == (large.shape, small.shape)
        shrunk = resize(changed, (24, 24)).astype(int)
        # A shift by one pixel alone makes a difference of up to 17.
        assert np.abs(shrunk - twin).max() <= 5
        moved += np.abs(shrunk - small).max() > 17
    assert moved > 15


def test_a_rotation_is_one_where_the_images_differ_in_shape():
    policy = Paired(A.Affine(rotate=(-40, 40), p=1))
    large, _ = sensors()
    wide = resize(large, (24, 48))
    for seed in range(20):
        turned, twin = policy([large, wide], seed)
        assert np.abs(resize(turned, (24, 48)).astype(int) - twin).max() <= 8
