"""The cache of decoded images among other processes, other sets of images and damage."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.competition.samples import Samples
from comptool.data import cache as pixel_cache
from comptool.data.cache import PixelCache
from comptool.data.image_io import ChipForm, ImageFiles, ImageSource, read_pixels, to_bytes
from comptool.errors import InputError, OutputError

NUM = 6
FORM = ChipForm(8, 8, 1)
ROOM = NUM * FORM.num_bytes


@pytest.fixture
def images(tmp_path) -> Callable[[str], ImageFiles]:
    """Six grey images of 8 x 8 pixels in a folder: ``images("one")``."""

    def make(name: str) -> ImageFiles:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            random = np.random.default_rng(list(name.encode()))
            for number in range(NUM):
                chip = random.integers(256, size=(8, 8), dtype=np.uint8)
                cv2.imwrite(str(folder / f"{number}.bmp"), chip)
        names = [f"{number}.bmp" for number in range(NUM)]
        frame = pd.DataFrame({"id": names, "path": names})
        table = folder / "t.csv"
        return ImageFiles(Samples(frame, folder, "id", {"image": "path"}, None, None, table))

    return make


@pytest.fixture
def cache(tmp_path) -> Callable[..., PixelCache]:
    """A cache in a folder of its own."""

    def make(mode: str = "disk", **options) -> PixelCache:
        place = {"folder": tmp_path / "cache", "limit": 10**6}
        return PixelCache(mode, pytest.fail, quiet=True, **{**place, **options})

    return make


def shards(kept: PixelCache) -> set[Path]:
    return {path for path in kept.folder.rglob("*.npy") if not path.name.endswith(".index.npy")}


def agree(kept: PixelCache, files: ImageFiles) -> bool:
    found = kept.images(files, 0, FORM)
    pixels = (to_bytes(read_pixels(files.source(row, 0)), 16) for row in range(len(files)))
    return all(np.array_equal(found[row], one) for row, one in enumerate(pixels))


def test_a_copy_is_taken_over_only_from_sound_pixels(images, cache, tmp_path):
    assert agree(cache(), images("one"))
    (shard,) = shards(cache())
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    shutil.copytree(tmp_path / "one", tmp_path / "moved")
    assert agree(cache(), images("moved"))


def test_images_of_another_set_are_not_marked_as_used(images, cache):
    assert agree(cache(), images("one"))
    (first,) = shards(cache())
    os.utime(first, (9, 9))
    assert agree(cache(), images("two"))
    assert first.stat().st_mtime == 9
    assert agree(cache(), images("one"))
    assert first.stat().st_mtime > 9


def test_what_one_training_uses_fits_the_limit_together(images, cache):
    kept = cache(limit=ROOM + 300)
    assert agree(kept, images("one"))
    before = shards(kept)
    with pytest.raises(OutputError, match=r"COMPTOOL_CACHE_GB allows 0\.0 MB more"):
        kept.images(images("two"), 0, FORM)
    assert shards(kept) == before
    assert agree(cache(limit=ROOM + 300), images("two"))  # another training may make room
    assert not shards(kept) & before


def test_a_shard_that_another_process_removes_at_once_is_used_all_the_same(
    images, cache, monkeypatch
):
    def removed(folder: Path, *others: object) -> None:
        shutil.rmtree(folder)

    monkeypatch.setattr(pixel_cache, "make_room", removed)
    kept = cache()
    assert agree(kept, images("one"))
    assert not kept.folder.exists()


def test_a_file_changed_behind_its_time_is_decoded_again(images, cache):
    files = images("one")
    assert agree(cache(), files)
    path = files.source(2, 0).parts[0].path
    seen = path.stat()
    time.sleep(0.02)  # the clock of a file system is coarse
    cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (seen.st_size, seen.st_mtime_ns)
    assert agree(cache(), files)


@pytest.mark.parametrize("mode", ["disk", "ram"])
def test_a_link_to_nothing_is_named(images, cache, mode):
    path = images("one").source(3, 0).parts[0].path
    path.unlink()
    path.symlink_to("nowhere.bmp")
    with pytest.raises(InputError, match=r"3\.bmp: there is no such image"):
        cache(mode).images(images("one"), 0, FORM)


def test_processes_share_the_memory_that_there_is(images, cache, monkeypatch):
    monkeypatch.setattr(pixel_cache, "available_memory", lambda: 4 * ROOM)
    assert agree(cache("ram", sharers=2), images("one"))
    with pytest.raises(InputError, match="of memory"):
        cache("ram", sharers=3).images(images("one"), 0, FORM)
    kept = cache("ram")
    assert agree(kept, images("one")) and agree(kept, images("two"))
    with pytest.raises(InputError, match="of memory"):
        kept.images(images("three"), 0, FORM)


@pytest.mark.parametrize("mode", ["disk", "ram"])
def test_kept_images_cannot_be_written_to(images, cache, mode):
    found = cache(mode).images(images("one"), 0, FORM)
    with pytest.raises(ValueError, match="read-only"):
        found[0][:] = 0


def test_systems_that_cannot_take_room_at_once_have_a_cache_too(images, cache, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    assert agree(cache(), images("one"))
    assert agree(cache(), images("one"))
    assert len(shards(cache())) == 1


def test_an_interrupt_leaves_nothing_and_waits_for_no_one(images, cache, monkeypatch):
    read = []

    def interrupted(source: ImageSource) -> list[bytes]:
        read.append(source)
        raise KeyboardInterrupt

    monkeypatch.setattr(pixel_cache, "read_contents", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache().images(images("one"), 0, FORM)
    assert len(read) == 1
    assert [path for path in cache().folder.rglob("*") if path.is_file()] == []
