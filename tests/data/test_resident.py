"""Batches of images that lie on a device: those of the loader, augmented as a whole."""

from __future__ import annotations

from itertools import chain

import cv2
import numpy as np
import pytest
import torch

from comptool.data.augment.named_policies import BATCH_POLICIES, symmetry
from comptool.data.cache import PixelCache
from comptool.data.dataset import SampleDataset
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.loader import loader
from comptool.data.sampler import EpochBatches, in_order
from comptool.errors import InputError

CPU = torch.device("cpu")
POLICIES = [("none", {}), ("flips", {"cutout": 0.5}), ("weak", {"num_ops": 3}), ("strong", {})]
ALIKE = {"sar": (12, 12), "eo": (12, 12)}
# Of one shape, which are worked on together, and of two.
SHAPES = [{"sizes": ALIKE, "channels": {"sar": 3, "eo": 3}}, {}]


def dataset(samples, *, sizes=None, channels=None, targets="classes", **options):
    if isinstance(targets, str):
        targets = np.arange(len(samples))
    sizes = sizes or {"sar": (12, 12), "eo": (8, 8)}
    channels = channels or {"sar": 3, "eo": 1}
    return SampleDataset(samples, targets, sizes=sizes, channels=channels, **options)


def resident(data, order, name="none", device=CPU, **options):
    return ResidentBatches(data, order, BATCH_POLICIES.load(name)(**options), device)


def drawn(samples, name, options, *, batch_size=4, first_step=0, device=CPU, data=None, **order):
    batches = EpochBatches(np.arange(len(samples)) % 2, batch_size, seed=3, **order)
    batches.set_epoch(2, first_step)
    return list(resident(data or dataset(samples), batches, name, device, **options))


def by_place(batches):
    """Rows and images of an epoch, in its order."""
    rows = torch.cat([batch.rows for batch in batches])
    return rows, [torch.cat(parts) for parts in zip(*(b.images for b in batches), strict=True)]


def assert_same(first, second):
    assert torch.equal(first[0], second[0])
    assert all(map(torch.equal, first[1], second[1]))


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("decoded", [False, True])
def test_without_augmentation_batches_are_those_of_the_loader(samples, decoded, shapes, tmp_path):
    (samples.folder / "eo_2.png").unlink()
    cv2.imwrite(str(samples.folder / "sar_1.png"), np.zeros((14, 14), np.uint8))
    soft = np.random.default_rng(0).random((11, 3), np.float32)
    data = dataset(samples, targets=soft, missing="zero", **shapes)
    order = in_order(11, 4)
    wanted = list(loader(data, order))
    if decoded:
        data.decode_once(PixelCache("disk", pytest.fail, True, tmp_path / "cache", 10**6))
    found = resident(data, order)
    assert len(found) == len(wanted) == 3
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.targets, other.targets)
        assert torch.equal(one.blank, other.blank)
        for image, twin in zip(one.images, other.images, strict=True):
            assert torch.equal(image, twin)
            assert image.is_contiguous(memory_format=torch.channels_last)
    assert torch.cat([batch.blank for batch in wanted]).sum() == 1
    unlabelled = dataset(samples, targets=None, missing="zero")
    assert next(iter(resident(unlabelled, [[3]]))).targets is None


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


def test_partners_follow_the_rows_of_a_batch(samples):
    batches = drawn(samples, "flips", {}, partners=True)
    order = EpochBatches(np.arange(11) % 2, 4, seed=3, partners=True)
    order.set_epoch(2)
    wanted = [[draw.row for draw in batch] for batch in order]
    assert [batch.rows.tolist() for batch in batches] == wanted
    assert [len(batch.images[0]) for batch in batches] == [8, 8, 6]


def test_a_row_that_is_drawn_twice_looks_different(samples):
    batches = drawn(samples, "strong", {}, order="class-aware", batch_size=11)
    again = drawn(samples, "strong", {}, batch_size=11)
    assert not all(map(torch.equal, batches[0].images, again[0].images))


@pytest.mark.parametrize("sizes", [ALIKE, {"sar": (12, 18), "eo": (12, 18)}])
def test_flips_turn_both_images_of_a_pair_by_one_symmetry(samples, sizes):
    for row in range(11):  # both modalities show one picture
        cv2.imwrite(
            str(samples.folder / f"eo_{row}.png"),
            cv2.imread(str(samples.folder / f"sar_{row}.png")),
        )
    data = dataset(samples, sizes=sizes, channels={"sar": 3, "eo": 3})
    plain = [data.chips(modality, slice(None)) for modality in (0, 1)]
    seen = set()
    for batch in drawn(samples, "flips", {}, data=data):
        assert torch.equal(*batch.images)
        for row, image in zip(batch.rows.tolist(), batch.images[0], strict=True):
            changed = image.permute(1, 2, 0).numpy()
            (element,) = (
                e for e in range(8) if np.array_equal(symmetry(plain[0][row], e), changed)
            )
            seen.add(element)
    assert len(seen) >= 3
    assert sizes == ALIKE or seen <= {0, 2, 5, 7}


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize(("name", "options"), POLICIES)
def test_a_missing_image_is_black_under_any_policy(samples, name, options, shapes):
    (samples.folder / "eo_3.png").unlink()
    data = dataset(samples, missing="zero", **shapes)
    for batch in drawn(samples, name, options, data=data):
        for row, image in zip(batch.rows.tolist(), batch.images[1], strict=True):
            assert bool(image.any()) == (row != 3)
        assert not batch.blank.any()


def test_the_images_that_are_kept_are_not_painted_on(samples):
    order = EpochBatches(np.zeros(11, int), 4, seed=1)
    batches = resident(dataset(samples), order, "strong")
    first = by_place(list(batches))
    list(batches)
    assert_same(by_place(list(batches)), first)


def test_a_damaged_image_is_told_when_images_are_brought(samples):
    path = samples.folder / "eo_6.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"eo_6\.png: this image is truncated"):
        resident(dataset(samples), in_order(11, 4)).load()


def test_a_device_that_filled_up_meanwhile_is_one_plain_error(samples, monkeypatch):
    def full(*shape, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(InputError) as refusal:
        resident(dataset(samples), in_order(11, 4)).load()
    assert str(refusal.value) == (
        "cpu has no room any more for the images, 11 of 12 x 12 x 3. Take --data-on cpu"
    )


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
@pytest.mark.parametrize(("name", "options"), POLICIES)
def test_nothing_waits_for_the_gpu(samples, name, options):
    order = EpochBatches(np.zeros(11, int), 4, seed=1)
    batches = resident(dataset(samples), order, name, torch.device("cuda"), **options)
    list(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(batches)) == 3
    finally:
        torch.cuda.set_sync_debug_mode("default")
