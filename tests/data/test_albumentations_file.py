"""Policies from files: what albumentations saved, the same geometry for all images of a sample."""

from __future__ import annotations

from pathlib import Path

import albumentations as A
import numpy as np
import pytest

from comptool.data.augment.albumentations_file import FilePolicy, read_policy
from comptool.data.image_io import resize
from comptool.errors import InputError

SEEDS = range(40)


def noise(height=24, width=24, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def policy_of(pipeline):
    return FilePolicy(pipeline, Path("policy.json"))


GEOMETRY = {
    "d4": lambda: A.D4(p=1),
    "flips-in-a-row": lambda: A.Compose(
        [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.Transpose(p=0.5)]
    ),
    "affine": lambda: A.Affine(
        rotate=(-45, 45), shear=(-10, 10), scale=(0.7, 1.3), translate_percent=0.2, p=0.9
    ),
    "rotate": lambda: A.SafeRotate(limit=90, p=1),
    "perspective": lambda: A.Perspective(p=1),
    "elastic": lambda: A.ElasticTransform(alpha=30, sigma=5, p=1),
    "grid": lambda: A.GridDistortion(p=1),
    "crop": lambda: A.RandomResizedCrop((16, 16), p=1),
    "dropout": lambda: A.CoarseDropout(fill="random", p=1),
    "one-of": lambda: A.OneOf([A.D4(p=1), A.Affine(rotate=30, p=1), A.GaussNoise(p=0)], p=0.8),
    "some-of": lambda: A.SomeOf([A.HorizontalFlip(p=1), A.Transpose(p=1), A.D4(p=1)], n=2, p=1),
    "random-order": lambda: A.RandomOrder([A.Transpose(p=1), A.HorizontalFlip(p=0.5)], n=2),
    "nested": lambda: A.Compose(
        [A.Sequential([A.OneOf([A.D4(p=1), A.Transpose(p=1)], p=1)], p=0.7)]
    ),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_the_same_picture_in_both_modalities_stays_the_same_picture(name):
    """Pixel by pixel, for every geometric policy and many seeds."""
    policy = policy_of(GEOMETRY[name]())
    picture = noise()
    moved = 0
    for seed in SEEDS:
        first, second, third = policy([picture, picture.copy(), picture.copy()], seed)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, third)
        moved += not np.array_equal(first, picture)
    assert moved > len(SEEDS) / 3


@pytest.mark.parametrize("name", sorted(set(GEOMETRY) - {"dropout"}))
def test_photometry_in_between_leaves_geometry_shared(name):
    """Each modality is darkened by factors of its own; but for these, the two stay one picture."""
    darker = A.MultiplicativeNoise(multiplier=(0.4, 0.95), p=0.9)
    policy = policy_of(A.Compose([darker, GEOMETRY[name](), A.OneOf([darker, A.NoOp()], p=1)]))
    picture = np.where(noise(channels=1) > 127, 255, 0).astype(np.uint8)
    factors = set()
    for seed in SEEDS:
        first, second = (one.astype(float) for one in policy([picture, picture], seed))
        assert np.abs(first / first.max() - second / second.max()).max() < 0.03
        factors.add((first.max(), second.max()))
    assert sum(first != second for first, second in factors) > len(SEEDS) / 2


def test_an_image_of_more_channels_does_not_shift_what_geometry_draws():
    """A colour has more numbers than a grey level; the flip after it must not depend on that."""
    dot = (1, 1)
    hole = A.CoarseDropout(dot, dot, dot, fill="random", p=1)
    policy = policy_of(A.Compose([hole, A.D4()]))
    grey = np.zeros((64, 64, 1), np.uint8)
    grey[:16, :8] = 255
    colour = np.repeat(grey, 3, axis=2)
    for seed in range(30):
        first, second = policy([grey, colour], seed)
        assert bright_corner(first) == bright_corner(second)


def bright_corner(image):
    half = image.shape[0] // 2
    quarters = [image[:half, :half], image[:half, half:], image[half:, :half], image[half:, half:]]
    rows_longer = image.mean(axis=1).max() < image.mean(axis=0).max()
    return int(np.argmax([quarter.mean() for quarter in quarters])), bool(rows_longer)


PHOTOMETRY = {
    "brightness": lambda: A.RandomBrightnessContrast(p=1),
    "noise": lambda: A.GaussNoise(p=1),
    "blur-or-not": lambda: A.GaussianBlur(blur_limit=(3, 7), p=0.5),
    "speckle": lambda: A.MultiplicativeNoise(p=1, elementwise=True),
    "one-of": lambda: A.OneOf([A.InvertImg(p=1), A.Solarize(p=1), A.NoOp(p=1)], p=1),
}


@pytest.mark.parametrize("name", PHOTOMETRY)
def test_photometry_is_drawn_for_each_modality(name):
    policy = policy_of(A.Compose([PHOTOMETRY[name]()]))
    picture = noise()
    differs = sum(not np.array_equal(*policy([picture, picture.copy()], seed)) for seed in SEEDS)
    assert differs > len(SEEDS) / 4


def test_photometry_of_one_modality_is_independent_of_the_other():
    """Whether the first is inverted says nothing about whether the second is."""
    policy = policy_of(A.Compose([A.InvertImg(p=0.5)]))
    black = np.zeros((2, 2, 1), np.uint8)
    drawn = np.array([[one.any() for one in policy([black, black], seed)] for seed in range(1000)])
    together = drawn.all(axis=1).mean()
    assert abs(drawn.mean() - 0.5) < 0.05
    assert abs(together - 0.25) < 0.05


@pytest.mark.parametrize("sizes", [((24, 24), (8, 8)), ((24, 24, 1), (32, 32, 3), (8, 8, 1))])
def test_modalities_of_different_size_take_the_same_symmetry(sizes):
    policy = policy_of(A.D4(p=1))
    images = [ramps(*(*size, 3)[:3]) for size in sizes]
    turns = [[A.Transpose(p=1)(image=one)["image"] for one in images]]
    turns += [[np.rot90(one, turn) for one in images] for turn in range(4)]
    seen = set()
    for seed in range(60):
        changed = policy(images, seed)
        found = [
            [close(one, other) for one, other in zip(changed, turned, strict=True)]
            for turned in turns
        ]
        assert all(len(set(one)) == 1 for one in found)
        seen.add(str(found))
    # Four turns, a transposition, and the three symmetries that are none of these.
    assert len(seen) == 6


def ramps(height, width, channels):
    """A picture without symmetry, alike at any size."""
    rows, columns = np.indices((height, width))
    grey = 200 * (rows + 0.5) / height * (0.3 + 0.7 * (columns + 0.5) / width)
    return np.repeat(grey[:, :, None], channels, axis=2).round().astype(np.uint8)


def close(one, other):
    return bool(np.abs(one.astype(int) - other).mean() < 8)


@pytest.mark.parametrize("name", [*GEOMETRY, *PHOTOMETRY])
def test_the_same_seed_gives_the_same_bytes_whatever_came_before(name):
    images = [noise(32, 32, 3, seed=1), noise(32, 32, 1, seed=2)]
    made = (GEOMETRY | PHOTOMETRY)[name]
    policy, twin = policy_of(made()), policy_of(made())
    twin(images, 12345)
    for seed in (0, 7, 2**62 - 1):
        for one, other in zip(policy(images, seed), twin(images, seed), strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".json", "json"), (".yaml", "yaml"), (".yml", "yaml")]
)
def test_a_saved_pipeline_does_what_the_pipeline_does(tmp_path, suffix, kind):
    pipeline = A.Compose([A.D4(p=1), A.RandomBrightnessContrast(p=0.5), A.CoarseDropout(p=0.5)])
    path = tmp_path / f"policy{suffix}"
    A.save(pipeline, path, data_format=kind)
    images = [noise(seed=1), noise(channels=1, seed=2)]
    for seed in range(10):
        loaded, built = read_policy(path)(images, seed), policy_of(pipeline)(images, seed)
        for one, other in zip(loaded, built, strict=True):
            np.testing.assert_array_equal(one, other)


BROKEN = {
    "policy.json": ("{", "is not readable as JSON (Expecting property name"),
    "list.json": ("[1]", "describes no albumentations pipeline"),
    "empty.yaml": ("", "describes no albumentations pipeline"),
    "unknown.json": (
        '{"transform": {"__class_fullname__": "Horizontal", "p": 1}}',
        "transform: no transform of albumentations is called 'Horizontal'; did you mean "
        "'HorizontalFlip'",
    ),
    "argument.json": (
        '{"transform": {"__class_fullname__": "HorizontalFlip", "p": 1, "pp": 2}}',
        "transform: HorizontalFlip cannot be made (Argument(s) 'pp' are not valid",
    ),
    "range.yaml": (
        "transform: {__class_fullname__: HorizontalFlip, p: 2}",
        "transform: HorizontalFlip does not take p = 2 (input should be less than or equal to 1)",
    ),
    "code.yaml": (
        "transform: !!python/object/apply:os.system ['touch ran']",
        "is not readable as YAML (could not determine a constructor",
    ),
    "inner.json": (
        '{"transform": {"__class_fullname__": "Compose", "transforms": ['
        '{"__class_fullname__": "HorizontalFlip"}, '
        '{"__class_fullname__": "GaussNoise", "std_range": [0.5, 7]}]}}',
        "transform.transforms[1]: GaussNoise does not take std_range = [0.5, 7] (",
    ),
    "parts.json": (
        '{"transform": {"__class_fullname__": "Compose", "transforms": 3}}',
        "describes no albumentations pipeline (transform.transforms must be a list, found 3)",
    ),
    "node.yaml": (
        "transform: {__class_fullname__: Compose, transforms: [3]}",
        "describes no albumentations pipeline (transform.transforms[0] must be an object with "
        "'__class_fullname__', found 3)",
    ),
    "deep.json": ("[" * 100_000, "is not readable as JSON (it is nested more than 100 levels deep"),
    "deep.yaml": ("[" * 5000, "is not readable as YAML (it is nested more than 100 levels deep"),
    "alias.yaml": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "is not readable as YAML (its aliases repeat too much",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_describes_no_pipeline_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    content, message = BROKEN[name]
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_policy(path)
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
        read_policy(path)([noise()], 0)
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
    policy = read_policy(path)
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
    policy = policy_of(A.Affine(rotate=(-40, 40), p=1))
    large, _ = sensors()
    wide = resize(large, (24, 48))
    for seed in range(20):
        turned, twin = policy([large, wide], seed)
        assert np.abs(resize(turned, (24, 48)).astype(int) - twin).max() <= 8
