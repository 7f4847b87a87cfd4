"""Operations on whole batches against albumentations and Pillow, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from comptool.data.augment import albumentations_policies
from comptool.data.augment.albumentations_policies import Paired
from comptool.data.augment.batches import (
    DIRECTED,
    OPERATIONS,
    Changes,
    Holes,
    Operated,
    carry_out,
    send,
    stacked,
    tasks,
)
from comptool.data.augment.named_policies import Hole, cut_out

CPU = torch.device("cpu")


def pictures(height, width, channels):
    """Smooth ones, a flat one, and noise."""
    random = np.random.default_rng(5)
    coarse = random.integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
    smooth = [
        np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC))
        for one in coarse
    ]
    flat = np.full((height, width, 3), 77, np.uint8)
    noise = random.integers(20, 230, (height, width, 3), dtype=np.uint8)
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


def one_by_one(name, strength, images):
    """What albumentations makes of them: in both directions, where there are two."""
    policy = Paired(albumentations_policies.operation(name, strength))
    found = [np.stack([policy([image], seed)[0] for image in images]) for seed in range(7)]
    return list({one.tobytes(): one.astype(int) for one in found}.values())


@pytest.mark.parametrize("shape", [(48, 48, 3), (40, 56, 3), (32, 32, 1)])
@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"autocontrast"}))
def test_each_operation_is_that_of_albumentations(name, shape):
    images = pictures(*shape)
    for strength in (0.1, 0.3, 5 / 9, 8 / 9, 1.0):
        wanted = one_by_one(name, strength, images)
        still = shape[2] == 1 and name == "colour"
        directions = (1, -1) if name in DIRECTED and not still else (1,)
        assert len(wanted) == len(directions)
        for direction in directions:
            (changed,) = operated(name, direction * strength, images)
            off = [np.abs(changed - one) for one in wanted]
            nearest = off.pop(int(np.argmin([one.mean() for one in off])))
            # Rounding, here and there; the flat one of five is rounded as a whole.
            assert nearest.max() <= 1
            assert (nearest > 0).mean() < 0.25
            if len(directions) == 2 and name != "sharpness":
                assert off[0].mean() > 3 * nearest.mean()


def test_the_operations_with_a_direction_are_those_that_albumentations_draws_one_for():
    assert set(DIRECTED) == set(albumentations_policies._SIGNED)
    assert set(albumentations_policies._SIGNED) | set(albumentations_policies._UNSIGNED) == set(
        OPERATIONS
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_autocontrast_is_pillows(channels):
    images = pictures(48, 48, channels)
    images[0] = 100 + images[0] // 4
    (changed,) = operated("autocontrast", 1.0, images)
    for image, one in zip(images, changed, strict=True):
        wanted = ImageOps.autocontrast(Image.fromarray(image.squeeze()))
        assert np.abs(np.asarray(wanted).reshape(image.shape).astype(int) - one).max() <= 1


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(20, 30, 3), (33, 33, 1)])
def test_holes_are_those_of_one_image(share, shape):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (50, *shape), dtype=np.uint8)
    centres, colours = random.random((50, 2)), random.integers(0, 256, (50, 3), dtype=np.uint8)
    (changed,) = applied(Changes(None, Holes(share, centres, colours), []), images)
    for image, one, centre, colour in zip(images, changed, centres, colours, strict=True):
        hole = Hole(tuple(centre), colour.tolist())
        np.testing.assert_array_equal(one, cut_out(image, hole, share))


def test_each_image_of_a_batch_has_an_operation_of_its_own():
    images = pictures(32, 32, 3)
    codes = np.array([[OPERATIONS.index(name) for name in ("invert", "rotate", "identity")]])
    strengths = np.array([[1.0, 0.5, 1.0]])
    (changed,) = applied(Changes(None, None, [Operated(codes, strengths)]), images[:3])
    np.testing.assert_array_equal(changed[0], 255 - images[0])
    np.testing.assert_array_equal(changed[1], operated("rotate", 0.5, images[1:2])[0][0])
    np.testing.assert_array_equal(changed[2], images[2])


GEOMETRIC = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")


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
