"""Temporary files: those of dead writers go, those of living ones stay."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from comptool.io.atomic import atomic_output
from comptool.io.leftovers import new_partial_file, new_partial_folder, remove_leftovers

WRITER = """
import time
from pathlib import Path
from comptool.io.atomic import atomic_output, together
with together(), atomic_output(Path("a.csv")) as temporary:
    temporary.write_text("mine")
    Path("folder").mkdir()
    print(temporary.name, flush=True)
    time.sleep(60)
"""
WEEKS = 8 * 24 * 3600


@pytest.fixture
def writer(tmp_path) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A process that is writing ``a.csv``, and its temporary file."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    yield child, tmp_path / child.stdout.readline().strip()
    child.kill()
    child.wait()
    child.stdout.close()


def write(path: Path) -> None:
    with atomic_output(path, force=True) as temporary:
        temporary.write_text("other")


def test_the_file_of_a_living_writer_stays_and_that_of_a_dead_one_goes(tmp_path, writer):
    child, temporary = writer
    assert re.fullmatch(r"\.a-[0-9a-f]{8}-\d+-\d+-[a-z0-9_]{8}\.partial\.csv", temporary.name)
    write(tmp_path / "b.csv")
    assert temporary.read_text() == "mine"
    # Not even after weeks: it may be suspended.
    os.utime(temporary, (0, 0))
    write(tmp_path / "b.csv")
    assert temporary.exists()
    child.send_signal(signal.SIGKILL)
    child.wait()
    write(tmp_path / "b.csv")
    assert sorted(os.listdir(tmp_path)) == ["b.csv", "folder"]


def test_another_process_of_the_same_number_is_not_the_writer(tmp_path):
    own = new_partial_file(tmp_path / "a.csv")
    machine, number, start, _ = own.name.removeprefix(".a-").split("-")
    before = own.with_name(f".a-{machine}-{number}-{int(start) - 1}-abcd1234.partial.csv")
    before.touch()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [own]


@pytest.mark.parametrize("name", [".a-{other}-1-1-abcd1234.partial.csv", ".a-abcd1234.partial.csv"])
def test_unknown_writers_count_as_alive_for_a_week(tmp_path, name):
    """On another machine, before the last boot, or of an older version."""
    left = tmp_path / name.format(other="0" * 8)
    left.touch()
    remove_leftovers(tmp_path)
    assert left.exists()
    long_ago = time.time() - WEEKS
    os.utime(left, (long_ago, long_ago))
    remove_leftovers(tmp_path)
    assert not left.exists()


def test_folders_go_with_all_they_hold_and_links_without(tmp_path):
    folder = new_partial_folder(tmp_path / "data")
    machine, number, start, _ = folder.name.removeprefix(".data-").split("-")
    dead = f"-{machine}-{number}-{int(start) - 1}-abcd1234.partial"
    (tmp_path / f".data{dead}" / "deep").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (tmp_path / f".link{dead}").symlink_to(tmp_path / "mine")
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, "mine"]
    assert (tmp_path / "mine" / "file").exists()


@pytest.mark.parametrize(
    "name", ["a-abcd1234.partial", ".partial", ".x.partial.npy", ".a-abcd1234.partially", ".git"]
)
def test_files_of_others_stay(tmp_path, name):
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("stem", ["a" * 196, "가" * 65, "a-1-2-3", " .-"])
def test_long_and_odd_names(tmp_path, stem):
    path = tmp_path / f"{stem}.csv"
    write(path)
    assert list(tmp_path.iterdir()) == [path]
    own = new_partial_file(path)
    remove_leftovers(tmp_path)
    assert own.exists()


def test_a_folder_that_is_not_there(tmp_path):
    remove_leftovers(tmp_path / "nowhere")
