"""From rows to batches: the same whatever loads them, and missing or damaged images named."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pytest
import torch

from comptool.data.augment.albumentations_file import FilePolicy
from comptool.data.dataset import SampleDataset, normalise
from comptool.data.image_io import ImageFiles, drop_missing, find_missing
from comptool.data.loader import Loader, choose_workers
from comptool.data.sampler import Draw, EpochBatches, in_order
from comptool.errors import InputError

NUM = 11
SIZES = {"sar": (12, 12), "eo": (8, 8)}
CHANNELS = {"sar": 3, "eo": 1}


def dataset(samples, **options):
    return SampleDataset(
        samples, np.arange(len(samples)), sizes=SIZES, channels=CHANNELS, **options
    )


def rich():
    """A policy of a file."""
    pipeline = A.Compose([A.D4(p=1), A.RandomBrightnessContrast(p=0.5), A.CoarseDropout(p=0.5)])
    return FilePolicy(pipeline, Path("policy.json"))


def epoch(samples, *, workers=0, number=0, first_step=0):
    batches = EpochBatches(np.zeros(len(samples), int), 4, seed=3)
    load = Loader(dataset(samples, augment=rich()), batches, workers=workers)
    batches.set_epoch(number, first_step)
    return list(load)


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.targets, other.targets)
        for image, twin in zip(one.images, other.images, strict=True):
            assert torch.equal(image, twin)


def test_batches_are_bytes_of_the_sizes_and_channels_wanted(samples):
    batch = next(iter(Loader(dataset(samples), in_order(NUM, 4))))
    assert [tuple(image.shape) for image in batch.images] == [(4, 3, 12, 12), (4, 1, 8, 8)]
    assert {image.dtype for image in batch.images} == {torch.uint8}
    assert batch.images[0].is_contiguous(memory_format=torch.channels_last)
    assert batch.targets.tolist() == batch.rows.tolist() == [0, 1, 2, 3]


def test_an_image_of_the_right_size_comes_through_unchanged(samples):
    images, row, *_ = dataset(samples)[5]
    original = cv2.imread(str(samples.folder / "eo_5.png"), cv2.IMREAD_GRAYSCALE)
    assert row == 5
    assert np.abs(images[1][:, :, 0].astype(int) - original).max() <= 1
    assert (images[0][:, :, 0] == images[0][:, :, 2]).all()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(samples, workers):
    assert_same(epoch(samples), epoch(samples, workers=workers))


def test_an_epoch_entered_late_gives_the_batches_that_were_left(samples):
    assert_same(epoch(samples, number=2)[1:], epoch(samples, number=2, first_step=1))


@pytest.mark.skipif(sys.platform != "linux", reason="no workers are forked here")
def test_workers_share_what_this_process_holds(samples):
    """Also where Python would start them anew, and send each a copy of all decoded images."""
    cannot_be_sent = dataset(samples, augment=lambda images, seed: images)
    usual = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)
    try:
        (batch,) = Loader(cannot_be_sent, in_order(NUM, NUM), workers=1)
    finally:
        multiprocessing.set_start_method(usual, force=True)
    assert torch.equal(batch.rows, torch.arange(NUM))


def test_persistent_workers_see_the_next_epoch(samples):
    batches = EpochBatches(np.zeros(NUM, int), 4, seed=3)
    load = Loader(dataset(samples, augment=rich()), batches, workers=1)
    for number in (0, 1):
        batches.set_epoch(number)
        assert_same(list(load), epoch(samples, number=number))


def test_a_row_without_a_seed_is_not_augmented(samples):
    plain, augmented = dataset(samples), dataset(samples, augment=rich())
    for row in range(NUM):
        for one, other in zip(plain[row][0], augmented[row][0], strict=True):
            np.testing.assert_array_equal(one, other)
    changed, *_ = augmented[Draw(0, 17)]
    assert not np.array_equal(changed[0], plain[0][0][0])


def test_a_policy_that_crops_is_followed_by_a_resize(samples):
    def crop(images, seed):
        return [image[2:7, 1:6] for image in images]

    images, *_ = dataset(samples, augment=crop)[Draw(0, 0)]
    assert [image.shape for image in images] == [(12, 12, 3), (8, 8, 1)]


def test_soft_targets_are_handed_on(samples):
    soft = np.full((NUM, 3), 1 / 3, np.float32)
    soft[4] = [0.5, 0.25, 0.25]
    data = SampleDataset(samples, soft, sizes=SIZES, channels=CHANNELS)
    (batch,) = Loader(data, [[4, 0]])
    assert batch.targets.tolist() == [soft[4].tolist(), soft[0].tolist()]
    unlabelled = SampleDataset(samples, None, sizes=SIZES, channels=CHANNELS)
    assert next(iter(Loader(unlabelled, [[0]]))).targets is None


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_one_plain_error_from_any_process(samples, workers):
    path = samples.folder / "eo_6.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError) as error:
        list(Loader(dataset(samples), in_order(NUM, 4), workers=workers))
    assert str(error.value) == f"{path}: this image is truncated. Download it again"


def test_a_missing_image_is_named_before_anything_is_loaded(samples):
    (samples.folder / "eo_3.png").unlink()
    with pytest.raises(InputError) as error:
        dataset(samples)
    assert str(error.value) == (
        f"{samples.source}, column 'eo_path': sample '003' has no eo image; there is no "
        f"{samples.folder / 'eo_3.png'}. Allow it with --missing-modality zero"
    )
    (samples.folder / "sar_0.png").unlink()
    with pytest.raises(
        InputError, match=r"'000' has no sar image.*\(2 images are missing in all\)"
    ):
        dataset(samples)


def test_a_blank_path_is_a_missing_image(samples):
    samples.frame.loc[2, "sar_path"] = ""
    assert find_missing(samples).sum() == 1
    with pytest.raises(InputError, match="sample '002' has no sar image; its path is blank"):
        dataset(samples)


def test_a_missing_image_may_be_a_black_chip_under_any_policy(samples):
    (samples.folder / "eo_3.png").unlink()
    white = FilePolicy(A.InvertImg(p=1), Path("policy.json"))
    images, *_ = dataset(samples, missing="zero", augment=white)[Draw(3, 0)]
    assert images[1].shape == (8, 8, 1)
    assert not images[1].any()
    assert images[0].any()


def test_images_that_are_all_zero_are_told_whatever_a_policy_makes_of_them(samples):
    (samples.folder / "eo_2.png").unlink()  # missing, which is known already
    cv2.imwrite(str(samples.folder / "sar_1.png"), np.zeros((14, 14), np.uint8))
    data = dataset(samples, missing="zero", augment=rich())
    (batch,) = Loader(data, [[Draw(row, 7) for row in range(4)]])
    assert batch.blank.tolist() == [[False, False], [True, False], [False, False], [False, False]]


def test_sixteen_bits_are_scaled_by_those_that_the_modality_uses(samples):
    deep = np.full((8, 8), 2048, np.uint16)
    for name in ("sar_0.png", "eo_0.png"):
        cv2.imwrite(str(samples.folder / name), deep)
    images, *_ = dataset(samples, bits={"sar": 12})[0]
    assert (images[0] == 127).all()
    assert (images[1] == 2048 // 257).all()


def test_a_sample_without_any_image_is_refused_even_then(samples):
    (samples.folder / "eo_3.png").unlink()
    (samples.folder / "sar_3.png").unlink()
    with pytest.raises(InputError) as error:
        dataset(samples, missing="zero")
    assert str(error.value) == (f"{samples.source}: a sample has no image at all (found '003')")


def test_rows_with_a_missing_image_may_be_dropped(samples):
    for name in ("eo_3.png", "sar_7.png", "eo_7.png"):
        (samples.folder / name).unlink()
    kept, dropped = drop_missing(samples)
    assert dropped == 2
    assert kept.frame["id"].tolist() == [f"00{n}" for n in range(NUM) if n not in (3, 7)]
    assert len(ImageFiles(kept)) == NUM - 2
    for path in samples.folder.glob("*.png"):
        path.unlink()
    with pytest.raises(InputError, match="no row has all of its images"):
        drop_missing(samples)


def test_normalising_is_the_textbook_formula_in_float32():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 4, 5, 3).permute(0, 3, 1, 2)
    mean, std = [0.1, 0.5, 0.9], [0.2, 0.3, 0.4]
    wanted = (images.double() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(
        3, 1, 1
    )
    normalised = normalise(images, mean, std)
    assert normalised.dtype == torch.float32
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(normalised.double(), wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("cores", "cpu", "cuda"), [(1, 0, 1), (2, 0, 2), (3, 1, 3), (4, 1, 4), (5, 2, 5), (64, 2, 8)]
)
def test_workers_are_chosen_for_the_device(cores, cpu, cuda, monkeypatch):
    monkeypatch.setattr("comptool.data.loader.usable_cores", lambda: cores)
    assert choose_workers(0, "cuda") == 0
    assert choose_workers(5, "cpu") == 5
    assert (choose_workers(None, "cpu"), choose_workers(None, "cuda")) == (cpu, cuda)
