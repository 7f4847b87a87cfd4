"""Kept images that cannot be kept, are damaged or old, or are being made: training is the same."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from comptool.data import cache as pixel_cache

# Of one epoch nothing is kept, and without validation the weights are those of the last one.
TWICE = ("--epochs", "2", "--fold", "none")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A folder of caches of this test's own."""
    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def train(chain, cache, run):
    """Train for two epochs into ``weights/new``; gives the weights and what was said."""

    def go(*options: str):
        result = run("train", *TWICE, "--force", *options)
        assert (result.exit_code, result.stdout) == (0, "weights/new\n"), result.stderr
        return load_file("weights/new/best.safetensors"), result.stderr

    return go


@pytest.fixture(scope="module")
def plain(finished, commands, tmp_path_factory) -> dict[str, np.ndarray]:
    """The weights that a training without a cache ends with."""
    work = tmp_path_factory.mktemp("plain") / "work"
    shutil.copytree(finished, work)
    app = import_module("comptool.commands.app").app
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        result = CliRunner().invoke(app, [*commands["train"], *TWICE, "--cache", "off"])
        assert result.exit_code == 0, result.stderr
        return load_file("weights/new/best.safetensors")


@pytest.fixture
def decodes(monkeypatch) -> list[Path]:
    """The files that are decoded for the cache, one entry each time."""
    read: list[Path] = []
    whole = pixel_cache.pixels_of
    monkeypatch.setattr(
        pixel_cache,
        "pixels_of",
        lambda contents, source: read.append(source.parts[0].path) or whole(contents, source),
    )
    return read


def same(weights: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> bool:
    assert weights.keys() == others.keys()
    return all((weights[name] == others[name]).all() for name in weights)


def kept(cache: Path) -> list[Path]:
    """The files of images in a cache, finished ones first."""
    found = [path for path in cache.rglob("*.npy*") if path.is_file()]
    return sorted(found, key=lambda path: (path.name.startswith("."), str(path)))


def no_room(monkeypatch) -> None:
    def refuse(descriptor: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)


def low_limit(monkeypatch) -> None:
    monkeypatch.setenv("COMPTOOL_CACHE_GB", "0.00001")


def read_only(monkeypatch) -> None:
    access, folder = os.access, os.environ["COMPTOOL_CACHE"]
    Path(folder).mkdir()
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: (
            not (mode & os.W_OK and str(path).startswith(folder)) and access(path, mode)
        ),
    )


PLACES = {
    "full": (no_room, "could not be written, the disk is full; nothing was changed"),
    "low limit": (low_limit, "COMPTOOL_CACHE_GB allows 0.0 MB more"),
    "read-only": (read_only, "cannot be written to"),
}


@pytest.mark.parametrize("place", PLACES)
def test_images_that_cannot_be_kept_on_the_disk_are_kept_in_memory_and_it_is_told(
    train, plain, cache, monkeypatch, place
):
    spoil, message = PLACES[place]
    spoil(monkeypatch)
    weights, said = train()
    assert same(weights, plain)
    told = [line for line in said.splitlines() if line.startswith("decoded images are not kept")]
    assert len(told) == 2 and all(message in line for line in told), said
    assert kept(cache) == []


@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_was_asked_for_and_cannot_be_had_is_an_error(
    refused, commands, cache, monkeypatch, place
):
    spoil, message = PLACES[place]
    spoil(monkeypatch)
    refused((*commands["train"], *TWICE, "--cache", "disk"), 3, f"{{}}{message}{{}}")
    assert kept(cache) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("part", [".npy", ".index.npy"])
@pytest.mark.parametrize("spoil", [flip, truncate])
def test_damaged_files_of_a_cache_are_made_anew(train, plain, cache, decodes, part, spoil):
    train()
    whole = len(decodes)
    for path in kept(cache):
        if path.name.endswith(part) and (part != ".npy" or ".index" not in path.name):
            spoil(path)
    weights, _ = train()
    assert same(weights, plain)
    assert len(decodes) > whole
    # And kept again.
    del decodes[:]
    assert same(train()[0], plain)
    assert decodes == []


def test_what_an_older_version_has_kept_is_not_read_and_makes_room(
    train, plain, cache, decodes, monkeypatch
):
    with monkeypatch.context() as earlier:
        earlier.setattr(pixel_cache, "FORMAT", 0)
        train()
    old = kept(cache)
    for path in old:
        if ".index" not in path.name:
            os.utime(path, (0, 0))
    # Were they read, their pixels would be found wrong.
    weights, _ = train()
    assert same(weights, plain)
    assert len(decodes) == 2 * 2 * 24
    size = sum(path.stat().st_size for path in old)
    monkeypatch.setenv("COMPTOOL_CACHE_GB", str(1.5 * size / 1e9))
    train("--img-size", "24")
    assert not any(path.exists() for path in old)


# Trains, and stops for ever in the middle of filling the second shard.
STUCK = """
import sys, time
from importlib import import_module
from pathlib import Path
from comptool.data import cache as pixel_cache
marker, arguments = sys.argv[1], sys.argv[2:]
whole, count = pixel_cache.pixels_of, []
def pixels_of(content, path):
    count.append(path)
    if len(count) > 30:
        Path(marker).touch()
        time.sleep(600)
    return whole(content, path)
pixel_cache.pixels_of = pixels_of
import_module("comptool.commands.app").app(arguments)
"""


def test_a_process_that_is_killed_while_it_fills_a_cache_disturbs_no_other(
    train, plain, cache, commands, decodes, tmp_path
):
    marker = tmp_path / "filling"
    arguments = [*commands["train"], *TWICE, "--run-name", "killed"]
    filling = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(marker), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 100
        while not marker.exists():
            assert filling.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        begun = set(kept(cache))
        assert any(path.name.startswith(".") for path in begun)
        # One modality is there, the other is being made: it is decoded here, and kept.
        assert same(train()[0], plain)
        assert len(decodes) == 24
        assert begun <= set(kept(cache))
    finally:
        filling.send_signal(signal.SIGKILL)
        filling.wait(timeout=60)
    del decodes[:]
    assert same(train()[0], plain)
    assert decodes == []
    # What it left takes room for a day, and is never read.
    left = [path for path in kept(cache) if path.name.startswith(".")]
    assert left
    for path in left:
        os.utime(path, (0, 0))
    train("--img-size", "24")
    assert not any(path.exists() for path in left)
