"""Batches of images that lie on a device: those of the loader."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from comptool.data.cache import PixelCache
from comptool.data.dataset import SampleDataset
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.loader import Loader
from comptool.data.sampler import EpochBatches, in_order
from comptool.errors import InputError

CPU = torch.device("cpu")
ALIKE = {"sar": (12, 12), "eo": (12, 12)}
SHAPES = [{"sizes": ALIKE, "channels": {"sar": 3, "eo": 3}}, {}]


def dataset(samples, *, sizes=None, channels=None, targets="classes", **options):
    if isinstance(targets, str):
        targets = np.arange(len(samples))
    sizes = sizes or {"sar": (12, 12), "eo": (8, 8)}
    channels = channels or {"sar": 3, "eo": 1}
    return SampleDataset(samples, targets, sizes=sizes, channels=channels, **options)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("decoded", [False, True])
def test_batches_are_those_of_the_loader(samples, decoded, shapes, tmp_path):
    (samples.folder / "eo_2.png").unlink()
    cv2.imwrite(str(samples.folder / "sar_1.png"), np.zeros((14, 14), np.uint8))
    soft = np.random.default_rng(0).random((11, 3), np.float32)
    data = dataset(samples, targets=soft, missing="zero", **shapes)
    order = in_order(11, 4)
    wanted = list(Loader(data, order))
    if decoded:
        data.decode_once(PixelCache("disk", pytest.fail, True, tmp_path / "cache", 10**6))
    found = ResidentBatches(data, order, CPU)
    assert len(found) == len(wanted) == 3
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.targets, other.targets)
        assert torch.equal(one.blank, other.blank)
        for image, twin in zip(one.images, other.images, strict=True):
            assert torch.equal(image, twin)
            assert image.is_contiguous(memory_format=torch.channels_last)
        assert one.seeds is other.seeds is None
    assert torch.cat([batch.blank for batch in wanted]).sum() == 1
    unlabelled = dataset(samples, targets=None, missing="zero")
    assert next(iter(ResidentBatches(unlabelled, [[3]], CPU))).targets is None


def test_an_epoch_has_the_rows_and_seeds_of_the_loader(samples):
    data = dataset(samples)
    order = EpochBatches(np.arange(11) % 2, 4, seed=3, partners=True)
    order.set_epoch(2)
    found = list(ResidentBatches(data, order, CPU))
    assert [len(batch.images[0]) for batch in found] == [8, 8, 6]
    for one, other in zip(found, Loader(data, order), strict=True):
        for tensor, twin in zip(one[1:], other[1:], strict=True):
            assert torch.equal(tensor, twin)
    assert len(set(torch.cat([batch.seeds for batch in found]).tolist())) == 22


def test_a_damaged_image_is_told_when_images_are_brought(samples):
    path = samples.folder / "eo_6.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"eo_6\.png: this image is truncated"):
        ResidentBatches(dataset(samples), in_order(11, 4), CPU).load()


def test_a_device_that_filled_up_meanwhile_is_one_plain_error(samples, monkeypatch):
    def full(*shape, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(InputError) as refusal:
        ResidentBatches(dataset(samples), in_order(11, 4), CPU).load()
    assert str(refusal.value) == (
        "cpu has no room any more for the images, 11 of 12 x 12 x 3. Take --data-on cpu"
    )
