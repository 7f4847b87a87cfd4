"""Digests of files: right whatever is kept, and computed once."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from comptool.io import digests
from comptool.io.digests import sha256

KEPT = "digests.json"


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """Names of the files that are read to be hashed."""
    names, original = [], hashlib.file_digest

    def digest(stream, kind):
        names.append(Path(stream.name).name)
        return original(stream, kind)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    return names


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(digests, "LARGE", 4)
    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def settled(path: Path, content: bytes) -> str:
    """Write a file, and wait until a later change has another time."""
    path.write_bytes(content)
    time.sleep(0.05)
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_hashed_once_and_again_when_it_changes(tmp_path, hashed, cache):
    path = tmp_path / "a"
    for content in (b"one", b"two"):
        wanted = settled(path, content)
        assert sha256(path) == sha256(path) == wanted
    # The same times and size: only the system's own time of change tells.
    seen = path.stat()
    wanted = settled(path, b"six")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert sha256(path) == wanted
    assert hashed == ["a"] * 3


def test_a_file_that_changes_within_a_tick(tmp_path, hashed, cache):
    path = tmp_path / "a"
    for number in range(50):
        content = str(number % 10).encode()
        path.write_bytes(content)
        assert sha256(path) == hashlib.sha256(content).hexdigest()


def test_digests_of_large_files_are_kept_for_the_next_process(tmp_path, hashed, cache, monkeypatch):
    large, small = settled(tmp_path / "large", b"large"), settled(tmp_path / "small", b"abc")
    for _ in range(2):
        monkeypatch.setattr(digests, "_known", {})  # as a new process has it
        assert (sha256(tmp_path / "large"), sha256(tmp_path / "small")) == (large, small)
    assert hashed == ["large", "small", "small"]
    assert [path.name for path in cache.iterdir()] == [KEPT]
    assert sha256(tmp_path / "large", anew=True) == large
    assert hashed[-1] == "large"


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"a": 1}', b"\xff"])
def test_a_damaged_or_unwritable_cache_is_harmless(tmp_path, cache, monkeypatch, damage):
    cache.mkdir()
    (cache / KEPT).write_bytes(damage)
    wanted = settled(tmp_path / "a", b"large")
    assert sha256(tmp_path / "a") == wanted
    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "a"))  # a file
    monkeypatch.setattr(digests, "_known", {})
    assert sha256(tmp_path / "a") == wanted


def test_the_cache_does_not_grow_without_end(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(digests, "MOST_KEPT", 3)
    for number in range(6):
        (tmp_path / str(number)).write_text("large")
    time.sleep(0.05)
    for number in range(6):
        sha256(tmp_path / str(number))
    assert (cache / KEPT).read_text().count(str(tmp_path)) == 3
