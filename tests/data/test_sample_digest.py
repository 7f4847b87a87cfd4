"""Digest of samples: what changes it, and what does not."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from comptool.competition.samples import Samples
from comptool.data.sample_digest import sample_digest

READER = "def read(path):\n    raise NotImplementedError\n"


@pytest.fixture
def samples(tmp_path, monkeypatch) -> Samples:
    """Three samples: of one file, of two, and of none."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.png").write_bytes(name.encode() * 9)
    frame = pd.DataFrame({"id": ["1", "2", "3"], "of": ["a.png", "b.png|c.png", ""]}, dtype=object)
    return Samples(frame, folder, "id", {"sar": "of"}, None, None, Path("test.csv"))


def write_reader(text: str) -> None:
    Path("own.py").write_text(text)


CHANGES = {
    "another id": lambda s: replace(s, frame=s.frame.assign(id=["1", "2", "4"])),
    "another image": lambda s: replace(s, frame=s.frame.assign(of=["a.png", "b.png|a.png", ""])),
    "another order": lambda s: replace(s, frame=s.frame.iloc[::-1]),
    "a row more": lambda s: replace(s, frame=s.frame.iloc[[0, 1, 2, 2]]),
    "a bag": lambda s: replace(s, frame=s.frame.assign(bag="1"), bag="bag"),
    "another modality": lambda s: replace(s, paths={"eo": "of"}),
    "a reader": lambda s: replace(s, reader="own.py:read"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_samples(samples, name):
    write_reader(READER)
    assert sample_digest(CHANGES[name](samples)) != sample_digest(samples)


def test_other_files(samples):
    found = [sample_digest(samples)]
    image = samples.folder / "c.png"
    image.write_bytes(b"cc")
    found.append(sample_digest(samples))
    os.utime(image, (0, 0))
    found.append(sample_digest(samples))
    image.unlink()
    found.append(sample_digest(samples))
    assert len(set(found)) == 4


def test_another_text_of_the_reader(samples):
    samples = replace(samples, reader="own.py:read")
    write_reader(READER)
    before = sample_digest(samples)
    write_reader(READER + "# changed\n")
    assert sample_digest(samples) != before


def test_a_copy_that_keeps_the_times_is_the_same(samples, tmp_path):
    copy = Path(shutil.copytree(samples.folder, tmp_path / "elsewhere"))
    (copy / "unused.png").write_bytes(b"")
    assert sample_digest(replace(samples, folder=copy)) == sample_digest(samples)
