"""Operations and policies on batches against albumentations and Pillow."""

from __future__ import annotations

import math
import random
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from comptool.data.augment.albumentations_file import FilePolicy
from comptool.data.augment.batches import (
    Augmentation,
    autocontrasted,
    carry_out,
    contrasted,
    equalized,
    send,
    stacked,
    symmetry,
    tasks,
)
from comptool.data.augment.named_policies import (
    AUTO_AUGMENT_STEPS,
    DIRECTED,
    GEOMETRIC,
    IMAGENET_POLICY,
    OPERATIONS,
    PHOTOMETRIC,
    Changes,
    Holes,
    Operated,
    create,
)
from comptool.data.dataset import Batch

CPU = torch.device("cpu")
SEEDS = torch.from_numpy(np.random.default_rng(1).integers(0, 2**62, 2000))
COARSE = np.random.default_rng(3).integers(40, 200, (6, 6, 3), dtype=np.uint8)
PICTURE = np.asarray(Image.fromarray(COARSE).resize((32, 32), Image.Resampling.BICUBIC))
STILL = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}


def pictures(height, width, channels):
    """Smooth ones, a flat one, and noise."""
    numbers = np.random.default_rng(5)
    coarse = numbers.integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
    smooth = [
        np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC))
        for one in coarse
    ]
    flat = np.full((height, width, 3), 77, np.uint8)
    noise = numbers.integers(20, 230, (height, width, 3), dtype=np.uint8)
    return np.stack([*smooth, flat, noise])[..., :channels]


def applied(changes, *modalities):
    """What becomes of arrays (B, H, W, C) of each modality."""
    shapes = [images.shape[1:] for images in modalities]
    stacks = [
        torch.from_numpy(np.concatenate([modalities[number] for number in members]))
        for members in stacked(shapes).values()
    ]
    found = tasks(changes, shapes)
    carry_out(found, send([array for task in found for array in task.arrays], CPU), stacks)
    return [
        image.numpy()
        for stack, n in zip(stacks, stacked(shapes).values(), strict=True)
        for image in stack.chunk(len(n))
    ]


def operated(name, strength, *modalities):
    shape = len(modalities), len(modalities[0])
    codes = np.full(shape, OPERATIONS.index(name))
    changes = Changes(None, None, [Operated(codes, np.full(shape, strength))])
    return applied(changes, *modalities)


def jitter(what, strength):
    factor = 1 + 0.9 * strength
    return A.ColorJitter(**{**STILL, what: (factor, factor)}, p=1)


def affine(**given):
    still = {"x": (0.0, 0.0), "y": (0.0, 0.0)}
    return A.Affine(**{name: still | value for name, value in given.items()}, p=1)


def shear(axis, strength):
    degrees = math.degrees(math.atan(0.3 * strength))
    return affine(shear={axis: (degrees, degrees)})


def shift(axis, strength):
    share = 150 / 331 * strength
    return affine(translate_percent={axis: (share, share)})


def posterize(strength):
    bits = 8 - round(4 * strength)
    return A.Posterize(num_bits=(bits, bits), p=1) if bits < 8 else A.NoOp(p=1)


# What albumentations calls the operations, but for two that it has otherwise than Pillow.
ALBUMENTATIONS = {
    "shear-x": lambda strength: shear("x", strength),
    "shear-y": lambda strength: shear("y", strength),
    "translate-x": lambda strength: shift("x", strength),
    "translate-y": lambda strength: shift("y", strength),
    "rotate": lambda strength: A.Affine(rotate=(30 * strength, 30 * strength), p=1),
    "brightness": lambda strength: jitter("brightness", strength),
    "colour": lambda strength: jitter("saturation", strength),
    "contrast": lambda strength: jitter("contrast", strength),
    "posterize": posterize,
    "solarize": lambda strength: A.Solarize(threshold_range=(1 - strength, 1 - strength), p=1),
    "equalize": lambda strength: A.Equalize(p=1),
    "invert": lambda strength: A.InvertImg(p=1),
    "identity": lambda strength: A.NoOp(p=1),
}
ENHANCEMENTS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "colour": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}
PILLOW = {
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - round(4 * strength)),
    "solarize": lambda image, strength: ImageOps.solarize(image, 255 * (1 - strength)),
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "invert": lambda image, strength: ImageOps.invert(image),
    "identity": lambda image, strength: image,
}


@pytest.mark.parametrize("shape", [(48, 48, 3), (40, 56, 3), (32, 32, 1)])
@pytest.mark.parametrize("name", ALBUMENTATIONS)
def test_each_operation_is_that_of_albumentations(name, shape):
    images = pictures(*shape)
    for strength in (0.1, 0.3, 5 / 9, 8 / 9, 1.0):
        for direction in (1, -1) if name in DIRECTED else (1,):
            transform = ALBUMENTATIONS[name](direction * strength)
            wanted = np.stack([transform(image=image)["image"] for image in images])
            (changed,) = operated(name, direction * strength, images)
            off = np.abs(changed.astype(int) - wanted.reshape(images.shape))
            # Rounding, here and there; the flat one of five is rounded as a whole.
            assert off.max() <= 1
            assert (off > 0).mean() < 0.25


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ENHANCEMENTS)
@pytest.mark.parametrize("strength", [-0.9, -0.3, 0.3, 0.9])
def test_enhancements_are_pillows_in_both_directions(name, strength, channels):
    image = PICTURE[..., :channels]
    (changed,) = operated(name, strength, image[None])
    enhanced = ENHANCEMENTS[name](Image.fromarray(image.squeeze())).enhance(1 + 0.9 * strength)
    off = np.abs(np.asarray(enhanced).reshape(image.shape) - changed[0].astype(int))
    # Pillow leaves the outermost pixels as they are when it smooths. Its luminance, which colours
    # are pushed away from, may be one off by itself; to albumentations' colours one is the limit.
    assert off[1:-1, 1:-1].max() <= (2 if name == "colour" else 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("strength", [0.3, 0.5, 0.9])
def test_operations_without_direction_are_pillows(name, strength, channels):
    images = pictures(48, 48, channels)
    images[0] = 100 + images[0] // 4
    (changed,) = operated(name, strength, images)
    for image, one in zip(images, changed.astype(int), strict=True):
        wanted = PILLOW[name](Image.fromarray(image.squeeze()), strength)
        assert np.abs(np.asarray(wanted).reshape(image.shape) - one).max() <= 1


def test_every_operation_has_an_example_to_follow():
    assert {*ALBUMENTATIONS, *ENHANCEMENTS, *PILLOW} == set(OPERATIONS)


def test_equalizing_makes_the_histogram_flatter():
    images = pictures(32, 32, 3)[:1]
    (changed,) = operated("equalize", 1.0, images)
    before, after = (np.histogram(one, 8, (0, 256))[0] for one in (images, changed))
    assert after.std() < before.std() / 2


def dot(row, column):
    image = np.zeros((101, 101, 1), np.uint8)
    image[row - 1 : row + 2, column - 1 : column + 2] = 255
    return image


def centre(image):
    weight = image[:, :, 0].astype(float)
    rows, columns = np.indices(weight.shape)
    return (rows * weight).sum() / weight.sum(), (columns * weight).sum() / weight.sum()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("rotate", (50 - 40 * np.sin(np.radians(15)), 50 + 40 * np.cos(np.radians(15)))),
        ("translate-x", (50, 90 - 101 * 150 / 331 * 0.5)),
        ("translate-y", (50 - 101 * 150 / 331 * 0.5, 90)),
        ("shear-x", (50, 90)),
        ("shear-y", (50 - 40 * 0.15, 90)),
    ],
)
def test_geometric_operations_move_a_dot_as_far_as_the_papers_say(name, wanted):
    """Half strength: 15 degrees, a shift of 75/331 of the side, a shear of 0.15."""
    both = (operated(name, strength, dot(50, 90)[None])[0][0] for strength in (0.5, -0.5))
    moves = [centre(image) for image in both if image.any()]
    assert min(np.hypot(row - wanted[0], column - wanted[1]) for row, column in moves) < 1.5


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(20, 30, 3), (33, 33, 1)])
def test_holes_are_rectangles_of_a_share_of_the_side_around_their_centres(share, shape):
    numbers = np.random.default_rng(0)
    images = numbers.integers(0, 256, (50, *shape), dtype=np.uint8)
    centres, colours = numbers.random((50, 2)), numbers.integers(0, 256, (50, 3), dtype=np.uint8)
    (changed,) = applied(Changes(None, Holes(share, centres, colours), []), images)
    for image, one, middle, colour in zip(images, changed, centres, colours, strict=True):
        spans = []
        for side, place in zip(shape, middle, strict=False):
            length = int(share * side + 0.5)
            first = int(place * side) - length // 2
            spans.append([n for n in range(side) if first <= n < first + length])
        wanted = image.copy()
        wanted[np.ix_(*spans)] = colour[: shape[2]]
        np.testing.assert_array_equal(one, wanted)


def test_each_image_of_a_batch_has_an_operation_of_its_own():
    images = pictures(32, 32, 3)
    codes = np.array([[OPERATIONS.index(name) for name in ("invert", "rotate", "identity")]])
    strengths = np.array([[1.0, 0.5, 1.0]])
    (changed,) = applied(Changes(None, None, [Operated(codes, strengths)]), images[:3])
    np.testing.assert_array_equal(changed[0], 255 - images[0])
    np.testing.assert_array_equal(changed[1], operated("rotate", 0.5, images[1:2])[0][0])
    np.testing.assert_array_equal(changed[2], images[2])


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("strength", [0.4, -0.9])
def test_a_pair_of_different_sizes_and_shapes_stays_in_step(name, strength):
    """Where each pixel shows its own coordinates, moved pixels show the same ones in both."""

    def coordinates(height, width):
        rows, columns = np.indices((height, width))
        places = np.stack([(rows + 0.5) / height, (columns + 0.5) / width, np.ones_like(rows)], 2)
        return np.round(255 * places).astype(np.uint8)[None]

    shapes = [(60, 60), (120, 120)], [(60, 60), (90, 120)]
    for (height, width), (taller, wider) in shapes:
        small, large = operated(
            name, strength, coordinates(height, width), coordinates(taller, wider)
        )
        # Brought to one size by taking the middle of each pixel.
        rows = ((np.arange(height) + 0.5) * taller / height).astype(int)
        columns = ((np.arange(width) + 0.5) * wider / width).astype(int)
        same = large[0][np.ix_(rows, columns)].astype(int)
        # Inside both, away from the border where they fade.
        inside = (small[0, :, :, 2] == 255) & (same[:, :, 2] == 255)
        assert inside.mean() > 0.4
        off = np.abs(small[0].astype(int) - same)[inside]
        # Half a pixel of the smaller one, and a shift is of whole pixels.
        assert off.max() <= 255 / 60 * 1.5


def test_symmetries_are_a_group():
    def each(image):
        return [symmetry(image, element).tobytes() for element in range(8)]

    image = np.random.default_rng(0).integers(0, 256, (6, 6, 1), dtype=np.uint8)
    group = set(each(image))
    assert len(group) == 8
    for element in range(8):
        assert set(each(symmetry(image, element))) == group


@pytest.mark.parametrize("name", ["flips", "weak", "strong"])
def test_policies_touch_no_global_generator(name):
    states = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()
    changed(name, 20, cutout=0.4)
    after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()
    assert states == after


def changed(name, count, picture=PICTURE, **options):
    """What becomes of one picture, (n, H, W, C), under so many seeds."""
    batch = torch.from_numpy(np.repeat(picture[None], count, axis=0)).permute(0, 3, 1, 2)
    rows = torch.zeros(count, dtype=torch.int64)
    missing, blank = np.zeros((1, 1), bool), torch.zeros(count, 1, dtype=torch.bool)
    augment = Augmentation(create(name, **options), [picture.shape], missing, CPU)
    images = augment(Batch([batch], None, rows, blank, SEEDS[:count])).images
    return images[0].permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("cutout", [0.2, 0.5, 0.75])
def test_the_side_of_the_cutout_is_an_option(cutout):
    grey = np.full((40, 40, 3), 128, np.uint8)
    painted = (changed("flips", 400, grey, cutout=cutout) != 128).any(axis=3)
    assert painted.mean(axis=(1, 2)).max() == pytest.approx(cutout**2, rel=0.06)


def test_magnitude_is_the_strength_of_the_operations():
    def change(**options):
        moved = changed("weak", 400, cutout=1e-9, **options).astype(int)
        return np.abs(moved - changed("weak", 400, cutout=1e-9, magnitude=0)).mean()

    assert change(magnitude=0) == 0
    assert 0 < change(magnitude=3) < change(magnitude=30)
    assert change(magnitude=9) < change(magnitude=9, num_ops=4)


def operation(name, strength):
    """An operation of albumentations, or a blend or stretch that it has otherwise than Pillow."""
    if name == "sharpness":
        return A.NoOp(p=1)
    if name == "autocontrast":
        return A.AutoContrast(method="pil", p=1)
    if name not in DIRECTED:
        return ALBUMENTATIONS[name](strength)
    return A.OneOf([ALBUMENTATIONS[name](strength), ALBUMENTATIONS[name](-strength)], p=1)


def rand_augment(magnitude, num_ops):
    names = (*GEOMETRIC, *PHOTOMETRIC)
    return A.Compose(
        [A.OneOf([operation(name, magnitude / 30) for name in names], p=1) for _ in range(num_ops)]
    )


def auto_augment():
    def step(name, probability, level):
        return A.Sequential([operation(name, level / AUTO_AUGMENT_STEPS)], p=probability)

    pairs = [A.Sequential([step(*one) for one in pair], p=1) for pair in IMAGENET_POLICY]
    return A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.OneOf(pairs, p=1)])


def figures(images):
    """Of images (n, H, W, C): what flips, shifts, colours and contrast all change."""
    values = images.reshape(len(images), -1, images.shape[3]).astype(float)
    height = images.shape[1] // 2
    halves = images[:, :height].mean(axis=(1, 2, 3)) - images[:, height:].mean(axis=(1, 2, 3))
    colour = values.std(axis=2).mean(axis=1)
    return np.stack(
        [values.mean(axis=(1, 2)), values.std(axis=(1, 2)), halves, halves**2, colour], axis=1
    )


@pytest.mark.parametrize(
    ("name", "options", "pipeline"),
    [
        ("weak", {}, lambda: rand_augment(9, 2)),
        ("weak", {"magnitude": 25, "num_ops": 3}, lambda: rand_augment(25, 3)),
        ("strong", {}, auto_augment),
    ],
)
def test_moments_of_many_images_are_those_of_albumentations(name, options, pipeline):
    """Two samples of one distribution: means and standard deviations of five figures each."""
    count = 1500
    own = figures(changed(name, count, cutout=1e-9, **options))
    # By itself albumentations seeds the choices of one pipeline alike.
    policy = FilePolicy(pipeline(), Path("policy.json"))
    other = figures(np.concatenate([policy([PICTURE], seed) for seed in range(count)]))
    errors = np.sqrt((own.var(axis=0) + other.var(axis=0)) / count)
    assert (np.abs(own.mean(axis=0) - other.mean(axis=0)) < 4.5 * errors).all()
    spreads = np.stack([own.std(axis=0), other.std(axis=0)])
    assert np.abs(np.log(spreads[0] / spreads[1])).max() < 0.15


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_channels_that_are_no_colours_have_tones_and_no_saturation(channels):
    images = torch.randint(0, 256, (3, 9, 8, channels), dtype=torch.uint8)
    gains = torch.full((3,), 0.5)
    mean = images.float().mean(dim=(1, 2, 3)).round()
    expected = (images.float() * 0.5 + mean[:, None, None, None] * 0.5).floor()
    assert (contrasted(images, gains).float() - expected).abs().max() <= 1
    for operation in (autocontrasted, equalized):
        alone = [operation(images[..., [one]]) for one in range(channels)]
        torch.testing.assert_close(operation(images), torch.cat(alone, dim=3))
    shape = (9, 8, channels)
    for name in OPERATIONS:
        codes = np.full((1, 3), OPERATIONS.index(name))
        changes = Changes(None, None, [Operated(codes, np.full((1, 3), 0.7))])
        found = tasks(changes, [shape])
        assert len(found) == (0 if name in ("colour", "identity") else 1)
        stacks = [images.clone()]
        sent = iter([torch.from_numpy(array) for task in found for array in task.arrays])
        carry_out(found, sent, stacks)
        assert stacks[0].shape == images.shape


def test_a_hole_has_a_colour_for_each_of_many_channels():
    holes = Holes(1.0, np.full((2, 2), 0.5), np.array([[10, 20, 30], [40, 50, 60]], np.uint8))
    (painting,) = tasks(Changes(None, holes, []), [(4, 4, 5)])
    stacks = [torch.zeros((2, 4, 4, 5), dtype=torch.uint8)]
    carry_out([painting], iter([torch.from_numpy(array) for array in painting.arrays]), stacks)
    assert stacks[0][:, 2, 2].tolist() == [[10, 20, 30, 10, 20], [40, 50, 60, 40, 50]]
