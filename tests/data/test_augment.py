"""Augmented batches: a function of seeds, wherever the images lie and whoever made the batch."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch

from comptool.data.augment.batches import Augmentation, symmetry
from comptool.data.augment.named_policies import create
from comptool.data.dataset import SampleDataset
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.loader import Loader
from comptool.data.sampler import EpochBatches

CPU = torch.device("cpu")
POLICIES = [("none", {}), ("flips", {"cutout": 0.5}), ("weak", {"num_ops": 3}), ("strong", {})]
ALIKE = {"sar": (12, 12), "eo": (12, 12)}
# Of one shape, which are worked on together, and of two.
SHAPES = [{"sizes": ALIKE, "channels": {"sar": 3, "eo": 3}}, {}]


def dataset(samples, *, sizes=None, channels=None, **options):
    sizes = sizes or {"sar": (12, 12), "eo": (8, 8)}
    channels = channels or {"sar": 3, "eo": 1}
    targets = np.arange(len(samples))
    return SampleDataset(samples, targets, sizes=sizes, channels=channels, **options)


def drawn(
    samples,
    name,
    options,
    *,
    batch_size=4,
    first_step=0,
    device=CPU,
    data=None,
    resident=True,
    workers=0,
    **order,
):
    """The batches of an epoch, augmented."""
    data = data or dataset(samples)
    batches = EpochBatches(np.arange(len(samples)) % 2, batch_size, seed=3, **order)
    batches.set_epoch(2, first_step)
    source = (
        ResidentBatches(data, batches, device)
        if resident
        else Loader(data, batches, workers=workers, device=device)
    )
    augment = Augmentation(create(name, **options), data.shapes, data.missing, device)
    return [augment(batch) for batch in source]


def by_place(batches):
    """Rows and images of an epoch, in its order."""
    rows = torch.cat([batch.rows for batch in batches])
    return rows, [torch.cat(parts) for parts in zip(*(b.images for b in batches), strict=True)]


def assert_same(first, second):
    assert torch.equal(first[0], second[0])
    assert all(map(torch.equal, first[1], second[1]))


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize(("name", "options"), POLICIES)
@pytest.mark.parametrize("workers", [0, 1])
def test_loaded_and_resident_images_come_to_the_same(samples, name, options, shapes, workers):
    (samples.folder / "eo_2.png").unlink()
    data = dataset(samples, missing="zero", **shapes)
    loaded = drawn(samples, name, options, data=data, resident=False, workers=workers)
    for one, other in zip(loaded, drawn(samples, name, options, data=data), strict=True):
        for image, twin in zip(one.images, other.images, strict=True):
            assert torch.equal(image, twin)
            assert image.dtype == torch.uint8
            assert image.is_contiguous(memory_format=torch.channels_last)
        for tensor, twin in zip(one[1:], other[1:], strict=True):
            assert torch.equal(tensor, twin)


@pytest.mark.parametrize(("name", "options"), POLICIES)
def test_a_row_looks_alike_in_batches_of_any_size_and_from_any_step_on(samples, name, options):
    whole = by_place(drawn(samples, name, options, batch_size=11))
    assert_same(by_place(drawn(samples, name, options, batch_size=3)), whole)
    late = by_place(drawn(samples, name, options, batch_size=4, first_step=1))
    rows, images = whole
    assert_same(late, (rows[4:], [one[4:] for one in images]))


@pytest.mark.parametrize(("name", "options"), POLICIES)
def test_several_processes_share_what_one_would_take(samples, name, options):
    parts = [
        drawn(samples, name, options, batch_size=2, rank=rank, world_size=2) for rank in (0, 1)
    ]
    together = by_place(list(chain.from_iterable(zip(*parts, strict=True))))
    rows, images = by_place(drawn(samples, name, options, batch_size=4))
    # The last batch of eleven rows goes round.
    assert_same((together[0][:11], [one[:11] for one in together[1]]), (rows, images))


def test_a_row_that_is_drawn_twice_looks_different(samples):
    batches = drawn(samples, "strong", {}, order="class-aware", batch_size=11)
    again = drawn(samples, "strong", {}, batch_size=11)
    assert not all(map(torch.equal, batches[0].images, again[0].images))


SIZES = [ALIKE, {"sar": (12, 12), "eo": (24, 24)}, {"sar": (12, 18), "eo": (12, 18)}]


@pytest.mark.parametrize("sizes", SIZES)
def test_flips_turn_both_images_of_a_pair_by_one_symmetry(samples, sizes):
    data = dataset(samples, sizes=sizes)
    plain = [data.chips(modality, slice(None)) for modality in (0, 1)]
    seen = set()
    for batch in drawn(samples, "flips", {}, data=data):
        for place, row in enumerate(batch.rows.tolist()):
            (element,) = {
                which_symmetry(images[row], changed[place].permute(1, 2, 0).numpy())
                for images, changed in zip(plain, batch.images, strict=True)
            }
            seen.add(element)
    assert len(seen) >= 3
    assert sizes != SIZES[2] or seen <= {0, 2, 5, 7}


def which_symmetry(image, changed):
    (found,) = (
        element for element in range(8) if np.array_equal(symmetry(image, element), changed)
    )
    return found


@pytest.mark.parametrize(("first", "second"), [((24, 24), (48, 48)), ((24, 36), (48, 72))])
def test_a_cutout_leaves_the_flips_and_covers_the_same_part_of_each_modality(
    samples, first, second
):
    data = dataset(samples, sizes={"sar": first, "eo": second}, channels={"sar": 3, "eo": 3})
    flipped, cut = (
        by_place(drawn(samples, "flips", given, data=data))[1] for given in ({}, {"cutout": 0.5})
    )
    holes = [(one != two).any(dim=1).numpy() for one, two in zip(flipped, cut, strict=True)]
    sides = set()
    for small, large in zip(*holes, strict=True):
        spans = [
            (np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))) for hole in (small, large)
        ]
        for few, many in zip(*spans, strict=True):
            assert abs(2 * few[0] - many[0]) <= 2 and abs(2 * few[-1] - many[-1]) <= 2
        assert small[np.ix_(*spans[0])].mean() > 0.95  # noise has the hole's colour here and there
        sides.add(small.any(1).sum() / len(small))
    # Half the side, or less where the border clips it.
    assert max(sides) == 0.5 and min(sides) < 0.45


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize(("name", "options"), POLICIES)
def test_a_missing_image_is_black_under_any_policy(samples, name, options, shapes):
    (samples.folder / "eo_3.png").unlink()
    data = dataset(samples, missing="zero", **shapes)
    for batch in drawn(samples, name, options, data=data):
        for row, image in zip(batch.rows.tolist(), batch.images[1], strict=True):
            assert bool(image.any()) == (row != 3)
        assert not batch.blank.any()


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("name", ["flips", "weak", "strong"])
def test_the_batch_that_is_given_is_not_painted_on(samples, name, resident):
    data = dataset(samples)
    order = EpochBatches(np.zeros(11, int), 4, seed=1)
    source = ResidentBatches(data, order, CPU) if resident else Loader(data, order)
    augment = Augmentation(create(name), data.shapes, data.missing, CPU)
    for batch in source:
        before = [image.clone() for image in batch.images]
        again = [augment(batch), augment(batch)]
        assert all(map(torch.equal, batch.images, before))
        assert all(map(torch.equal, again[0].images, again[1].images))
        assert not all(map(torch.equal, again[0].images, before))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("name", "options"), POLICIES)
def test_a_gpu_makes_the_batches_that_a_cpu_makes(samples, name, options):
    device = torch.device("cuda")
    for here, there in zip(
        drawn(samples, name, options), drawn(samples, name, options, device=device), strict=True
    ):
        assert torch.equal(here.rows, there.rows)
        assert torch.equal(here.targets, there.targets.cpu())
        for image, twin in zip(here.images, there.images, strict=True):
            # What follows a pixel that was rounded otherwise may be further off.
            off = (image.int() - twin.cpu().int()).abs()
            assert (off <= 1).float().mean() > 0.98


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize(("name", "options"), POLICIES)
def test_nothing_waits_for_the_gpu(samples, name, options, resident):
    data, device = dataset(samples), torch.device("cuda")
    order = EpochBatches(np.zeros(11, int), 4, seed=1)
    source = (
        ResidentBatches(data, order, device)
        if resident
        else list(Loader(data, order, device=device))
    )
    augment = Augmentation(create(name, **options), data.shapes, data.missing, device)
    list(map(augment, source))
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(map(augment, source))) == 3
    finally:
        torch.cuda.set_sync_debug_mode("default")
